"""A worker that was away between taking a task and calling it: stopped, swapped out, or without a turn."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from shadows import Depends, ExecutionState, Shadow, Worker
from tests.support.waiting import until

runs: list[int] = []


async def plain(n: int) -> None:
    runs.append(n)


def blocking(n: int) -> None:
    runs.append(n)


@asynccontextmanager
async def stubborn() -> AsyncGenerator[None]:
    """A dependency that swallows whatever comes."""
    with suppress(BaseException):
        yield


async def injected(n: int, dependency: None = Depends(stubborn)) -> None:
    runs.append(n)


@pytest.mark.parametrize("task", [plain, blocking, injected])
async def test_a_task_is_not_called_by_a_worker_whose_lease_has_run_out_meanwhile(
    name: str, url: str, task: Callable[..., Any]
) -> None:
    runs.clear()
    begun: list[object] = []

    def go_away(execution: object) -> None:
        """As if the process had been stopped here for longer than its lease, for the first time."""
        begun.append(execution)
        if len(begun) == 1:
            assert worker._lease is not None
            worker._lease._last = 0.0
            assert not worker.leased

    async with Shadow(name, url) as shadows:
        execution = await shadows.add(task)(1)
        async with Worker(
            shadows, redelivery_timeout=timedelta(seconds=1), on_start=go_away, schedule_automatic_tasks=False
        ) as worker:
            working = asyncio.create_task(worker.run_forever())

            async def completed() -> bool:
                return (await execution.sync()).state is ExecutionState.COMPLETED

            await until(completed)
            worker.stop()
            await working
        assert not worker.leased
    assert len(begun) == 2
    assert runs == [1]
    assert execution.attempt == 1
