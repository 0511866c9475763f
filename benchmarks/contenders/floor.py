"""The floor as a contender: `benchmarks/floor.py` as it is, its `cycle` kind; what the protocol costs without a framework."""

import asyncio
from importlib.metadata import version
from typing import Any

from redis.asyncio import Redis

from benchmarks import floor
from benchmarks.harness import BATCH, Contender, Order, Reading, Tally, serve, server_url

tally = Tally()
client: Any = Redis
subject = floor.Floor(client.from_url(server_url()), "cycle", 150)


async def noop() -> None:
    """The floor's task, that tells when it ran as everybody's does."""
    tally.began()
    tally.ended()


floor.noop = noop


async def reset(order: Order) -> None:
    await subject.reset()


async def add_one(order: Order) -> None:
    for _ in range(order.n):
        await subject.add(1)


async def add_gathered(order: Order) -> None:
    for _ in range(order.n // BATCH):
        await asyncio.gather(*[subject.add(1) for _ in range(BATCH)])


async def add_bulk(order: Order) -> None:
    for _ in range(order.n // BATCH):
        await subject.add(BATCH)


async def drain(order: Order) -> Reading:
    tally.expect(order.n)
    await subject.drain_cycle(order.n, order.concurrency)
    return tally.reading()


serve(
    Contender(
        "floor",
        f"redis-py {version('redis')}",
        "gathered adds without a batcher",
        {
            "reset": reset,
            "add_one": add_one,
            "add_gathered": add_gathered,
            "add_bulk": add_bulk,
            "fill": add_bulk,
            "drain": drain,
        },
        less="no framework: no retries, results, limits, metrics, lease",
        kinds=("noop",),
    )
)
