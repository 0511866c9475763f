"""Sockets in deep directories."""

import os
from pathlib import Path

import pytest

from shadows.embedded.reach import LONGEST, reach
from shadows.errors import EmbeddedUnavailable


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A directory whose sockets nobody can connect to by their own path."""
    path = tmp_path / ("d" * 90) / ("e" * 90)
    path.mkdir(parents=True)
    return path


def test_a_short_path_is_taken_as_it_is(short: Path) -> None:
    assert reach(str(short), "server.sock") == (f"{short}/server.sock", "")


def test_a_long_path_is_reached_through_a_link_in_a_directory_of_ours_alone(deep: Path, short: Path) -> None:
    path, link = reach(str(deep), "server.sock")
    assert len(path) <= LONGEST
    assert os.path.realpath(link) == str(deep)
    assert (short / f"shadows-{os.geteuid()}").stat().st_mode & 0o777 == 0o700
    assert reach(str(deep), "server.sock") == (path, link)


def test_a_runtime_directory_that_others_may_enter_is_not_used(
    deep: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / f"shadows-{os.geteuid()}").mkdir(0o755)
    monkeypatch.setattr(
        "shadows.embedded.reach._bases", lambda: [str(short), str(short / "missing"), str(deep)]
    )
    with pytest.raises(EmbeddedUnavailable, match=r"too long for a socket.*XDG_RUNTIME_DIR"):
        reach(str(deep), "server.sock")
