# /// script
# requires-python = ">=3.12"
# dependencies = ["taskiq==0.13.0", "taskiq-redis==1.2.4", "hiredis==3.5.0", "uvloop==0.23.0"]
# ///
"""taskiq on redis streams as a contender (second argument `list`: its broker on a redis list, without acknowledgements)."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from taskiq import TaskiqDepends
from taskiq.api import run_receiver_task
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.harness import BATCH, PAYLOAD, SLEEP, Contender, Order, Reading, Tally, serve, server_url
from benchmarks.peers.working import Background, drained, roomy

logging.getLogger("taskiq").setLevel(logging.ERROR)
LIST = sys.argv[2:] == ["list"]
tally = Tally()
background = Background(tally)


async def noop(payload: str) -> None:
    tally.began()
    tally.ended()


async def sleep(payload: str) -> None:
    tally.began()
    await asyncio.sleep(SLEEP)
    tally.ended()


async def one() -> AsyncIterator[int]:
    yield 1


async def depends(
    payload: str,
    a: int = TaskiqDepends(one, use_cache=False),
    b: int = TaskiqDepends(one, use_cache=False),
    c: int = TaskiqDepends(one, use_cache=False),
) -> int:
    tally.began()
    tally.ended()
    return a + b + c


async def stamp(instant: float) -> None:
    tally.stamp(instant)


FUNCTIONS: dict[str, Any] = {"noop": noop, "sleep": sleep, "depends": depends, "stamp": stamp}
"""By names written out: taskiq renames the function that it wraps."""


class Subject:
    """The broker of the present workload."""

    def __init__(self) -> None:
        self.broker: Any = None
        self.tasks: list[Any] = []

    async def reset(self, order: Order) -> None:
        if self.broker is not None:
            await self.broker.shutdown()
        if LIST:
            self.broker = ListQueueBroker(roomy(server_url()))
        else:
            self.broker = RedisStreamBroker(roomy(server_url()), consumer_id="0", xread_count=1000)
        if order.results:
            self.broker = self.broker.with_result_backend(
                RedisAsyncResultBackend(roomy(server_url()), result_ex_time=900)
            )
        self.does = {name: self.broker.task(name)(function) for name, function in FUNCTIONS.items()}
        self.tasks = []
        await self.broker.startup()

    async def worker(self, concurrency: int) -> None:
        """Arguments are not validated against their types: the fastest that taskiq has."""
        await run_receiver_task(
            self.broker, max_async_tasks=concurrency, max_prefetch=1000, validate_params=False
        )

    async def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            await self.does["noop"].kiq(PAYLOAD)

    async def add_gathered(self, order: Order) -> None:
        for _ in range(order.n // BATCH):
            await asyncio.gather(*[self.does["noop"].kiq(PAYLOAD) for _ in range(BATCH)])

    async def fill(self, order: Order) -> None:
        task = self.does[order.kind]
        for _ in range(0, order.n, BATCH):
            self.tasks += await asyncio.gather(*[task.kiq(PAYLOAD) for _ in range(BATCH)])

    async def drain(self, order: Order) -> Reading:
        return await drained(tally, order.n, self.worker(order.concurrency))

    async def work(self, order: Order) -> None:
        await background.start(self.worker(order.concurrency))

    async def send(self, order: Order) -> None:
        for _ in range(order.n):
            await self.does["stamp"].kiq(time.time())
            await asyncio.sleep(order.spacing)

    async def fetch(self, order: Order) -> None:
        for i in range(0, len(self.tasks), BATCH):
            await asyncio.gather(*[task.get_result() for task in self.tasks[i : i + BATCH]])


subject = Subject()
OPERATIONS = (
    subject.reset,
    subject.add_one,
    subject.add_gathered,
    subject.fill,
    subject.drain,
    subject.work,
    subject.send,
    subject.fetch,
)
NOTE = "scheduling is a process of its own; no results unless asked for; prefetch of 1000, 2000 connections"
serve(
    Contender(
        "taskiq, list" if LIST else "taskiq, streams",
        f"{version('taskiq')} (taskiq-redis {version('taskiq-redis')})",
        NOTE,
        {operation.__name__: operation for operation in OPERATIONS} | {"stop": background.stop},
        less="no acknowledgement (what a worker holds is lost with it), no idempotency, no cancelling"
        if LIST
        else "no idempotency, no lease renewal (after 10 min a running task begins elsewhere, too), no cancelling",
        kinds=("noop", "sleep", "depends"),
    )
)
