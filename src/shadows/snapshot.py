"""Snapshot: what a shadow holds at an instant, who works on it, and how much there is of which task."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shadows.clock import as_datetime
from shadows.execution import Execution
from shadows.protocol.execution import Found, Stand
from shadows.protocol.look import Kind, Standing, Totals, crew, look
from shadows.protocol.operator import ALL
from shadows.tally import EXACT, FunctionCounts, by_function, read_on, sample
from shadows.view import Listing, View

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
        sampled: there are more than 10,000 unfinished tasks, so `by_function` counts a sample of about 5,000, taken
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


async def take_snapshot(view: View, limit: int) -> Snapshot:
    """See `Shadow.snapshot`."""
    if limit < 0:
        raise ValueError(f"limit={limit!r}: how many of each kind to list, nothing (0) or more")
    lists = _lists(view.store.queues)
    totals = await _read(view, lists, limit)
    sampled = totals.unfinished > EXACT
    # In the order in which a task goes its way: one that moved on while this was read is seen, and as what it is now.
    found = {item.key: item for each in lists for item in each.items if item.key}
    counted = await sample(view, totals) if sampled else await read_on(view, lists)
    workers = await list_workers(view)
    return Snapshot(
        as_datetime(totals.now_ms * 1000),
        totals.unfinished,
        _future(view, list(found.values()), limit),
        _running(view, list(found.values()), limit),
        workers,
        Counts(totals.scheduled, totals.ready, totals.running, totals.waiting, totals.dead),
        _queues(totals),
        by_function(counted),
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


def _lists(queues: Sequence[str]) -> list[Listing]:
    return [
        Listing(Kind.DUE, ""),
        Listing(Kind.WAITING, ""),
        *(Listing(Kind.READY, queue) for queue in queues),
        *(Listing(Kind.RUNNING, queue) for queue in queues),
    ]


async def _read(view: View, lists: list[Listing], limit: int) -> Totals:
    """Read up to `limit` of each; what was counted in the first look."""
    first: Totals | None = None
    while True:
        open_ = [each for each in lists if each.end and (first is None or len(each.items) < limit)]
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
            each.end = page.end


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
