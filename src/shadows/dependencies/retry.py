"""Trying again after a failure."""

from datetime import datetime, timedelta
from typing import ClassVar, NoReturn

from shadows.clock import as_instant_us
from shadows.protocol.outcomes import Outcome
from shadows.protocol.outcomes import retry as again

from .behaviour import Behaviour, Ending


class RetryRequested(Exception):
    """Raised by `Retry.at` and `Retry.in_` to end the present attempt."""


class Retry(Behaviour):
    """Runs a failed task again: `async def fetch(url: str, retry: Retry = Retry(attempts=3, delay=timedelta(seconds=5)))`.

    Args:
        attempts: how many runs there are at most, the first included; None = without end. Default 1: no retry.
        delay: how long after a failed run the next one starts. Default: at once.

    Raises:
        ValueError: attempts below 1, or a negative delay.
    """

    single = True
    rank: ClassVar[int] = 10

    def __init__(self, attempts: int | None = 1, delay: timedelta = timedelta(0)) -> None:
        if attempts is not None and attempts < 1:
            raise ValueError(f"attempts={attempts!r}: at least 1 (the first run counts), or None for no end")
        if delay < timedelta(0):
            raise ValueError(f"delay={delay!r}: a delay cannot be negative")
        self.attempts = attempts
        self.delay = delay
        self.attempt = 1
        """Which run this is, counted from 1."""
        self._at_us: int | None = None

    def begin(self, attempt: int) -> None:
        self.attempt = attempt

    def at(self, when: datetime) -> NoReturn:
        """End this attempt here; the next one, if there is one left, starts at that instant.

        Raises:
            ValueError: a datetime without a timezone.
        """
        self._at_us = as_instant_us(when)
        raise RetryRequested(f"a retry at {when.isoformat()} was asked for")

    def in_(self, delta: timedelta) -> NoReturn:
        """End this attempt here; the next one, if there is one left, starts that long from now."""
        self.delay = delta
        raise RetryRequested(f"a retry in {delta} was asked for")

    def follow(self, ending: Ending) -> Outcome | None:
        if ending.error is None or (self.attempts is not None and ending.attempt >= self.attempts):
            return None
        if self._at_us is not None:
            return again(-(-self._at_us // 1000))
        if not self.delay:
            return again()
        return again(-(-(ending.ended_us + self.delay // timedelta(microseconds=1)) // 1000))
