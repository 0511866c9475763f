"""How a process becomes a user of an embedded server, starting it if need be.

1. It takes a shared lock on the directory's `users`, and keeps it until it ends. While the supervisor stops the server
   it holds that lock exclusively, so a newcomer waits until the stop is complete.
2. It asks the server; if that answers, this is all.
3. Else it takes the exclusive lock on `start`, asks again (another starter may have been first), and runs the
   supervisor, which reports when the server answers.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

from shadows.embedded import binary, locks, supervisor
from shadows.embedded.reach import reach
from shadows.embedded.supervisor import Keeping
from shadows.embedded.url import Memory, Place
from shadows.errors import EmbeddedUnavailable

START = "start"
WAIT_SECONDS = 60.0
FREE_BYTES = 1 << 20

# Of this process alone: the directories of its memories by name, and its locks on `users` by directory.
_memories: dict[str, str] = {}
_users: dict[str, int] = {}


def enter(place: Place) -> str:
    """Make this process a user of the server at a place, and return the path of the socket to connect to."""
    if isinstance(place, Memory):
        return _enter_memory(place.name)
    return _enter(os.path.realpath(place.directory), Keeping.KEPT)


def forget() -> None:
    """Begin anew, as a process that is no user of anything; for a forked child, which closes its copies of the locks."""
    _memories.clear()
    _users.clear()


def _enter_memory(name: str) -> str:
    try:
        with locks.undivided:
            is_new = name not in _memories
            if is_new:
                _memories[name] = os.path.realpath(tempfile.mkdtemp(prefix="shadows-memory-"))
            directory = _memories[name]
    except OSError as error:
        raise EmbeddedUnavailable(f"the embedded server needs a temporary directory: {error}.") from error
    try:
        return _enter(directory, Keeping.MEMORY)
    except EmbeddedUnavailable:
        if is_new:  # no supervisor knows of it that would remove it
            del _memories[name]
            if directory in _users:
                locks.release(_users.pop(directory))
            shutil.rmtree(directory, ignore_errors=True)
        raise


def _enter(directory: str, keeping: Keeping) -> str:
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        _become_user(directory)
        socket, link = reach(directory, supervisor.SOCKET)
        if not _answers(socket):
            start = locks.take(os.path.join(directory, START), locks.EXCLUSIVE, WAIT_SECONDS)
            try:
                if not _answers(socket):
                    _start(directory, keeping, link)
            except EmbeddedUnavailable:  # no supervisor will sweep; whoever needs the link makes it anew
                with contextlib.suppress(OSError):
                    os.unlink(link)
                raise
            finally:
                locks.release(start)
    except TimeoutError as error:
        raise EmbeddedUnavailable(
            f"the embedded server in {directory!r} was starting or stopping for more than {WAIT_SECONDS:g} s."
        ) from error
    except OSError as error:
        raise EmbeddedUnavailable(
            f"the embedded server cannot use the directory {directory!r}: {error}. It takes a directory that this "
            "user may write to, on a disk with space left."
        ) from error
    return socket


def _answers(socket: str) -> bool:
    return supervisor.is_alive(supervisor.ask(socket))


def _become_user(directory: str) -> None:
    path = os.path.join(directory, supervisor.USERS)
    if not _is_same(_users.get(directory), path):
        # A lock on a file that has been removed under us stays: its supervisor's server may still be ours.
        _users[directory] = locks.take(path, locks.SHARED, WAIT_SECONDS)


def _is_same(file: int | None, path: str) -> bool:
    try:
        return file is not None and os.path.samestat(os.fstat(file), os.stat(path))
    except OSError:
        return False


def _start(directory: str, keeping: Keeping, link: str) -> None:
    server = binary.find()
    free = shutil.disk_usage(directory).free
    if keeping is Keeping.KEPT and free < FREE_BYTES:  # on a full disk the server hangs without a word
        raise EmbeddedUnavailable(f"the disk is full: {free} bytes are left for {directory!r}; free some.")
    command = [sys.executable, "-I", "-S", supervisor.__file__, directory, server, keeping, link]
    try:
        started = subprocess.run(  # noqa: S603 - our own script
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        report = started.stdout.decode(errors="replace").strip() or "its supervisor ended without a word"
    except OSError as error:
        report = f"its supervisor cannot be run: {error}"
    except subprocess.TimeoutExpired:
        report = f"its supervisor did not report within {WAIT_SECONDS:g} s"
    if report != supervisor.READY:
        raise EmbeddedUnavailable(f"the embedded server {server} did not start in {directory!r}: {report}")


os.register_at_fork(after_in_child=forget)
