"""One execution, seen from outside: the typed faces of `find.lua` and `cancel.lua`."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from .connection import Link
from .cycle import Limits
from .scripts import load
from .store import Store


class Stand(enum.Enum):
    """Where an execution stands."""

    NONE = "NONE"
    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a key."""

    stand: Stand
    queue: str = ""
    instant_ms: int = 0
    """When it is due, or when it ended."""
    blob: bytes = b""
    worker: str = ""
    state: str = ""
    """How it ended: completed, failed or cancelled."""
    info: bytes = b""
    """What its worker recorded of its end."""
    token: str = ""
    """The entry that stands for it, while it is in its queue or runs."""
    progress: str = ""
    """How far it has come, in its worker's words."""


class Cancelled(enum.Enum):
    """What became of the wish to cancel."""

    ENDED = "CANCELLED"
    TOLD = "TOLD"
    NONE = "NONE"
    BAD = "BAD"


async def find(store: Store, link: Link, key: str) -> Found:
    """Where an execution stands, in one look."""
    status, *rest = await store.call(link, load("find"), b"", key)
    stand = Stand(status.decode())
    match stand, rest:
        case Stand.ENDED, [record]:
            state, instant, queue, length, tail = record.split(b"/", 4)
            size = int(length)
            return Found(
                stand, queue.decode(), int(instant), blob=tail[size:], state=state.decode(), info=tail[:size]
            )
        case Stand.SCHEDULED, [queue, instant, blob]:
            return Found(stand, queue.decode(), int(float(instant)), blob)
        case Stand.RUNNING, [queue, token, blob, worker, progress]:
            return Found(
                stand, queue.decode(), blob=blob, worker=worker.decode(), token=token.decode(),
                progress=progress.decode(errors="replace"),
            )  # fmt: skip
        case Stand.QUEUED, [queue, token, blob]:
            return Found(stand, queue.decode(), blob=blob, token=token.decode())
        case Stand.NONE, _:
            return Found(stand)
        case _:
            return Found(stand, rest[0].decode(), blob=rest[-1])


async def cancel(store: Store, link: Link, key: str, limits: Limits, *, stamp: bytes = b"") -> Cancelled:
    """End an execution that has not started, or tell the worker of one that runs."""
    reply = await store.call(link, load("cancel"), stamp, key, *limits.arguments())
    return Cancelled(reply[0].decode())


async def standing(store: Store, link: Link, keys: Sequence[str]) -> set[str]:
    """Which of the keys belong to unfinished executions."""
    marks = await store.request(link, b"HMGET", store.keys["live"], *keys)
    return {key for key, mark in zip(keys, marks, strict=True) if mark is not None}


async def scheduled(store: Store, link: Link, keys: Sequence[str]) -> int:
    """How many of the keys belong to executions that wait for their instant."""
    if not keys:
        return 0
    marks = await store.request(link, b"HMGET", store.keys["live"], *keys)
    return sum(mark == b"~due" for mark in marks)


async def unfinished_tasks(store: Store, link: Link) -> int:
    """How many executions are unfinished."""
    count: int = await store.request(link, b"HLEN", store.keys["live"])
    return count
