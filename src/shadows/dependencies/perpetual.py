"""Running a task over and over."""

import inspect
from datetime import datetime, timedelta
from typing import Any

from shadows.checks import check_duration
from shadows.clock import as_instant_us
from shadows.protocol.outcomes import Outcome

from .behaviour import Ending
from .hooks import CompletionHandler


class Perpetual(CompletionHandler["Perpetual"]):
    """Schedules a task again whenever it ends, well or badly: `async def poll(perpetual: Perpetual = Perpetual(every=…))`.

    The next run is recorded in the same step as the end of this one, so the chain cannot break, and two runs of one key
    never overlap. Runs are spaced from start to start; instants that were missed are skipped.

    Args:
        every: the time from the start of one run to that of the next. Default: at once.
        automatic: workers that know the task start it by themselves, under its own name as the key: once in the whole
            fleet, and again where the chain was lost. It must not need arguments. A chain that somebody cancelled stays so
            until a worker starts anew (and, with `execution_ttl=0`, for a minute at most, as nothing tells then that it was
            cancelled).

    Raises:
        ValueError: a negative `every`.
    """

    def __init__(self, every: timedelta = timedelta(0), automatic: bool = False) -> None:  # noqa: FBT001, FBT002 - users write Perpetual(every, True)
        check_duration("every", every)
        if every < timedelta(0):
            raise ValueError(f"every={every!r}: an interval cannot be negative")
        self.every = every
        self.automatic = automatic
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

    def check(self, offered: inspect.Signature) -> None:
        needed = [
            f"{parameter.name!r}"
            for parameter in offered.parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if self.automatic and needed:
            raise ValueError(
                f"workers start it by themselves, so it cannot need arguments: give {', '.join(needed)} a default"
            )

    def starts_us(self, now_us: int) -> int | None:
        return now_us if self.automatic else None

    async def follow(self, ending: Ending) -> Outcome | None:
        await super().follow(ending)
        if self._ends:
            return None
        return ending.next_run(self._next_us(ending), self._args, self._kwargs)

    async def pass_over(self, ending: Ending) -> Outcome | None:
        return ending.next_run(self._next_us(ending), None, None)

    def _next_us(self, ending: Ending) -> int:
        if self._at_us is not None:
            return self._at_us
        if self._after is not None:
            return ending.ended_us + self._after // timedelta(microseconds=1)
        return self._regular_us(ending)

    def _regular_us(self, ending: Ending) -> int:
        """When the next run is, where no other wish was made."""
        every = self.every // timedelta(microseconds=1)
        if not every:
            return ending.ended_us
        missed = max(0, ending.ended_us - ending.started_us - 1) // every
        return ending.started_us + every * (missed + 1)
