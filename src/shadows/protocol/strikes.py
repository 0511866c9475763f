"""What is stricken, as the server has it: the typed faces of `strike.lua`, and of `letter.lua` for what they turn away."""

from collections.abc import Sequence
from dataclasses import dataclass

from .connection import Argument, Link
from .cycle import Limits
from .schedule import Item
from .scripts import load
from .store import Store

MOST_STRIKES = 10_000
"""How many may be in effect at once."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What is stricken at a version; `strikes` is None where the caller knows them already."""

    version: int
    strikes: list[bytes] | None


class TooMany(Exception):
    """There are as many strikes as may be; nothing was done."""


async def strike(
    store: Store,
    link: Link,
    strikes: Sequence[bytes],
    known: int,
    *,
    stamp: bytes = b"",
    most: int,
) -> Listed:
    """Have strikes take effect.

    Raises:
        TooMany: nothing was done.
    """
    return await _send(store, link, "strike", known, strikes, stamp, most)


async def restore(
    store: Store, link: Link, strikes: Sequence[bytes], known: int, *, stamp: bytes = b""
) -> Listed:
    """Take strikes back."""
    return await _send(store, link, "restore", known, strikes, stamp)


async def look(store: Store, link: Link, known: int) -> Listed:
    """See what is stricken."""
    return await _send(store, link, "look", known)


async def _send(
    store: Store,
    link: Link,
    what: str,
    known: int,
    strikes: Sequence[bytes] = (),
    stamp: bytes = b"",
    most: int = 0,
) -> Listed:
    reply = await store.call(link, load("strike"), stamp, what, known, most, *strikes)
    if reply[0] == b"FULL":
        raise TooMany
    return Listed(reply[1], None if reply[1] == known else reply[2])


async def turn_away(
    store: Store, link: Link, reason: str, items: Sequence[Item], limits: Limits, *, stamp: bytes = b""
) -> None:
    """Keep calls, 200 at most, among the dead letters instead of scheduling them."""
    arguments: list[Argument] = [stamp, reason, *limits.arguments()]
    for item in items:
        arguments += (item.mode.value, f"~{reason}/{item.key}", item.key, item.queue, item.body)
    await store.call(link, load("letter"), *arguments)
