"""One run on its way through the runner: what was taken, what is known of it by now, and what became of it."""

import asyncio
import enum
from collections.abc import Sequence
from typing import Any

from shadows.dependencies.context import Run
from shadows.payload.call import Call
from shadows.protocol.cycle import Taken
from shadows.protocol.outcomes import Outcome
from shadows.tasks.plan import Plan
from shadows.telemetry.meter import Running


class Stop(enum.Enum):
    """Why a running task was cancelled; without a reason it was the task itself."""

    CANCELLED = "somebody cancelled the execution"
    LEASE_LOST = "the worker's lease was lost"
    SHUTDOWN = "the worker is stopping"
    LAPSED = "the worker's lease had run out before the task was called"


class Over(Exception):
    """A job ends before its task is called, with this outcome; None where it is not this worker's any more."""

    def __init__(self, outcome: Outcome | None) -> None:
        self.outcome = outcome


class Job:
    """One run. Each step of the runner fills in what it finds out."""

    __slots__ = (
        "args", "attempt", "began", "call", "deliveries", "error", "known", "kwargs", "plan", "result", "run", "running", "started_us", "stop",
        "taken", "task", "unique_ms",
    )  # fmt: skip

    call: Call
    plan: Plan
    run: Run

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.task: asyncio.Task[Outcome | None] | None = None
        """What runs it; None while that takes its first step, and from its end on."""
        self.stop: Stop | None = None
        self.began = False
        self.attempt = 1
        self.deliveries = 0
        self.unique_ms = 0
        self.known: Call | None = None
        """The call, unless its bytes cannot be read."""
        self.args: Sequence[Any] = ()
        self.kwargs: dict[str, Any] = {}
        self.started_us = 0
        self.result: object = None
        self.error: BaseException | None = None
        self.running: Running | None = None
        """The run as whoever listens sees it."""

    @property
    def queue(self) -> str:
        """The queue that it was taken from."""
        return self.taken.token.partition("/")[0]

    def goes_on(self, task: asyncio.Task[Outcome | None]) -> None:
        """Its first step did not end it. Where it was cancelled meanwhile, by what it called itself, it hears of it now."""
        self.task = task
        if self.stop is not None:
            task.cancel(self.stop.value)

    def cancel(self, stop: Stop) -> None:
        """Cancel the run, for a reason that stays."""
        if self.stop is None or (self.stop is Stop.CANCELLED and stop is not Stop.CANCELLED):
            self.stop = stop
            if self.task is not None:
                self.task.cancel(stop.value)
