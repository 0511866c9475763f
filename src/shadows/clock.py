"""The one source of time.

Redis keeps the time that counts (`TIME`, inside the scripts); this clock is what a process shows to people, and where
tests take hold: a controlled clock hands the scripts an instant of its own, so tests travel in time on a real engine.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
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

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock."""
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

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def follow(self, renew: Renew) -> Callable[[], None]:  # noqa: ARG002 - nobody moves this clock
        return _nothing


def _nothing() -> None:
    """The end of having followed nothing."""


def as_datetime(instant_us: int) -> datetime:
    """An instant in microseconds as an aware datetime in UTC, exactly."""
    seconds, micros = divmod(instant_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def as_instant_us(when: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exactly."""
    delta = when.astimezone(UTC) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
