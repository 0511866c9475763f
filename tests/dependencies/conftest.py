"""A shadow on a real server, its worker, and a clock that the test moves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from shadows import Execution, ExecutionState, Shadow, Worker
from shadows.dependencies.behaviour import Ending
from shadows.protocol.outcomes import Outcome
from shadows.testing import ControlledClock

START = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
async def worker(shadows: Shadow) -> AsyncIterator[Worker]:
    async with Worker(shadows) as worker:
        yield worker


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock(START)


@pytest.fixture
async def timed(name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
    """A shadow whose time is `clock`'s."""
    async with Shadow(name, url, clock=clock) as shadows:
        yield shadows


@asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[None]:
    """The worker runs for as long as the block does."""
    async with asyncio.TaskGroup() as group:
        run = group.create_task(worker.run_forever())
        try:
            yield
        finally:
            worker.stop()
            await run


async def stands(execution: Execution[Any] | None, state: ExecutionState) -> bool:
    """Whether the execution is in that state by now."""
    return execution is not None and (await execution.sync()).state is state


async def scheduled_at(execution: Execution[Any] | None, when: datetime) -> bool:
    """Whether the execution waits for that instant."""
    return (
        execution is not None and await stands(execution, ExecutionState.SCHEDULED) and execution.when == when
    )


def has(items: Sized, count: int) -> bool:
    """Whether there are so many."""
    return len(items) == count


def ending(
    attempt: int = 1,
    error: BaseException | None = None,
    ended_us: int = 1_000_001,
    *,
    started_us: int = 0,
    when_us: int = 0,
    next_run: Callable[[int, tuple[Any, ...] | None, dict[str, Any] | None], Outcome] | None = None,
) -> Ending:
    """How some run ended."""

    def nothing(*_: object) -> Any:
        raise NotImplementedError

    return Ending("k", attempt, when_us, started_us, ended_us, error, next_run or nothing, nothing, nothing)
