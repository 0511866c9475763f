"""The README says what is so."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_two_blocks_at_a_glance_print_both_greetings_in_one_script(tmp_path: Path) -> None:
    script = tmp_path / "glance.py"
    script.write_text((BLOCKS[0] + BLOCKS[1]).replace("seconds=3", "milliseconds=300"))
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "SHADOWS_URL": "memory://"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("Hello, Jane at ")
    assert second.startswith("Howdy, John at ")


def test_every_block_of_code_compiles() -> None:
    for block in BLOCKS:
        compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
