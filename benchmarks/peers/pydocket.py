# /// script
# requires-python = ">=3.12"
# dependencies = ["pydocket==0.27.0", "hiredis==3.5.0", "uvloop==0.23.0"]
# ///
"""pydocket as a contender."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from docket import Depends, Docket, Worker

from benchmarks.harness import BATCH, PAYLOAD, SLEEP, Contender, Order, Reading, Tally, serve, server_url
from benchmarks.peers.working import Background, drained, roomy

logging.getLogger().setLevel(logging.WARNING)
tally = Tally()
background = Background(tally)


async def noop(payload: str) -> None:
    tally.began()
    tally.ended()


async def sleep(payload: str) -> None:
    tally.began()
    await asyncio.sleep(SLEEP)
    tally.ended()


@asynccontextmanager
async def one() -> AsyncIterator[int]:
    yield 1


async def depends(payload: str, a: int = Depends(one), b: int = Depends(one), c: int = Depends(one)) -> int:
    tally.began()
    tally.ended()
    return a + b + c


async def stamp(instant: float) -> None:
    tally.stamp(instant)


KINDS: dict[str, Callable[..., Any]] = {"noop": noop, "sleep": sleep, "depends": depends}


class Subject:
    """The docket of the present workload."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.executions: list[Any] = []

    async def reset(self, order: Order) -> None:
        await self.stack.aclose()
        kept = timedelta(minutes=15) if order.results else timedelta(0)
        docket = Docket("bench", roomy(server_url()), execution_ttl=kept)
        self.docket = await self.stack.enter_async_context(docket)
        for function in (*KINDS.values(), stamp):
            self.docket.register(function)
        self.executions = []

    async def worker(self, concurrency: int) -> None:
        """Looks for due tasks every millisecond instead of 250: the interval bounds its rate at low concurrency too."""
        soon = timedelta(milliseconds=1)
        async with Worker(
            self.docket,
            concurrency=concurrency,
            minimum_check_interval=soon,
            scheduling_resolution=soon,
        ) as worker:
            await worker.run_forever()

    async def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            await self.docket.add(noop)(PAYLOAD)

    async def add_gathered(self, order: Order) -> None:
        for _ in range(order.n // BATCH):
            await asyncio.gather(*[self.docket.add(noop)(PAYLOAD) for _ in range(BATCH)])

    async def add_bulk(self, order: Order) -> None:
        await self.docket.add_many(self.docket.call(noop)(PAYLOAD) for _ in range(order.n))

    async def fill(self, order: Order) -> None:
        function = KINDS[order.kind]
        self.executions = await self.docket.add_many(
            self.docket.call(function)(PAYLOAD) for _ in range(order.n)
        )

    async def drain(self, order: Order) -> Reading:
        return await drained(tally, order.n, self.worker(order.concurrency))

    async def work(self, order: Order) -> None:
        await background.start(self.worker(order.concurrency))

    async def send(self, order: Order) -> None:
        for _ in range(order.n):
            await self.docket.add(stamp)(time.time())
            await asyncio.sleep(order.spacing)

    async def schedule(self, order: Order) -> None:
        await self.docket.add_many(
            self.docket.call(stamp, when=datetime.fromtimestamp(due, UTC))(due)
            for due in (order.at + i * order.spacing for i in range(order.n))
        )

    async def fill_later(self, order: Order) -> None:
        when = datetime.now(UTC) + timedelta(hours=1)
        await self.docket.add_many(
            self.docket.call(noop, when=when, key=f"k{i}")(PAYLOAD) for i in range(order.n)
        )

    async def replace(self, order: Order) -> None:
        when = datetime.now(UTC) + timedelta(hours=2)
        for i in range(order.n):
            await self.docket.replace(noop, when, f"k{i}")(PAYLOAD)

    async def cancel(self, order: Order) -> None:
        for i in range(order.n):
            await self.docket.cancel(f"k{i}")

    async def fetch(self, order: Order) -> None:
        for i in range(0, len(self.executions), BATCH):
            await asyncio.gather(*[execution.get_result() for execution in self.executions[i : i + BATCH]])


subject = Subject()
OPERATIONS = (
    subject.reset,
    subject.add_one,
    subject.add_gathered,
    subject.add_bulk,
    subject.fill,
    subject.drain,
    subject.work,
    subject.send,
    subject.schedule,
    subject.fill_later,
    subject.replace,
    subject.cancel,
    subject.fetch,
)
serve(
    Contender(
        "pydocket",
        version("pydocket"),
        "leases of 5 min; execution_ttl=0 unless results are asked for; looks for due tasks "
        "every 1 ms (default 250 ms); 2000 connections",
        {operation.__name__: operation for operation in OPERATIONS} | {"stop": background.stop},
        kinds=tuple(KINDS),
    )
)
