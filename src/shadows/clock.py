"""The one source of time.

Redis keeps the time that counts (`TIME`, inside the scripts); this clock is what a process shows to people, and where
tests take hold: a controlled clock hands the scripts an instant of its own, so tests travel in time on a real engine.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

type Renew = Callable[[int], None]
"""Renews a worker's lease as of an instant in ms."""


class Clock(Protocol):
    """What the client and the worker ask of time."""

    def now_us(self) -> int:
        """The present instant in microseconds since the epoch, as this process knows it."""
        ...

    def stamp(self) -> bytes:
        """What scripts take for the present: an instant in ms, or nothing, which is the server's own time."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], None]:
        """Have something called on this loop after that many seconds of this clock; the answer calls it off."""
        ...

    def follow(self, renew: Renew) -> Callable[[], None]:
        """Have a lease renewed when time is moved by hand; the answer ends that."""
        ...


class SystemClock:
    """Time as the machine and the server keep it."""

    __slots__ = ()

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def stamp(self) -> bytes:
        return b""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(seconds, callback).cancel

    def follow(self, renew: Renew) -> Callable[[], None]:  # noqa: ARG002 - nobody moves this clock
        return _nothing


def _nothing() -> None:
    """The end of having followed nothing."""


def as_datetime(instant_us: int) -> datetime:
    """An instant in microseconds as an aware datetime in UTC, exactly; beyond the year 9999, the last that there is."""
    return _EPOCH + timedelta(microseconds=min(instant_us, _LAST_US))


def as_instant_us(when: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exactly.

    Raises:
        TypeError: not a datetime.
        ValueError: it has no timezone, or does not exist in UTC.
    """
    if not isinstance(when, datetime):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
        raise TypeError(
            f"{when!r} is not an instant: give a datetime with a timezone, as datetime.now(UTC) + timedelta(minutes=5)"
        )
    if when.utcoffset() is None:
        raise ValueError(f"{when!r} has no timezone: use datetime.now(UTC), or .astimezone()")
    try:
        return (when.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except OverflowError:
        raise ValueError(
            f"{when!r} is outside the years 1 to 9999 in UTC: give an instant within them"
        ) from None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
