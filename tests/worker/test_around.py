"""What a worker puts around every task: dependencies, hooks, and a stand-in for unknown tasks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Annotated, Any

import pytest

from shadows import (
    ConcurrencyLimit,
    CurrentExecution,
    Depends,
    Execution,
    ExecutionState,
    ExponentialRetry,
    InvalidTask,
    Perpetual,
    Retry,
    Shadow,
    Shared,
    TaskArgument,
    TaskFailed,
    TaskKey,
    TaskOutcome,
    Timeout,
    Worker,
)
from tests.support.servers import Server
from tests.worker import collected

events: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    events.clear()
    collected.seen.clear()


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


def around(name: str) -> Callable[[], Any]:
    @contextmanager
    def enter() -> Generator[str]:
        events.append(f"enter {name}")
        try:
            yield name
        finally:
            events.append(f"leave {name}")

    return enter


async def run(shadows: Shadow, **options: Any) -> None:
    async with Worker(shadows, **options) as worker:
        await worker.run_until_finished()


class TestDependencies:
    @pytest.mark.parametrize("kind", [dict, list, tuple])
    async def test_they_stand_around_every_task_and_are_left_last_in_first_out(
        self, shadows: Shadow, kind: type
    ) -> None:
        async def plain(n: int) -> None:
            events.append(f"run {n}")

        async def injected(inner: str = Depends(around("inner"))) -> None:
            events.append("run injected")

        def threaded() -> None:
            events.append("run threaded")

        one, two = Depends(around("one")), Depends(around("two"))
        given = {"one": one, "two": two} if kind is dict else kind([one, two])
        await shadows.add(plain)(1)
        await run(shadows, dependencies=given)
        expected = ["enter one", "enter two", "run 1", "leave two", "leave one"]
        assert events == expected
        events.clear()
        await shadows.add(injected)()
        await run(shadows, dependencies=given)
        assert events == [
            *expected[:2], "enter inner", "run injected", "leave inner", *expected[3:],
        ]  # fmt: skip
        events.clear()
        await shadows.add(threaded)()
        await run(shadows, dependencies=given)
        assert events == [*expected[:2], "run threaded", *expected[3:]]

    async def test_a_task_that_asks_for_the_same_shares_the_instance(self, shadows: Shadow) -> None:
        transactions: list[object] = []

        @asynccontextmanager
        async def transaction() -> AsyncGenerator[object]:
            transactions.append(object())
            yield transactions[-1]

        async def task(mine: object = Depends(transaction)) -> bool:
            return mine is transactions[-1]

        execution = await shadows.add(task)()
        await run(shadows, dependencies=[Depends(transaction)])
        assert await execution.get_result(5)
        assert len(transactions) == 1

    async def test_they_see_the_run_and_its_arguments(self, shadows: Shadow) -> None:
        def look(key: str = TaskKey(), user: int | None = TaskArgument("user", optional=True)) -> None:
            events.append((key, user))

        async def task(user: int) -> None: ...
        async def other() -> None: ...

        await shadows.add(task, key="a")(7)
        await shadows.add(other, key="b")()
        await run(shadows, dependencies=[Depends(look)], concurrency=1)
        assert events == [("a", 7), ("b", None)]

    async def test_a_failing_one_fails_the_task_with_its_name(self, shadows: Shadow) -> None:
        def broken() -> None:
            raise ConnectionError("no database")

        async def task() -> None: ...

        first = await shadows.add(task)()
        await run(shadows, dependencies={"database": Depends(broken)})
        with pytest.raises(
            TaskFailed,
            match="the worker's dependency 'database' of task failed: ConnectionError: no database",
        ):
            await first.get_result(5)
        second = await shadows.add(task)()
        await run(shadows, dependencies=[Depends(broken)])
        with pytest.raises(TaskFailed, match=r"the worker's dependency 'dependencies\[0\]' of task failed"):
            await second.get_result(5)

    async def test_behaviours_hold_for_tasks_that_have_none_of_their_kind(self, shadows: Shadow) -> None:
        async def without() -> None:
            events.append("without")
            raise ValueError

        async def own(retry: Retry = Retry(attempts=4)) -> None:
            events.append("own")
            raise ValueError

        async def noted(n: Annotated[int, Retry(attempts=3)] = 0) -> None:
            events.append("noted")
            raise ValueError

        for task in (without, own, noted):
            await shadows.add(task)()
        await run(shadows, dependencies=[ExponentialRetry(attempts=2, minimum_delay=timedelta(0))])
        assert {name: events.count(name) for name in events} == {"without": 2, "own": 4, "noted": 3}

    async def test_limits_and_timeouts_too(self, shadows: Shadow) -> None:
        inside = most = 0

        async def task() -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

        async def slow() -> None:
            await asyncio.Event().wait()

        async def free(limit: ConcurrencyLimit = ConcurrencyLimit(max_concurrent=9)) -> None:
            await task()

        for _ in range(6):
            await shadows.add(task)()
        stuck = await shadows.add(slow)()
        await run(shadows, dependencies=[ConcurrencyLimit(1), Timeout(timedelta(seconds=0.5))])
        assert most == 1
        with pytest.raises(TimeoutError):
            await stuck.get_result(5)
        for _ in range(6):
            await shadows.add(free)()
        await run(shadows, dependencies=[ConcurrencyLimit(1)])
        assert most > 1

    async def test_a_limit_by_an_argument_holds_for_tasks_that_have_it(self, shadows: Shadow) -> None:
        inside: dict[int, int] = {}
        most = 0

        async def by_user(user: int) -> None:
            nonlocal most
            inside[user] = inside.get(user, 0) + 1
            most = max(most, inside[user])
            await asyncio.sleep(0)
            inside[user] -= 1

        async def without() -> str:
            return "ran"

        for n in range(9):
            await shadows.add(by_user)(n % 3)
        execution = await shadows.add(without)()
        await run(shadows, dependencies=(ConcurrencyLimit("user", 1),))
        assert most == 1
        assert await execution.get_result(5) == "ran"

    async def test_shared_ones_live_as_long_as_the_run(self, shadows: Shadow) -> None:
        async def task() -> None:
            events.append("run")

        for _ in range(2):
            await shadows.add(task)()
        await run(shadows, dependencies=[Shared(around("pool"))])
        assert events == ["enter pool", "run", "run", "leave pool"]

    async def test_they_can_be_named(self, shadows: Shadow, name: str, url: str) -> None:
        async def task() -> None:
            collected.seen.append("run")

        await shadows.add(task)()
        await Worker.run(
            shadows_name=name,
            url=url,
            dependencies="tests.worker.collected:dependencies",
            until_finished=True,
        )
        assert collected.seen == ["enter", "run", "leave"]

    def test_what_contradicts_or_is_none_is_refused(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)
        with pytest.raises(
            ValueError,
            match=r"a worker has at most one Retry, and 'dependencies\[0\]', 'dependencies\[1\]' are",
        ):
            Worker(shadows, dependencies=[Retry(), Retry()])
        with pytest.raises(TypeError, match=r"'mine' is <function .*>, which is no dependency: give Depends"):
            Worker(shadows, dependencies={"mine": around})
        with pytest.raises(InvalidTask, match="has no 'nothing'"):
            Worker(shadows, dependencies="tests.worker.collected:nothing")
        empty: list[Any] = [None, "", [], {}]
        for nothing in empty:
            assert Worker(shadows, dependencies=nothing, fallback_task="").dependencies == {}


class TestHooks:
    async def test_they_are_told_of_start_end_and_death(self, shadows: Shadow) -> None:
        async def started(execution: Execution[Any]) -> None:
            events.append(("start", execution.key, execution.attempt))

        def ended(execution: Execution[Any], outcome: TaskOutcome) -> None:
            events.append(("end", execution.key, outcome.result, repr(outcome.exception)))
            assert outcome.duration >= timedelta(0)

        def died(execution: Execution[Any], reason: str) -> None:
            events.append(("dead", execution.key, execution.args, reason))

        async def fine() -> str:
            return "fine"

        async def fails(n: int, retry: Retry = Retry(attempts=2)) -> None:
            raise KeyError("gone")

        await shadows.add(fine, key="a")()
        await run(shadows, on_start=started, on_end=ended, on_dead=died)
        await shadows.add(fails, key="b")(7)
        await run(shadows, on_start=started, on_end=ended, on_dead=died)
        assert events == [
            ("start", "a", 1),
            ("end", "a", "fine", "None"),
            ("start", "b", 1),
            ("end", "b", None, "KeyError('gone')"),
            ("start", "b", 2),
            ("end", "b", None, "KeyError('gone')"),
            ("dead", "b", (7,), "failed"),
        ]

    async def test_what_cannot_be_read_is_a_death_too(self, shadows: Shadow, server: Server) -> None:
        def died(execution: Execution[Any], reason: str) -> None:
            events.append((execution.key, execution.function_name, execution.when is None, reason))

        stream = f"{{{shadows.name}}}:ready:default"
        server.call("HSET", f"{{{shadows.name}}}:live", "k", "default/1-1")
        server.call("XADD", stream, "1-1", "k", "k", "c", "nonsense")
        async with Worker(shadows, on_dead=died) as worker:
            await worker.run_until_finished()
        assert events == [("k", "", True, "undecodable")]

    async def test_what_they_raise_is_logged_and_changes_nothing(
        self, shadows: Shadow, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("my own mistake")

        async def fine() -> str:
            return "fine"

        execution = await shadows.add(fine)()
        await run(shadows, on_start=broken, on_end=broken)
        assert await execution.get_result(5) == "fine"
        assert "hook failed hook=on_start" in caplog.text
        assert "hook failed hook=on_end" in caplog.text
        assert "my own mistake" in caplog.text


class TestFallback:
    async def test_it_runs_in_place_of_unknown_tasks_with_their_arguments(self, shadows: Shadow) -> None:
        async def stranger(a: int, *, b: str) -> str:
            raise NotImplementedError

        executions = [await shadows.add(stranger, key=key)(n, b="x") for n, key in enumerate("ab")]
        del shadows.tasks["stranger"]
        await run(shadows, fallback_task="tests.worker.collected:fallback", concurrency=1)
        assert [await execution.get_result(5) for execution in executions] == ["stood in"] * 2
        assert collected.seen == [("stranger", "a", (0,), {"b": "x"}), ("stranger", "b", (1,), {"b": "x"})]

    async def test_arguments_that_do_not_fit_it_fail_the_task(self, shadows: Shadow) -> None:
        async def stranger(a: int) -> None: ...

        def stand_in(execution: Execution[Any] = CurrentExecution()) -> None: ...

        execution = await shadows.add(stranger)(1)
        del shadows.tasks["stranger"]
        await run(shadows, fallback_task=stand_in)
        assert (await execution.sync()).state is ExecutionState.FAILED

    def test_what_cannot_be_a_task_is_refused(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)

        async def automatic(n: int, perpetual: Perpetual = Perpetual(automatic=True)) -> None: ...

        with pytest.raises(InvalidTask, match="is a class"):
            Worker(shadows, fallback_task=Retry)
        with pytest.raises(InvalidTask, match="workers start it by themselves"):
            Worker(shadows, fallback_task=automatic)
        with pytest.raises(InvalidTask, match="write module:member"):
            Worker(shadows, fallback_task="nonsense")
