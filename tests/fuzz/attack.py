"""Damaged entries among good ones, and a worker that runs through them: what became of each."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from shadows import Shadow, Worker
from shadows.protocol.keys import Keys
from tests.fuzz.damage import Entry, Kind, Parked, Vandal

MOST_DEAD = 20_000
PATIENCE = 600.0
"""Seconds after which a run counts as stuck."""


@dataclass(slots=True)
class Figures:
    """What was put in, and where it was found afterwards."""

    damaged: Counter[Kind] = field(default_factory=Counter[Kind])
    neighbours: int = 0
    ran: int = 0
    ran_again: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])
    missing: list[str] = field(default_factory=list[str])
    """Damaged ones that are in no dead letter."""
    left: dict[str, int] = field(default_factory=dict[str, int])
    """What still stands in keys that must be empty."""

    @property
    def sound(self) -> bool:
        """Whether every neighbour ran once, every damaged one is a dead letter, and nothing is stuck."""
        return (
            self.ran == self.neighbours
            and not self.ran_again
            and not self.missing
            and not any(self.left.values())
            and self.reasons.total() == self.damaged.total()
        )

    def lines(self) -> list[str]:
        """The figures for people, a line each."""
        return [
            f"damaged: {self.damaged.total()} ({', '.join(f'{kind.value} {n}' for kind, n in self.damaged.items())})",
            f"dead letters: {self.reasons.total()} ({', '.join(f'{why} {n}' for why, n in self.reasons.items())})",
            f"damaged in no dead letter: {len(self.missing)}",
            f"neighbours: {self.neighbours}, run: {self.ran}, run twice: {self.ran_again}",
            f"left behind: {', '.join(f'{role} {n}' for role, n in self.left.items())}",
        ]


async def attack(name: str, url: str, entries: int, seed: int, patience: float = PATIENCE) -> Figures:
    """Put in so many damaged entries, each beside a good one, and run a worker until nothing is left.

    Raises:
        TimeoutError: the worker did not come to an end.
    """
    figures = Figures()
    runs: Counter[str] = Counter()

    async def neighbour(key: str = "") -> None:
        runs[key] += 1

    async with Shadow(name, url, max_dead=MOST_DEAD) as shadows, Redis.from_url(url) as redis:
        shadows.register(neighbour)
        vandal, tokens = Vandal(seed, "neighbour"), dict[str, Entry | Parked]()
        for number in range(entries):
            await shadows.add(neighbour, key=f"good-{number}")(f"good-{number}")
            damaged = vandal.next()
            figures.damaged[damaged.kind] += 1
            tokens[await _put(redis, shadows.store.keys, damaged)] = damaged
        figures.neighbours = entries
        async with Worker(shadows, concurrency=100) as worker, asyncio.timeout(patience):
            await worker.run_until_finished()
        letters = await shadows.dead_letters(limit=entries + 100)
        found = {letter.id for letter in letters} | {f"key {letter.key}" for letter in letters}
        figures.missing = [token for token in tokens if token not in found]
        figures.reasons.update(letter.reason for letter in letters)
        figures.ran, figures.ran_again = len(runs), sum(n > 1 for n in runs.values())
        figures.left = await _left(redis, shadows.store.keys)
        await shadows.purge()
    return figures


async def _put(redis: Redis, keys: Keys, damaged: Entry | Parked) -> str:
    """Write it, as anybody could; what its dead letter is to be found by."""
    if isinstance(damaged, Entry):
        number: Any = await redis.execute_command("XADD", keys.ready("default"), "*", *damaged.fields)  # type: ignore[no-untyped-call]
        return f"default/{number.decode()}"
    pipe = redis.pipeline()
    pipe.hset(keys["live"], damaged.key, "~due")
    if damaged.value is not None:
        pipe.hset(keys["parked"], damaged.key, damaged.value)
    pipe.zadd(keys["due"], {damaged.key: damaged.instant})
    await pipe.execute()
    return f"key {damaged.key.decode()}"


async def _left(redis: Redis, keys: Keys) -> dict[str, int]:
    pending = await redis.xpending(keys.ready("default"), "g")
    return {
        "stream": await redis.xlen(keys.ready("default")),
        "pending": pending["pending"],
        "live": await redis.hlen(keys["live"]),
        "due": await redis.zcard(keys["due"]),
        "parked": await redis.hlen(keys["parked"]),
    }
