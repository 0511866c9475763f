"""The supervisor's parts, in this process: what its own process does cannot be measured from here."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadows.embedded import binary, supervisor
from shadows.embedded.supervisor import DATA, SOCKET, USERS, Keeping, StartError
from tests.embedded.support import ended, say, server_pid
from tests.support.waiting import until_sync

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

type Report = Callable[[], str]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The server's directory, where its supervisor works; whatever serves there at the end is stopped."""
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o022)
    os.umask(mask)
    yield tmp_path
    os.umask(mask)
    if say(SOCKET, "PING"):
        supervisor.stop(server_pid(SOCKET))


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """What the starter is told."""
    reader, writer = os.pipe()
    monkeypatch.setattr(supervisor, "detach", lambda: writer)

    def read() -> str:
        with os.fdopen(reader) as pipe:
            return pipe.read()

    return read


def program(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


def test_its_life_of_a_memory_ends_with_nothing_left(tmp_path: Path, report: Report) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    link = tmp_path / "link"
    link.symlink_to(memory)
    supervisor.main(str(memory), binary.find(), Keeping.MEMORY, str(link))
    assert report() == supervisor.READY
    assert not memory.exists()
    assert not link.is_symlink()


def test_its_life_of_a_kept_one_leaves_the_data(tmp_path: Path, report: Report) -> None:
    supervisor.main(str(tmp_path), binary.find(), Keeping.KEPT, "")
    assert report() == supervisor.READY
    assert (tmp_path / "appendonlydir").is_dir()
    assert not say(SOCKET, "PING")


def test_a_server_that_does_not_start_is_reported_and_nothing_swept(tmp_path: Path, report: Report) -> None:
    supervisor.main(
        str(tmp_path), program(tmp_path / "broken", "raise SystemExit('no luck')"), Keeping.KEPT, ""
    )
    assert "no luck" in report()


def test_a_server_without_a_word_is_reported_too(tmp_path: Path, report: Report) -> None:
    assert supervisor.start(program(tmp_path / "silent", ""), Keeping.KEPT, supervisor.detach()) is None
    assert report() == "it ended without a word (exit code 0)"


def test_where_somebody_elses_server_answers_there_is_nothing_to_watch(report: Report) -> None:
    data = supervisor.claim(0)
    assert data is not None
    server = supervisor.launch(binary.find(), Keeping.MEMORY, data)
    os.close(data)
    supervisor.wait_for_answer(server, float("inf"))
    assert supervisor.start(binary.find(), Keeping.MEMORY, supervisor.detach()) is None
    assert report() == supervisor.READY


def test_a_starter_that_died_is_nobody_to_report_to() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    server = supervisor.start(binary.find(), Keeping.MEMORY, writer)
    assert server is not None
    assert say(SOCKET, "PING") == "+PONG\r\n"


@pytest.mark.parametrize(
    ("answer", "state"), [(b"", "does not answer"), (b"-LOADING wait", "still loads its data")]
)
def test_data_that_stays_held_is_reported(answer: bytes, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ask", lambda _: answer)
    held = supervisor.claim(0)
    assert held is not None
    deadlines = iter([False, True])
    monkeypatch.setattr(time, "monotonic", lambda: 1.0 if next(deadlines) else -1.0)
    with pytest.raises(StartError, match=state):
        supervisor.claim(0)
    os.close(held)


def test_a_server_that_never_answers_is_stopped_and_reported(tmp_path: Path) -> None:
    hanging = os.fork()
    if not hanging:  # pragma: no cover - the child only waits to be stopped
        signal.pause()
        os._exit(0)
    (tmp_path / supervisor.LOG).write_text("its last words")
    with pytest.raises(StartError, match="no answer within 30 s; its last words"):
        supervisor.wait_for_answer(hanging, 0)
    assert ended(hanging)


def test_a_server_that_still_loads_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([b"-LOADING", b"-LOADING"])
    monkeypatch.setattr(supervisor, "ask", lambda _: next(answers))
    monkeypatch.setattr(supervisor, "how_ended", lambda _: "")
    deadlines = iter([-1.0, 1.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(deadlines))
    assert "try again later" in supervisor.wait_for_answer(1, 0)


def test_it_watches_until_the_last_user_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    server = supervisor.start(binary.find(), Keeping.MEMORY, os.open(os.devnull, os.O_WRONLY))
    assert server is not None
    user = os.open(USERS, os.O_RDWR | os.O_CREAT)
    fcntl.flock(user, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(user))
    monkeypatch.setattr(supervisor, "stop", _stop_by_force)
    assert supervisor.watch(server, supervisor._open(USERS))
    assert ended(server)


def _stop_by_force(server: int) -> None:
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)


def test_it_leaves_the_field_to_the_supervisor_of_the_next_server() -> None:
    server = supervisor.start(binary.find(), Keeping.MEMORY, os.open(os.devnull, os.O_WRONLY))
    assert server is not None
    user = os.open(USERS, os.O_RDWR | os.O_CREAT)
    fcntl.flock(user, fcntl.LOCK_SH)
    os.kill(server, signal.SIGKILL)
    until_sync(lambda: ended(server))
    taken = supervisor._open(DATA)
    # Its files, and so the lock, stay open until the last of its threads has ended.
    until_sync(lambda: supervisor._lock(taken))
    assert not supervisor.watch(server, supervisor._open(USERS))
    os.close(taken)
    os.close(user)


def test_without_a_server_and_a_successor_it_waits_for_the_last_user(monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.open(USERS, os.O_RDWR | os.O_CREAT)
    fcntl.flock(user, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(user))
    assert supervisor.watch(None, supervisor._open(USERS))


def test_a_server_that_will_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = os.fork()
    if not stubborn:  # pragma: no cover - the child only waits to be killed
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(os.open("deaf", os.O_CREAT | os.O_WRONLY), b"!")
        while True:
            signal.pause()
    until_sync(lambda: os.path.exists("deaf"))
    monkeypatch.setattr(supervisor, "STOP_SECONDS", -1.0)
    supervisor.stop(stubborn)
    assert ended(stubborn)


def test_what_cannot_be_swept_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    supervisor.sweep(str(tmp_path), Keeping.MEMORY, str(tmp_path / "no link"))
    assert (tmp_path / "folder").exists()
