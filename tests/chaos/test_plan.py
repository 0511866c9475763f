"""What a seed stands for, and what is said of a run."""

import argparse
import json
from pathlib import Path

import pytest
from chaos.__main__ import ALL, faults
from chaos.checker import Verdict
from chaos.effects import FOLDER, noted, read
from chaos.evidence import Event
from chaos.plan import Fault, Kind, jobs, read_log, read_plan, read_refusals, strikes, write_plan
from chaos.report import lines, write
from chaos.run import Settings
from chaos.tasks import tasks


def test_a_seed_always_means_the_same_plan() -> None:
    assert jobs(7, 100, 10, 1, ALL) == jobs(7, 100, 10, 1, ALL)
    assert strikes(7, 10, 1, ALL) == strikes(7, 10, 1, ALL)


def test_another_seed_means_another() -> None:
    assert jobs(7, 100, 10, 1, ALL) != jobs(8, 100, 10, 1, ALL)
    assert strikes(7, 10, 1, ALL) != strikes(8, 10, 1, ALL)


def test_a_fault_strikes_at_the_same_times_whatever_else_does() -> None:
    alone = strikes(7, 20, 1, [Fault.KILL9])
    assert alone
    assert alone == [strike for strike in strikes(7, 20, 1, ALL) if strike.fault is Fault.KILL9]


def test_every_fault_strikes_or_is_a_task() -> None:
    struck = {strike.fault for strike in strikes(7, 20, 1, tuple(Fault))}
    assert struck == set(Fault) - {Fault.CPU, Fault.POISON}
    kinds = {job.kind for job in jobs(7, 1000, 20, 1, ALL)}
    assert kinds == set(Kind)
    assert not kinds & {job.kind for job in jobs(7, 1000, 20, 1, ())} & {Kind.POISON, Kind.COMPUTING}


def test_every_kind_has_a_task_that_takes_its_arguments() -> None:
    names = {task.__name__ for task in tasks}
    assert {job.task for job in jobs(7, 1000, 20, 1, ALL)} <= names


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    planned = jobs(7, 50, 10, 1, ALL)
    write_plan(tmp_path / "plan", planned)
    assert read_plan(tmp_path / "plan") == planned


def test_the_first_answer_counts_as_the_acceptance(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_log(log) == ({}, set())
    log.write_text("tried a 1.0\ntried b 1.5\nrefused a 1.7 Overloaded\naccepted a 2.0\naccepted a 3.0\n")
    assert read_log(log) == ({"a": 2.0}, {"a", "b"})
    assert read_refusals(log) == [(1.7, "Overloaded")]


def test_effects_say_how_a_run_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with noted("good", 1):
        pass
    with pytest.raises(ValueError, match="no"), noted("bad", 2):
        raise ValueError("no")
    with pytest.raises(SystemExit), noted("gone", 1):
        raise SystemExit
    assert [(line.word, line.key, line.step) for line in read(tmp_path)] == [
        ("start", "good", 1),
        ("end", "good", 1),
        ("start", "bad", 2),
        ("raised", "bad", 2),
        ("start", "gone", 1),
        ("cancelled", "gone", 1),
    ]


def test_faults_by_name() -> None:
    assert faults("kill9,oom") == (Fault.KILL9, Fault.OOM)
    assert Fault.FLUSHALL not in faults("all")
    with pytest.raises(argparse.ArgumentTypeError, match="use all, or some of kill9"):
        faults("kill10")


class TestReport:
    SETTINGS = Settings(seed=7, faults=(Fault.KILL9,), tasks=5)

    def test_what_was_kept(self) -> None:
        told = lines(self.SETTINGS, Verdict(accepted=5, completed=5), [Event(Fault.KILL9, 1, 1)], 3)
        assert told[-1] == "kept"
        assert "faults           1 kill9" in told
        assert any(line.endswith(self.SETTINGS.command) for line in told)

    def test_what_was_broken(self) -> None:
        verdict = Verdict(
            lost=[f"k{n}" for n in range(12)],
            lapses=1,
            forgotten=["f"],
            recovery=[1.0, 2.0],
            resumption=[0.5],
        )
        verdict.explained["kill9"] = 3
        told = lines(self.SETTINGS, verdict, [], 3)
        assert told[-1] == "BROKEN"
        assert "    k9" in told
        assert "    … and 2 more" in told
        assert any("p50 1.00 s, p99 2.00 s, of 2" in line for line in told)

    def test_for_programs(self, tmp_path: Path) -> None:
        write(tmp_path / "out", self.SETTINGS, Verdict(lost=["k"]), [], 3)
        written = json.loads((tmp_path / "out").read_text())
        assert (written["seed"], written["lost"], written["failed"]) == (7, ["k"], True)
