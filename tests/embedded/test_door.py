"""The embedded server's life, as its users see it: real servers, real processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadows.embedded import binary, door, enter, locks
from shadows.errors import EmbeddedUnavailable
from tests.embedded.support import User, ended, say, server_pid
from tests.support.waiting import until_sync


@pytest.fixture(autouse=True)
def no_user_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is a user of nothing, before the test and after it."""
    monkeypatch.setattr(door, "_memories", {})
    monkeypatch.setattr(door, "_users", {})
    monkeypatch.setattr(locks, "_files", set[int]())
    yield
    locks.release_all()


def url_of(directory: Path) -> str:
    return f"embedded://{directory}"


def test_one_process_enters_a_memory_as_often_as_it_likes() -> None:
    socket = enter("memory://")
    assert say(socket, "SET", "k", "v") == "+OK\r\n"
    assert enter("memory://") == enter("memory://default") == socket
    assert enter("memory://other") != socket
    assert say(enter("memory://other"), "EXISTS", "k") == ":0\r\n"


def test_a_memory_is_private_to_its_process() -> None:
    with User("memory://") as one, User("memory://") as other:
        assert one.socket != other.socket


def test_a_memory_is_gone_with_its_process_even_when_that_is_killed() -> None:
    with User("memory://") as user:
        socket = user.socket
        server = server_pid(socket)
        user.kill()
        until_sync(lambda: ended(server) and not os.path.exists(os.path.dirname(socket)))


def test_a_kept_server_is_shared_and_stops_with_its_last_user(tmp_path: Path) -> None:
    with User(url_of(tmp_path)) as one, User(url_of(tmp_path)) as other:
        socket = one.socket
        assert other.socket == socket
        server = server_pid(socket)
        one.kill()
        assert say(socket, "SET", "k", "v") == "+OK\r\n"
        assert not ended(server)
        other.kill()
        until_sync(lambda: ended(server))


def test_what_was_kept_is_there_for_the_next_user(tmp_path: Path) -> None:
    with User(url_of(tmp_path)) as user:
        assert say(user.socket, "SET", "k", "v") == "+OK\r\n"
    assert say(enter(url_of(tmp_path)), "GET", "k") == "$1\r\nv\r\n"


def test_many_that_enter_at_once_start_one_server(tmp_path: Path) -> None:
    users = [User(url_of(tmp_path)) for _ in range(6)]
    try:
        assert len({server_pid(user.socket) for user in users}) == 1
    finally:
        for user in users:
            with user:
                pass


def test_a_server_that_died_under_its_users_comes_back_through_the_same_door(tmp_path: Path) -> None:
    socket = enter(url_of(tmp_path))
    assert say(socket, "SET", "k", "v") == "+OK\r\n"
    assert say(socket, "WAITAOF", "1", "0", "5000").startswith("*2\r\n:1\r\n")
    server = server_pid(socket)
    os.kill(server, signal.SIGKILL)
    until_sync(lambda: not say(socket, "PING"))
    assert enter(url_of(tmp_path)) == socket
    assert server_pid(socket) != server
    assert say(socket, "GET", "k") == "$1\r\nv\r\n"


def test_a_directory_too_deep_for_sockets_is_served_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    socket = enter(url_of(deep))
    assert len(socket) <= 100
    assert say(socket, "PING") == "+PONG\r\n"


def test_a_failed_start_in_a_deep_directory_leaves_no_link_to_it(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(EmbeddedUnavailable):
        enter(url_of(tmp_path / ("d" * 90)))
    (runtime,) = short.iterdir()
    assert not list(runtime.iterdir())


def test_only_this_user_may_look_into_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    socket = enter(url_of(directory))
    assert directory.stat().st_mode & 0o777 == 0o700
    assert os.stat(socket).st_mode & 0o077 == 0


def test_a_forked_child_is_a_user_only_once_it_enters_itself() -> None:
    script = (
        "import os; from shadows.embedded import enter; mine = enter('memory://')\n"
        "if os.fork() == 0:\n os._exit(0 if enter('memory://') != mine else 1)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


def test_a_file_where_the_directory_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedUnavailable, match="cannot use the directory"):
        enter(url_of(tmp_path / "file"))


def test_a_full_disk_is_named_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(EmbeddedUnavailable, match="the disk is full: 100 bytes are left"):
        enter(url_of(tmp_path))


def test_a_door_that_stays_shut_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "WAIT_SECONDS", 0.0)
    held = locks.take(str(tmp_path / door.START), locks.EXCLUSIVE, 1)
    with pytest.raises(EmbeddedUnavailable, match="starting or stopping for more than 0 s"):
        enter(url_of(tmp_path))
    locks.release(held)


def test_no_temporary_directory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: str) -> str:
        raise OSError("no room")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(EmbeddedUnavailable, match="needs a temporary directory: no room"):
        enter("memory://")


def program(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


def test_a_server_that_does_not_start_is_quoted_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken = program(tmp_path / "broken", "raise SystemExit('bad luck')")
    monkeypatch.setattr(binary, "find", lambda: broken)
    for _ in range(2):
        with pytest.raises(EmbeddedUnavailable, match=r"did not start in .*: bad luck"):
            enter("memory://")
    until_sync(lambda: [path.name for path in tmp_path.iterdir()] == ["broken"])


def test_a_memory_that_nobody_could_enter_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError("no more files")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(locks, "take", refuse)
    with pytest.raises(EmbeddedUnavailable, match="no more files"):
        enter("memory://")
    assert not list(tmp_path.iterdir())


def test_a_supervisor_that_cannot_be_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(EmbeddedUnavailable, match="its supervisor cannot be run"):
        enter(url_of(tmp_path))


def test_a_supervisor_that_does_not_report_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **options: float) -> None:
        raise subprocess.TimeoutExpired("supervisor", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(EmbeddedUnavailable, match="did not report within 60 s"):
        enter(url_of(tmp_path))


def test_a_process_forgets_what_its_parent_was_a_user_of() -> None:
    enter("memory://")
    door.forget()
    assert not door._users


def test_a_memory_that_was_there_before_a_failure_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = enter("memory://")
    monkeypatch.setattr(door, "_answers", lambda _: False)
    monkeypatch.setattr(sys, "executable", "/missing")
    with pytest.raises(EmbeddedUnavailable):
        enter("memory://")
    assert say(socket, "PING") == "+PONG\r\n"


def test_a_second_starter_finds_the_server_that_the_first_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = enter(url_of(tmp_path))
    answers = iter([False, True])
    monkeypatch.setattr(door, "_answers", lambda _: next(answers))
    assert enter(url_of(tmp_path)) == socket


def test_a_removed_lock_file_makes_a_new_user(tmp_path: Path) -> None:
    enter(url_of(tmp_path))
    (tmp_path / "users").unlink()
    socket = enter(url_of(tmp_path))
    assert say(socket, "PING") == "+PONG\r\n"
    assert (tmp_path / "users").exists()
