"""shadows as a contender, through its public API: with its defaults, or (second argument `off`) without kept results."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from io import StringIO
from typing import Any

from redis.asyncio import Redis

from benchmarks.harness import BATCH, PAYLOAD, SLEEP, Contender, Order, Reading, Tally, serve, server_url
from shadows import DeadLetter, Depends, Execution, Perpetual, Shadow, Worker

FAILING = 2_000
"""Dead letters that come of failures."""
CHUNK = 1_000
OFF = sys.argv[2:] == ["off"]
tally = Tally()


async def noop(payload: str) -> None:
    """The task that does nothing."""
    tally.began()
    tally.ended()


async def doomed(payload: str) -> None:
    """Fails."""
    tally.began()
    tally.ended()
    raise ValueError


async def sleep(payload: str) -> None:
    """Waits, as for a network."""
    tally.began()
    await asyncio.sleep(SLEEP)
    tally.ended()


async def stamp(instant: float) -> None:
    """Tells how late it is."""
    tally.stamp(instant)


async def tick(perpetual: Perpetual = Perpetual(every=timedelta(seconds=1), automatic=True)) -> None:
    """The task of each second."""


@asynccontextmanager
async def one() -> AsyncGenerator[int]:
    """A dependency as a task has them: opened for the run, closed after it."""
    yield 1


async def depends(payload: str, a: int = Depends(one), b: int = Depends(one), c: int = Depends(one)) -> int:
    """Has three dependencies, and a result."""
    tally.began()
    tally.ended()
    return a + b + c


KINDS: dict[str, Callable[..., Any]] = {"noop": noop, "sleep": sleep, "depends": depends, "doomed": doomed}


async def copy(letters: list[DeadLetter], n: int) -> None:
    """Put n more dead letters beside these, a little older, each the copy of one, straight into the server."""
    client: Any = Redis
    async with client.from_url(server_url()) as redis:
        died = min(letter.died_at for letter in letters).timestamp() * 1000 - 1
        blobs = await redis.hmget("{bench}:dead", [letter.id for letter in letters])
        for start in range(0, n, CHUNK):
            ids = [f"copy/{i}" for i in range(start, min(n, start + CHUNK))]
            await redis.hset("{bench}:dead", mapping=dict(zip(ids, blobs, strict=False)))
            await redis.zadd("{bench}:dead:at", dict.fromkeys(ids, died))


class Subject:
    """The shadow of the present workload, and its workers while they run in the background."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.executions: list[Execution[Any]] = []
        self.letters: list[DeadLetter] = []
        self.working: list[asyncio.Task[None]] = []

    async def reset(self, order: Order) -> None:
        await self.stack.aclose()
        kept = timedelta(0) if OFF else timedelta(minutes=15)
        shadows = Shadow("bench", server_url(), execution_ttl=kept)
        self.shadows = await self.stack.enter_async_context(shadows)
        for function in (*KINDS.values(), stamp):
            self.shadows.register(function)
        self.executions = []

    async def add_one(self, order: Order) -> None:
        add = self.shadows.add(noop)
        for _ in range(order.n):
            await add(PAYLOAD)

    async def add_gathered(self, order: Order) -> None:
        add = self.shadows.add(noop)
        for _ in range(order.n // BATCH):
            await asyncio.gather(*[add(PAYLOAD) for _ in range(BATCH)])

    async def add_bulk(self, order: Order) -> None:
        call = self.shadows.call(noop)
        await self.shadows.add_many(call(PAYLOAD) for _ in range(order.n))

    async def fill(self, order: Order) -> None:
        call = self.shadows.call(KINDS[order.kind])
        executions = await self.shadows.add_many(call(PAYLOAD) for _ in range(order.n))
        self.executions = executions if order.results else []

    async def drain(self, order: Order) -> Reading:
        """Metrics are listened to where dependencies are asked for, so that everything is on at once."""
        from shadows.telemetry import serve as listen

        tally.expect(order.n)
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(Worker(self.shadows, concurrency=order.concurrency))
            if order.kind == "depends":
                await stack.enter_async_context(listen(self.shadows, worker, metrics_port=0))
            worker.stop_after(order.n, worker.stop)
            await worker.run_forever()
        return tally.reading()

    async def work(self, order: Order) -> None:
        tally.expect(0)
        if order.kind == "perpetual":
            self.shadows.register(tick)
        for _ in range(order.n or 1):
            ready = asyncio.Event()
            self.working.append(asyncio.create_task(self.work_on(order.concurrency, ready)))
            await ready.wait()

    async def work_on(self, concurrency: int, ready: asyncio.Event) -> None:
        """One worker, until it is cancelled."""
        async with Worker(self.shadows, concurrency=concurrency) as worker:
            ready.set()
            await worker.run_forever()

    async def stop(self, order: Order) -> Reading:
        await tally.stamped(order)
        for task in self.working:
            task.cancel()
        await asyncio.gather(*self.working, return_exceptions=True)
        self.working = []
        return {"late": tally.late}

    async def send(self, order: Order) -> None:
        add = self.shadows.add(stamp)
        for _ in range(order.n):
            await add(time.time())
            await asyncio.sleep(order.spacing)

    async def schedule(self, order: Order) -> None:
        await self.shadows.add_many(
            self.shadows.call(stamp, when=datetime.fromtimestamp(due, UTC))(due)
            for due in (order.at + i * order.spacing for i in range(order.n))
        )

    async def fill_later(self, order: Order) -> None:
        when = datetime.now(UTC) + timedelta(hours=1)
        await self.shadows.add_many(
            self.shadows.call(noop, when=when, key=f"k{i}")(PAYLOAD) for i in range(order.n)
        )

    async def replace(self, order: Order) -> None:
        when = datetime.now(UTC) + timedelta(hours=2)
        for i in range(order.n):
            await self.shadows.replace(noop, when, f"k{i}")(PAYLOAD)

    async def cancel(self, order: Order) -> None:
        for i in range(order.n):
            await self.shadows.cancel(f"k{i}")

    async def fill_dead(self, order: Order) -> None:
        """The first fail, without a word in the log, and are kept; of these the others are copies: a million take minutes."""
        failing = Order("drain", n=min(order.n, FAILING))
        kept = Shadow("bench", server_url(), max_dead=2 * order.n)
        self.shadows = await self.stack.enter_async_context(kept)
        for function in KINDS.values():
            kept.register(function)
        call = kept.call(doomed)
        logging.disable(logging.CRITICAL)
        try:
            await kept.add_many(call(PAYLOAD) for _ in range(failing.n))
            await self.drain(failing)
        finally:
            logging.disable(logging.NOTSET)
        self.letters = await kept.dead_letters(limit=failing.n)
        await copy(self.letters, order.n - failing.n)

    async def requeue(self, order: Order) -> None:
        for letter in self.letters[: order.n]:
            await self.shadows.requeue(letter.id)

    async def discard(self, order: Order) -> None:
        for letter in self.letters[-order.n :]:
            await self.shadows.discard(letter.id)

    async def clear(self, order: Order) -> None:
        await self.shadows.clear()

    async def command(self, order: Order) -> None:
        """In a thread, since a command has an event loop of its own."""
        from shadows.cli.app import app

        words = [*order.kind.split(), "--shadows", "bench", "--url", server_url()]
        with redirect_stdout(StringIO()):
            await asyncio.to_thread(app, words, standalone_mode=False)

    async def fetch(self, order: Order) -> None:
        for i in range(0, len(self.executions), BATCH):
            await asyncio.gather(*[one.get_result() for one in self.executions[i : i + BATCH]])

    async def snapshot(self, order: Order) -> None:
        await self.shadows.snapshot()


subject = Subject()
OPERATIONS = (
    subject.reset,
    subject.add_one,
    subject.add_gathered,
    subject.add_bulk,
    subject.fill,
    subject.drain,
    subject.work,
    subject.stop,
    subject.send,
    subject.schedule,
    subject.fill_later,
    subject.replace,
    subject.cancel,
    subject.snapshot,
    subject.command,
    subject.fill_dead,
    subject.requeue,
    subject.discard,
    subject.clear,
)
does = {operation.__name__: operation for operation in OPERATIONS}
if not OFF:
    does["fetch"] = subject.fetch
serve(
    Contender(
        "shadows, results off" if OFF else "shadows",
        version("shadow-task"),
        "results, records and events off (execution_ttl=0)" if OFF else "its defaults",
        does,
        kinds=tuple(KINDS),
    )
)
