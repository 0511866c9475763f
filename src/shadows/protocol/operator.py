"""What an operator does: the typed faces of `clear.lua`, `purge.lua` and `pause.lua`."""

from .connection import Link
from .cycle import MOST_ITEMS, Limits
from .scripts import load
from .store import Store

ALL = "*"
"""In the place of a queue's name: all of them."""


async def clear(store: Store, link: Link, limits: Limits, *, stamp: bytes = b"") -> tuple[int, bool]:
    """Remove some of what is pending: how much it was, and whether more is left."""
    _, removed, more = await store.call(link, load("clear"), stamp, b"", *limits.arguments(), MOST_ITEMS)
    return removed, more == 1


async def purge(store: Store, link: Link) -> None:
    """Remove every key of the shadow."""
    await store.call(link, load("purge"), b"")


async def pause(store: Store, link: Link, queue: str) -> None:
    """Have nothing taken from a queue, or from `ALL`."""
    await store.call(link, load("pause"), b"", "pause", queue)


async def resume(store: Store, link: Link, queue: str) -> None:
    """Have tasks taken from a queue again, or from `ALL`, whichever were paused."""
    await store.call(link, load("pause"), b"", "resume", queue)
