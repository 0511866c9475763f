"""What living workers do for a shadow beside their tasks: the typed faces of `tidy.lua` and `progress.lua`."""

from collections.abc import Iterable

from .connection import Argument, Link
from .lease import Announcement
from .scripts import load
from .store import Store


async def tidy(
    store: Store,
    link: Link,
    worker: str,
    behind: bytes = b"",
    said: Announcement | None = None,
    *,
    stamp: bytes = b"",
) -> bytes:
    """Forget windows that are over and dead letters of more than 30 days ago, and hand out permits that are free.

    Looks at a bounded number of limits; answers the name to go on behind, b"" where all were looked at. What the worker
    says of itself is written by the way.
    """
    words = b"" if said is None else said.encoded()
    reply = await store.call(link, load("tidy"), stamp, worker, behind, words)
    name: bytes = reply[1]
    return name


async def note_progress(
    store: Store, link: Link, worker: str, notes: Iterable[tuple[str, str, str]], *, stamp: bytes = b""
) -> None:
    """Write how far tasks have come: token, key, and the words for it; those without words are forgotten."""
    arguments: list[Argument] = []
    for token, key, words in notes:
        arguments += (token, key, words)
    await store.call(link, load("progress"), stamp, worker, *arguments)
