"""The guide: what it shows runs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "dependencies.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["values", "around", "own"])
def test_what_the_guide_shows_runs(block: str, url: str, fresh_name: Callable[[], str]) -> None:
    block = re.sub(r'"guide-\w+"', repr(fresh_name()), block)
    done = subprocess.run(
        [sys.executable, "-c", block],
        env={**os.environ, "SHADOWS_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
