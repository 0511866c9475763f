"""The same tasks for pydocket, in an environment of its own: nothing of shadows is imported here.

    python -m chaos.peer produce PLAN DOCKET URL LOG BEGIN
    python -m chaos.peer records PLAN DOCKET URL PATIENCE

It has no follow-ups that are recorded with a task's success, so a leading task adds its follower itself; no `def` tasks, so
`threaded` goes to a thread by itself; and no `unique_for`, but its records keep a key taken for fifteen minutes.
"""

# pyright: basic, reportMissingImports=false
# mypy: ignore-errors

import asyncio
import ctypes
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from docket import ConcurrencyLimit, CurrentDocket, CurrentExecution, Docket, Perpetual, Retry, TaskKey

from chaos.effects import note, noted
from chaos.plan import AT_ONCE, ATTEMPTS, FOLLOWER, Job, read_log, read_plan

PAUSE = 0.05


async def instant(key: str = TaskKey()) -> None:
    with noted(key, 1):
        pass


async def sleeping(seconds: float, key: str = TaskKey()) -> None:
    with noted(key, 1):
        await asyncio.sleep(seconds)


async def threaded(seconds: float, key: str = TaskKey()) -> None:
    with noted(key, 1):
        await asyncio.to_thread(time.sleep, seconds)


async def retried(
    seconds: float,
    key: str = TaskKey(),
    execution=CurrentExecution(),
    retry: Retry = Retry(attempts=ATTEMPTS, delay=timedelta(milliseconds=50)),
) -> None:
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
    with noted(key, step):
        if step == steps:
            chain.cancel()
        else:
            chain.perpetuate(step + 1, steps)


async def leading(seconds: float, key: str = TaskKey(), docket: Docket = CurrentDocket()) -> None:
    with noted(key, 1):
        await asyncio.sleep(seconds)
        await docket.add(instant, key=key + FOLLOWER)()


async def limited(
    seconds: float,
    group: int = 1,
    key: str = TaskKey(),
    limit: ConcurrencyLimit = ConcurrencyLimit("group", max_concurrent=AT_ONCE),
) -> None:
    with noted(key, 1):
        await asyncio.sleep(seconds)


async def computing(seconds: float, key: str = TaskKey()) -> None:
    with noted(key, 1):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))


async def holding(seconds: float, key: str = TaskKey()) -> None:
    with noted(key, 1):
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


async def poison(key: str = TaskKey()) -> None:
    note("start", key, 1)
    os._exit(9)


tasks = [instant, sleeping, threaded, retried, perpetual, leading, limited, computing, holding, poison]
_FUNCTIONS = {task.__name__: task for task in tasks}


async def opened(name: str, url: str) -> Docket:
    """The docket, once its server answers."""
    while True:
        docket = Docket(name, url)
        for task in tasks:
            docket.register(task)
        try:
            return await docket.__aenter__()
        except Exception:  # noqa: BLE001 - whatever keeps it from opening passes
            await asyncio.sleep(PAUSE)


async def produce(plan: Path, name: str, url: str, log: Path, begin: float) -> None:
    """Add what of the plan is not accepted yet, each job until it is."""
    accepted, _ = read_log(log)
    left = [job for job in read_plan(plan) if job.key not in accepted]
    docket = await opened(name, url)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def add(job: Job) -> None:
        await asyncio.sleep(max(0.0, begin + job.at - time.time()))
        when = datetime.now(UTC) + timedelta(seconds=job.delay) if job.delay else None
        os.write(file, f"tried {job.key} {time.time():.6f}\n".encode())
        arguments = (*job.arguments, 1) if job.task == "limited" else job.arguments
        while True:
            try:
                await docket.add(_FUNCTIONS[job.task], when, job.key)(*arguments)
            except Exception:  # noqa: BLE001 - whatever it says, it is tried again
                await asyncio.sleep(PAUSE)
            else:
                os.write(file, f"accepted {job.key} {time.time():.6f}\n".encode())
                return

    async with asyncio.TaskGroup() as adding:
        for job in left:
            adding.create_task(add(job))
    await docket.__aexit__(None, None, None)


async def records(plan: Path, name: str, url: str, patience: float) -> dict[str, tuple[str, str | None]]:
    """What is recorded of each key, once all have ended, or patience has."""
    docket = await opened(name, url)
    left = {key for job in read_plan(plan) for key in job.keys}
    found: dict[str, tuple[str, str | None]] = {}
    end = time.monotonic() + patience
    while left and time.monotonic() < end:
        for key in sorted(left):
            execution = await docket.get_execution(key)
            if execution is not None:
                found[key] = (execution.state.value, execution.worker)
        left = {key for key in left if found.get(key, ("",))[0] not in ("completed", "failed", "cancelled")}
        await asyncio.sleep(0.5)
    return found


if __name__ == "__main__":
    _, what, plan, name, url, *rest = sys.argv
    if what == "produce":
        asyncio.run(produce(Path(plan), name, url, Path(rest[0]), float(rest[1])))
    else:
        sys.stdout.write(json.dumps(asyncio.run(records(Path(plan), name, url, float(rest[0])))))
