"""A path to a server's socket that is short enough to connect to.

The system's limit is 104 bytes on macOS and 108 on Linux. A socket in a deep directory can be bound all the same (by a
relative name), and is reached through a symbolic link in a directory that only this user can write to.
"""

import contextlib
import hashlib
import os
import stat
import tempfile

from shadows.errors import EmbeddedUnavailable

LONGEST = 100


def reach(directory: str, socket: str) -> tuple[str, str]:
    """The path to connect to, and the link that it leads through (empty if it does without)."""
    path = os.path.join(directory, socket)
    if _fits(path):
        return path, ""
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    bases = _bases()
    for base in bases:
        runtime = os.path.join(base, f"shadows-{os.geteuid()}")
        link = os.path.join(runtime, name)
        path = os.path.join(link, socket)
        if _fits(path) and _is_ours(runtime):
            with contextlib.suppress(
                FileExistsError
            ):  # a link of that name leads there: the name is made of where
                os.symlink(directory, link)
            return path, link
    raise EmbeddedUnavailable(
        f"the path {directory!r} is too long for a socket, and no short way to it can be made: a directory "
        f"`shadows-{os.geteuid()}` for this user alone (mode 700) in one of {', '.join(bases)}. Use a shorter path, "
        "or set XDG_RUNTIME_DIR to a short path of a directory of your own."
    )


def _bases() -> list[str]:
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    # A public directory's `shadows-UID` is checked to be ours alone.
    bases = [own, tempfile.gettempdir(), "/tmp"]  # noqa: S108
    return list(dict.fromkeys(base for base in bases if os.path.isabs(base)))


def _fits(path: str) -> bool:
    return len(os.fsencode(path)) <= LONGEST


def _is_ours(runtime: str) -> bool:
    """Make the directory if need be; whether it is one, and nobody else's to write to or look into."""
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(runtime, 0o700)
        found = os.lstat(runtime)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
