"""A clock that only moves when told to: tests travel in time on a real engine."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shadows.clock import Renew, as_datetime, as_instant_us


class ControlledClock:
    """Stands still until `advance`. Give it to the shadow: `Shadow(clock=clock)`; its workers follow it too.

    Args:
        now: the instant at which it stands at first. Default: the present.

    Leases of living workers are renewed as it moves, so that travelling in time kills nobody; a worker that is dead
    loses its lease as the clock passes it.
    """

    def __init__(self, now: datetime | None = None) -> None:
        # Whole milliseconds, as the server counts them: what is due in an hour is due when an hour has passed.
        self._now_us = as_instant_us(now or datetime.now(UTC)) // 1000 * 1000
        self._alarms: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._renewals: list[Renew] = []

    @property
    def now(self) -> datetime:
        """Where it stands."""
        return as_datetime(self._now_us)

    @property
    def next_alarm(self) -> datetime | None:
        """The nearest instant at which something is to be called: a worker waits for what is due then."""
        return as_datetime(self._alarms[0][0]) if self._alarms else None

    def now_us(self) -> int:
        """Where it stands, in microseconds since the epoch."""
        return self._now_us

    def stamp(self) -> bytes:
        """The instant that scripts take for the present."""
        return str(self._now_us // 1000).encode()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], None]:
        """Have something called when the clock has been moved that far."""
        if seconds <= 0:
            return asyncio.get_running_loop().call_soon(callback).cancel
        alarm = (self._now_us + round(seconds * 1_000_000), next(self._order), callback)
        heapq.heappush(self._alarms, alarm)

        def call_off() -> None:
            if alarm in self._alarms:
                self._alarms.remove(alarm)
                heapq.heapify(self._alarms)

        return call_off

    def follow(self, renew: Renew) -> Callable[[], None]:
        """Have a lease renewed whenever the clock moves."""
        self._renewals.append(renew)

        def unfollow() -> None:
            self._renewals.remove(renew)

        return unfollow

    async def advance(
        self,
        delta: timedelta = timedelta(0),
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Move on by a duration, `advance(hours=3)`: leases first, then whatever was to be called by then.

        Raises:
            ValueError: it cannot go back.
        """
        delta += timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        if delta < timedelta(0):
            raise ValueError(f"advance({delta!r}): this clock only goes forward")
        target = self._now_us + delta // timedelta(microseconds=1)
        for renew in list(self._renewals):
            await asyncio.to_thread(renew, target // 1000)
        self._now_us = target
        while self._alarms and self._alarms[0][0] <= target:
            heapq.heappop(self._alarms)[2]()
        await asyncio.sleep(0)
