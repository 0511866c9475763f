"""One execution, seen from outside: the typed faces of `find.lua` and `cancel.lua`."""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .connection import Link
from .cycle import Limits
from .instants import milliseconds
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
    lost: bool = False
    """Nothing stands there any more: somebody removed it by hand, and what is told is what was noted of it."""


class Cancelled(enum.Enum):
    """What became of the wish to cancel."""

    ENDED = "CANCELLED"
    TOLD = "TOLD"
    NONE = "NONE"
    BAD = "BAD"


async def find(store: Store, link: Link, key: str) -> Found:
    """Where an execution stands, in one look."""
    status, *rest = await store.call(link, load("find"), b"", key)
    if status == b"LOST":
        return replace(_found(*rest), lost=True)
    return _found(status, *rest)


def _found(status: bytes, *rest: Any) -> Found:
    stand = Stand(status.decode())
    match stand, rest:
        case Stand.ENDED, [record]:
            return _ended(record)
        case Stand.SCHEDULED, [queue, instant, blob]:
            return Found(stand, _text(queue), milliseconds(instant), blob)
        case Stand.RUNNING, [queue, token, blob, worker, progress]:
            return Found(
                stand, _text(queue), blob=blob, worker=_text(worker), token=_text(token), progress=_text(progress)
            )  # fmt: skip
        case Stand.QUEUED, [queue, token, blob]:
            return Found(stand, _text(queue), blob=blob, token=_text(token))
        case Stand.NONE, _:
            return Found(stand)
        case _:
            return Found(stand, _text(rest[0]), blob=rest[-1])


def _ended(record: bytes) -> Found:
    """What is kept of an end; nothing, as if its time were over, where that cannot be read."""
    found = _RECORD.fullmatch(record)
    if found is None:
        return Found(Stand.NONE)
    state, instant, queue, length, tail = found.groups()
    size = int(length)
    return Found(
        Stand.ENDED, _text(queue), int(instant), blob=tail[size:], state=state.decode(), info=tail[:size]
    )


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


_RECORD = re.compile(rb"(completed|failed|cancelled|expired)/(\d{1,18})/([^/]*)/(\d{1,18})/(.*)", re.DOTALL)


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
