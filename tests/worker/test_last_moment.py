"""A worker that was away between taking a task and calling it: stopped, swapped out, or without a turn."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from shadows import Depends, Execution, ExecutionState, Shadow, Worker
from tests.support.leases import holder
from tests.support.servers import Server
from tests.support.waiting import until, until_sync

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


def beside(n: int, dependency: None = Depends(stubborn)) -> None:
    runs.append(n)


async def injected(n: int, dependency: None = Depends(stubborn)) -> None:
    runs.append(n)


async def completed(execution: Execution[Any]) -> bool:
    return (await execution.sync()).state is ExecutionState.COMPLETED


@asynccontextmanager
async def working(shadows: Shadow, **options: Any) -> AsyncGenerator[Worker]:
    """A worker that runs until the end, with a lease of a second."""
    async with Worker(
        shadows, redelivery_timeout=timedelta(seconds=1), schedule_automatic_tasks=False, **options
    ) as worker:
        running = asyncio.create_task(worker.run_forever())
        yield worker
        worker.stop()
        await running


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
        async with working(shadows, on_start=go_away) as worker:
            await until(lambda: completed(execution))
        assert not worker.leased
    assert len(begun) == 2
    assert runs == [1]
    assert execution.attempt == 1


async def test_a_task_is_not_called_in_the_name_of_a_lease_that_was_lost_while_the_loop_stood_still(
    name: str, url: str, server: Server
) -> None:
    runs.clear()
    begun: list[object] = []

    def stand_still(execution: object) -> None:
        """Blocks the loop until the lease was lost, and another taken, behind its back."""
        begun.append(execution)
        if len(begun) == 1:
            old = holder(server, name)
            server.call("ZREM", f"{{{name}}}:leases", old)
            assert worker._lease is not None
            worker._lease.renew()
            until_sync(lambda: server.call("ZCARD", f"{{{name}}}:leases") == 1)

    async with Shadow(name, url) as shadows:
        execution = await shadows.add(plain)(1)
        async with working(shadows, on_start=stand_still) as worker:
            await until(lambda: completed(execution))
    assert len(begun) == 2
    assert runs == [1]


class TestATaskThatWaitsForAThread:
    """Of a worker with one thread, which another task has."""

    async def test_is_not_called_when_the_lease_has_run_out_meanwhile(self, name: str, url: str) -> None:
        runs.clear()
        begun: list[object] = []
        waiting = threading.Event()

        def first() -> None:
            assert waiting.wait(30)
            lease = worker._lease
            assert lease is not None
            beat = lease._last
            until_sync(lambda: lease._last != beat)
            lease._last = 0.0

        async with Shadow(name, url) as shadows:
            await shadows.add(first)()
            execution = await shadows.add(blocking)(1)
            async with working(shadows, on_start=begun.append, threads=1) as worker:
                await until(lambda: len(begun) == 2)
                waiting.set()
                await until(lambda: completed(execution))
        assert len(begun) == 3
        assert runs == [1]

    @pytest.mark.parametrize("task", [blocking, beside], ids=["alone", "with what is injected"])
    async def test_is_not_called_once_others_run_it(
        self, name: str, url: str, server: Server, task: Callable[..., Any]
    ) -> None:
        runs.clear()
        begun: list[object] = []
        released = threading.Event()

        def first() -> None:
            assert released.wait(30)

        async with Shadow(name, url) as shadows:
            await shadows.add(first)()
            execution = await shadows.add(task)(1)
            async with working(shadows, on_start=begun.append, threads=1) as worker:
                await until(lambda: len(begun) == 2)
                server.call("ZREM", f"{{{name}}}:leases", holder(server, name))
                assert worker._lease is not None
                worker._lease.renew()
                await until(lambda: len(begun) == 4)
                released.set()
                await until(lambda: completed(execution))
        assert runs == [1]

    async def test_is_not_called_once_it_was_cancelled(self, name: str, url: str) -> None:
        runs.clear()
        begun: list[object] = []
        released = threading.Event()

        def first() -> None:
            assert released.wait(30)

        async with Shadow(name, url) as shadows:
            await shadows.add(first)()
            execution = await shadows.add(blocking)(1)
            async with working(shadows, on_start=begun.append, threads=1):
                await until(lambda: len(begun) == 2)
                await shadows.cancel(execution.key)

                async def cancelled() -> bool:
                    return (await execution.sync()).state is ExecutionState.CANCELLED

                await until(cancelled)
                released.set()
        assert runs == []
