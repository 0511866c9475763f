"""Odd contents in every key of a shadow: what clients are told, and what becomes of tasks that run meanwhile."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from shadows import (
    ConcurrencyLimit,
    Perpetual,
    RateLimit,
    Retry,
    Shadow,
    ShadowError,
    TaskKey,
    Worker,
)
from shadows.errors import InvalidName
from shadows.protocol.keys import DEFAULT_QUEUE, check_queue
from tests.fuzz.contents import ROLES, Contents, Damage
from tests.fuzz.operations import OPERATIONS, failure, furnish
from tests.fuzz.types import Ground
from tests.support.waiting import until

MS = timedelta(milliseconds=1)
PATIENCE = 20.0
"""Seconds after which a worker counts as stuck."""
_AT_ONCE = 10
"""How many workers run beside each other."""
ONCE = {
    "completing": 1, "failing": 1, "retrying": 2, "limited": 1, "limited next": 1, "rated": 1, "rated next": 1,
    "repeating": 3, "kept taken": 1, "later": 1,
}  # fmt: skip
"""How often each task runs where nothing is amiss."""


async def ask_everything(shadows: Shadow, ground: Ground, damages: Sequence[Damage]) -> list[str]:
    """Do all that clients do after each damage; those that failed with anything but an error of ours."""
    whole, complaints = await ground.save(), list[str]()
    for damage in damages:
        for name, operation in OPERATIONS.items():
            await ground.load(whole)
            await damage.do(ground.redis)
            error = await failure(asyncio.wait_for(operation(shadows), PATIENCE))
            if error is not None and not isinstance(error, ShadowError):
                complaints.append(f"{damage.role}, {damage.shown}: {name}: {error!r}")
    await ground.load(whole)
    return complaints


def bearable(contents: Contents, damages: Sequence[Damage]) -> list[Damage]:
    """Those that a worker is done with at once: a queue's name that nobody has registered is waited for."""

    def names_a_queue(word: bytes) -> bool:
        queue, slash, _ = word.partition(b"/")
        try:
            return bool(slash) and check_queue(queue.decode(errors="replace")) != DEFAULT_QUEUE
        except InvalidName:
            return False

    if contents.role == "live":  # without it nothing is known to be unfinished
        return [damage for damage in damages if damage.shown != "nothing"]
    if contents.role != "parked":
        return list(damages)
    return [
        damage for damage in damages if not any(names_a_queue(command[-1]) for command in damage.commands)
    ]


@dataclass(slots=True)
class Bystanders:
    """Tasks of every kind, each held until it may end."""

    shadows: Shadow
    runs: Counter[str] = field(default_factory=Counter[str])
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self) -> None:
        """Add one of each, and others that wait for them."""
        runs, gate = self.runs, self.gate

        async def completing(key: str = TaskKey()) -> None:
            runs[key] += 1
            await gate.wait()

        async def failing(key: str = TaskKey()) -> None:
            runs[key] += 1
            await gate.wait()
            raise ValueError

        async def retrying(key: str = TaskKey(), retry: Retry = Retry(2, MS)) -> None:
            runs[key] += 1
            await gate.wait()
            raise ValueError

        async def limited(key: str = TaskKey(), limit: ConcurrencyLimit = ConcurrencyLimit(1)) -> None:
            runs[key] += 1
            await gate.wait()

        async def rated(key: str = TaskKey(), limit: RateLimit = RateLimit(1, per=200 * MS)) -> None:
            runs[key] += 1
            await gate.wait()

        async def repeating(key: str = TaskKey(), every: Perpetual = Perpetual(MS)) -> None:
            runs[key] += 1
            await gate.wait()
            if runs[key] == ONCE["repeating"]:
                every.cancel()

        shadows = self.shadows
        for task in (completing, failing, retrying, limited, rated, repeating):
            await shadows.add(task, key=task.__name__)()
        await shadows.add(limited, key="limited next")()
        await shadows.add(rated, key="rated next")()
        await shadows.add(completing, key="kept taken", unique_for=timedelta(hours=1))()
        await shadows.add(completing, datetime.now(UTC) + 200 * MS, key="later")()

    def begun(self) -> bool:
        """Whether all that may begin at once have begun."""
        waiting = {"limited next", "rated next", "later"}
        return ONCE.keys() - waiting <= self.runs.keys()


async def run_meanwhile(
    redis: Redis, name: str, url: str, role: str, seed: int | None, nth: int = 0
) -> list[str]:
    """Damage a key while tasks of every kind run: much beside what is there, or the nth damage in its place; complaints."""
    contents, complaints = Contents(redis, name, role), list[str]()
    async with Shadow(name, url, heartbeat_interval=20 * MS) as shadows:
        tasks = Bystanders(shadows)
        await tasks.add()
        async with Worker(
            shadows, reconnection_delay=50 * MS, redelivery_timeout=timedelta(seconds=1)
        ) as worker:
            working = asyncio.create_task(worker.run_until_finished())
            await until(tasks.begun)
            damages = bearable(contents, await contents.instead())
            damage = damages[nth % len(damages)] if seed is None else contents.beside(random.Random(seed))
            await damage.do(redis)
            tasks.gate.set()
            _, stuck = await asyncio.wait([working], timeout=PATIENCE)
            if stuck:
                complaints.append("the worker does not come to an end")
                working.cancel()
            if error := (await asyncio.gather(working, return_exceptions=True))[0]:
                complaints.append(f"the worker ended with {error!r}")
        complaints += await _wrong(redis, shadows, tasks.runs, role, own=seed is None)
        await shadows.purge()
    return [f"{role}, {damage.shown}: {complaint}" for complaint in complaints]


async def damage_contents(name: str, url: str, seed: int) -> tuple[int, list[str]]:
    """All of it, for every key; how many damages there were, and the complaints."""
    complaints, count = list[str](), 0
    async with Redis.from_url(url) as redis:
        for role in ROLES:
            async with Shadow(name, url) as shadows:
                await furnish(shadows)
                contents = Contents(redis, name, role)
                damages = [contents.beside(random.Random(seed)), *await contents.instead()]
                complaints += await ask_everything(shadows, Ground(redis, name), damages)
                await shadows.purge()
            count += len(damages)
            for first in range(0, len(damages), _AT_ONCE):
                several = range(first, min(first + _AT_ONCE, len(damages)))
                runs = [run_meanwhile(redis, f"{name}-{nth}", url, role, None, nth) for nth in several]
                runs.append(run_meanwhile(redis, f"{name}-beside", url, role, seed + first))
                for found in await asyncio.gather(*runs):
                    complaints += found
    return count, complaints


async def _wrong(redis: Redis, shadows: Shadow, runs: Counter[str], role: str, *, own: bool) -> list[str]:
    """What is not as it must be; `own`: what was damaged was the tasks' own."""
    letters = {letter.key: letter.reason for letter in await shadows.dead_letters(limit=1000)}
    wrong: list[str] = []
    for key, once in ONCE.items():
        times = runs[key]
        if own and role in (
            "live",
            "parked",
        ):  # its call or its place is gone: it is not run, and kept, or it is run
            sound = times <= once and (times == once or letters.get(key) in ("lost", "undecodable"))
        elif own and role == "leases":  # its worker lost its lease, and what ran is run again
            sound = once <= times <= 2 * once
        else:
            sound = times == once and (letters.get(key) == "failed") == (key in ("failing", "retrying"))
        if not sound and not (own and role in ("dead", "dead:at") and times == once):
            wrong.append(f"{key} was run {times} times, and is {letters.get(key, 'no dead letter')}")
    keys = shadows.store.keys
    left = {
        "live": await redis.hlen(keys["live"].decode()),
        "due": await redis.zcard(keys["due"]),
        "waiting": await redis.zcard(keys["waiting"]),
        "stream": await redis.xlen(keys.ready(DEFAULT_QUEUE)),
    }
    return wrong + [f"{count} left in {where}" for where, count in left.items() if count]
