"""What the guide to testing shows runs as it is shown."""

import re
import subprocess
import sys
from pathlib import Path

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "testing.md").read_text()
FIXTURES, TESTS, TRAVEL = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
(SETTINGS,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_fixtures_and_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "conftest.py").write_text(FIXTURES)
    (tmp_path / "test_sending.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:valkey", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_time_is_travelled(tmp_path: Path) -> None:
    (tmp_path / "travel.py").write_text(TRAVEL)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "travel.py")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
