"""One run on its way through the runner: what was taken, what is known of it by now, and what became of it."""

import asyncio
import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from shadows.dependencies.context import Run
from shadows.payload.call import Call
from shadows.protocol.cycle import Taken
from shadows.protocol.outcomes import Outcome
from shadows.tasks.plan import Plan
from shadows.telemetry.meter import Running

from .recipe import Recipe


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


_UNFILLED: Any = None


class Job(msgspec.Struct, eq=False):
    """One run. Each step of the runner fills in what it finds out."""

    taken: Taken
    task: asyncio.Task[Outcome | None] | None = None
    """What runs it; None while that takes its first step, and from its end on."""
    stop: Stop | None = None
    began: bool = False
    attempt: int = 1
    deliveries: int = 0
    unique_ms: int = 0
    known: Call | None = None
    """The call, unless its bytes cannot be read."""
    call: Call = _UNFILLED
    plan: Plan = _UNFILLED
    recipe: Recipe | None = None
    """What stands around the call, where anything does."""
    args: Sequence[Any] = ()
    kwargs: dict[str, Any] = {}
    started_us: int = 0
    run: Run = _UNFILLED
    result: object = None
    error: BaseException | None = None
    running: Running | None = None
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
