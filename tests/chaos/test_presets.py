"""The runs with names, and the versions they may need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.__main__ import main
from chaos.presets import PRESETS, Preset
from chaos.stack import ROOT
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", "primary-kill9,migrate", "--behind", "sentinel"], "behind sentinels there is"),
        (["--behind", "sentinel", "--faults", "oom"], "behind sentinels there is"),
        (["--faults", "primary-kill9", "--peer", "pydocket"], "a peer does not wait for replicas"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


def test_accepted_is_what_a_replica_has_where_primaries_are_killed() -> None:
    killing = PRESETS["F12"].runs[1:]
    assert [(one.durable, one.behind) for one in killing] == [(1, "cluster"), (1, "sentinel")]
    assert killing[1].command.endswith("--behind sentinel")
    assert {one.durable for preset in PRESETS.values() for one in preset.runs if one not in killing} == {0}


class TestAnotherSuite:
    @pytest.mark.parametrize("name", ["F10", "F11"])
    def test_its_words_are_those_of_a_module_that_knows_engines_and_seeds(self, name: str) -> None:
        module = PRESETS[name].command[0]
        told = subprocess.run(
            [sys.executable, "-m", module, "--help"], capture_output=True, check=True, cwd=ROOT
        )
        assert b"--engine" in told.stdout
        assert b"--seed" in told.stdout

    @pytest.mark.parametrize("code", [0, 3])
    def test_what_it_prints_goes_on_and_its_counts_into_findings(
        self, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "suite.py").write_text(
            f"import sys\nprint(*sys.argv[1:])\nprint('  struck: 12, run: 34')\nsys.exit({code})\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        counts = {"struck": r"struck: (\d+)", "accepted": r"run: (\d+)", "duplicated": r"twice: (\d+)"}
        monkeypatch.setitem(PRESETS, "F10", Preset("p", command=("suite",), strikes="blows", counts=counts))
        assert (
            main(["F10", "--engine", "valkey", "--seed", "5", "--json", str(tmp_path / "F10.json")]) == code
        )
        told = [
            "uv run python -m suite --engine valkey --seed 5",
            "--engine valkey --seed 5",
            "  struck: 12, run: 34",
        ]
        assert capsys.readouterr().out.splitlines() == told
        found = json.loads((tmp_path / "F10.json").read_text())
        assert (found["accepted"], found["faults"], found["exit"]) == (34, {"blows": 12}, code)
        assert (found["failed"], found["said"]) == (code != 0, told[1:])
        assert "duplicated" not in found
