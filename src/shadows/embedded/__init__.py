"""The embedded server: a real Valkey (or Redis) that starts with its first user and stops with its last.

`memory://NAME` is private to the process and gone with it; `embedded:///DIR` is kept on disk (appended to a file that
is synced every second: at most a second is lost on power failure) and shared by all processes that name it.

The life of one:

1. A process calls `enter`: it becomes a user of the server's directory, until it ends (`door`).
2. Finding that no server answers, it runs the `supervisor`, which starts the server found by `binary` and says so.
3. Everybody connects to the socket that `enter` returned. Whoever loses the connection enters again: a server that
   died under its users comes back through the same door, and with it, of a kept one, its data.
4. When the last user has ended, however it ended, the supervisor stops the server, and removes what was only memory.
"""

import os

from shadows.embedded.url import parse, scheme
from shadows.errors import EmbeddedUnavailable

__all__ = ["enter", "is_embedded"]

POSIX = os.name == "posix"


def is_embedded(url: str) -> bool:
    """Whether a URL asks for the embedded server (and may still be refused by `enter` as malformed)."""
    return scheme(url) in {"memory", "embedded"}


def enter(url: str) -> str:
    """Make sure that the server for a URL runs, with this process as a user of it, and return its socket's path.

    Takes `memory://` (which is `memory://default`), `memory://NAME` and `embedded:///ABSOLUTE/DIRECTORY`. Blocks
    until the server answers: some 50 ms when it has to be started, a fraction of one when it runs. To be called again
    at every connecting: it costs little, and brings back a server that died. The process stays a user until it ends; a
    forked child is none before it enters for itself, and a child's `memory://` is another one than its parent's. The
    path has at most 100 bytes, which every platform can connect to.

    Raises `InvalidName` for a malformed URL, `EmbeddedUnavailable` if the server cannot be had.
    """
    place = parse(url)
    if not POSIX:
        raise EmbeddedUnavailable(
            f"{url!r}: the embedded server runs on Linux and macOS only. Give the redis:// URL of a server instead."
        )
    from shadows.embedded import (
        door,
    )  # here: it keeps `import shadows` light, and needs fcntl, which Windows lacks

    return door.enter(place)
