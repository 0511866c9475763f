"""The herald: writes, every heartbeat interval, what this worker is and can run, for people and for other workers."""

import asyncio
import logging

from shadows.protocol.connection import Link
from shadows.protocol.duties import tidy
from shadows.protocol.failures import classify
from shadows.protocol.lease import Announcement, announce
from shadows.shadow import Shadow
from shadows.telemetry.meter import beat

from .lease import Lease

logger = logging.getLogger("shadows.worker")


class Herald:
    """Runs beside the worker's cycle until cancelled."""

    def __init__(
        self,
        shadow: Shadow,
        link: Link,
        lease: Lease,
        name: str,
        concurrency: int,
        queues: tuple[str, ...] | None,
    ) -> None:
        self._shadow = shadow
        self._link = link
        self._lease = lease
        self._name = name
        self.concurrency = concurrency
        self._queues = queues
        self._tidied = b""
        """The name of the limit that was looked at last; empty: all were."""

    async def announce(self) -> None:
        """Write it once."""
        await announce(self._shadow.store, self._link, self._lease.incarnation, self._words())

    async def run(self) -> None:
        """Write it again and again."""
        while True:
            await asyncio.sleep(self._shadow.heartbeat_interval.total_seconds())
            try:
                await beat(self._shadow, self._link)
                await self._tidy()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                logger.warning(
                    "worker not announced worker=%s error=%s failure=%s",
                    self._name,
                    error,
                    classify(error).name,
                )

    def _words(self) -> Announcement:
        shadow = self._shadow
        return Announcement(
            self._name,
            (shadow.clock.now_us() + self._lease.offset_us) // 1000,
            self.concurrency,
            self._queues or shadow.store.queues,
            tuple(sorted(shadow.tasks)),
        )

    async def _tidy(self) -> None:
        """Say it, and do one bounded step of the shadow's upkeep by the way, all in one request.

        The step goes on where the last one ended: a fleet of many does not look at all limits at once.
        """
        self._tidied = await tidy(
            self._shadow.store,
            self._link,
            self._lease.incarnation,
            self._tidied,
            self._words(),
            stamp=self._shadow.clock.stamp(),
        )
