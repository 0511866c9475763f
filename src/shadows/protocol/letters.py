"""Dead letters: the typed faces of `letters.lua`, `requeue.lua` and `discard.lua`."""

import enum
from dataclasses import dataclass

from .connection import Link
from .cycle import MOST_ITEMS
from .instants import milliseconds
from .scripts import load
from .store import Store


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, as it is kept."""

    id: str
    died_ms: int
    reason: str
    queue: str
    key: str
    info: bytes
    """What its last worker recorded of its end."""
    blob: bytes
    """Attempt, deliveries and call; empty where they were lost."""


class Requeued(enum.Enum):
    """What became of the wish to run a letter's task again."""

    REQUEUED = "REQUEUED"
    NONE = "NONE"
    TAKEN = "TAKEN"
    LOST = "LOST"
    BAD = "BAD"


async def letters(
    store: Store, link: Link, before: str = "", most: int = MOST_ITEMS
) -> tuple[list[Letter], bool] | None:
    """A page of the dead letters, newest first, and whether there are more; None where none has the id `before`."""
    status, *rest = await store.call(link, load("letters"), b"", _written(before), min(most, MOST_ITEMS))
    if status == b"NONE":
        return None
    more, *facts = rest
    page = [
        parse(id_.decode(errors="surrogateescape"), milliseconds(died), letter)
        for id_, died, letter in zip(*[iter(facts)] * 3, strict=True)
    ]
    return page, more == 1


async def letter(store: Store, link: Link, id_: str) -> Letter | None:
    """The letter with that id, without the instant of its death."""
    found = await store.request(link, b"HGET", store.keys["dead"], _written(id_))
    return None if found is None else parse(id_, 0, found)


async def requeue(store: Store, link: Link, id_: str, body: bytes, *, stamp: bytes = b"") -> Requeued:
    """Make a letter a ready task again, with that body in its call's place (empty: its own)."""
    reply = await store.call(link, load("requeue"), stamp, _written(id_), body)
    return Requeued(reply[0].decode())


async def discard(store: Store, link: Link, id_: str) -> bool:
    """Throw a letter away; False where none has the id."""
    reply = await store.call(link, load("discard"), b"", _written(id_))
    return bool(reply[0] == b"DISCARDED")


def _written(id_: str) -> bytes:
    """An id as it is written: whoever wrote it, a letter that is listed can be asked for."""
    return id_.encode(errors="surrogateescape")


def parse(id_: str, died_ms: int, stored: bytes) -> Letter:
    """What is stored as a letter; as much of it as can be read."""
    try:
        reason, queue, key_length, info_length, rest = stored.split(b"/", 4)
        key_end = int(key_length)
        info_end = key_end + int(info_length)
    except ValueError:
        return Letter(id_, died_ms, "lost", "", "", b"", b"")
    return Letter(
        id_,
        died_ms,
        reason.decode(errors="replace"),
        queue.decode(errors="replace"),
        rest[:key_end].decode(errors="replace"),
        rest[key_end:info_end],
        rest[info_end:],
    )
