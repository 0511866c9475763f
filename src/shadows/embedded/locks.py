"""File locks of this process that its forked children do not keep.

A `flock` belongs to the opening of a file, which a forked child shares with its parent: the lock is held until both
have closed it, and unlocked for both as soon as one of them unlocks. So nobody here unlocks, only closes, and every
child closes its copies first thing: it neither keeps its parent's server alive nor blocks its parent's door. (A child
that executes another program loses them by itself: Python's files are not inheritable.)
"""

import fcntl
import os
import threading
import time

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX

PAUSE = 0.01

# Held while a file is opened and noted, and around every fork: no child gets a file that it does not know of. Held for
# moments only. Reentrant, so that a signal handler that forks cannot block itself.
undivided = threading.RLock()
_files: set[int] = set()


def take(path: str, kind: int, seconds: float) -> int:
    """Lock a file, made if need be, and return its descriptor; `TimeoutError` after that many seconds."""
    with undivided:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        _files.add(file)
    deadline = time.monotonic() + seconds
    while not attempt(file, kind):
        if time.monotonic() > deadline:
            release(file)
            raise TimeoutError
        time.sleep(PAUSE)
    return file


def attempt(file: int, kind: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(file: int) -> None:
    """Close a locked file, which ends the lock."""
    with undivided:
        _files.discard(file)
        os.close(file)


def release_all() -> None:
    """Close every locked file, in a child that shares them with its parent."""
    while _files:
        os.close(_files.pop())


def _in_child() -> None:  # pragma: no cover - a forked child is not measured
    release_all()
    undivided.release()


os.register_at_fork(before=undivided.acquire, after_in_parent=undivided.release, after_in_child=_in_child)
