"""Values of the present run."""

import asyncio
from typing import Any

import pytest

from shadows import (
    CurrentExecution,
    CurrentShadow,
    CurrentWorker,
    Depends,
    Execution,
    ExecutionState,
    Shadow,
    TaskKey,
    Worker,
)
from shadows.dependencies.current import Current


async def test_a_task_sees_its_shadow_worker_key_and_execution(shadows: Shadow, worker: Worker) -> None:
    seen: list[Any] = []

    async def look(
        n: int,
        shadow: Shadow = CurrentShadow(),
        by: Worker = CurrentWorker(),
        key: str = TaskKey(),
        execution: Execution[Any] = CurrentExecution(),
    ) -> None:
        seen.extend((shadow, by, key, execution))

    await shadows.add(look, key="k")(3)
    await worker.run_until_finished()
    shadow, by, key, execution = seen
    assert shadow is shadows
    assert by is worker
    assert key == "k"
    assert (execution.key, execution.function_name, execution.args, execution.kwargs) == (
        "k",
        "look",
        (3,),
        {},
    )
    assert (execution.state, execution.attempt, execution.worker) == (ExecutionState.RUNNING, 1, worker.name)
    assert execution.started_at is not None
    assert execution.when is not None
    assert execution.when <= execution.started_at


async def test_a_def_task_sees_them_too(shadows: Shadow, worker: Worker) -> None:
    def look(key: str = TaskKey()) -> str:
        return key

    execution = await shadows.add(look, key="k")()
    await worker.run_until_finished()
    assert await execution.get_result(timeout=5) == "k"


async def test_a_task_adds_others_which_are_followed(shadows: Shadow, worker: Worker) -> None:
    async def child(n: int, parent: str) -> None:
        ran.append((n, parent))

    async def parent(n: int, shadow: Shadow = CurrentShadow(), key: str = TaskKey()) -> None:
        for i in range(n):
            await shadow.add(child)(i, parent=key)

    ran: list[tuple[int, str]] = []
    await shadows.add(parent, key="p")(3)
    await worker.run_until_finished()
    assert sorted(ran) == [(0, "p"), (1, "p"), (2, "p")]


async def test_a_dependency_sees_them_too(shadows: Shadow, worker: Worker) -> None:
    def loud_key(key: str = TaskKey()) -> str:
        return key.upper()

    async def look(name: str = Depends(loud_key)) -> str:
        return name

    execution = await shadows.add(look, key="k")()
    await worker.run_until_finished()
    assert await execution.get_result(timeout=5) == "K"


async def test_each_of_many_runs_at_once_sees_its_own(shadows: Shadow, worker: Worker) -> None:
    together = asyncio.Barrier(5)

    async def look(key: str = TaskKey()) -> str:
        await together.wait()
        return key

    executions = [await shadows.add(look, key=f"k{i}")() for i in range(5)]
    await worker.run_until_finished()
    assert [await execution.get_result(timeout=5) for execution in executions] == [f"k{i}" for i in range(5)]


@pytest.mark.parametrize("make", [CurrentShadow, CurrentWorker, CurrentExecution, TaskKey])
async def test_outside_a_task_they_have_no_value(make: Any) -> None:
    current = make()
    assert isinstance(current, Current)
    with pytest.raises(RuntimeError, match=rf"{make.__name__}\(\) has a value only inside a task"):
        await current.__aenter__()


async def test_whoever_asks_for_the_execution_gets_the_same(shadows: Shadow, worker: Worker) -> None:
    def inner(execution: Execution[Any] = CurrentExecution()) -> Execution[Any]:
        return execution

    async def task(mine: Execution[Any] = CurrentExecution(), theirs: Any = Depends(inner)) -> bool:
        return mine is theirs

    execution = await shadows.add(task)()
    await worker.run_until_finished()
    assert await execution.get_result(timeout=5)
