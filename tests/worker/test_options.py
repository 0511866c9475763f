"""How a worker is set up, and how a call's own terms are kept: expiry, unique keys, threads, concurrency."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from shadows import (
    Disposition,
    ExecutionCancelled,
    ExecutionState,
    Perpetual,
    Retry,
    RetryAfter,
    Shadow,
    Worker,
)
from shadows.testing import ControlledClock
from tests.dependencies.conftest import running, stands
from tests.support.waiting import until


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock()


@pytest.fixture
async def shadows(name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
    async with Shadow(name, url, clock=clock) as shadows:
        yield shadows


async def test_what_was_not_started_in_time_is_not_run(shadows: Shadow, clock: ControlledClock) -> None:
    runs: list[int] = []

    async def task(n: int) -> None:
        runs.append(n)

    late = await shadows.add(task, expires=timedelta(minutes=1))(1)
    in_time = await shadows.add(task, expires=timedelta(minutes=2))(2)
    await clock.advance(minutes=1)
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert runs == [2]
    assert (await late.sync()).state is ExecutionState.EXPIRED
    assert (await in_time.sync()).state is ExecutionState.COMPLETED
    with pytest.raises(ExecutionCancelled, match="expired"):
        await late.get_result(5)


async def test_a_unique_key_stays_taken_after_the_end_whatever_came_between(
    shadows: Shadow, clock: ControlledClock
) -> None:
    runs: list[int] = []

    async def task(retry: Retry = Retry(attempts=2), perpetual: Perpetual = Perpetual()) -> None:
        runs.append(1)
        if len(runs) == 1:
            raise RetryAfter(timedelta(0))
        if len(runs) == 2:
            raise ValueError
        if len(runs) == 4:
            perpetual.cancel()

    async with Worker(shadows) as worker:
        await shadows.add(task, key="k", unique_for=timedelta(hours=1))()
        await worker.run_until_finished()
        assert len(runs) == 4
        again = await shadows.add(task, key="k")()
        assert again.disposition is Disposition.ALREADY_SCHEDULED
        await clock.advance(hours=1)
        assert (await shadows.add(task, key="k")()).disposition is Disposition.SCHEDULED
        await shadows.cancel("k")


async def test_concurrency_may_be_changed_while_it_runs(shadows: Shadow) -> None:
    inside: set[int] = set()
    gate = asyncio.Event()

    async def task(n: int) -> None:
        inside.add(n)
        await gate.wait()

    for n in range(5):
        await shadows.add(task)(n)
    async with Worker(shadows, concurrency=1) as worker, running(worker):
        await until(lambda: len(inside) == 1)
        assert worker.concurrency == 1
        worker.concurrency = 4
        await until(lambda: len(inside) == 4)
        with pytest.raises(ValueError, match="concurrency=0: a whole number, at least 1"):
            worker.concurrency = 0
        assert worker.concurrency == 4
        gate.set()
    assert {worker, worker} == {worker}


async def test_threads_bound_how_many_def_tasks_run_at_once(shadows: Shadow) -> None:
    lock, inside, most = threading.Lock(), 0, 0
    both = threading.Barrier(2)

    def task() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both.wait(10)
        with lock:
            inside -= 1

    executions = [await shadows.add(task)() for _ in range(6)]
    async with Worker(shadows, threads=2) as worker:
        await worker.run_until_finished()
    for execution in executions:
        await execution.get_result(5)
    assert most == 2
    with pytest.raises(ValueError, match="threads=0: a whole number, at least 1"):
        Worker(shadows, threads=0)


async def test_more_def_tasks_run_at_once_after_the_concurrency_was_raised(shadows: Shadow) -> None:
    together = threading.Barrier(3)

    def task() -> None:
        together.wait(10)

    executions = [await shadows.add(task)() for _ in range(3)]
    async with Worker(shadows, concurrency=1) as worker, running(worker):
        worker.concurrency = 3
        for execution in executions:
            await execution.get_result(10)


@pytest.mark.parametrize("eager", [False, True])
async def test_runs_are_tasks_of_the_loops_own_factory(shadows: Shadow, eager: bool) -> None:
    made: list[str] = []

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        made.append(getattr(coroutine, "__qualname__", ""))
        make: Any = asyncio.eager_task_factory if eager else asyncio.Task
        return make(loop, coroutine, **options) if eager else make(coroutine, loop=loop, **options)  # type: ignore[no-any-return]

    async def quick() -> str:
        return "quick"

    async def slow() -> str:
        await asyncio.sleep(0)
        return "slow"

    executions = [await shadows.add(quick)(), await shadows.add(slow)()]
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
    finally:
        loop.set_task_factory(None)
    assert [await execution.get_result(5) for execution in executions] == ["quick", "slow"]
    assert "Runner.run" in made


async def test_what_is_not_given_is_as_soon_as_possible(shadows: Shadow) -> None:
    async def task() -> None: ...

    execution = await shadows.add(task)()
    async with Worker(shadows, None, 3, minimum_check_interval=None, scheduling_resolution=None) as worker:
        await worker.run_until_finished()
    assert await stands(execution, ExecutionState.COMPLETED)


async def test_concurrency_may_be_set_before_it_is_opened(shadows: Shadow) -> None:
    worker = Worker(shadows, concurrency=1)
    worker.concurrency = 2
    together = asyncio.Barrier(2)

    async def task() -> None:
        await together.wait()

    for _ in range(2):
        await shadows.add(task)()
    async with worker:
        await worker.run_until_finished()


async def test_a_def_that_hands_on_a_coroutine_is_awaited(shadows: Shadow) -> None:
    async def inner() -> str:
        return "inner"

    def task() -> Any:
        return inner()

    execution = await shadows.add(task)()
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert await execution.get_result(5) == "inner"
