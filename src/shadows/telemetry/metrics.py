"""Metrics, counted in plain numbers: who reads them pays for reading, and counting costs a run some hundred nanoseconds.

A `Snapshot` of a process is plain data (JSON can carry it), and those of several processes can be merged into one.
"""

import os
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from shadows.protocol.depth import Depth

from . import names
from .names import BOUNDS, Instrument, Kind

type Value = float | list[float]
"""A number; of a histogram the count of each bucket, the last without a bound, and then the sum of all values."""
type Snapshot = list[tuple[str, dict[str, str], Value]]
"""Readings: the metric's name, its labels, its value."""
type Reading = tuple[Instrument, dict[str, str], Value]

FRESH = 60.0
"""For how many seconds it is told how much there was to do."""
MOST_KEPT = 1000
"""How many counts are remembered of shadows and workers that may be gone: their numbers must not go back."""
MOST_SAMPLES = 200_000
"""How many single values wait for whoever exports them; beyond, the oldest are forgotten."""


class Tally:
    """What happened to one task in one queue."""

    __slots__ = (
        "added", "completed", "duration", "failed", "perpetuated", "punctuality", "redelivered", "replaced",
        "retried", "running", "scheduled", "started", "stricken", "succeeded",
    )  # fmt: skip

    def __init__(self) -> None:
        self.added = self.replaced = self.scheduled = self.stricken = 0
        self.started = self.redelivered = self.completed = self.failed = self.succeeded = 0
        self.retried = self.perpetuated = self.running = 0
        self.duration = [0.0] * (len(BOUNDS) + 2)
        self.punctuality = [0.0] * (len(BOUNDS) + 2)


class Counts:
    """The counts of one shadow's client, or of one of its workers."""

    def __init__(self, name: str, worker: str) -> None:
        self._labels = {names.NAME: name} | ({names.WORKER: worker} if worker else {})
        self._tallies: dict[tuple[str, str], Tally] = {}
        self.instruments = _WORKERS if worker else _CLIENTS
        self.disruptions = self.stalls = 0
        self.cancelled = 0
        """By key, so of no task in particular."""
        self._depth: Depth | None = None
        self._looked = 0.0

    def saw(self, depth: Depth | None) -> None:
        """Take over how much there is to do; None where it could not be seen."""
        self._depth, self._looked = depth, time.monotonic()

    def tally(self, task: str, queue: str) -> Tally:
        """The counts of one task in one queue, to add to."""
        tally = self._tallies.get((task, queue))
        if tally is None:
            tally = self._tallies[task, queue] = Tally()
        return tally

    def labels(self, task: str, queue: str) -> dict[str, str]:
        """The labels that go with a tally."""
        return self._labels | {names.TASK: task, names.QUEUE: queue}

    def clear(self) -> None:
        """Begin at nothing."""
        self._tallies.clear()
        self.disruptions = self.stalls = self.cancelled = 0
        self._depth = None

    def readings(self, instrument: Instrument) -> Iterator[Reading]:
        """The present values of one metric."""
        if instrument is names.CANCELLED:
            if self.instruments is _CLIENTS:
                yield instrument, self._labels, self.cancelled
        elif instrument is names.DISRUPTIONS:
            if self.instruments is _WORKERS:
                yield instrument, self._labels, self.disruptions
        elif instrument is names.LOOP_STALLS:
            if self.instruments is _WORKERS:
                yield instrument, self._labels, self.stalls
        elif instrument.kind is Kind.GAUGE:
            yield from self._depths(instrument)
        elif field := self.instruments.get(instrument):
            for (task, queue), tally in list(self._tallies.items()):
                value: Value = getattr(tally, field)
                yield instrument, self.labels(task, queue), value.copy() if isinstance(value, list) else value

    def _depths(self, instrument: Instrument) -> Iterator[Reading]:
        depth = self._depth
        if depth is None or time.monotonic() - self._looked > FRESH:
            return
        if instrument is names.STRIKES:
            yield instrument, self._labels, depth.strikes
        elif instrument is names.SCHEDULE_DEPTH:
            yield instrument, self._labels, depth.scheduled + depth.due
        else:
            for queue, of in depth.queues.items():
                value = of.ready if instrument is names.QUEUE_DEPTH else of.latency_ms / 1000
                yield instrument, self._labels | {names.QUEUE: queue}, value


_CLIENTS: Mapping[Instrument, str] = {
    instrument: instrument.name.removeprefix("shadows_tasks_")
    for instrument in (names.ADDED, names.REPLACED, names.SCHEDULED, names.STRICKEN)
}
_WORKERS: Mapping[Instrument, str] = {
    instrument: instrument.name.removeprefix("shadows_tasks_").removeprefix("shadows_task_")
    for instrument in (
        names.STARTED, names.REDELIVERED, names.STRICKEN, names.COMPLETED, names.FAILED, names.SUCCEEDED, names.RETRIED,
        names.PERPETUATED, names.RUNNING, names.DURATION, names.PUNCTUALITY,
    )
}  # fmt: skip
_listeners = 0
_kept: dict[tuple[str, str], Counts] = {}
samples: "deque[tuple[Instrument, dict[str, str], float]]" = deque(maxlen=MOST_SAMPLES)
"""Single values of histograms, for an exporter that makes its own buckets; empty where there is none."""


def counts(name: str, worker: str = "") -> Counts:
    """The counts of a shadow's clients in this process, or of one of its workers: the same ones at every asking."""
    found = _kept.pop((name, worker), None) or Counts(name, worker)
    _kept[name, worker] = found
    while len(_kept) > MOST_KEPT:
        del _kept[next(iter(_kept))]
    return found


@contextmanager
def listening() -> Generator[None]:
    """Count for as long as the block lasts, as somebody reads the snapshots."""
    global _listeners  # noqa: PLW0603 - one for the process, as the counts are
    _listeners += 1
    try:
        yield
    finally:
        _listeners -= 1


def listened_to() -> bool:
    """Whether somebody reads the snapshots of this process."""
    return _listeners > 0


def note(buckets: list[float], value: float) -> None:
    """Count a value in a histogram."""
    buckets[bisect_left(BOUNDS, value)] += 1
    buckets[-1] += value


def readings(instrument: Instrument) -> Iterator[Reading]:
    """The present values of one metric in this process."""
    for kept in list(_kept.values()):
        yield from kept.readings(instrument)


def snapshot() -> Snapshot:
    """All values that this process has counted, or last seen."""
    return [
        (instrument.name, labels, value)
        for instrument in names.INSTRUMENTS
        for instrument, labels, value in readings(instrument)
    ]


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The readings of several processes as one: sums, and of what each tells of the shadow as a whole the greatest."""
    merged: dict[tuple[str, tuple[tuple[str, str], ...]], Value] = {}
    for name, labels, value in (reading for one in snapshots for reading in one):
        series = name, tuple(sorted(labels.items()))
        known = merged.get(series)
        merged[series] = value if known is None else _together(KINDS[name], known, value)
    return [(name, dict(labels), value) for (name, labels), value in merged.items()]


def _together(kind: Kind, mine: Value, theirs: Value) -> Value:
    if isinstance(mine, list) or isinstance(theirs, list):
        both = zip(cast("list[float]", mine), cast("list[float]", theirs), strict=True)
        return [one + another for one, another in both]
    return max(mine, theirs) if kind is Kind.GAUGE else mine + theirs


KINDS: Mapping[str, Kind] = {instrument.name: instrument.kind for instrument in names.INSTRUMENTS}


def _forget() -> None:
    for kept in list(_kept.values()):
        kept.clear()
    samples.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch - there is none on Windows
    os.register_at_fork(after_in_child=_forget)  # what the parent has counted is the parent's
