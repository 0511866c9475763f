"""News of a shadow: which executions changed, published by the scripts while somebody listens."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from .connection import Link
from .scripts import load
from .store import Store

ATTENTION_MS = 60_000
"""For how long workers publish after somebody said that he listens."""


@dataclass(frozen=True, slots=True)
class News:
    """One execution changed."""

    key: str
    state: str
    """What it is by now; `progress` where it only came further."""
    worker: str
    """Whose doing it was."""


async def attend(store: Store, link: Link, *, stamp: bytes = b"", span_ms: int = ATTENTION_MS) -> None:
    """Have news published for a while."""
    await store.call(link, load("attend"), stamp, span_ms)


async def listen_for_news(store: Store, link: Link, begun: Callable[[], None]) -> AsyncGenerator[list[News]]:
    """All news from here on, a message at a time; `begun` is called once nothing more is missed.

    Raises:
        ServerUnreachable: the connection was lost, and news with it.
    """
    async for message in link.messages(store.keys.events, begun):
        yield read_news(message)


def read_news(message: bytes) -> list[News]:
    """What one message says; lines that cannot be read are passed over."""
    first, *lines = message.decode(errors="replace").split("\n")
    worker = first.partition("#")[0]
    parts = [line.partition(" ") for line in lines]
    return [News(key, state, worker) for state, space, key in parts if space]
