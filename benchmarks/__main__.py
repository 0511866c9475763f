"""Measure shadows against the floor, interleaved: floor, shadows, floor, shadows, …; medians and their ratio.

    uv run python -m benchmarks [--url URL] [--rounds 5] [--n 20000] [--only drain] [--json out.json]

The floor is `floor.py`: what Redis and the event loop cost by themselves. The database of the server is flushed; without
--url a server of its own is started. Times are of one machine at one moment: only the ratios travel.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.floor import Floor
from shadows import Shadow, Worker, embedded

PAYLOAD = "x" * 130
"""With the rest of the call this makes the 150 bytes that the floor carries."""
type Reading = dict[str, float]


async def noop(payload: str) -> None:
    """The task that does nothing."""


class Meter:
    """What the server has counted."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis

    async def read(self) -> Reading:
        """Commands, memory and processor time, as of now."""
        cpu, stats, memory = [await self.redis.info(section) for section in ("cpu", "stats", "memory")]
        return {
            "commands": stats["total_commands_processed"],
            "bytes": memory["used_memory"],
            "redis_cpu": cpu["used_cpu_sys"] + cpu["used_cpu_user"],
            "cpu": time.process_time(),
            "sent": stats["total_net_input_bytes"],
        }


async def measured(meter: Meter, n: int, work: Callable[[], Awaitable[None]]) -> Reading:
    """Rate, and cost a task, of n tasks' work."""
    before, start = await meter.read(), time.perf_counter()
    await work()
    seconds = time.perf_counter() - start
    after = await meter.read()
    return {
        "rate": n / seconds,
        "commands": (after["commands"] - before["commands"]) / n,
        "bytes": (after["bytes"] - before["bytes"]) / n,
        "sent": (after["sent"] - before["sent"]) / n,
        "cpu_us": 1e6 * (after["cpu"] - before["cpu"]) / n,
        "redis_cpu_us": 1e6 * (after["redis_cpu"] - before["redis_cpu"]) / n,
    }


async def floor_round(redis: Any, n: int, concurrency: int) -> dict[str, Reading]:
    """One round of the floor."""
    floor, meter = Floor(redis, "cycle", 150), Meter(redis)
    few = max(100, n // 10)
    result: dict[str, Reading] = {}

    async def one_by_one() -> None:
        for _ in range(few):
            await floor.add(1)

    async def gathered() -> None:
        for _ in range(n // 100):
            await floor.add(100)

    await floor.reset()
    result["enqueue one by one"] = await measured(meter, few, one_by_one)
    await floor.reset()
    result["enqueue gathered"] = await measured(meter, n, gathered)
    result[f"drain, concurrency {concurrency}"] = await measured(
        meter, n, lambda: floor.drain_cycle(n, concurrency)
    )
    return result


async def shadows_round(redis: Any, url: str, n: int, concurrency: int, ttl: timedelta) -> dict[str, Reading]:
    """One round of shadows: the same work through the public API."""
    meter = Meter(redis)
    few = max(100, n // 10)
    result: dict[str, Reading] = {}

    async def one_by_one() -> None:
        for _ in range(few):
            await add(PAYLOAD)

    async def gathered() -> None:
        for _ in range(n // 100):
            await asyncio.gather(*[add(PAYLOAD) for _ in range(100)])

    await redis.flushdb()
    async with Shadow("bench", url, execution_ttl=ttl) as shadows:
        add = shadows.add(noop)
        result["enqueue one by one"] = await measured(meter, few, one_by_one)
        await redis.flushdb()
        result["enqueue gathered"] = await measured(meter, n, gathered)
        async with Worker(shadows, concurrency=concurrency) as worker:
            result[f"drain, concurrency {concurrency}"] = await measured(meter, n, worker.run_until_finished)
    return result


async def bench(options: argparse.Namespace) -> None:
    """All rounds, then the table."""
    url = options.url or f"unix://{embedded.enter('memory://benchmarks')}"
    rounds: dict[tuple[str, str], list[Reading]] = {}
    contenders: dict[str, Callable[[Any, int], Awaitable[dict[str, Reading]]]] = {
        "floor": lambda redis, c: floor_round(redis, options.n, c),
        "shadows, results off": lambda redis, c: shadows_round(redis, url, options.n, c, timedelta(0)),
        "shadows, defaults": lambda redis, c: shadows_round(redis, url, options.n, c, timedelta(minutes=15)),
    }
    client: Any = Redis
    async with client.from_url(url) as redis:
        server = await redis.info("server")
        for _ in range(options.rounds):
            for concurrency in (10, 100):
                for contender, play in contenders.items():
                    for workload, reading in (await play(redis, concurrency)).items():
                        rounds.setdefault((workload, contender), []).append(reading)
        await redis.flushdb()
    rows = [
        {"workload": workload, "contender": contender}
        | {figure: statistics.median(reading[figure] for reading in readings) for figure in readings[0]}
        | {"ratio": statistics.median(_ratios(readings, rounds[workload, "floor"]))}
        for (workload, contender), readings in sorted(rounds.items())
        if not options.only or options.only in workload
    ]
    engine = f"{server.get('server_name', 'redis')} {server.get('valkey_version') or server['redis_version']}"
    Console().print(_table(rows, f"{engine}, n={options.n}, medians of {options.rounds} interleaved rounds"))
    if options.json:
        await asyncio.to_thread(
            Path(options.json).write_text, json.dumps({"engine": engine, "rows": rows}, indent=1)
        )


def _ratios(readings: list[Reading], floor: list[Reading]) -> list[float]:
    return [mine["rate"] / theirs["rate"] for mine, theirs in zip(readings, floor, strict=True)]


def _table(rows: list[dict[str, str | float]], title: str) -> Table:
    table = Table(title=title)
    for column in (
        "workload",
        "contender",
        "tasks/s",
        "× floor",
        "commands",
        "bytes kept",
        "bytes sent",
        "µs",
        "redis µs",
    ):
        table.add_column(column, justify="left" if column in ("workload", "contender") else "right")
    for row in rows:
        figures = [f"{row[name]:,.2f}" for name in ("commands", "bytes", "sent", "cpu_us", "redis_cpu_us")]
        table.add_row(
            str(row["workload"]),
            str(row["contender"]),
            f"{row['rate']:,.0f}",
            f"{row['ratio']:.2f}",
            *figures,
        )
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a server whose database may be flushed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=20_000, help="tasks a round")
    parser.add_argument("--only", help="only workloads with this in their name")
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(bench(options))
    else:
        uvloop.run(bench(options))


if __name__ == "__main__":
    main()
