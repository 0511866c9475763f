"""What processes say of themselves, as one."""

import pytest

from shadows.telemetry import names
from shadows.telemetry.metrics import Snapshot, merge
from shadows.worker import crew as module
from shadows.worker.crew import Crew

WORKER = {"shadows.worker": "hand"}


def report(
    crew: Crew, pid: int, *, trouble: str | None = None, completed: float = 0, running: float = 0
) -> None:
    counted: list[object] = [[names.COMPLETED.name, WORKER, completed], [names.RUNNING.name, WORKER, running]]
    crew.reported(pid, {"trouble": trouble, "counted": counted})


def readings(crew: Crew) -> dict[str, object]:
    merged: Snapshot = merge(crew.snapshots())
    return {name: value for name, _, value in merged}


def test_one_that_takes_tasks_is_enough() -> None:
    crew = Crew()
    assert crew.trouble() == "no process runs"
    crew.joined(1, "hand-1")
    crew.joined(2, "hand-2")
    report(crew, 1, trouble="the lease is not held")
    assert crew.trouble() == "hand-1: the lease is not held; hand-2: it has not said that it is ready"
    report(crew, 2)
    assert crew.trouble() is None


def test_one_that_fell_silent_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew()
    crew.joined(1, "hand-1")
    crew.joined(2, "hand-2")
    report(crew, 2)
    assert crew.stuck() is None
    monkeypatch.setattr(module, "SILENCE", -1)
    assert crew.stuck() == "no word from hand-2"
    crew.left(2)
    assert crew.stuck() is None


def test_sums_do_not_go_back_when_one_is_gone_but_what_runs_does() -> None:
    crew = Crew()
    crew.joined(1, "hand")
    report(crew, 1, completed=5, running=2)
    assert readings(crew) == {names.COMPLETED.name: 5, names.RUNNING.name: 2}
    crew.left(1)
    crew.joined(2, "hand")
    assert readings(crew) == {names.COMPLETED.name: 5}
    report(crew, 2, completed=3, running=1)
    assert readings(crew) == {names.COMPLETED.name: 8, names.RUNNING.name: 1}
