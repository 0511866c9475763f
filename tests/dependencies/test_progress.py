"""How far a task has come, seen from outside while it runs."""

import asyncio
from typing import Any

import pytest

from shadows import CurrentExecution, Execution, Progress, Retry, Shadow, Worker
from tests.dependencies.conftest import running
from tests.support.waiting import until


async def test_it_is_seen_while_the_task_runs(shadows: Shadow, worker: Worker) -> None:
    go = asyncio.Event()
    own: list[tuple[int | None, int, str | None]] = []

    async def task(progress: Progress = Progress()) -> None:
        own.append((progress.current, progress.total, progress.message))
        await progress.set_total(10)
        await progress.increment()
        await progress.increment(2)
        await progress.set_message("loading")
        own.append((progress.current, progress.total, progress.message))
        await go.wait()

    execution = await shadows.add(task)()
    async with running(worker):

        async def seen() -> bool:
            report = (await execution.sync()).progress
            return (report.current, report.total, report.message) == (3, 10, "loading")

        await until(seen)
        go.set()
        await execution.get_result(5)
    assert own == [(None, 1, None), (3, 10, "loading")]


async def test_each_run_begins_anew_and_what_makes_no_sense_is_refused(
    shadows: Shadow, worker: Worker
) -> None:
    seen: list[int | None] = []

    async def task(progress: Progress = Progress(), retry: Retry = Retry(attempts=2)) -> None:
        seen.append(progress.current)
        await progress.increment()
        if retry.attempt == 1:
            raise ValueError
        with pytest.raises(ValueError, match="at least 1"):
            await progress.set_total(0)
        with pytest.raises(ValueError, match="at least 1"):
            await progress.increment(0)

    execution = await shadows.add(task)()
    await worker.run_until_finished()
    await execution.get_result(5)
    assert seen == [None, None]


async def test_the_execution_and_whoever_reports_see_the_same(shadows: Shadow, worker: Worker) -> None:
    async def task(
        one: Progress = Progress(),
        two: Progress = Progress(),
        execution: Execution[Any] = CurrentExecution(),
    ) -> None:
        await one.increment(3)
        assert two.current == execution.progress.current == 3

    execution = await shadows.add(task)()
    await worker.run_until_finished()
    await execution.get_result(5)


async def test_outside_a_task_it_has_no_value() -> None:
    with pytest.raises(RuntimeError, match=r"Progress\(\) has a value only inside a task"):
        await Progress().increment()
