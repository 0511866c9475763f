"""Snapshot: what a shadow holds at an instant, who works on it, and how much there is of which task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shadows.clock import as_datetime
from shadows.errors import PayloadError
from shadows.execution import Execution, Source
from shadows.payload.call import decode_call
from shadows.payload.heads import function_name
from shadows.protocol.connection import Link
from shadows.protocol.execution import Found, Stand, split_blob
from shadows.protocol.look import MOST_ITEMS, Ask, Kind, Standing, Totals, crew, look
from shadows.protocol.operator import ALL
from shadows.protocol.store import Store

SAMPLE = 10_000
"""How many unfinished tasks are counted by function; beyond, it is a sample of about so many."""
RUN = 10
"""How many neighbours a sample takes from one place."""
HEAD = 1024
"""Bytes of a call that are read to count it: its function stands in front."""
UNREADABLE = "?"
"""What `by_function` calls a task whose call cannot be read."""
_STANDS = {Kind.DUE: Stand.SCHEDULED, Kind.WAITING: Stand.WAITING, Kind.READY: Stand.QUEUED}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks there are, exactly."""

    scheduled: int
    ready: int
    running: int
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many tasks one queue has; `latency` is for how long its oldest ready one has been ready, None without one."""

    ready: int
    running: int
    latency: timedelta | None
    paused: bool


@dataclass(frozen=True, slots=True)
class FunctionCounts:
    """How many unfinished executions one task has, and the first and last instants at which the queued ones are to run."""

    total: int
    running: int
    queued: int
    """Scheduled, waiting or ready."""
    oldest_queued: datetime | None
    latest_queued: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A living worker.

    `last_seen` is when it last wrote what it is, `tasks` what it can run, `queues` what it takes from, `running` how many
    tasks it was given and has not settled.
    """

    name: str
    last_seen: datetime
    tasks: frozenset[str]
    queues: tuple[str, ...]
    concurrency: int
    running: int


class RunningExecution(Execution[Any]):
    """An execution that runs: `worker` is the name of who runs it."""

    __slots__ = ()

    @property
    def started(self) -> datetime | None:
        """Since when, as nearly as the server knows."""
        return self.started_at


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a shadow holds.

    The totals are exact, and of one instant. Where the lists have more than some hundred entries, these were read right
    after it, page by page.

    Attributes:
        taken: the instant.
        total_tasks: how many unfinished tasks there are.
        future: what is scheduled, ready or waiting, soonest first; of each kind as many as were asked for.
        running: what runs, longest first; as many as were asked for.
        workers: who is alive, by name.
        counts: how many tasks there are of each kind.
        queues: the same by queue.
        by_function: the same by the name of the task; exact, unless `sampled`.
        sampled: there are more than 10,000 unfinished tasks, so `by_function` counts a sample of about so many, taken
            evenly from all of them.
    """

    taken: datetime
    total_tasks: int
    future: list[Execution[Any]]
    running: list[RunningExecution]
    workers: list[WorkerInfo]
    counts: Counts
    queues: dict[str, QueueCounts]
    by_function: dict[str, FunctionCounts]
    sampled: bool


@dataclass(frozen=True, slots=True)
class View:
    """From where a shadow is looked at."""

    source: Source
    store: Store
    link: Link
    stamp: bytes
    silence_ms: int
    """For how long a living worker may be silent."""


@dataclass(slots=True)
class _List:
    """What was read of one kind, and where it goes on."""

    kind: Kind
    queue: str
    start: bytes | str = "-"
    items: list[Standing] = field(default_factory=list[Standing])

    def ask(self, most: int) -> Ask:
        return Ask(self.kind, self.queue, self.start, min(most, MOST_ITEMS))


async def take_snapshot(view: View, limit: int) -> Snapshot:
    """See `Shadow.snapshot`."""
    if limit < 0:
        raise ValueError(f"limit={limit!r}: how many of each kind to list, nothing (0) or more")
    lists = _lists(view.store.queues)
    totals = await _read(view, lists, limit)
    sampled = totals.unfinished > SAMPLE
    # In the order in which a task goes its way: one that moved on while this was read is seen, and as what it is now.
    found = {item.key: item for each in lists for item in each.items if item.key}
    counted = await _sample(view, totals) if sampled else await _rest(view, lists)
    workers = await list_workers(view)
    return Snapshot(
        as_datetime(totals.now_ms * 1000),
        totals.unfinished,
        _future(view, list(found.values()), limit),
        _running(view, list(found.values()), limit),
        workers,
        Counts(totals.scheduled, totals.ready, totals.running, totals.waiting, totals.dead),
        _queues(totals),
        _by_function(counted),
        sampled,
    )


async def list_workers(view: View) -> list[WorkerInfo]:
    """See `Shadow.workers`."""
    now_ms, found = await crew(view.store, view.link, stamp=view.stamp)
    infos = [
        WorkerInfo(
            said.name, as_datetime(said.seen_ms * 1000), frozenset(said.tasks), said.queues, said.concurrency, man.running
        )
        for man in found
        if (said := man.said) is not None and said.seen_ms > now_ms - view.silence_ms
    ]  # fmt: skip
    return sorted(infos, key=lambda info: info.name)


def _lists(queues: Sequence[str]) -> list[_List]:
    return [
        _List(Kind.DUE, ""),
        _List(Kind.WAITING, ""),
        *(_List(Kind.READY, queue) for queue in queues),
        *(_List(Kind.RUNNING, queue) for queue in queues),
    ]


async def _read(view: View, lists: list[_List], limit: int) -> Totals:
    """Read up to `limit` of each; what was counted in the first look."""
    first: Totals | None = None
    while True:
        open_ = [each for each in lists if each.start and (first is None or len(each.items) < limit)]
        asks = [each.ask(limit - len(each.items)) for each in open_]
        if first is not None and not asks:
            return first
        totals, pages = await look(view.store, view.link, asks, stamp=view.stamp)
        if first is None:
            first = totals
            added = totals.queues.keys() - {each.queue for each in lists}
            lists += [each for each in _lists(sorted(added)) if each.queue]
        for each, page in zip(open_, pages, strict=True):
            each.items += page.items
            each.start = page.end


async def _rest(view: View, lists: list[_List]) -> list[Standing]:
    """All unfinished tasks: those that were read, and the heads of the others."""
    items = [item for each in lists for item in each.items]
    while open_ := [each for each in lists if each.start]:
        asks = [each.ask(MOST_ITEMS) for each in open_]
        _, pages = await look(view.store, view.link, asks, cut=HEAD, stamp=view.stamp)
        for each, page in zip(open_, pages, strict=True):
            items += page.items
            each.start = page.end
    return items


async def _sample(view: View, totals: Totals) -> list[Standing]:
    """The heads of some of the unfinished tasks: a few neighbours each, from evenly spaced places."""
    asks: list[Ask] = []

    def share(many: int) -> int:
        return -(-many * SAMPLE // (totals.unfinished * RUN))

    places = share(totals.scheduled)
    asks += [Ask(Kind.DUE, "", f"@{place * totals.scheduled // places}", RUN) for place in range(places)]
    for queue, depth in totals.queues.items():
        if depth.oldest_ms is not None:
            places, span = share(depth.ready), totals.server_ms - depth.oldest_ms
            asks += [
                Ask(Kind.READY, queue, f"{depth.oldest_ms + place * span // places}-0", RUN)
                for place in range(places)
            ]
        asks.append(Ask(Kind.RUNNING, queue, most=min(MOST_ITEMS, share(depth.running) * RUN)))
    asks.append(Ask(Kind.WAITING, most=min(MOST_ITEMS, share(totals.waiting) * RUN)))
    items: list[Standing] = []
    while asks:
        batch, room = 0, MOST_ITEMS
        while batch < len(asks) and asks[batch].most <= room:
            room -= asks[batch].most
            batch += 1
        _, pages = await look(view.store, view.link, asks[:batch], cut=HEAD, stamp=view.stamp)
        items += [item for page in pages for item in page.items]
        del asks[:batch]
    return items


def _future(view: View, items: list[Standing], limit: int) -> list[Execution[Any]]:
    future: list[Execution[Any]] = []
    for kind, stand in _STANDS.items():
        found = [
            _execution(
                Execution[Any](view.source, item.key, ""),
                Found(stand, item.queue, item.instant_ms, item.blob),
            )
            for item in items
            if item.kind is kind
        ]
        future += sorted(found, key=_soonest)[:limit]
    return sorted(future, key=_soonest)


def _soonest(execution: Execution[Any]) -> datetime:
    return execution.when or datetime.max.replace(tzinfo=UTC)


def _running(view: View, items: list[Standing], limit: int) -> list[RunningExecution]:
    running: list[RunningExecution] = []
    for item in sorted(
        (item for item in items if item.kind is Kind.RUNNING), key=lambda item: item.instant_ms
    ):
        execution = RunningExecution(view.source, item.key, "")
        execution.started_at = as_datetime(item.instant_ms * 1000)
        found = Found(Stand.RUNNING, item.queue, blob=item.blob, worker=item.worker)
        running.append(_execution(execution, found))
    return running[:limit]


def _execution[E: Execution[Any]](execution: E, found: Found) -> E:
    execution.update(found)
    return execution


def _queues(totals: Totals) -> dict[str, QueueCounts]:
    return {
        queue: QueueCounts(
            depth.ready,
            depth.running,
            None
            if depth.oldest_ms is None
            else timedelta(milliseconds=max(0, totals.server_ms - depth.oldest_ms)),
            not totals.paused.isdisjoint((queue, ALL)),
        )
        for queue, depth in totals.queues.items()
    }


def _by_function(items: list[Standing]) -> dict[str, FunctionCounts]:
    running: dict[str, int] = {}
    queued: dict[str, list[datetime]] = {}
    for item in {(item.key or id(item)): item for item in items}.values():
        name, when = _facts(item)
        if item.kind is Kind.RUNNING:
            running[name] = running.get(name, 0) + 1
        else:
            queued.setdefault(name, []).append(when)
    return {
        name: FunctionCounts(
            running.get(name, 0) + len(times),
            running.get(name, 0),
            len(times),
            min(times, default=None),
            max(times, default=None),
        )
        for name in sorted(running.keys() | queued)
        for times in [queued.get(name, [])]
    }


def _facts(item: Standing) -> tuple[str, datetime]:
    """The name of its task, and when it is to run."""
    placed = as_datetime(item.instant_ms * 1000)
    try:
        attempt, _, data = split_blob(item.blob)
    except ValueError:
        return UNREADABLE, placed
    try:
        call = decode_call(data)
    except PayloadError:
        return function_name(data) or UNREADABLE, placed
    again = item.kind is Kind.DUE and attempt > 1
    return call.function, placed if again else as_datetime(call.when_us)
