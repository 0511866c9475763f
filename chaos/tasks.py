"""The tasks of the suite, one of each kind. Workers load them as `chaos.tasks:tasks`.

A *step* is one run that has to happen: an attempt of a retried task, a link of a perpetual chain, else the only one.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from chaos.effects import note, noted
from chaos.plan import AT_ONCE, ATTEMPTS, FOLLOWER
from shadows import ConcurrencyLimit, CurrentExecution, Execution, Perpetual, Retry, TaskKey

_THIS: Any = CurrentExecution()


async def instant(key: str = TaskKey()) -> None:
    """Nothing but its effect."""
    with noted(key, 1):
        pass


async def sleeping(seconds: float, key: str = TaskKey()) -> None:
    """Waits."""
    with noted(key, 1):
        await asyncio.sleep(seconds)


def threaded(seconds: float, key: str = TaskKey()) -> None:
    """Waits in a thread of its worker."""
    with noted(key, 1):
        time.sleep(seconds)


async def retried(
    seconds: float,
    key: str = TaskKey(),
    execution: Execution[Any] = _THIS,
    retry: Retry = Retry(attempts=ATTEMPTS, delay=timedelta(milliseconds=50)),
) -> None:
    """Fails until its last attempt."""
    with noted(key, execution.attempt):
        await asyncio.sleep(seconds)
        if execution.attempt < ATTEMPTS:
            raise ValueError(f"attempt {execution.attempt} fails on purpose")


async def perpetual(
    step: int,
    steps: int,
    key: str = TaskKey(),
    chain: Perpetual = Perpetual(every=timedelta(milliseconds=100)),
) -> None:
    """A chain that counts its runs, and ends itself."""
    with noted(key, step):
        if step == steps:
            chain.cancel()
        else:
            chain.perpetuate(step + 1, steps)


async def leading(seconds: float, key: str = TaskKey(), execution: Execution[Any] = _THIS) -> None:
    """Has another follow it."""
    with noted(key, 1):
        await asyncio.sleep(seconds)
        execution.then(instant, key=key + FOLLOWER)()


async def limited(
    seconds: float,
    key: str = TaskKey(),
    limit: ConcurrencyLimit = ConcurrencyLimit(max_concurrent=AT_ONCE),
) -> None:
    """One of few at a time."""
    with noted(key, 1):
        await asyncio.sleep(seconds)


async def computing(seconds: float, key: str = TaskKey()) -> None:
    """Computes without giving the event loop a turn."""
    with noted(key, 1):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))


async def holding(seconds: float, key: str = TaskKey()) -> None:
    """Keeps the interpreter's lock, so that no thread of its worker gets a turn."""
    with noted(key, 1):
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


async def poison(key: str = TaskKey()) -> None:
    """Kills its worker."""
    note("start", key, 1)
    os._exit(9)


tasks: list[Callable[..., Any]] = [
    instant,
    sleeping,
    threaded,
    retried,
    perpetual,
    leading,
    limited,
    computing,
    holding,
    poison,
]
