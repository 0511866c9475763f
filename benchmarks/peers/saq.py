# /// script
# requires-python = ">=3.12"
# dependencies = ["saq[hiredis]==0.26.4", "typing-extensions==4.16.0", "hiredis==3.5.0", "uvloop==0.23.0"]
# ///
"""SAQ as a contender."""

import asyncio
import logging
import time
from importlib.metadata import version
from typing import Any

from saq import Worker
from saq.queue.redis import RedisQueue

from benchmarks.harness import BATCH, PAYLOAD, SLEEP, Contender, Order, Reading, Tally, serve, server_url
from benchmarks.peers.working import Background, drained, roomy

logging.getLogger("saq").setLevel(logging.WARNING)
tally = Tally()
background = Background(tally)
type Context = Any


async def noop(ctx: Context, *, payload: str) -> None:
    tally.began()
    tally.ended()


async def sleep(ctx: Context, *, payload: str) -> None:
    tally.began()
    await asyncio.sleep(SLEEP)
    tally.ended()


async def stamp(ctx: Context, *, instant: float) -> None:
    tally.stamp(instant)


class Subject:
    """The queue of the present workload."""

    def __init__(self) -> None:
        self.queue: Any = None
        self.ttl = -1
        self.jobs: list[Any] = []

    async def reset(self, order: Order) -> None:
        if self.queue is not None:
            await self.queue.disconnect()
        self.ttl, self.jobs = 900 if order.results else -1, []
        self.queue = RedisQueue.from_url(roomy(server_url()), max_concurrent_ops=BATCH)
        await self.queue.connect()

    async def worker(self, concurrency: int) -> None:
        worker: Any = Worker(self.queue, [noop, sleep, stamp], concurrency=concurrency)
        await worker.start()

    async def add(self, kind: str) -> Any:
        return await self.queue.enqueue(kind, payload=PAYLOAD, ttl=self.ttl)

    async def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            await self.add("noop")

    async def add_gathered(self, order: Order) -> None:
        for _ in range(order.n // BATCH):
            await asyncio.gather(*[self.add("noop") for _ in range(BATCH)])

    async def fill(self, order: Order) -> None:
        for _ in range(0, order.n, BATCH):
            self.jobs += await asyncio.gather(*[self.add(order.kind) for _ in range(BATCH)])

    async def drain(self, order: Order) -> Reading:
        return await drained(tally, order.n, self.worker(order.concurrency))

    async def work(self, order: Order) -> None:
        await background.start(self.worker(order.concurrency))

    async def send(self, order: Order) -> None:
        for _ in range(order.n):
            await self.queue.enqueue("stamp", instant=time.time(), ttl=self.ttl)
            await asyncio.sleep(order.spacing)

    async def schedule(self, order: Order) -> None:
        dues = [order.at + i * order.spacing for i in range(order.n)]
        for i in range(0, order.n, BATCH):
            await asyncio.gather(
                *[
                    self.queue.enqueue("stamp", instant=due, scheduled=due, ttl=self.ttl)
                    for due in dues[i : i + BATCH]
                ]
            )

    async def fill_later(self, order: Order) -> None:
        when = int(time.time()) + 3600
        for i in range(0, order.n, BATCH):
            await asyncio.gather(
                *[
                    self.queue.enqueue("noop", payload=PAYLOAD, key=f"k{i + j}", scheduled=when)
                    for j in range(min(BATCH, order.n - i))
                ]
            )

    async def cancel(self, order: Order) -> None:
        for i in range(order.n):
            job = await self.queue.job(f"k{i}")
            await job.abort("not wanted")

    async def fetch(self, order: Order) -> None:
        for i in range(0, len(self.jobs), BATCH):
            await self.queue.jobs([job.key for job in self.jobs[i : i + BATCH]])


subject = Subject()
OPERATIONS = (
    subject.reset,
    subject.add_one,
    subject.add_gathered,
    subject.fill,
    subject.drain,
    subject.work,
    subject.send,
    subject.schedule,
    subject.fill_later,
    subject.cancel,
    subject.fetch,
)
serve(
    Contender(
        "SAQ",
        version("saq"),
        "a sweep of stuck jobs each minute; due times in whole seconds, looked at once a second at most; "
        "what is left of a cancelled scheduled job stays for ever; "
        "ttl=-1 unless results are asked for; 100 operations at once, 2000 connections",
        {operation.__name__: operation for operation in OPERATIONS} | {"stop": background.stop},
        less="no lease: a dead worker's jobs wait for their timeout",
    )
)
