"""Leases: the typed faces of `beat.lua` and `reap.lua`, and what workers say of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
from redis.exceptions import ResponseError

from .connection import Link, SyncLink
from .cycle import MOST_ITEMS, Limits
from .failures import is_wrong_type
from .keys import Keys
from .scripts import load
from .store import Store, broken


@dataclass(frozen=True, slots=True)
class Beat:
    """What a renewal answered."""

    held: bool
    """False where the lease was reaped, or is being: its tasks are no longer this worker's."""
    now_ms: int
    """The instant, as the server has it."""
    expired: list[str]
    """Some of the workers whose leases have run out."""


@dataclass(frozen=True, slots=True)
class ServerRun:
    """One run of a server, from its start to its end."""

    run_id: str
    uptime: float
    """For how many seconds it has been running."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What became of a dead worker's tasks."""

    alive: bool
    moved: int = 0
    left: bool = False


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a worker says of itself."""

    name: str
    seen_ms: int
    concurrency: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]

    def encoded(self) -> bytes:
        """As it is written."""
        return msgspec.json.encode(self)

    @classmethod
    def read(cls, words: bytes) -> Self | None:
        """What was written; None where it is not what a worker says."""
        try:
            return msgspec.json.decode(words, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def beat(keys: Keys, link: SyncLink, worker: str, lease_ms: int, *, first: bool, stamp: bytes = b"") -> Beat:
    """Renew a lease, or take it; blocks, since it is a thread's work, so that a busy loop does not lose it."""
    script = load("beat")
    # The source travels whole, each time: it is short, and a thread of its own then needs no NOSCRIPT handling.
    try:
        reply = link.request(
            b"EVAL", script.source, 1, keys["leases"], stamp, worker, lease_ms, 1 if first else 0
        )
    except ResponseError as error:
        if is_wrong_type(error):
            kind = link.request(b"TYPE", keys["leases"]).decode()
            raise broken(keys, [(keys["leases"], kind)]) from error
        raise
    return Beat(reply[0] == b"OK", reply[1], [name_of(name) for name in reply[2:]])


def server_run(link: SyncLink) -> ServerRun:
    """Which run of the server is at the other end of a thread's socket."""
    lines = link.request(b"INFO", b"server").decode(errors="replace").splitlines()
    facts = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return ServerRun(facts.get("run_id", ""), float(facts.get("uptime_in_seconds", "0")))


async def reap(
    store: Store, link: Link, worker: str, max_deliveries: int, limits: Limits, *, stamp: bytes = b""
) -> Reaped:
    """Take back a bounded batch of what a dead worker holds, for others to run."""
    reply = await store.call(
        link, load("reap"), stamp, written_name(worker), *limits.arguments(), max_deliveries, MOST_ITEMS
    )
    if reply[0] == b"ALIVE":
        return Reaped(alive=True)
    return Reaped(alive=False, moved=reply[1], left=reply[2] == 1)


async def drop(store: Store, link: Link, worker: str) -> None:
    """Let a lease run out now: what its worker still holds may be reaped at once."""
    await store.call(link, load("resign"), b"", worker)


async def strangers(store: Store, link: Link, queues: Sequence[str]) -> set[str]:
    """Consumers that no lease stands behind."""
    leased = {name_of(name) for name in await store.request(link, b"ZRANGE", store.keys["leases"], 0, -1)}
    found: set[str] = set()
    for queue in queues:
        try:
            consumers = await link.request(b"XINFO", b"CONSUMERS", store.keys.ready(queue), b"g")
        except ResponseError:  # its group was removed, or it is no stream: no matter of the others
            continue
        for consumer in consumers:
            found.add(name_of(dict(zip(consumer[::2], consumer[1::2], strict=True))[b"name"]))
    return found - leased


async def announce(store: Store, link: Link, worker: str, announcement: Announcement) -> None:
    """Write what a worker says of itself."""
    await store.call(link, load("announce"), b"", worker, announcement.encoded())


async def announcements(store: Store, link: Link, now_ms: int) -> dict[str, Announcement]:
    """What the living workers say of themselves: those whose leases have not run out."""
    said = await store.request(link, b"HGETALL", store.keys["workers"])
    leases = await store.request(link, b"ZRANGE", store.keys["leases"], 0, -1, b"WITHSCORES")
    living = {name for name, expiry in zip(leases[::2], leases[1::2], strict=True) if float(expiry) > now_ms}
    return {
        name_of(name): announcement
        for name, words in zip(said[::2], said[1::2], strict=True)
        if name in living and (announcement := Announcement.read(words)) is not None
    }


def name_of(written: bytes) -> str:
    """A worker's name as it is written, whoever wrote it: `written_name` makes the same bytes of it."""
    return written.decode(errors="surrogateescape")


def written_name(worker: str) -> bytes:
    """A worker's name as it is written."""
    return worker.encode(errors="surrogateescape")
