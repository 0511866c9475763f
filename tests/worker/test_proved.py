"""Defects that a second hostile reader proved, each as a promise."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from shadows import Disposition, Execution, ExecutionState, Shadow, Worker
from tests.support.waiting import until


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.mark.parametrize("value", [(1, [2]), [1], Decimal("sNaN")])
async def test_a_strike_whose_value_has_no_hash_ends_no_worker(
    shadows: Shadow, name: str, url: str, value: object
) -> None:
    async def task(x: object) -> None: ...

    shadows.register(task)
    async with Worker(shadows) as worker, Shadow(name, url) as operator:
        working = asyncio.create_task(worker.run_forever())
        await operator.strike("task", "x", "==", value)
        await until(lambda: len(shadows.strikes) == 1)
        execution = await shadows.add(task)(1)
        await until(lambda: _ended(execution))
        worker.stop()
        await working
    assert execution.state is ExecutionState.COMPLETED


async def test_a_strike_whose_value_has_no_hash_strikes(shadows: Shadow) -> None:
    async def task(x: object) -> None:
        raise NotImplementedError

    await shadows.strike(task, "x", "==", (1, [2]))
    assert (await shadows.add(task)((1, [2]))).disposition is Disposition.STRUCK


async def _ended(execution: Execution[Any]) -> bool:
    return (await execution.sync()).state in _ENDED


_ENDED = {
    ExecutionState.COMPLETED,
    ExecutionState.FAILED,
    ExecutionState.CANCELLED,
    ExecutionState.EXPIRED,
}
