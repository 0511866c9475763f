"""The producer: a process of its own, which adds the jobs of a plan at their times, each until it is accepted.

    python -m chaos.producer PLAN SHADOW URL LOG BEGIN [DURABLE]

With DURABLE, accepted is only what so many replicas have: what fewer have is added again, too, and waits for them anew.
A job whose add had no answer is added again with the same key; `unique_for` keeps the key taken after its end, so that
a resent add can never be a second task. LOG has a line for each key that was tried and accepted, and for the first of each class of errors that refused it; a producer that begins again
goes on with what the log does not call accepted.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis.exceptions import RedisError

from chaos.plan import Job, read_log, read_plan
from chaos.tasks import tasks
from shadows import NotReplicated, Overloaded, Shadow, ShadowError

PAUSE = 0.05
"""Seconds between two tries."""
KEPT = timedelta(hours=1)
_FUNCTIONS = {task.__name__: task for task in tasks}


class Producer:
    """Adds jobs, and writes down what was answered."""

    def __init__(self, shadow: Shadow, log: Path, begin: float) -> None:
        self._shadow = shadow
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._begin = begin

    async def add(self, job: Job) -> None:
        """Add one job when it is its turn, as often as it takes."""
        await asyncio.sleep(max(0.0, self._begin + job.at - time.time()))
        when = datetime.now(UTC) + timedelta(seconds=job.delay) if job.delay else None
        self._write("tried", job.key)
        refused: set[str] = set()
        while True:
            try:
                await self._shadow.add(_FUNCTIONS[job.task], when, job.key, unique_for=KEPT)(*job.arguments)
            except (Overloaded, NotReplicated, RedisError, OSError) as error:
                if (name := type(error).__name__) not in refused:
                    refused.add(name)
                    self._write("refused", job.key, name)
                await asyncio.sleep(PAUSE)
            else:
                self._write("accepted", job.key)
                return

    def _write(self, word: str, key: str, *more: str) -> None:
        os.write(self._log, f"{' '.join((word, key, f'{time.time():.6f}', *more))}\n".encode())


async def produce(plan: Path, name: str, url: str, log: Path, begin: float, durable: int = 0) -> None:
    """Add what of the plan is not accepted yet."""
    accepted, _ = read_log(log)
    left = [job for job in read_plan(plan) if job.key not in accepted]
    while True:
        shadow = Shadow(name, url, durable=durable)
        for task in tasks:
            shadow.register(task)
        try:
            await shadow.__aenter__()
        except (ShadowError, RedisError, OSError):
            await asyncio.sleep(PAUSE)
        else:
            break
    try:
        producer = Producer(shadow, log, begin)
        async with asyncio.TaskGroup() as adding:
            for job in left:
                adding.create_task(producer.add(job))
    finally:
        await shadow.__aexit__(None, None, None)


if __name__ == "__main__":
    _, plan, name, url, log, begin, *durable = sys.argv
    asyncio.run(produce(Path(plan), name, url, Path(log), float(begin), *map(int, durable)))
