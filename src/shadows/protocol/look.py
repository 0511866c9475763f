"""What a shadow holds, seen from outside: the typed faces of `look.lua` and `crew.lua`."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from .connection import Argument, Link, Reply
from .instants import milliseconds
from .lease import Announcement
from .scripts import load
from .store import Store

MOST_ITEMS = 200
"""The most that one look lists, in all its pages together."""
BEGINNING = "-"


class Kind(enum.StrEnum):
    """What a page lists."""

    DUE = "due"
    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish for a page: of one queue, where it lists what is ready or running."""

    kind: Kind
    queue: str = ""
    start: bytes | str = BEGINNING
    """Where an earlier page said that it goes on; for DUE also `@RANK`, for READY any entry's id."""
    most: int = MOST_ITEMS


@dataclass(frozen=True, slots=True)
class Standing:
    """One unfinished task."""

    kind: Kind
    key: str
    """Empty where an entry is not one that we write, or was deleted by hand."""
    queue: str
    blob: bytes
    instant_ms: int = 0
    """When it is due, or since when it has been ready or running."""
    worker: str = ""
    """The incarnation that it was given to."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what was asked for."""

    items: list[Standing]
    end: bytes
    """Where it goes on; empty where nothing is left."""


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue."""

    ready: int
    running: int
    oldest_ms: int | None = None
    """Since when its oldest ready task has been ready, by the server's own clock."""
    newest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is of everything, at one instant."""

    now_ms: int
    server_ms: int
    """The same instant by the server's own clock, which a test's does not move."""
    unfinished: int
    scheduled: int
    waiting: int
    dead: int
    paused: frozenset[str]
    """Names of queues; `*` is all."""
    queues: dict[str, Depth]

    @property
    def ready(self) -> int:
        return sum(depth.ready for depth in self.queues.values())

    @property
    def running(self) -> int:
        return sum(depth.running for depth in self.queues.values())


@dataclass(frozen=True, slots=True)
class Crewman:
    """A worker whose lease holds."""

    incarnation: str
    said: Announcement | None
    """What it says of itself; None where it has not yet."""
    running: int


async def look(
    store: Store, link: Link, asks: Sequence[Ask] = (), *, cut: int = 0, stamp: bytes = b""
) -> tuple[Totals, list[Page]]:
    """Count everything and list a little, at one instant; of each call `cut` bytes at most are read (0 = all)."""
    arguments: list[Argument] = [stamp, cut, len(asks)]
    for ask in asks:
        arguments += (ask.kind.value, ask.queue, ask.start, ask.most)
    _, now, server, unfinished, scheduled, waiting, dead, paused, depths, pages = await store.call(
        link, load("look"), *arguments
    )
    totals = Totals(
        now, server, unfinished, scheduled, waiting, dead, frozenset(paused.decode(errors="replace").split()),
        {
            queue.decode(): Depth(ready, running, _instant(oldest), _instant(newest))
            for queue, ready, running, oldest, newest in zip(*[iter(depths)] * 5, strict=True)
        },
    )  # fmt: skip
    return totals, [_page(ask, page, totals) for ask, page in zip(asks, pages, strict=True)]


async def crew(store: Store, link: Link, *, stamp: bytes = b"") -> tuple[int, list[Crewman]]:
    """The instant in ms, and all workers whose leases hold then."""
    found: list[Crewman] = []
    while True:
        _, now, *facts = await store.call(link, load("crew"), stamp, len(found), MOST_ITEMS)
        page = [
            Crewman(name.decode(errors="replace"), Announcement.read(said) if said else None, running)
            for name, said, running in zip(*[iter(facts)] * 3, strict=True)
        ]
        found += page
        if len(page) < MOST_ITEMS:
            return now, found


def _instant(id_: bytes) -> int | None:
    return int(id_.partition(b"-")[0]) if id_ else None


def _page(ask: Ask, reply: list[Reply], totals: Totals) -> Page:
    end, *facts = reply
    each = zip(*[iter(facts)] * (5 if ask.kind is Kind.RUNNING else 3), strict=True)
    return Page([_standing(ask, item, totals) for item in each], end)


def _standing(ask: Ask, item: tuple[Reply, ...], totals: Totals) -> Standing:
    key, place, blob = item[0].decode(errors="replace"), item[1], item[2]
    match ask.kind:
        case Kind.RUNNING:
            worker, idle = item[3].decode(errors="replace"), item[4]
            return Standing(ask.kind, key, ask.queue, blob, totals.now_ms - idle, worker)
        case Kind.READY:
            return Standing(ask.kind, key, ask.queue, blob, int(place.partition(b"-")[0]))
        case _:
            queue, _, blob = blob.partition(b"/")
            instant = place if ask.kind is Kind.DUE else place.partition(b"-")[0]
            return Standing(ask.kind, key, queue.decode(errors="replace"), blob, milliseconds(instant))
