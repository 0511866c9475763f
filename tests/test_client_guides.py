"""What the guides for callers show runs as it is shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).parent.parent / "docs" / "guides"
BLOCKS = [
    pytest.param(block, id=f"{guide}-{number}")
    for guide in ("strikes", "many-calls")
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", (GUIDES / f"{guide}.md").read_text(), re.DOTALL)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs(block: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(block)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "SHADOWS_URL": "memory://"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "billed" in block:
        assert done.stdout.split("\n") == ["billed 8", "billed 7", "billed 7", ""]
