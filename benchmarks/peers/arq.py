# /// script
# requires-python = ">=3.12"
# dependencies = ["arq==0.28.0", "hiredis==3.5.0", "uvloop==0.23.0"]
# ///
"""arq as a contender."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks.harness import BATCH, PAYLOAD, SLEEP, Contender, Order, Reading, Tally, serve, server_url
from benchmarks.peers.working import Background, drained

logging.getLogger("arq").setLevel(logging.WARNING)
POLL = 0.002
"""Seconds between two looks at the queue (its default is 0.5): it only polls, and this is its rate and its latency."""
tally = Tally()
background = Background(tally)
type Context = dict[Any, Any]


async def noop(ctx: Context, payload: str) -> None:
    tally.began()
    tally.ended()


async def sleep(ctx: Context, payload: str) -> None:
    tally.began()
    await asyncio.sleep(SLEEP)
    tally.ended()


async def stamp(ctx: Context, instant: float) -> None:
    tally.stamp(instant)


class Subject:
    """The pool of the present workload."""

    def __init__(self) -> None:
        self.pool: Any = None
        self.results = False
        self.jobs: list[Any] = []

    async def reset(self, order: Order) -> None:
        if self.pool is not None:
            await self.pool.aclose()
        self.results, self.jobs = order.results, []
        self.pool = await create_pool(RedisSettings.from_dsn(server_url()))

    async def worker(self, concurrency: int) -> None:
        functions: list[Any] = [noop, sleep, stamp]
        worker = Worker(
            functions,
            redis_settings=RedisSettings.from_dsn(server_url()),
            max_jobs=concurrency,
            poll_delay=POLL,
            keep_result=900 if self.results else 0,
            handle_signals=False,
            log_results=False,
        )
        try:
            await worker.main()
        finally:
            await worker.close()

    async def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            await self.pool.enqueue_job("noop", PAYLOAD)

    async def add_gathered(self, order: Order) -> None:
        for _ in range(order.n // BATCH):
            await asyncio.gather(*[self.pool.enqueue_job("noop", PAYLOAD) for _ in range(BATCH)])

    async def fill(self, order: Order) -> None:
        for _ in range(0, order.n, BATCH):
            self.jobs += await asyncio.gather(
                *[self.pool.enqueue_job(order.kind, PAYLOAD) for _ in range(BATCH)]
            )

    async def drain(self, order: Order) -> Reading:
        return await drained(tally, order.n, self.worker(order.concurrency))

    async def work(self, order: Order) -> None:
        await background.start(self.worker(order.concurrency))

    async def send(self, order: Order) -> None:
        for _ in range(order.n):
            await self.pool.enqueue_job("stamp", time.time())
            await asyncio.sleep(order.spacing)

    async def schedule(self, order: Order) -> None:
        dues = [order.at + i * order.spacing for i in range(order.n)]
        for i in range(0, order.n, BATCH):
            await asyncio.gather(
                *[
                    self.pool.enqueue_job("stamp", due, _defer_until=datetime.fromtimestamp(due, UTC))
                    for due in dues[i : i + BATCH]
                ]
            )

    async def fill_later(self, order: Order) -> None:
        hour = timedelta(hours=1)
        for i in range(0, order.n, BATCH):
            await asyncio.gather(
                *[
                    self.pool.enqueue_job("noop", PAYLOAD, _job_id=f"k{i + j}", _defer_by=hour)
                    for j in range(min(BATCH, order.n - i))
                ]
            )

    async def fetch(self, order: Order) -> None:
        for i in range(0, len(self.jobs), BATCH):
            await asyncio.gather(*[job.result(poll_delay=POLL) for job in self.jobs[i : i + BATCH]])


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
    subject.fetch,
)
serve(
    Contender(
        "arq",
        version("arq"),
        "cancelling needs a running worker; polls each 2 ms (default 500 ms); keep_result=0 unless results are asked for",
        {operation.__name__: operation for operation in OPERATIONS} | {"stop": background.stop},
        less="no lease: a dead worker's jobs wait for their timeout of 5 min",
    )
)
