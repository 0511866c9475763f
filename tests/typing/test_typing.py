"""The public API type-checks as `public.py` says, for pyright and mypy alike."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

PUBLIC = Path(__file__).with_name("public.py")
ROOT = PUBLIC.parents[2]


def test_pyright_sees_what_is_right_and_what_is_wrong(tmp_path: Path) -> None:
    # pyright checks no file that stands above its configuration
    shutil.copy(PUBLIC, tmp_path)
    config = tmp_path / "pyrightconfig.json"
    settings = {
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "enableTypeIgnoreComments": False,
        "pythonVersion": "3.12",
    }
    config.write_text(json.dumps(settings))
    said = check("pyright", "--project", str(config), "--pythonpath", sys.executable, "--outputjson")
    assert json.loads(said)["summary"]["filesAnalyzed"] == 1


def test_mypy_sees_what_is_right_and_what_is_wrong(tmp_path: Path) -> None:
    check("mypy", "--strict", "--warn-unused-ignores", "--cache-dir", str(tmp_path), str(PUBLIC))


def check(*command: str) -> str:
    """What the tool says, where it finds nothing wrong."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
