"""The table of defects names tests that exist, and every defect once."""

import re
from pathlib import Path

HERE = Path(__file__).parent
ROWS = re.findall(r"^\| ([CD]\d+) \|.*\| (.*) \|$", (HERE / "README.md").read_text(), re.MULTILINE)


def test_every_defect_has_its_row() -> None:
    assert [number for number, _ in ROWS] == [*(f"D{n}" for n in range(1, 24)), "C1", "C2"]


def test_every_test_that_is_named_exists() -> None:
    for number, named in ROWS:
        text = ""
        for path, test in re.findall(r"`([^`:]*)(?:::(\w+)…?)?`", named):
            text = (HERE.parent / path).read_text() if path else text
            assert f"def {test}" in text, f"{number}: {path}::{test}"
