"""The command line: every command, and one clear line for whatever cannot be used."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import shadows
from shadows.cli import main
from shadows.cli.app import run
from tests.support.waiting import until_sync

TASKS = """
import os, sys
from pathlib import Path

async def note(text: str) -> None:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(text + chr(10))

def wait_for(text: str) -> None:
    ...

all_tasks = [note]
not_tasks = [note, 42]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module of tasks, whose name no other test has imported."""
    module = tmp_path / f"tasks_{tmp_path.name.replace('-', '_')}.py"
    module.write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return module


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_version_prints_the_installed_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out == version("shadow-task") + "\n"


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shadows", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == version("shadow-task") + "\n"


def test_main_ends_the_process_with_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["shadows", "version"])
    for arguments in (None, ["version"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0


def test_help_is_shown_where_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "worker" in capsys.readouterr().out
    assert run([]) == 2
    assert "worker" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--concurrency", "0"], "--concurrency"),
        (["--redelivery-timeout", "soon"], "'soon' is not a duration"),
        (["--redelivery-timeout", "1ms"], "redelivery_timeout"),
        (["--url", "http://localhost"], "its scheme must be one of"),
        (["--url", "redis://localhost:port"], "cannot be read"),
        (["--shadows", "no{braces}"], "a shadow's name is"),
        (["--name", "a b"], "a shadow's name is"),
        (["--queues", "a/b"], "a queue's name is"),
        (["--logging-level", "loud"], "no logging level"),
        (["--logging-format", "xml"], "--logging-format"),
        (["--tasks", "nocolon"], "module:member"),
        (["--tasks", "no.such.module:tasks"], "cannot be imported"),
        (["--no-such-option"], "--no-such-option"),
        (["--queues", "a=0"], "a weight is a whole number"),
        (["--queues", "a=x"], "a weight is a whole number"),
        (["--max-memory", "much"], "'much' is not a size"),
        (["--max-tasks", "0"], "--max-tasks"),
        (["--processes", "0"], "--processes"),
        (["--processes", "1", "--tasks", "no.such.module:tasks"], "cannot be imported"),
        (["--metrics-port", "70000"], "--metrics-port"),
        (["--dependencies", "nocolon"], "nocolon"),
        (["--fallback-task", "no.such.module:task"], "no.such.module"),
    ],
)
def test_what_cannot_be_used_exits_2_with_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["worker", *arguments]) == 2
    said = lines(capsys)
    assert len(said) == 1
    assert said[0].startswith("shadows: ")
    assert words in said[0]


def test_a_collection_that_holds_something_else_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["worker", "--tasks", f"{project.stem}:not_tasks"]) == 2
    assert "holds something that is not a task: 42" in lines(capsys)[0]


def test_a_server_that_does_not_answer_exits_1_with_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["worker", "--url", f"unix://{tmp_path}/nobody.sock"]) == 1
    said = lines(capsys)
    assert len(said) == 1
    assert "no Redis or Valkey answers" in said[0]


def test_an_interrupted_command_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shadows.cli.app._installed", interrupted)
    assert run(["version"]) == 130


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("shadows.cli.app._installed", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run(["version"])


async def add(url: str, name: str, project: Path, text: str) -> None:
    async with shadows.Shadow(name, url) as shadow:
        shadow.register_collection(f"{project.stem}:all_tasks")
        await shadow.add("note")(text)


@pytest.mark.parametrize("uvloop", [True, False])
def test_a_worker_runs_what_another_process_added_until_nothing_is_left(
    uvloop: bool,
    url: str,
    name: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not uvloop:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    asyncio.run(add(url, name, project, "hello"))
    arguments = [
        "--tasks",
        f"{project.stem}:all_tasks",
        "--shadows",
        name,
        "--url",
        url,
        "--minimum-check-interval",
        "50ms",
    ]
    assert run(["worker", *arguments, "--until-finished", "--scheduling-resolution", "100ms"]) == 0
    assert Path(os.environ["NOTES"]).read_text() == "hello\n"
    assert "task=note(…)" in capsys.readouterr().err


def test_unknown_tasks_exit_1_with_their_names(
    url: str, name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(add(url, name, project, "hello"))
    script = f"import sys; from shadows.cli import main; main({['worker', '--shadows', name, '--url', url, '--until-finished']!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "shadows: nothing is left to do but tasks that no living worker knows: 'note'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_well_on_a_signal(number: signal.Signals, url: str, name: str) -> None:
    worker = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "shadows",
            "worker",
            "--shadows",
            name,
            "--url",
            url,
            "--logging-format",
            "json",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr is not None
    until_sync(lambda: "worker started" in (worker.stderr.readline() if worker.stderr else ""))
    worker.send_signal(number)
    said = worker.communicate(timeout=30)[1]
    assert worker.returncode == 0
    assert "worker stopped" in said


def test_the_options_come_from_the_environment_too(
    url: str, name: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(add(url, name, project, "from the environment"))
    monkeypatch.setenv("SHADOWS_URL", url)
    monkeypatch.setenv("SHADOWS_NAME", name)
    monkeypatch.setenv("SHADOWS_TASKS", f"{project.stem}:all_tasks")
    monkeypatch.setenv("SHADOWS_WORKER_UNTIL_FINISHED", "1")
    assert run(["worker"]) == 0
    assert Path(os.environ["NOTES"]).read_text() == "from the environment\n"


def test_a_password_is_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--url", "redis://user:canary@127.0.0.1:1/0"]) == 1
    assert "canary" not in "".join(lines(capsys))


def test_queues_have_weights_and_a_supervisor_may_drain(
    url: str, name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(add(url, name, project, "hello"))
    where = ["--shadows", name, "--url", url, "--tasks", f"{project.stem}:all_tasks"]
    options = ["--queues", "critical=3", "--queues", "default", "--no-schedule-automatic-tasks", "--drain"]
    assert run(["worker", *where, *options]) == 0
    assert Path(os.environ["NOTES"]).read_text() == "hello\n"
    asyncio.run(add(url, name, project, "again"))
    assert run(["worker", *where, *options, "--processes", "2", "--max-memory", "2g"]) == 0
    assert Path(os.environ["NOTES"]).read_text() == "hello\nagain\n"


@pytest.mark.parametrize("command", [[], ["worker"], ["dead"], ["tasks", "trace"], ["watch"]])
def test_every_help_is_shown(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Usage: shadows" in capsys.readouterr().out


def test_completion_knows_the_commands() -> None:
    environment = {
        **os.environ,
        "_SHADOWS_COMPLETE": "complete_bash",
        "COMP_WORDS": "shadows sn",
        "COMP_CWORD": "1",
    }
    script = "from shadows.cli import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["snapshot"]


def test_a_port_that_is_taken_exits_1_with_one_line(
    url: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert (
            run(
                [
                    "worker",
                    "--shadows",
                    name,
                    "--url",
                    url,
                    "--healthcheck-port",
                    port,
                    "--logging-level",
                    "error",
                ]
            )
            == 1
        )
    (said,) = lines(capsys)
    assert "in use" in said
