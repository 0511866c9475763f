"""The guide: what it shows runs, and what it lists is all there is."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shadows.telemetry import names
from tests.support.servers import free_port

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "observability.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["metrics", "traces", "serving"])
def test_what_the_guide_shows_runs(block: str, url: str, fresh_name: Callable[[], str]) -> None:
    block = block.replace('"observed"', repr(fresh_name())).replace("8080", str(free_port()))
    done = subprocess.run(
        [sys.executable, "-c", block],
        env={**os.environ, "SHADOWS_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    if "checkout" in block:
        assert {'"name": "checkout"', '"name": "send greet"', '"name": "greet"'} <= set(
            re.findall(r'"name": "[a-z ]+"', done.stdout)
        )


def test_the_guide_lists_every_metric() -> None:
    listed = {
        name
        for line in GUIDE.splitlines()
        if line.startswith("| `shadows_")
        for name in re.findall(r"`(shadows_\w+)`", line)
    }
    assert listed == {instrument.name for instrument in names.INSTRUMENTS}
