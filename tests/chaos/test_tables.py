"""What findings of several runs come to in a table."""

import json
from pathlib import Path

import pytest
from chaos.__main__ import main
from chaos.checker import Verdict
from chaos.evidence import Event
from chaos.plan import Fault
from chaos.report import write
from chaos.run import Settings


def put(
    file: Path, verdict: Verdict, *, strikes: int = 0, engine: str = "valkey", version: str = "9.1.2"
) -> None:
    file.parent.mkdir(exist_ok=True)
    write(file, Settings(seed=7), verdict, [Event(Fault.KILL9, 1, 1)] * strikes, 3)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"engine": engine, "version": version}))


def rows(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    assert main(["report", *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_promise_is_a_row_with_a_value_for_each_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Verdict(accepted=2000, duplicated=3, recovery=[1.0, 2.5], refused=1)
    again.explained["kill9"] = 3
    put(tmp_path / "one" / "F1.json", again, strikes=2)
    put(tmp_path / "two" / "F1.json", Verdict(accepted=2000), strikes=2, engine="redis-7", version="7.0.15")
    told = rows(capsys, tmp_path / "one", tmp_path / "two")
    assert told[0].startswith("Each cell: Valkey 9.1 · Redis 7.0; ")
    assert told[2].startswith("| run | accepted | struck | run again (explained) | broken |")
    assert told[4:] == ["| F1 | 2,000 | 2 | 3 · 0 | 0 | 1 · 0 | 1.00 / 2.50 · - | - | - |"]


def test_the_runs_of_a_promise_are_added_up_in_the_order_of_their_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "F12.json", Verdict(accepted=5), strikes=1)
    put(tmp_path / "F12-2.json", Verdict(accepted=6, outages=[2.0], resumption=[0.5]), strikes=2)
    put(tmp_path / "F2.json", Verdict(accepted=1))
    put(tmp_path / "own.json", Verdict())
    assert rows(capsys, tmp_path)[4:] == [
        "| F2 | 1 | 0 | 0 | 0 | 0 | - | - | - |",
        "| F12 | 11 | 3 | 0 | 0 | 0 | - | 2.00 / 2.00 | 0.50 / 0.50 |",
        "| own | 0 | 0 | 0 | 0 | 0 | - | - | - |",
    ]


def test_all_that_was_broken_is_one_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "one" / "F1.json", Verdict(duplicated=2, unexplained=["a"], lost=["b", "c"]))
    put(tmp_path / "two" / "F2.json", Verdict(), engine="redis-6.2", version="6.2.14")
    assert rows(capsys, tmp_path / "one", tmp_path / "two")[4:] == [
        "| F1 | 0 · - | 0 · - | 2 (0) · - | **3** · - | 0 · - | - | - | - |",
        "| F2 | - · 0 | - · 0 | - · 0 | - · 0 | - · 0 | - | - | - |",
    ]


def test_another_suite_that_failed_is_one_that_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = {"of": "shadows", "engine": "redis-7", "seed": 1, "seconds": 2, "faults": {"walks": 334}}
    (tmp_path / "F11.json").write_text(json.dumps(suite | {"accepted": 9, "failed": True}))
    assert rows(capsys, tmp_path)[4:] == ["| F11 | 9 | 334 | 0 | **1** | 0 | - | - | - |"]


def test_each_run_may_be_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "F1.json", Verdict(lost=["k"]), strikes=2)
    assert rows(capsys, tmp_path, "--runs")[2:] == [
        "| F1 | shadows | Valkey 9.1 | 7 | 2 s | 2 kill9 | 0 | 2 | 0 | **1** | 0 | - | - | - | 0 | 3 | **broken** |"
    ]
