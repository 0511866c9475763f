"""What `Depends` and `Shared` give to a task, and when it is closed."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Annotated

import pytest
from uncalled_for import Dependency, Provided

from shadows import Depends, Execution, InvalidTask, Retry, Shadow, Shared, TaskFailed, TaskKey, Worker

events: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    events.clear()


def plain() -> str:
    return "plain"


async def waited() -> str:
    return "waited"


@contextmanager
def opened() -> Generator[str]:
    events.append("open")
    try:
        yield "opened"
    finally:
        events.append("close")


@asynccontextmanager
async def connected(inner: str = Depends(opened)) -> AsyncGenerator[str]:
    events.append("connect")
    try:
        yield f"connected {inner}"
    finally:
        events.append("disconnect")


def broken() -> str:
    raise ValueError("no database")


@asynccontextmanager
async def breaks_at_the_end() -> AsyncGenerator[str]:
    yield "fine"
    raise ValueError("cannot close")


async def result_of[R](execution: Execution[R], worker: Worker) -> R:
    await worker.run_until_finished()
    return await execution.get_result(timeout=5)


async def test_functions_and_context_managers_of_both_kinds_are_injected(
    shadows: Shadow, worker: Worker
) -> None:
    async def task(
        n: int,
        a: str = Depends(plain),
        b: str = Depends(waited),
        c: str = Depends(opened),
        d: str = Depends(connected),
        *,
        e: Annotated[str, Depends(plain)] = Provided,
    ) -> list[str]:
        return [str(n), a, b, c, d, e]

    execution = await shadows.add(task)(1)
    assert await result_of(execution, worker) == [
        "1",
        "plain",
        "waited",
        "opened",
        "connected opened",
        "plain",
    ]
    assert events == ["open", "connect", "disconnect", "close"]


async def test_def_tasks_methods_and_callables_get_them_too(shadows: Shadow, worker: Worker) -> None:
    class Sender:
        async def send(self, to: str, a: str = Depends(plain)) -> str:
            return to + a

        def __call__(self, to: str, a: str = Depends(opened)) -> str:
            events.append("run")
            return to + a

    def task(to: str, a: str = Depends(opened)) -> str:
        events.append("run")
        return to + a

    sender = Sender()
    assert await result_of(await shadows.add(sender.send)("x"), worker) == "xplain"
    assert await result_of(await shadows.add(sender)("x"), worker) == "xopened"
    assert await result_of(await shadows.add(task)(to="x"), worker) == "xopened"
    assert events == ["open", "run", "close"] * 2


async def test_one_in_the_annotation_needs_no_default(shadows: Shadow, worker: Worker) -> None:
    async def task(n: int, a: Annotated[str, Depends(plain)], b: int = 0) -> str:
        return f"{n} {a} {b}"

    shadows.register(task)
    assert await result_of(await shadows.add("task")(1), worker) == "1 plain 0"
    assert await result_of(await shadows.add("task")(n=1, b=2), worker) == "1 plain 2"


async def test_it_is_closed_when_the_task_fails(shadows: Shadow, worker: Worker) -> None:
    async def task(a: str = Depends(connected)) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await result_of(await shadows.add(task)(), worker)
    assert events == ["open", "connect", "disconnect", "close"]


async def test_a_failing_one_fails_the_task_with_its_name_and_the_others_are_closed(
    shadows: Shadow, worker: Worker
) -> None:
    async def task(a: str = Depends(opened), db: str = Depends(broken), c: str = Depends(connected)) -> None:
        events.append("run")

    with pytest.raises(TaskFailed, match="the dependency 'db' of task failed: ValueError: no database"):
        await result_of(await shadows.add(task)(), worker)
    assert "run" not in events
    assert sorted(events) == ["close", "connect", "disconnect", "open"]


async def test_one_that_fails_inside_another_is_found_by_the_name_of_the_outer(
    shadows: Shadow, worker: Worker
) -> None:
    def outer(inner: str = Depends(broken)) -> str:
        return inner

    async def task(db: str = Depends(outer)) -> None: ...

    with pytest.raises(TaskFailed, match="the dependency 'db' of task failed: ValueError: no database"):
        await result_of(await shadows.add(task)(), worker)


async def test_one_that_cannot_be_closed_fails_the_task(shadows: Shadow, worker: Worker) -> None:
    async def task(a: str = Depends(breaks_at_the_end)) -> None:
        events.append("run")

    with pytest.raises(ValueError, match="cannot close"):
        await result_of(await shadows.add(task)(), worker)
    assert events == ["run"]


async def test_a_failing_one_is_tried_again_with_the_task(shadows: Shadow, worker: Worker) -> None:
    def sometimes() -> str:
        events.append("try")
        if len(events) < 3:
            raise ConnectionError("not yet")
        return "there"

    async def task(retry: Retry = Retry(attempts=5), a: str = Depends(sometimes)) -> int:
        return retry.attempt

    assert await result_of(await shadows.add(task)(), worker) == 3


async def test_each_run_has_its_own_instance(shadows: Shadow, worker: Worker) -> None:
    async def task(a: str = Depends(connected), b: str = Depends(connected), key: str = TaskKey()) -> None:
        events.append(key)

    await shadows.add(task, key="1")()
    await worker.run_until_finished()
    await shadows.add(task, key="2")()
    await worker.run_until_finished()
    assert events == [event for key in "12" for event in ("open", "connect", key, "disconnect", "close")]


async def test_a_shared_one_is_made_once_and_closed_when_the_worker_stops_running(
    shadows: Shadow, worker: Worker
) -> None:
    async def task(pool: str = Shared(opened)) -> None:
        events.append(pool)

    for _ in range(3):
        await shadows.add(task)()
    await worker.run_until_finished()
    assert events == ["open", "opened", "opened", "opened", "close"]


class Wrap(Dependency[str]):
    """Stands around the call, in the annotation of an argument."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.seen: object = None

    def bind_to_parameter(self, name: str, value: object) -> "Wrap":
        bound = Wrap(self.error)
        bound.seen = (name, value)
        return bound

    async def __aenter__(self) -> str:
        events.append(f"enter {self.seen}")
        if self.error is not None:
            raise self.error
        return ""

    async def __aexit__(self, *_: object) -> None:
        events.append("exit")


async def test_what_stands_in_an_annotation_sees_the_argument_and_stands_around_the_call(
    shadows: Shadow, worker: Worker
) -> None:
    async def task(n: Annotated[int, Wrap()], m: Annotated[int, Wrap()] = 5) -> int:
        events.append("run")
        return n + m

    assert await result_of(await shadows.add(task)(3), worker) == 8
    assert events == ["enter ('n', 3)", "enter ('m', 5)", "run", "exit", "exit"]


async def test_one_in_an_annotation_that_fails_fails_the_task_with_the_arguments_name(
    shadows: Shadow, worker: Worker
) -> None:
    async def task(a: Annotated[int, Wrap()], n: Annotated[int, Wrap(LookupError("not mine"))]) -> None:
        events.append("run")

    with pytest.raises(
        TaskFailed, match="the dependency in the annotation of 'n' of task failed: LookupError: not mine"
    ):
        await result_of(await shadows.add(task)(1, 2), worker)
    assert events == ["enter ('a', 1)", "enter ('n', 2)", "exit"]


async def test_shared_ones_of_any_shape_are_nested_and_closed_in_reverse(
    shadows: Shadow, worker: Worker
) -> None:
    @contextmanager
    def first() -> Generator[str]:
        events.append("open first")
        yield "first"
        events.append("close first")

    @asynccontextmanager
    async def second(inner: str = Shared(first)) -> AsyncGenerator[str]:
        events.append("open second")
        yield f"second {inner}"
        events.append("close second")

    async def third(inner: str = Shared(second), other: str = Shared(first)) -> str:
        events.append("third")
        return f"third {inner} {other}"

    def fourth(inner: str = Shared(third)) -> str:
        events.append("fourth")
        return f"fourth {inner}"

    async def task(a: str = Shared(fourth), b: Annotated[str, Shared(second)] = Provided) -> str:
        return a

    executions = [await shadows.add(task)() for _ in range(3)]
    await worker.run_until_finished()
    for execution in executions:
        assert await execution.get_result(5) == "fourth third second first first"
    assert events == ["open first", "open second", "third", "fourth", "close second", "close first"]


def test_two_that_give_one_value_are_refused(shadows: Shadow) -> None:
    async def task(a: Annotated[str, Depends(plain)] = Depends(plain)) -> None: ...

    with pytest.raises(InvalidTask, match="declares more than one dependency for its value"):
        shadows.register(task)


@asynccontextmanager
async def forgiving() -> AsyncGenerator[str]:
    with suppress(LookupError):
        yield "forgiving"


async def test_what_a_dependency_swallows_ends_the_task_well_and_calls_it_once(
    shadows: Shadow, worker: Worker
) -> None:
    async def task(given: str = Depends(forgiving)) -> str:
        events.append(given)
        raise LookupError

    assert await result_of(await shadows.add(task)(), worker) is None
    assert events == ["forgiving"]


async def test_what_a_dependency_swallows_ends_a_def_task_well_and_calls_it_once(
    shadows: Shadow, worker: Worker
) -> None:
    def task(given: str = Depends(forgiving)) -> str:
        events.append(given)
        raise LookupError

    assert await result_of(await shadows.add(task)(), worker) is None
    assert events == ["forgiving"]
