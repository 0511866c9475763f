"""A worker process's own side of its supervision."""

import builtins

import pytest

from shadows.worker.process import resident_bytes


def test_the_memory_is_known_without_a_proc_file_system_too(monkeypatch: pytest.MonkeyPatch) -> None:
    here = resident_bytes()
    assert here > 1024**2

    def missing(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(builtins, "open", missing)
    assert resident_bytes() > 1024
