"""Ending what takes too long."""

import asyncio
import threading
from datetime import timedelta
from functools import partial
from typing import Annotated

import pytest

from shadows import Execution, ExecutionState, Retry, Shadow, Timeout, Worker
from shadows.testing import ControlledClock
from tests.dependencies.conftest import has, running, stands
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


async def test_it_ends_the_task_with_a_timeout_error(timed: Shadow, clock: ControlledClock) -> None:
    seen: list[str] = []

    async def task(timeout: Timeout = Timeout(10 * SECOND)) -> None:
        seen.append("start")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("end")

    execution = await timed.add(task)()
    async with Worker(timed) as worker, running(worker):
        await until(lambda: seen == ["start"] and clock.next_alarm)
        await clock.advance(9.9 * SECOND)
        assert not await stands(execution, ExecutionState.FAILED)
        await clock.advance(0.1 * SECOND)
        with pytest.raises(TimeoutError, match="task took longer than 0:00:10, which is its Timeout"):
            await execution.get_result(5)
    assert seen == ["start", "end"]


async def test_retries_apply_and_each_attempt_has_the_whole_time(
    timed: Shadow, clock: ControlledClock
) -> None:
    attempts: list[int] = []

    async def task(
        timeout: Timeout = Timeout(10 * SECOND), retry: Retry = Retry(attempts=3, on=TimeoutError)
    ) -> str:
        attempts.append(retry.attempt)
        if retry.attempt < 3:
            await asyncio.Event().wait()
        assert timeout.remaining() == 10 * SECOND
        return "done"

    execution = await timed.add(task)()
    async with Worker(timed) as worker, running(worker):
        for attempt in (1, 2):
            await until(partial(has, attempts, attempt))
            await clock.advance(10 * SECOND)
        assert await execution.get_result(5) == "done"
    assert attempts == [1, 2, 3]


async def test_a_task_that_is_done_in_time_returns_and_its_own_timeout_error_stays(
    shadows: Shadow, worker: Worker
) -> None:
    async def fine(timeout: Timeout = Timeout(10 * SECOND)) -> str:
        return "fine"

    async def own(timeout: Annotated[int, Timeout(10 * SECOND)] = 0) -> None:
        raise TimeoutError("mine")

    one, two = await shadows.add(fine)(), await shadows.add(own)()
    await worker.run_until_finished()
    assert await one.get_result(5) == "fine"
    with pytest.raises(TimeoutError, match="mine"):
        await two.get_result(5)


async def test_it_can_be_looked_at_and_extended(timed: Shadow, clock: ControlledClock) -> None:
    left: list[timedelta] = []
    go, looked = asyncio.Event(), asyncio.Event()

    async def task(timeout: Timeout = Timeout(10 * SECOND)) -> None:
        left.append(timeout.remaining())
        await go.wait()
        left.append(timeout.remaining())
        timeout.extend()
        timeout.extend(by=5 * SECOND)
        left.append(timeout.remaining())
        looked.set()
        await asyncio.Event().wait()

    execution = await timed.add(task)()
    async with Worker(timed) as worker, running(worker):
        await until(lambda: left)
        await clock.advance(4 * SECOND)
        go.set()
        await looked.wait()
        await clock.advance(20.9 * SECOND)
        assert not await stands(execution, ExecutionState.FAILED)
        await clock.advance(0.1 * SECOND)
        with pytest.raises(TimeoutError, match="0:00:25"):
            await execution.get_result(5)
    assert left == [10 * SECOND, 6 * SECOND, 21 * SECOND]


async def test_a_def_task_keeps_its_slot_until_it_returns_and_has_failed_then(
    timed: Shadow, clock: ControlledClock
) -> None:
    release, started = threading.Event(), threading.Event()
    after: list[str] = []

    def task(timeout: Timeout = Timeout(SECOND)) -> str:
        started.set()
        release.wait(30)
        return "too late"

    async def next_one() -> None:
        after.append("ran")

    first: Execution[str] = await timed.add(task)()
    async with Worker(timed, concurrency=1) as worker, running(worker):
        await until(started.is_set)
        await until(lambda: clock.next_alarm)
        await timed.add(next_one)()
        await clock.advance(SECOND)
        assert not after
        release.set()
        with pytest.raises(TimeoutError, match="which is its Timeout"):
            await first.get_result(5)
        await until(lambda: after)


async def test_cancelling_the_execution_is_no_timeout(timed: Shadow, clock: ControlledClock) -> None:
    started = asyncio.Event()

    async def task(timeout: Timeout = Timeout(SECOND)) -> None:
        started.set()
        await asyncio.Event().wait()

    execution = await timed.add(task)()
    async with Worker(timed) as worker, running(worker):
        await started.wait()
        await timed.cancel(execution.key)
        await until(lambda: stands(execution, ExecutionState.CANCELLED))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="a duration above nothing"):
        Timeout(timedelta(0))
    with pytest.raises(ValueError, match="cannot be negative"):
        Timeout(SECOND).extend(-SECOND)
    with pytest.raises(RuntimeError, match="has a value only inside a task"):
        Timeout(SECOND).remaining()
