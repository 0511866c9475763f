"""Where the server's URL comes from, and what a password must not do."""

from pathlib import Path

import pytest

from shadows.cli.app import run
from tests.cli.conftest import Commands


def test_a_file_may_hold_the_url(
    name: str, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "url"
    file.write_text(f"{url}\n")
    assert run(["snapshot", "--shadows", name, "--url-file", str(file)]) == 0
    assert "0 workers, 0/0 running" in capsys.readouterr().out


def test_the_environment_names_the_url_or_its_file(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "url"
    file.write_text(url)
    monkeypatch.setenv("SHADOWS_NAME", name)
    monkeypatch.setenv("SHADOWS_URL_FILE", str(file))
    assert run(["workers", "ls"]) == 0
    monkeypatch.setenv("SHADOWS_URL_FILE", "/nowhere")
    monkeypatch.setenv("SHADOWS_URL", url)
    assert run(["workers", "ls"]) == 0
    assert capsys.readouterr().err == ""


def test_the_command_line_goes_before_the_environment(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "url"
    file.write_text(url)
    monkeypatch.setenv("SHADOWS_URL", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("SHADOWS_URL_FILE", "/nowhere")
    assert run(["workers", "ls", "--shadows", name, "--url", url]) == 0
    assert run(["workers", "ls", "--shadows", name, "--url-file", str(file)]) == 0


@pytest.mark.parametrize(
    ("held", "words"), [(None, "cannot be read"), ("", "one URL"), ("redis://a\nredis://b", "one URL")]
)
def test_a_file_that_holds_no_url_is_refused(
    held: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "url"
    if held is not None:
        file.write_text(held)
    assert run(["snapshot", "--url-file", str(file)]) == 2
    assert words in capsys.readouterr().err


def test_two_servers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "--url", "redis://a", "--url-file", "/b"]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_a_password_is_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "url"
    file.write_text("redis://user:canary@127.0.0.1:1/0")
    everything = [
        ["snapshot"], ["clear", "--yes"], ["tasks", "trace"], ["workers", "ls"], ["workers", "for-task", "a"],
        ["strike", "a"], ["restore", "a"], ["strikes"], ["add", "a"], ["watch", "a"], ["dead", "ls"],
        ["dead", "requeue", "a"], ["dead", "discard", "a"], ["pause"], ["resume"], ["doctor"], ["top", "--once"],
        ["worker"], ["worker", "--processes", "1"],
    ]  # fmt: skip
    for command in everything:
        assert run([*command, "--url-file", str(file)]) == 1, command
        out, err = capsys.readouterr()
        assert "127.0.0.1" in out + err
        assert "canary" not in out + err


@pytest.mark.parametrize("command", [["snapshot"], ["clear", "--yes"], ["dead", "ls"]])
def test_an_engine_that_is_private_to_this_process_is_refused_where_nothing_could_be_in_it(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--url", "memory://"]) == 2
    assert "embedded:///DIR" in capsys.readouterr().err


def test_a_time_is_given_once(commands: Commands) -> None:
    commands("add", "greet", "--in", "10m", "--when", "2030-01-01T00:00Z", code=2)
    assert "give one of them" in commands.error
    commands("add", "greet", "--when", "soon", code=2)
    assert "is not an instant" in commands.error
    commands("add", "greet", "--delay", "soon", code=2)
    assert "is not a duration" in commands.error
