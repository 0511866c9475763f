"""The runs with names, and the versions they may need."""

import subprocess
import sys
from pathlib import Path

import pytest
from chaos.__main__ import main
from chaos.checker import Verdict
from chaos.presets import PRESETS
from chaos.report import table, write
from chaos.run import Settings
from chaos.versions import VersionMissing, built, raised


def test_each_promise_has_a_run_or_the_command_of_another_suite() -> None:
    assert list(PRESETS) == [f"F{number}" for number in range(1, 14)]
    assert all(bool(one.runs) != bool(one.command) for one in PRESETS.values())


def test_the_next_wire_version_can_be_read_by_the_present_one() -> None:
    assert raised("WIRE = 1\nLEAST = 1\n") == "WIRE = 2\nLEAST = 1\n"


def test_one_that_breaks_cannot() -> None:
    assert raised("WIRE = 1\nLEAST = 1\n", "LEAST") == "WIRE = 1\nLEAST = 2\n"
    assert raised("WIRE: Final = 1\n") == "WIRE: Final = 2\n"


def test_a_commit_that_the_clone_does_not_have_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(VersionMissing, match=r"git fetch --unshallow"):
        built("0" * 40, tmp_path)


def test_faults_of_a_cluster_and_of_one_server_are_not_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--faults", "migrate,oom"])
    assert "do one at a time" in capsys.readouterr().err


def test_findings_make_a_table(tmp_path: Path) -> None:
    write(tmp_path / "F1.json", Settings(seed=7), Verdict(lost=["k"]), [], 3)
    assert table([tmp_path / "F1.json"])[-1].startswith("| F1 | shadows | valkey | 7 | 2 s | - | 0 | 1 | 0 |")


@pytest.mark.parametrize("name", ["F10", "F11"])
def test_another_suite_is_told_the_engine_and_the_seed(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", run)
    assert main([name, "--engine", "redis-7", "--seed", "5"]) == 3
    words = ["-m", *PRESETS[name].command, "--engine", "redis-7", "--seed", "5"]
    assert ran == [[sys.executable, *words]]
    assert capsys.readouterr().out == f"uv run python {' '.join(words)}\n"
