"""A task's arguments, logger and execution, for what is injected into it."""

import logging
from typing import Annotated, Any

import pytest

from shadows import (
    CallArgument,
    CurrentExecution,
    Depends,
    Execution,
    InvalidTask,
    Shadow,
    TaskArgument,
    TaskFailed,
    TaskLogger,
    Worker,
    current_execution,
)


async def result_of[R](execution: Execution[R], worker: Worker) -> R:
    await worker.run_until_finished()
    return await execution.get_result(5)


async def test_a_dependency_sees_the_tasks_arguments(shadows: Shadow, worker: Worker) -> None:
    def by_its_own_name(user: int = TaskArgument()) -> str:
        return f"user {user}"

    def by_another(number: int = TaskArgument("user")) -> str:
        return f"number {number}"

    def deeper(inner: str = Depends(by_its_own_name), of: str = TaskArgument(optional=True)) -> str:
        return f"{inner} of {of}"

    async def task(
        user: int, a: str = Depends(by_its_own_name), b: str = Depends(by_another), c: str = Depends(deeper)
    ) -> list[str]:
        return [a, b, c]

    expected = ["user 7", "number 7", "user 7 of None"]
    assert await result_of(await shadows.add(task)(7), worker) == expected
    assert await result_of(await shadows.add(task)(user=7), worker) == expected


async def test_a_task_may_take_one_of_its_own_arguments_again(shadows: Shadow, worker: Worker) -> None:
    async def task(user: int, again: int = TaskArgument("user")) -> int:
        return again

    assert await result_of(await shadows.add(task)(7), worker) == 7

    async def itself(user: int = TaskArgument()) -> None: ...

    with pytest.raises(InvalidTask, match=r"TaskArgument\(\) as the default of 'user' stands for itself"):
        shadows.register(itself)


async def test_one_that_was_not_passed_fails_the_task_unless_it_is_optional(
    shadows: Shadow, worker: Worker
) -> None:
    def needs(colour: str = TaskArgument()) -> str:
        return colour

    async def task(size: int, needed: str = Depends(needs), colour: str = "red") -> str:
        return needed

    with pytest.raises(
        TaskFailed, match=r"the dependency 'needed' of task failed: KeyError.*no argument 'colour'"
    ):
        await result_of(await shadows.add(task)(1), worker)
    assert await result_of(await shadows.add(task)(1, colour="blue"), worker) == "blue"


async def test_a_call_argument_sees_defaults_and_what_is_injected_beside_it(
    shadows: Shadow, worker: Worker
) -> None:
    def session(user: int) -> str:
        return f"session of {user}"

    def greeting(colour: str = CallArgument(), of: str = CallArgument("connection")) -> str:
        return f"{colour} {of}"

    async def task(
        owner: int,
        connection: str = Depends(session, user=CallArgument("owner")),
        greeted: str = Depends(greeting),
        fixed: str = Depends(session, user=3),
        nested: str = Depends(session, user=Depends(lambda: 4)),
        colour: str = "red",
    ) -> list[str]:
        return [connection, greeted, fixed, nested]

    assert await result_of(await shadows.add(task)(7), worker) == [
        "session of 7",
        "red session of 7",
        "session of 3",
        "session of 4",
    ]


async def test_the_tasks_logger_says_which_run_it_is(
    shadows: Shadow, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    async def task(logger: "logging.LoggerAdapter[logging.Logger]" = TaskLogger()) -> None:
        logger.warning("hello")

    await shadows.add(task, key="k")()
    await worker.run_until_finished()
    (record,) = [record for record in caplog.records if record.name == "shadows.task.task"]
    facts = vars(record)
    assert record.getMessage() == "hello"
    assert {name: facts[name] for name in facts if name.startswith("shadows.")} == {
        "shadows.name": shadows.name,
        "shadows.worker": worker.name,
        "shadows.task": "task",
        "shadows.queue": "default",
        "shadows.key": "k",
        "shadows.attempt": 1,
    }


async def test_the_present_execution_is_found_anywhere_inside_a_task(shadows: Shadow, worker: Worker) -> None:
    seen: list[Execution[Any]] = []

    def helper() -> None:
        seen.append(current_execution.get())

    async def bare(n: int) -> None:
        helper()

    async def injected(execution: Annotated[Any, "mine"] = CurrentExecution()) -> None:
        seen.append(execution)
        helper()

    def threaded() -> None:
        helper()

    await shadows.add(bare, key="a")(3)
    await worker.run_until_finished()
    await shadows.add(injected, key="b")()
    await worker.run_until_finished()
    await shadows.add(threaded, key="c")()
    await worker.run_until_finished()
    assert [execution.key for execution in seen] == ["a", "b", "b", "c"]
    assert seen[0].args == (3,)
    assert seen[1] is seen[2]
    assert seen[0].fence > 0


async def test_outside_a_task_there_is_none_unless_a_test_puts_one_there(shadows: Shadow) -> None:
    with pytest.raises(LookupError, match="no task is being run here"):
        current_execution.get()
    assert current_execution.get(None) is None
    mine = Execution[None](shadows, "k", "task")
    token = current_execution.set(mine)
    assert current_execution.get() is mine
    current_execution.reset(token)
    assert current_execution.get(None) is None
