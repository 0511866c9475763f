"""Behaviours of one's own: around the call, after a failure, and at the end."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest

from shadows import (
    CompletionHandler,
    CurrentShadow,
    Execution,
    ExecutionState,
    FailureHandler,
    InvalidTask,
    Perpetual,
    Retry,
    Runtime,
    Shadow,
    TaskOutcome,
    Timeout,
    Worker,
    current_execution,
)

told: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    told.clear()


class Traced(Runtime["Traced"]):
    async def run(
        self,
        execution: Execution[Any],
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        told.append((execution.key, function.__name__, args, sorted(kwargs)))
        return ["traced", await function(*args, **kwargs)]


class Refund(FailureHandler["Refund"]):
    def __init__(self, *, deals: bool = True) -> None:
        self.deals = deals

    async def handle_failure(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
        told.append((execution.key, repr(outcome.exception), outcome.duration.total_seconds() >= 0))
        return self.deals


class Report(CompletionHandler["Report"]):
    async def on_complete(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
        told.append((execution.key, outcome.result, repr(outcome.exception)))
        return True


class Own(FailureHandler["Own"]):
    """Enters in a way of its own, as such classes may."""

    def __init__(self) -> None:
        self.key = ""

    async def __aenter__(self) -> "Own":  # noqa: PYI034 - another one, as such classes may
        mine = Own()
        mine.key = current_execution.get().key
        return mine

    async def handle_failure(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
        told.append(self.key)
        return True


class TestRuntime:
    async def test_it_makes_the_call_of_sync_and_async_tasks(self, shadows: Shadow, worker: Worker) -> None:
        async def one(n: int, traced: Traced = Traced()) -> int:
            return n

        def two(n: Annotated[int, Traced()], shadow: Shadow = CurrentShadow()) -> int:
            return n

        first, second = await shadows.add(one, key="1")(7), await shadows.add(two, key="2")(n=8)
        await worker.run_until_finished()
        assert await first.get_result(5) == ["traced", 7]  # type: ignore[comparison-overlap]
        assert await second.get_result(5) == ["traced", 8]  # type: ignore[comparison-overlap]
        assert sorted(told) == [("1", "one", (7,), ["traced"]), ("2", "two", (), ["n", "shadow"])]

    def test_a_task_has_one(self, shadows: Shadow) -> None:
        async def same(one: Traced = Traced(), two: Traced = Traced()) -> None: ...

        async def kinds(n: Annotated[int, Traced()], limit: Timeout = Timeout.__new__(Timeout)) -> None: ...

        with pytest.raises(InvalidTask, match="at most one Traced, and 'one', 'two' are: remove one"):
            shadows.register(same)
        with pytest.raises(ValueError, match=r"one Runtime, and 'limit' \(Timeout\), 'n' \(Traced\) are"):
            shadows.register(kinds)


class TestFailureHandler:
    @pytest.mark.parametrize(
        ("deals", "state"), [(True, ExecutionState.COMPLETED), (False, ExecutionState.FAILED)]
    )
    async def test_what_it_deals_with_is_no_failure(
        self, shadows: Shadow, worker: Worker, deals: bool, state: ExecutionState
    ) -> None:
        async def task(refund: Refund = Refund(deals=deals)) -> None:
            raise KeyError("gone")

        execution = await shadows.add(task, key="k")()
        await worker.run_until_finished()
        assert (await execution.sync()).state is state
        assert told == [("k", "KeyError('gone')", True)]

    async def test_a_success_is_not_its_business(self, shadows: Shadow, worker: Worker) -> None:
        async def task(refund: Refund = Refund()) -> str:
            return "fine"

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert await execution.get_result(5) == "fine"
        assert not told

    async def test_the_base_deals_with_nothing(self, shadows: Shadow, worker: Worker) -> None:
        class Idle(FailureHandler["Idle"]): ...

        async def task(idle: Idle = Idle()) -> None:
            raise KeyError

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert (await execution.sync()).state is ExecutionState.FAILED

    @pytest.mark.parametrize("noted", [False, True])
    async def test_one_that_enters_in_its_own_way_is_asked_too(
        self, shadows: Shadow, worker: Worker, noted: bool
    ) -> None:
        async def by_default(own: Own = Own()) -> None:
            raise KeyError

        async def by_note(n: Annotated[int, Own()] = 0) -> None:
            raise KeyError

        execution = await shadows.add(by_note if noted else by_default, key="k")()
        await worker.run_until_finished()
        assert (await execution.sync()).state is ExecutionState.COMPLETED
        assert told == ["k"]

    def test_a_retry_is_one(self, shadows: Shadow) -> None:
        async def task(retry: Retry = Retry(), refund: Refund = Refund()) -> None: ...

        with pytest.raises(
            ValueError, match=r"one FailureHandler, and 'retry' \(Retry\), 'refund' \(Refund\)"
        ):
            shadows.register(task)

    async def test_it_may_state_a_next_run(self, shadows: Shadow, worker: Worker) -> None:
        class Again(FailureHandler["Again"]):
            async def handle_failure(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
                await shadows.add("task", key=execution.key)(2)
                return True

        async def task(n: int, again: Again = Again()) -> int:
            if n == 1:
                raise KeyError
            return n

        execution = await shadows.add(task)(1)
        await worker.run_until_finished()
        assert await execution.get_result(5) == 2


class TestCompletionHandler:
    async def test_it_is_told_of_success_and_of_final_failure(self, shadows: Shadow, worker: Worker) -> None:
        async def task(fail: bool, report: Report = Report(), retry: Retry = Retry(attempts=2)) -> str:
            if fail:
                raise KeyError("gone")
            return "fine"

        one = await shadows.add(task, key="1")(False)
        await worker.run_until_finished()
        two = await shadows.add(task, key="2")(True)
        await worker.run_until_finished()
        assert await one.get_result(5) == "fine"
        assert (await two.sync()).state is ExecutionState.FAILED
        assert told == [("1", "fine", "None"), ("2", None, "KeyError('gone')")]

    async def test_the_base_does_nothing(self, shadows: Shadow, worker: Worker) -> None:
        class Idle(CompletionHandler["Idle"]): ...

        async def task(idle: Idle = Idle()) -> None: ...

        await shadows.add(task)()
        await worker.run_until_finished()
        assert not await Idle().on_complete(
            Execution[None](shadows, "k", "task"), TaskOutcome.__new__(TaskOutcome)
        )

    def test_a_perpetual_is_one(self, shadows: Shadow) -> None:
        async def task(again: Perpetual = Perpetual(), report: Report = Report()) -> None: ...

        with pytest.raises(ValueError, match="at most one CompletionHandler"):
            shadows.register(task)
