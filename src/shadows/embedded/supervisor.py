"""The process between an embedded server and its users: starts the server, watches who is left, stops it.

The door runs it as `python -I -S supervisor.py DIRECTORY BINARY memory|kept LINK`, so it imports the standard library
only. Its life:

1. It leaves its starter behind: own session, no standard streams, one pipe to report through.
2. It claims the exclusive lock on `data`, which the server inherits and holds until it ends: no second server starts
   while one lives, even one that has lost its supervisor. If somebody else's server answers meanwhile, that is it.
3. It starts the server and reports "ready" when it answers, else why it does not.
4. Each user holds a shared lock on `users`, and loses it by ending. Having got that lock exclusively is the proof that
   nobody is left: it stops the server and sweeps up, keeping newcomers waiting until all is done.
5. If the server dies under its users, they start another supervisor, to which this one leaves the field.

If the supervisor dies, the server ends too where the system can do that (Linux); elsewhere it serves on, unwatched.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from enum import StrEnum


class Keeping(StrEnum):
    """What becomes of a server's data when its last user has ended."""

    MEMORY = "memory"
    KEPT = "kept"


SOCKET = "server.sock"
USERS = "users"
DATA = "data"
LOG = "server.log"
READY = "ready"

START_SECONDS = 30.0
STOP_SECONDS = 20.0
ANSWER_SECONDS = 1.0
TICK = 0.25
POLL = 0.002

COMMON = f"--port 0 --unixsocket {SOCKET} --dir . --maxmemory-policy noeviction --loglevel warning"
PERSISTENCE: dict[Keeping, str] = {
    Keeping.MEMORY: "--appendonly no",
    Keeping.KEPT: "--appendonly yes --appendfsync everysec",
}


class StartError(Exception):
    """Why there is no server."""


def main(directory: str, binary: str, keeping: Keeping, link: str) -> None:
    """The life of a supervisor, from the starter's call to the end of the last user."""
    os.chdir(directory)
    os.umask(0o077)
    users = _open(USERS)
    report = detach()
    server = start(binary, keeping, report)
    if server and watch(server, users):
        sweep(directory, keeping, link)


def detach() -> int:  # pragma: no cover - what is measured ends where this begins
    """Leave the starter behind, and return where to report to it."""
    if os.fork():
        os._exit(0)
    report = os.dup(sys.stdout.fileno())
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    # The starter may ignore or block any signal, and the server would inherit that: it must hear SIGTERM.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return report


def start(binary: str, keeping: Keeping, report: int) -> int | None:
    """Start the server, report, and return its process id, or none if there is nothing to watch."""
    deadline = time.monotonic() + START_SECONDS
    server = None
    try:
        data = claim(deadline)
        if data is not None:
            server = launch(binary, keeping, data)
            os.close(data)
            outcome = wait_for_answer(server, deadline)
        else:
            outcome = READY
    except (StartError, OSError) as failure:
        outcome = str(failure)
        server = None
    with contextlib.suppress(BrokenPipeError):  # the starter has died: `watch` sees whether anybody is left
        os.write(report, outcome.encode())
    os.close(report)
    return server


def claim(deadline: float) -> int | None:
    """The exclusive lock on the data; none if a server that holds it answers."""
    data = _open(DATA)
    while not _lock(data):
        answer = ask(SOCKET)
        if is_alive(answer):
            os.close(data)
            return None
        if time.monotonic() > deadline:
            state = "still loads its data" if answer else "does not answer"
            raise StartError(f"the server that holds this directory {state}")
        time.sleep(POLL)
    return data


def launch(binary: str, keeping: Keeping, data: int) -> int:
    """Start the server's process."""
    arguments = [binary, *COMMON.split(), "--save", "", *PERSISTENCE[keeping].split()]
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    supervisor = os.getpid()
    server = os.fork()
    if not server:  # pragma: no cover - nothing is measured between fork and exec
        become(arguments, data, log, supervisor)
    os.close(log)
    return server


def become(arguments: list[str], data: int, log: int, supervisor: int) -> None:  # pragma: no cover - as above
    """Turn this forked child into the server."""
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.set_inheritable(data, True)  # noqa: FBT003 - it takes no keyword
        if sys.platform == "linux":
            end_with_parent()
            if os.getppid() != supervisor:  # it died before that took effect
                os._exit(0)
        os.execv(arguments[0], arguments)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, str(error).encode())
    finally:
        os._exit(127)


def end_with_parent() -> None:  # pragma: no cover - as above
    """Have Linux send this process SIGTERM when its parent ends (`PR_SET_PDEATHSIG`)."""
    with contextlib.suppress(ImportError):  # some builds of Python lack it
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


def wait_for_answer(server: int, deadline: float) -> str:
    """What to report of a started server once it answers; `StartError` if it will not."""
    while not is_alive(answer := ask(SOCKET)):
        if ending := how_ended(server):
            raise StartError(f"{log_tail() or 'it ended without a word'} ({ending})")
        if time.monotonic() > deadline:
            if answer:  # however long it takes, a later call finds it loaded
                return "it still loads its data; try again later"
            stop(server)
            raise StartError(f"no answer within {START_SECONDS:g} s; {log_tail()}")
        time.sleep(POLL)
    return READY


def ask(path: str) -> bytes:
    """What a server says to PING; nothing if there is none, or it is too busy."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(b"PING\r\n")
            return connection.recv(64)
        except OSError:
            return b""


def is_alive(answer: bytes) -> bool:
    """Whether a server that says this serves: any answer will do, but that it is still loading its data."""
    return bool(answer) and not answer.startswith(b"-LOADING")


def watch(server: int | None, users: int) -> bool:
    """Return when nobody is left and the server stopped (true), or when another server has taken its place (false)."""
    while not _lock(users):
        if server and how_ended(server):
            server = None
        if not server and is_taken():
            return False
        time.sleep(TICK)
    if server:
        stop(server)
    return True


def is_taken() -> bool:
    """Whether some server holds the data."""
    data = _open(DATA)
    try:
        return not _lock(data)
    finally:
        os.close(data)


def stop(server: int) -> None:
    """End the server: it writes out what it holds, within a time limit."""
    os.kill(server, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while not how_ended(server):
        if time.monotonic() > deadline:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
            return
        time.sleep(POLL)


def sweep(directory: str, keeping: Keeping, link: str) -> None:
    """Remove what nobody needs any more: the link to the directory, and of a memory all."""
    with contextlib.suppress(OSError):
        os.unlink(link)
    if keeping is Keeping.MEMORY:
        with contextlib.suppress(OSError):
            for name in os.listdir():
                os.unlink(name)
            os.rmdir(directory)


def how_ended(server: int) -> str:
    """The server's exit code (minus the signal that killed it) in words, or nothing while it lives."""
    ended, status = os.waitpid(server, os.WNOHANG)
    return f"exit code {os.waitstatus_to_exitcode(status)}" if ended else ""


def log_tail() -> str:
    with open(LOG, errors="replace") as log:
        return log.read()[-1000:].strip()


def _open(name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":  # pragma: no cover - run without the means to measure it
    main(sys.argv[1], sys.argv[2], Keeping(sys.argv[3]), sys.argv[4])
