"""Running a task over and over."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from shadows.clock import as_instant_us
from shadows.protocol.outcomes import Outcome

from .behaviour import Behaviour, Ending


class Perpetual(Behaviour):
    """Schedules a task again whenever it ends, well or badly: `async def poll(perpetual: Perpetual = Perpetual(every=…))`.

    The next run is recorded in the same step as the end of this one, so the chain cannot break, and two runs of one key
    never overlap. Runs are spaced from start to start; instants that were missed are skipped.

    Args:
        every: the time from the start of one run to that of the next. Default: at once.

    Raises:
        ValueError: a negative `every`.
    """

    single = True
    rank: ClassVar[int] = 20

    def __init__(self, every: timedelta = timedelta(0)) -> None:
        if every < timedelta(0):
            raise ValueError(f"every={every!r}: an interval cannot be negative")
        self.every = every
        self._ends = False
        self._args: tuple[Any, ...] | None = None
        self._kwargs: dict[str, Any] | None = None
        self._after: timedelta | None = None
        self._at_us: int | None = None

    def cancel(self) -> None:
        """End the chain with this run."""
        self._ends = True

    def perpetuate(self, *args: Any, **kwargs: Any) -> None:
        """Run next with these arguments."""
        self._args, self._kwargs = args, kwargs

    def after(self, delta: timedelta) -> None:
        """Run next that long after this run's end, this once."""
        self._after, self._at_us = delta, None

    def at(self, when: datetime) -> None:
        """Run next at that instant, this once.

        Raises:
            ValueError: a datetime without a timezone.
        """
        self._at_us, self._after = as_instant_us(when), None

    def follow(self, ending: Ending) -> Outcome | None:
        if self._ends:
            return None
        return ending.next_run(self._next_us(ending), self._args, self._kwargs)

    def _next_us(self, ending: Ending) -> int:
        if self._at_us is not None:
            return self._at_us
        if self._after is not None:
            return ending.ended_us + self._after // timedelta(microseconds=1)
        every = self.every // timedelta(microseconds=1)
        if not every:
            return ending.ended_us
        missed = max(0, ending.ended_us - ending.started_us - 1) // every
        return ending.started_us + every * (missed + 1)
