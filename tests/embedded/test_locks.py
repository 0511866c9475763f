"""Locks that forked children do not keep."""

import time
from pathlib import Path

import pytest

from shadows.embedded import locks


def test_a_lock_that_is_not_to_be_had_in_time_is_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = locks.take(path, locks.EXCLUSIVE, 1)
    with pytest.raises(TimeoutError):
        locks.take(path, locks.SHARED, 0)
    locks.release(held)
    locks.release(locks.take(path, locks.SHARED, 0))


def test_a_lock_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "lock")
    held = locks.take(path, locks.EXCLUSIVE, 1)
    monkeypatch.setattr(time, "sleep", lambda _: locks.release(held))
    locks.release(locks.take(path, locks.SHARED, 10))


def test_a_child_closes_its_copies_and_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_files", set[int]())
    path = str(tmp_path / "lock")
    locks.take(path, locks.EXCLUSIVE, 1)
    locks.release_all()
    locks.release(locks.take(path, locks.EXCLUSIVE, 0))
