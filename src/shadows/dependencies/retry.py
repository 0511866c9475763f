"""Trying again after a failure."""

import random
from datetime import datetime, timedelta
from typing import NoReturn

from shadows.checks import at_least_one, check_duration
from shadows.clock import as_instant_us
from shadows.errors import TaskFailed
from shadows.protocol.outcomes import Outcome, release
from shadows.protocol.outcomes import retry as again

from .behaviour import Decision, Ending
from .context import Run
from .hooks import FailureHandler

type Errors = type[BaseException] | tuple[type[BaseException], ...]
"""As `except` takes them."""


class RetryRequested(Exception):
    """Raised by `Retry.at`, `after` and `in_` to end the present attempt."""


class RetryAfter(Decision):
    """Raise it in a task to have it run again after a while, as if this run had not been: `raise RetryAfter(delta)`.

    For what is no failure: a service that says when to come back, a file that is not there yet. It needs no `Retry`,
    uses up no attempt, and nothing counts how often it is raised: what may last for ever needs an end of your own.

    Raises:
        ValueError: a negative duration.
    """

    def __init__(self, delta: timedelta) -> None:
        check_duration("delta", delta)
        if delta < timedelta(0):
            raise ValueError(f"RetryAfter({delta!r}): a duration cannot be negative")
        super().__init__(f"to be run again in {delta}")
        self.delta = delta

    def follow(self, ending: Ending) -> Outcome:
        return release(_after(ending, self.delta))


class Retry(FailureHandler["Retry"]):
    """Runs a failed task again: `async def fetch(url: str, retry: Retry = Retry(attempts=3, delay=timedelta(seconds=5)))`.

    Args:
        attempts: how many runs there are at most, the first included; None = without end. Default 1: no retry.
        delay: how long after a failed run the next one starts. Default: at once.
        on: the exception type, or a tuple of them, after which it is run again; others fail it at once. What a failing
            dependency raised counts too. Default: any.

    Attributes:
        attempt: inside a task: which run this is, counted from 1.

    Raises:
        ValueError: attempts below 1, or a negative delay.
    """

    def __init__(
        self,
        attempts: int | None = 1,
        delay: timedelta = timedelta(0),
        *,
        on: Errors = BaseException,
    ) -> None:
        if attempts is not None:
            at_least_one("attempts", attempts, " (the first run counts), or None for no end")
        check_duration("delay", delay)
        if delay < timedelta(0):
            raise ValueError(f"delay={delay!r}: a delay cannot be negative")
        self.attempts = attempts
        self.delay: timedelta = delay
        self.attempt = 1
        self._on = on
        self._at_us: int | None = None
        self._asked_for = False

    @classmethod
    def forever(cls, delay: timedelta = timedelta(0)) -> "Retry":
        """One without end."""
        return Retry(attempts=None, delay=delay)

    def begin(self, run: Run) -> None:
        self.attempt = run.attempt

    def at(self, when: datetime) -> NoReturn:
        """End this attempt here; the next one, if there is one left, starts at that instant.

        Raises:
            ValueError: a datetime without a timezone.
        """
        self._at_us, self._asked_for = as_instant_us(when), True
        raise RetryRequested(f"a retry at {when.isoformat()} was asked for")

    def after(self, delta: timedelta) -> NoReturn:
        """End this attempt here; the next one, if there is one left, starts that long from now."""
        self.delay, self._asked_for = delta, True
        raise RetryRequested(f"a retry in {delta} was asked for")

    def in_(self, delta: timedelta) -> NoReturn:
        """The same as `after`."""
        self.after(delta)

    async def follow(self, ending: Ending) -> Outcome | None:
        error = ending.error
        if error is None or (self.attempts is not None and ending.attempt >= self.attempts):
            return None
        if self._asked_for:
            return again(-(-self._at_us // 1000) if self._at_us is not None else _after(ending, self.delay))
        if not isinstance(error, self._on):
            cause = error.__cause__ if isinstance(error, TaskFailed) else None
            if not isinstance(cause, self._on):
                return None
        return again(_after(ending, self.delay))


class ExponentialRetry(Retry):
    """Runs a failed task again, each time after twice the delay: 1, 2, 4, 8, 16 … times the minimum, up to the maximum.

    Between n attempts there are n - 1 delays: the fifth delay needs a sixth attempt.

    Args:
        attempts: how many runs there are at most, the first included; None = without end. Default 1: no retry.
        minimum_delay: the delay after the first run. Default 1 s.
        maximum_delay: no delay is longer. Default 64 s.
        jitter: up to this part of each delay, between 0 and 1, is taken off at random, so that what failed together does
            not come back together. Default 0: none.
        on: as of `Retry`.

    Attributes:
        delay: inside a task: how long after this run the next one starts, if it fails.

    Raises:
        ValueError: attempts below 1, a negative delay, a maximum below the minimum, a jitter outside 0 to 1.
    """

    def __init__(
        self,
        attempts: int | None = 1,
        minimum_delay: timedelta = timedelta(seconds=1),
        maximum_delay: timedelta = timedelta(seconds=64),
        *,
        jitter: float = 0.0,
        on: Errors = BaseException,
    ) -> None:
        check_duration("minimum_delay", minimum_delay)
        check_duration("maximum_delay", maximum_delay)
        if minimum_delay < timedelta(0):
            raise ValueError(f"minimum_delay={minimum_delay!r}: a delay cannot be negative")
        if maximum_delay < minimum_delay:
            raise ValueError(f"maximum_delay={maximum_delay!r}: at least minimum_delay={minimum_delay!r}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter={jitter!r}: a part of the delay, from 0 to 1")
        super().__init__(attempts, minimum_delay, on=on)
        self.minimum_delay = minimum_delay
        self.maximum_delay = maximum_delay
        self.jitter = jitter

    @classmethod
    def forever(
        cls, delay: timedelta = timedelta(seconds=1), maximum_delay: timedelta = timedelta(seconds=64)
    ) -> "ExponentialRetry":
        """One without end; `delay` is the first."""
        return ExponentialRetry(attempts=None, minimum_delay=delay, maximum_delay=maximum_delay)

    def begin(self, run: Run) -> None:
        super().begin(run)
        doublings = run.attempt - 1
        if self.minimum_delay and doublings >= (self.maximum_delay // self.minimum_delay).bit_length():
            delay = self.maximum_delay  # before the power grows beyond what a timedelta holds
        else:
            delay = min(
                self.minimum_delay * 2**doublings if self.minimum_delay else self.minimum_delay,
                self.maximum_delay,
            )
        if self.jitter:
            delay *= 1 - self.jitter * random.random()  # noqa: S311 - spreads load, guards nothing
        self.delay = delay


def _after(ending: Ending, delta: timedelta) -> int:
    """The instant so long after the run's end, in ms and never early; 0 for at once."""
    return -(-(ending.ended_us + delta // timedelta(microseconds=1)) // 1000) if delta else 0
