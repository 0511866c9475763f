"""What several tests of the embedded server need."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short directory of this test's own, where the runtime directory is made."""
    path = Path(tempfile.mkdtemp(dir="/tmp", prefix="s"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path)
