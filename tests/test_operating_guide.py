"""The guide to operating: what it shows runs, and prints what it says."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[1] / "docs" / "guides" / "operating.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
SHOWN = [
    [
        "Counts(scheduled=1, ready=1, running=0, waiting=0, dead=0)",
        "queued invoice (1,)",
        "scheduled invoice (2,)",
        "1 2",
        "[]",
    ],
    ["failed charge (30,) ConnectionError: the bank does not answer", "charged 30"],
]


@pytest.mark.parametrize(
    ("block", "shown"), list(zip(BLOCKS, SHOWN, strict=True)), ids=["looking", "letters"]
)
def test_what_the_guide_shows_runs(
    block: str, shown: list[str], url: str, fresh_name: Callable[[], str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.replace('"operated"', repr(fresh_name()))],
        env={**os.environ, "SHADOWS_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == shown
