"""What the peers' scripts share: a worker in this process's event loop, for one drain or in the background."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.harness import LOOK, Order, Reading, Tally


def roomy(url: str) -> str:
    """The URL for a pool of redis-py that holds a connection for each of 1000 tasks at once: it has 100 unless told."""
    return f"{url}{'&' if '?' in url else '?'}max_connections=2000"


class Background:
    """The worker that runs while other workloads send to it: operations `work` (given the worker) and `stop`."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.working: asyncio.Task[Any] | None = None

    async def start(self, worker: Coroutine[Any, Any, Any], settling: float = 1.0) -> None:
        """Start it, and give it time to wait for tasks: few peers tell when they do."""
        self.tally.expect(0)
        self.working = asyncio.create_task(worker)
        await asyncio.sleep(settling)
        if self.working.done():
            self.working.result()

    async def stop(self, order: Order) -> Reading:
        """End it when all began, or it is time, and tell how late its tasks began."""
        await self.tally.stamped(order)
        if self.working is not None:
            await ended(self.working)
            self.working = None
        return {"late": self.tally.late}


async def drained(tally: Tally, n: int, worker: Coroutine[Any, Any, Any]) -> Reading:
    """Run a worker until n tasks ended, then end it, and count again, that none ran too often.

    Raises:
        Exception: what the worker raised, if it fell before that.
    """
    tally.expect(n)
    cpu = time.process_time()
    working = asyncio.create_task(worker)
    while tally.count < n:
        await asyncio.sleep(LOOK)
        if working.done():
            working.result()
            raise RuntimeError(f"the worker ended after {tally.count} of {n} tasks")
    reading = tally.reading() | {"cpu": time.process_time() - cpu}
    await ended(working)
    return reading | {"count": tally.count}


async def ended(working: asyncio.Task[Any]) -> None:
    """Cancel it, and wait until it is over."""
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
