"""The meter: the client and the worker tell it what happens, and it counts and traces for whoever listens.

Nobody may be listening: then `on` is False, and what happens is passed by.
"""

import asyncio
import time
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from shadows.clock import as_datetime
from shadows.protocol.depth import depth
from shadows.protocol.outcomes import Kind, Outcome
from shadows.protocol.schedule import Mode

from . import export, metrics, names, traces

if TYPE_CHECKING:
    from shadows.payload.call import Call
    from shadows.protocol.connection import Link
    from shadows.shadow import Shadow

# Looking into an enum costs more than counting.
_RELEASE, _FAILED, _CANCELLED, _RETRY, _NEXT = (
    Kind.RELEASE,
    Kind.FAILED,
    Kind.CANCELLED,
    Kind.RETRY,
    Kind.NEXT,
)
_meters: "weakref.WeakSet[Meter]" = weakref.WeakSet()


class Meter:
    """What one shadow's client, or one of its workers, tells."""

    __slots__ = ("__weakref__", "counts", "exporting", "name", "on", "worker")

    def __init__(self, name: str, worker: str = "") -> None:
        self.name = name
        self.worker = worker
        self.counts = metrics.counts(name, worker)
        self.on = self.exporting = False
        """Whether anybody listened when that was last looked at: at the worker's start, and at every heartbeat."""
        _meters.add(self)

    def awake(self) -> bool:
        """Look whether anybody listens."""
        self.exporting = exporting = export.exporting()
        self.on = on = exporting or metrics.listened_to() or traces.tracer() is not None
        return on

    def sending(self, task: str, queue: str, key: str) -> "Telling":
        """A call is about to be sent."""
        return Telling(self, task, queue, traces.sending(self.name, task, queue, key))

    def cancelled(self) -> None:
        """An execution was cancelled by its key."""
        self.counts.cancelled += 1

    def stricken(self, task: str, queue: str) -> None:
        """A strike kept an execution from being added, or from being run."""
        self.counts.tally(task, queue).stricken += 1

    def disrupted(self) -> None:
        """The server did not answer, or refused."""
        self.counts.disruptions += 1

    def stalled(self) -> None:
        """The worker's event loop was blocked. Called from one other thread."""
        self.counts.stalls += 1

    def started(
        self, call: "Call", token: str, key: str, attempt: int, deliveries: int, started_us: int
    ) -> "Running":
        """A run begins: what it waited for, it has."""
        return Running(self, call, token.partition("/")[0], key, attempt, deliveries, started_us)


class Telling:
    """A call on its way: `with` it is sent and answered. `headers` travel with it."""

    __slots__ = ("_meter", "_queue", "_span", "_task", "headers")

    def __init__(self, meter: Meter, task: str, queue: str, span: traces.Sending | None) -> None:
        self._meter = meter
        self._task = task
        self._queue = queue
        self._span = span
        self.headers = span.headers if span is not None else None

    def answered(self, mode: Mode, *, scheduled: bool) -> None:
        """It was accepted, and an execution came to be of it or another one stands."""
        tally = self._meter.counts.tally(self._task, self._queue)
        if mode is Mode.REPLACE:
            tally.replaced += 1
        else:
            tally.added += 1
        tally.scheduled += scheduled

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended(error)

    def ended(self, error: BaseException | None) -> None:
        """It is on its way no more: with the error that it ended with, or None; what is said first holds."""
        span, self._span = self._span, None
        if span is not None:
            span.ended(error)


class Running:
    """A run that is going on."""

    __slots__ = ("_began", "_meter", "_queue", "_span", "_tally", "_task")

    def __init__(
        self,
        meter: Meter,
        call: "Call",
        queue: str,
        key: str,
        attempt: int,
        deliveries: int,
        started_us: int,
    ) -> None:
        self._meter = meter
        self._task = task = call.function
        self._queue = queue
        self._tally = tally = meter.counts.tally(task, queue)
        tally.started += 1
        tally.running += 1
        if deliveries:
            tally.redelivered += 1
        if attempt == 1:  # the instant of a retry is not kept with its call
            late = (started_us - call.when_us) / 1e6 if started_us > call.when_us else 0.0
            metrics.note(tally.punctuality, late)
            if meter.exporting:
                self._sample(names.PUNCTUALITY, late)
        self._span = None
        tracer = traces.tracer()
        if tracer is not None:
            own = {
                names.CLIENT_ID: meter.worker,
                names.WORKER: meter.worker,
                names.ATTEMPT: attempt,
                names.WHEN: as_datetime(call.when_us).isoformat(),
            }
            self._span = traces.processing(tracer, meter.name, task, queue, key, call.headers, own)
        self._began = time.perf_counter()

    def ended(self, error: BaseException | None, outcome: Outcome | None) -> None:
        """It ended, with that error, and that is what follows: None where others run it now."""
        took = time.perf_counter() - self._began
        tally, kind = self._tally, _RELEASE if outcome is None else outcome.kind
        tally.running -= 1
        failed = (error is not None and not isinstance(error, asyncio.CancelledError)) or kind is _FAILED
        if kind is not _RELEASE:
            tally.completed += 1
            if failed:
                tally.failed += 1
            elif kind is not _CANCELLED:
                tally.succeeded += 1
            if kind is _RETRY:
                tally.retried += 1
            elif kind is _NEXT:
                tally.perpetuated += 1
            metrics.note(tally.duration, took)
            if self._meter.exporting:
                self._sample(names.DURATION, took)
        if self._span is not None:
            self._span.ended(error if failed else None)

    def _sample(self, instrument: names.Instrument, value: float) -> None:
        metrics.samples.append((instrument, self._meter.counts.labels(self._task, self._queue), value))


def refresh() -> None:
    """Look for all meters of this process whether anybody listens."""
    for meter in list(_meters):
        meter.awake()


@contextmanager
def listening() -> Generator[None]:
    """Have everything counted for as long as the block lasts, as somebody reads `metrics.snapshot()`."""
    with metrics.listening():
        refresh()
        yield
    refresh()


async def look(shadow: "Shadow", link: "Link") -> None:
    """See how much there is to do, for whoever reads the metrics; in one request.

    Raises:
        RedisError: the server does not answer.
    """
    counts = shadow.meter.counts
    counts.saw(None)
    counts.saw(await depth(shadow.store, link, stamp=shadow.clock.stamp()))


async def beat(shadow: "Shadow", link: "Link") -> None:
    """What is done at every heartbeat: see who listens, and hand on what waits for an exporter."""
    refresh()
    if export.exporting():
        await asyncio.to_thread(export.hand_on)
        await look(shadow, link)
