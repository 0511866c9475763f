"""One call of a task: its facts in every state, and what comes of it."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from shadows import (
    Disposition,
    Execution,
    ExecutionCancelled,
    ExecutionState,
    PayloadError,
    ResultUnavailable,
    Retry,
    Shadow,
    TaskFailed,
    Worker,
)
from shadows.events import Watch
from shadows.execution import Source
from shadows.payload.outcomes import Record, encode_record
from shadows.protocol.events import News
from shadows.protocol.execution import Found, Stand
from shadows.tasks.plan import Plan
from shadows.testing import ControlledClock
from tests.support.waiting import until


class OwnError(Exception):
    """An exception that no reader knows."""


@dataclass
class Receipt:
    number: int
    lines: list[str]


async def give(value: object) -> object:
    return value


async def fail(kind: str) -> None:
    match kind:
        case "builtin":
            raise ValueError("bad value", 42)
        case "key":
            raise KeyError("missing")
        case "own":
            raise OwnError("mine")
        case "timeout":
            raise TimeoutError("the task's own")
        case _:
            raise SystemExit(3)


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


async def run(shadows: Shadow) -> None:
    async with Worker(shadows, name="w1") as worker:
        await worker.run_until_finished()


class TestResult:
    @pytest.mark.parametrize(
        "value", [None, 0, "", "text", [1, (2,), {3}], {"a": datetime(2030, 1, 1, tzinfo=UTC)}, b"\0", 2**100]
    )
    async def test_what_the_task_returned_comes_back(self, shadows: Shadow, value: object) -> None:
        execution = await shadows.add(give)(value)
        await run(shadows)
        assert await execution.get_result(timeout=5) == value

    async def test_a_class_comes_back_by_the_return_annotation(self, shadows: Shadow) -> None:
        async def bill(number: int) -> Receipt:
            return Receipt(number, ["a"])

        execution = await shadows.add(bill)(3)
        await run(shadows)
        assert await execution.get_result(timeout=5) == Receipt(3, ["a"])

    async def test_who_does_not_know_the_task_gets_what_travelled(
        self, shadows: Shadow, name: str, url: str
    ) -> None:
        async def bill(number: int) -> Receipt:
            return Receipt(number, ["a"])

        await shadows.add(bill, key="k")(3)
        await run(shadows)
        async with Shadow(name, url) as stranger:
            del stranger.tasks["bill"]
            found = await stranger.get_execution("k")
            assert found is not None
            assert found.function_name == "bill"
            assert found.args == ()
            assert not isinstance(await found.get_result(timeout=5), Receipt)

    async def test_it_is_waited_for(self, shadows: Shadow) -> None:
        execution = await shadows.add(give)(1)
        waiting = asyncio.create_task(execution.get_result(timeout=timedelta(seconds=10)))
        await asyncio.sleep(0)
        await run(shadows)
        assert await waiting == 1

    async def test_many_may_wait_at_once(self, shadows: Shadow) -> None:
        execution = await shadows.add(give)(1)
        waiting = [asyncio.create_task(execution.get_result()) for _ in range(50)]
        await run(shadows)
        assert await asyncio.gather(*waiting) == [1] * 50

    @pytest.mark.parametrize("timeout", [0, -1, 0.01, timedelta(milliseconds=1)])
    async def test_what_has_not_ended_in_time_is_a_timeout(
        self, shadows: Shadow, timeout: float | timedelta
    ) -> None:
        execution = await shadows.add(give, key="k")(1)
        with pytest.raises(TimeoutError, match="<Execution give key='k' queued> has not ended within"):
            await execution.get_result(timeout=timeout)

    async def test_without_patience_what_has_ended_is_still_given(self, shadows: Shadow) -> None:
        execution = await shadows.add(give)(1)
        await run(shadows)
        assert await execution.get_result(timeout=0) == 1

    async def test_what_cannot_travel_is_unavailable_but_the_task_has_succeeded(
        self, shadows: Shadow
    ) -> None:
        async def odd() -> object:
            return object()

        execution = await shadows.add(odd)()
        await run(shadows)
        with pytest.raises(ResultUnavailable, match="no result of it is kept"):
            await execution.get_result(timeout=5)
        assert execution.state is ExecutionState.COMPLETED

    async def test_without_a_ttl_nothing_is_kept(self, name: str, url: str) -> None:
        async with Shadow(name, url, execution_ttl=timedelta(0)) as shadows:
            good, bad = await shadows.add(give)(1), await shadows.add(fail)("builtin")
            await run(shadows)
            for execution in (good, bad):
                with pytest.raises(ResultUnavailable, match="execution_ttl"):
                    await execution.get_result(timeout=5)
                assert execution.state is ExecutionState.UNKNOWN

    async def test_after_the_ttl_it_is_gone(self, name: str, url: str) -> None:
        clock = ControlledClock()
        async with Shadow(name, url, execution_ttl=timedelta(minutes=1), clock=clock) as shadows:
            execution = await shadows.add(give)(1)
            await run(shadows)
            assert await execution.get_result(timeout=5) == 1
            await clock.advance(minutes=2)
            await shadows.add(give)(2)
            await run(shadows)
            with pytest.raises(ResultUnavailable):
                await execution.get_result(timeout=5)


class TestFailure:
    @pytest.mark.parametrize(
        ("kind", "raised", "message"),
        [
            ("builtin", ValueError, re.escape("('bad value', 42)")),
            ("key", KeyError, "missing"),
            ("own", TaskFailed, r"test_execution\.OwnError: mine"),
            ("timeout", TimeoutError, "the task's own"),
            ("exit", TaskFailed, "SystemExit: 3"),
        ],
    )
    async def test_the_tasks_exception_is_raised_with_its_traceback(
        self, shadows: Shadow, kind: str, raised: type[Exception], message: str
    ) -> None:
        execution = await shadows.add(fail)(kind)
        await run(shadows)
        with pytest.raises(raised, match=message) as caught:
            await execution.get_result(timeout=5)
        assert type(caught.value) is raised
        assert any("in fail" in note for note in caught.value.__notes__)
        assert execution.state is ExecutionState.FAILED

    async def test_a_builtin_has_its_arguments(self, shadows: Shadow) -> None:
        execution = await shadows.add(fail)("builtin")
        await run(shadows)
        with pytest.raises(ValueError, match="bad value") as caught:
            await execution.get_result(timeout=5)
        assert caught.value.args == ("bad value", 42)

    async def test_another_has_its_name(self, shadows: Shadow) -> None:
        execution = await shadows.add(fail)("own")
        await run(shadows)
        with pytest.raises(TaskFailed) as caught:
            await execution.get_result(timeout=5)
        assert caught.value.type_name.endswith("test_execution.OwnError")
        assert "raise OwnError" in caught.value.remote_traceback

    async def test_a_cancelled_one_is_an_error_of_its_own(self, shadows: Shadow) -> None:
        execution = await shadows.add(give, key="k")(1)
        await shadows.cancel("k")
        with pytest.raises(ExecutionCancelled, match="<Execution give key='k' cancelled> was cancelled"):
            await execution.get_result(timeout=5)

    async def test_one_that_nobody_could_read_was_given_up(
        self, shadows: Shadow, name: str, redis: Redis
    ) -> None:
        await shadows.add(give, key="k")(1)
        stream = f"{{{name}}}:ready:default"
        await redis.xtrim(stream, maxlen=0, approximate=False)
        await redis.xadd(stream, {"k": "k", "c": "1/0/\x02"}, id="9999999999999-1")
        await redis.hset(f"{{{name}}}:live", "k", "default/9999999999999-1")
        execution = await shadows.get_execution("k")
        assert execution is not None
        await run(shadows)
        with pytest.raises(TaskFailed, match="its call could not be read"):
            await execution.get_result(timeout=5)
        assert execution.error is not None
        assert execution.error.startswith("given up: ")


class TestFacts:
    async def test_of_one_that_waits_for_its_instant(self, shadows: Shadow) -> None:
        when = datetime(2100, 1, 1, 0, 0, 0, 1, UTC)
        execution = await (await shadows.add(give, when=when, queue="mail")(1)).sync()
        assert execution.state is ExecutionState.SCHEDULED
        assert (execution.when, execution.queue, execution.attempt) == (when, "mail", 1)
        assert (execution.worker, execution.started_at, execution.completed_at) == (None, None, None)
        await shadows.cancel(execution.key)

    async def test_of_one_that_is_looked_up(self, shadows: Shadow) -> None:
        when = datetime(2100, 1, 1, tzinfo=UTC)
        await shadows.add(give, key="k", when=when)(value=[1, 2])
        found = await shadows.get_execution("k")
        assert found is not None
        assert (found.function_name, found.args, found.kwargs) == ("give", (), {"value": [1, 2]})
        assert (found.when, found.disposition) == (when, None)
        await shadows.cancel("k")

    async def test_of_one_that_runs(self, shadows: Shadow) -> None:
        started, end = asyncio.Event(), asyncio.Event()

        async def task() -> None:
            started.set()
            await end.wait()

        execution = await shadows.add(task)()
        async with Worker(shadows, name="w1") as worker:
            running = asyncio.create_task(worker.run_until_finished())
            await started.wait()
            assert (await execution.sync()).state is ExecutionState.RUNNING
            assert (execution.worker, execution.completed_at) == ("w1", None)
            end.set()
            await running

    async def test_of_one_that_succeeded(self, shadows: Shadow) -> None:
        execution = await shadows.add(give)(1)
        await run(shadows)
        assert await execution.sync() is execution
        assert (execution.state, execution.worker, execution.attempt) == (ExecutionState.COMPLETED, "w1", 1)
        assert execution.error is None
        assert execution.when is not None
        assert execution.started_at is not None
        assert execution.completed_at is not None
        assert execution.when <= execution.started_at <= execution.completed_at
        assert execution.args == (1,)

    async def test_of_one_that_failed(self, shadows: Shadow) -> None:
        execution = await shadows.add(fail, key="k")("key")
        await run(shadows)
        assert (await execution.sync()).error == "KeyError: 'missing'"
        found = await shadows.get_execution("k")
        assert found is not None
        assert found.args == ("key",)

    async def test_of_one_that_is_tried_again(self, shadows: Shadow) -> None:
        async def task(retry: Retry = Retry(attempts=2, delay=timedelta(hours=1))) -> None:
            raise ValueError

        execution = await shadows.add(task)()
        async with Worker(shadows) as worker:
            running = asyncio.create_task(worker.run_forever())
            await until(lambda: _is(execution, ExecutionState.SCHEDULED))
            worker.stop()
            await running
        assert execution.attempt == 2
        assert execution.when is not None
        assert execution.when > datetime.now(UTC) + timedelta(minutes=59)
        await shadows.cancel(execution.key)

    async def test_of_a_key_that_has_another_life(self, shadows: Shadow) -> None:
        first = await shadows.add(fail, key="k")("key")
        await run(shadows)
        assert (await first.sync()).error is not None
        await shadows.add(give, key="k")(1)
        await first.sync()
        assert (first.state, first.function_name, first.args) == (ExecutionState.QUEUED, "give", (1,))
        assert (first.error, first.worker, first.started_at, first.completed_at) == (None, None, None, None)

    async def test_of_one_whose_record_is_of_a_later_failure(self, shadows: Shadow) -> None:
        first = await shadows.add(fail, key="k")("key")
        await run(shadows)
        await first.sync()
        await shadows.add(give, key="k")(1)
        await run(shadows)
        assert await cast("Execution[Any]", first).get_result(timeout=5) == 1
        assert first.error is None


async def _is(execution: Execution[Any], state: ExecutionState) -> bool:
    return (await execution.sync()).state is state


class Told(Source):
    """A source that answers what the test says."""

    def __init__(self, *answers: Found, plan: Callable[..., Any] | None = None) -> None:
        self.answers = list(answers)
        self._plan = plan and Plan(plan, "task", "default")

    async def find(self, key: str) -> Found:
        return self.answers.pop(0)

    def watch(self, key: str) -> AbstractAsyncContextManager[Watch]:
        raise LookupError("nothing happens here")

    def plan(self, function_name: str) -> Plan | None:
        return self._plan


class TestDamage:
    @pytest.mark.parametrize("blob", [b"", b"x", b"a/b/c", b"1/0/", b"1/0/\x02", b"1/0/\x01\xff"])
    async def test_a_call_that_cannot_be_read_leaves_the_other_facts(self, blob: bytes) -> None:
        execution = Execution[None](Told(Found(Stand.QUEUED, "mail", blob=blob)), "k", "task")
        await execution.sync()
        assert (execution.state, execution.queue, execution.function_name) == (
            ExecutionState.QUEUED,
            "mail",
            "task",
        )

    async def test_arguments_that_do_not_fit_the_task_as_it_is_known_here_are_left_out(
        self, shadows: Shadow
    ) -> None:
        def known(value: Receipt) -> None: ...

        await shadows.add(give, key="k")(1)
        found = await shadows.find("k")
        for source in (Told(found, plan=known), Told(found)):
            execution = await Execution[object](source, "k", "").sync()
            assert (execution.function_name, execution.args) == ("give", ())

    async def test_a_record_that_cannot_be_read_is_an_error(self) -> None:
        ended = Found(Stand.ENDED, state="completed", info=b"\xff")
        with pytest.raises(PayloadError, match="newer than this library reads"):
            await Execution[None](Told(ended), "k", "").sync()

    async def test_one_that_waits_for_a_slot_is_waiting(self) -> None:
        execution = await Execution[None](Told(Found(Stand.WAITING)), "k", "").sync()
        assert execution.state is ExecutionState.WAITING

    async def test_a_cancelled_one_without_a_record_has_no_error(self) -> None:
        record = encode_record(Record("task", "w", 1, 0, 1, None, None))
        source = Told(
            Found(Stand.ENDED, state="completed", info=record),
            Found(Stand.ENDED, state="cancelled", instant_ms=5),
        )
        execution = Execution[None](source, "k", "")
        await execution.sync()
        with pytest.raises(ExecutionCancelled):
            await execution.get_result()
        assert (execution.error, execution.completed_at) == (None, datetime.fromtimestamp(0.005, UTC))


def test_dispositions_and_states_are_words() -> None:
    assert [str(disposition) for disposition in Disposition] == ["scheduled", "already_scheduled", "struck"]
    assert {state.value for state in ExecutionState} == {
        *(
            "scheduled",
            "queued",
            "running",
            "waiting",
            "completed",
            "failed",
            "cancelled",
            "expired",
            "unknown",
        )
    }


class Rumours(Told):
    """A source whose news are those that the test says, in order; None: nothing was heard for a while."""

    def __init__(self, *answers: Found, news: Sequence[News | None]) -> None:
        super().__init__(*answers)
        self.news = news

    @asynccontextmanager
    async def watch(self, key: str) -> AsyncGenerator[Watch]:
        watch = Watch()
        for one in self.news:
            watch.news.put_nowait(one)
        yield watch


class TestSubscribe:
    async def test_what_was_not_heard_of_is_looked_for(self) -> None:
        source = Rumours(
            Found(Stand.QUEUED, "default"), Found(Stand.QUEUED, "default"), Found(Stand.ENDED, state="completed"),
            news=[None, None],
        )  # fmt: skip
        execution = Execution[None](source, "k", "task")
        assert [event.get("state") async for event in execution.subscribe()] == ["queued", None, "completed"]

    async def test_a_run_that_is_over_by_the_time_of_the_look_is_told_by_its_end(self) -> None:
        ended = Found(Stand.ENDED, state="completed")
        source = Rumours(
            Found(Stand.QUEUED, "default"), ended, ended,
            news=[News("k", "running", "w"), News("k", "completed", "w")],
        )  # fmt: skip
        execution = Execution[None](source, "k", "task")
        told = [event.get("state") async for event in execution.subscribe()]
        assert told == ["queued", None, "running", "completed"]


class TestDeadline:
    async def test_a_result_is_waited_for_until_an_instant(self, shadows: Shadow) -> None:
        execution = await shadows.add(give, when=datetime.now(UTC) + timedelta(days=1))("Jane")
        with pytest.raises(TimeoutError, match="has not ended within"):
            await execution.get_result(deadline=datetime.now(UTC))
        with pytest.raises(ValueError, match="give one of them"):
            await execution.get_result(timeout=1, deadline=datetime.now(UTC))
        with pytest.raises(ValueError, match="no timezone"):
            await execution.get_result(deadline=datetime(2030, 1, 1))  # noqa: DTZ001 - that is what is refused
        await shadows.cancel(execution.key)
