# /// script
# requires-python = ">=3.12"
# dependencies = ["streaq==7.2.0", "hiredis==3.5.0", "uvloop==0.23.0"]
# ///
"""streaq as a contender."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from streaq import Worker

from benchmarks.harness import BATCH, PAYLOAD, SLEEP, Contender, Order, Reading, Tally, serve, server_url
from benchmarks.peers.working import Background, drained, ended

logging.getLogger("streaq").setLevel(logging.WARNING)
tally = Tally()
background = Background(tally)


async def noop(payload: str) -> None:
    tally.began()
    tally.ended()


async def sleep(payload: str) -> None:
    tally.began()
    await asyncio.sleep(SLEEP)
    tally.ended()


async def stamp(instant: float) -> None:
    tally.stamp(instant)


class Subject:
    """The queue of the present workload: a worker object is its client too."""

    def __init__(self) -> None:
        self.held: asyncio.Task[None] | None = None
        self.results = False
        self.tasks: list[Any] = []

    def queue(self, concurrency: int) -> tuple[Worker[Any], dict[str, Any]]:
        """A worker and its tasks. Reads ahead as much as it runs, yet 100 at least."""
        worker: Worker[Any] = Worker(
            redis_url=server_url(),
            concurrency=concurrency,
            prefetch=max(concurrency, 100),
            handle_signals=False,
        )
        options = {"ttl": timedelta(minutes=15) if self.results else 0, "silent": True}
        return worker, {fn.__name__: worker.task(**options)(fn) for fn in (noop, sleep, stamp)}

    async def reset(self, order: Order) -> None:
        if self.held is not None:
            await ended(self.held)
        self.results, self.tasks = order.results, []
        self.client, self.does = self.queue(16)
        ready = asyncio.Event()
        self.held = asyncio.create_task(self.hold(ready))
        await ready.wait()

    async def hold(self, ready: asyncio.Event) -> None:
        """Keep the client open until it is cancelled: it has to be closed by the task that opened it."""
        async with self.client:
            ready.set()
            await asyncio.Event().wait()

    async def worker(self, concurrency: int) -> None:
        worker, _ = self.queue(concurrency)
        await worker.run_async()

    async def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            await self.does["noop"].enqueue(PAYLOAD)

    async def add_gathered(self, order: Order) -> None:
        async def add() -> None:
            await self.does["noop"].enqueue(PAYLOAD)

        for _ in range(order.n // BATCH):
            await asyncio.gather(*[add() for _ in range(BATCH)])

    async def add_bulk(self, order: Order) -> None:
        for _ in range(order.n // BATCH):
            await self.client.enqueue_many([self.does["noop"].enqueue(PAYLOAD) for _ in range(BATCH)])

    async def fill(self, order: Order) -> None:
        self.tasks = [self.does[order.kind].enqueue(PAYLOAD) for _ in range(order.n)]
        for i in range(0, order.n, BATCH):
            await self.client.enqueue_many(self.tasks[i : i + BATCH])

    async def drain(self, order: Order) -> Reading:
        return await drained(tally, order.n, self.worker(order.concurrency))

    async def work(self, order: Order) -> None:
        await background.start(self.worker(order.concurrency))

    async def send(self, order: Order) -> None:
        for _ in range(order.n):
            await self.does["stamp"].enqueue(time.time())
            await asyncio.sleep(order.spacing)

    async def schedule(self, order: Order) -> None:
        dues = [order.at + i * order.spacing for i in range(order.n)]
        tasks = [
            self.does["stamp"].enqueue(due).start(schedule=datetime.fromtimestamp(due, UTC)) for due in dues
        ]
        for i in range(0, order.n, BATCH):
            await self.client.enqueue_many(tasks[i : i + BATCH])

    async def fill_later(self, order: Order) -> None:
        when = datetime.now(UTC) + timedelta(hours=1)
        tasks = [self.does["noop"].enqueue(PAYLOAD).start(schedule=when) for _ in range(order.n)]
        for i, task in enumerate(tasks):
            task.id = f"k{i}"
        for i in range(0, order.n, BATCH):
            await self.client.enqueue_many(tasks[i : i + BATCH])

    async def cancel(self, order: Order) -> None:
        for i in range(order.n):
            assert await self.client.abort_by_id(f"k{i}", timeout=0)

    async def fetch(self, order: Order) -> None:
        """Ten at once: each takes a connection for itself, and a hundred wait for one for ever."""
        for i in range(0, len(self.tasks), 10):
            await asyncio.gather(*[task.result() for task in self.tasks[i : i + 10]])


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
    subject.cancel,
    subject.fetch,
)
serve(
    Contender(
        "streaq",
        version("streaq"),
        "leases of 60 s; its dependencies are of a task on other tasks; ttl=0 unless results are asked for, "
        "silent tasks, prefetch of 100 at least",
        {operation.__name__: operation for operation in OPERATIONS} | {"stop": background.stop},
        less="no replacing",
    )
)
