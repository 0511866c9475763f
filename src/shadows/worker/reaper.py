"""The reaper: gives the tasks of dead workers back."""

import asyncio
import logging
from collections.abc import Callable

from shadows.protocol.connection import Link
from shadows.protocol.failures import classify, jittered
from shadows.protocol.lease import reap, strangers
from shadows.shadow import Shadow

logger = logging.getLogger("shadows.worker")


class Reaper:
    """Runs beside the worker's cycle, on a socket of its own, until cancelled.

    Args:
        held_off: for how many seconds nobody may be judged.
    """

    def __init__(
        self,
        shadow: Shadow,
        link: Link,
        max_deliveries: int,
        lease: float,
        held_off: Callable[[], float],
    ) -> None:
        self._shadow = shadow
        self._link = link
        self._max_deliveries = max_deliveries
        self._lease = lease
        self._held_off = held_off
        self._expired: set[str] = set()
        self._wanted = asyncio.Event()

    def expired(self, workers: list[str]) -> None:
        """Have workers reaped whose leases have run out."""
        self._expired.update(workers)
        self._wanted.set()

    async def run(self) -> None:
        """Reap what has expired, and once a lease's time consumers that no lease stands behind."""
        while True:
            self._wanted.clear()
            try:
                async with asyncio.timeout(jittered(self._lease)):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            await self._hold_off()
            try:
                store = self._shadow.store
                self._expired |= await strangers(store, self._link, store.queues)
                while self._expired and not self._held_off():
                    await self.reap(self._expired.pop())
            except Exception as error:  # noqa: BLE001 - whatever it is, others may still be reaped
                logger.warning("dead workers not reaped error=%s failure=%s", error, classify(error).name)

    async def _hold_off(self) -> None:
        while seconds := self._held_off():  # noqa: ASYNC110 - the answer is how long to wait
            await asyncio.sleep(seconds)

    async def reap(self, worker: str) -> None:
        """Take everything back from one worker, unless it is alive."""
        left, moved = True, 0
        while left:
            answer = await reap(
                self._shadow.store,
                self._link,
                worker,
                self._max_deliveries,
                self._shadow.limits,
                stamp=self._shadow.clock.stamp(),
            )
            moved += answer.moved
            left = answer.left and answer.moved > 0
        if moved:
            logger.warning("tasks taken back from a dead worker worker=%s tasks=%d", worker, moved)
