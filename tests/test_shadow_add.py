"""Adding, cancelling and finding calls of tasks."""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import AsyncMock
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from shadows import (
    Disposition,
    EncodingError,
    ExecutionState,
    InvalidName,
    InvalidTask,
    NotAccepted,
    Overloaded,
    ServerUnreachable,
    Shadow,
    ShadowError,
    Worker,
)
from shadows.testing import ControlledClock
from tests.support.proxy import Proxy, command
from tests.support.servers import running


async def greet(name: str, *, loud: bool = False) -> str:
    return f"hello {name}{'!' if loud else ''}"


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
def unfinished(name: str, redis: Redis) -> Callable[[], Awaitable[int]]:
    """Counts the unfinished executions on the server."""

    async def count() -> int:
        return int(await redis.hlen(f"{{{name}}}:live"))

    return count


class Mailer:
    async def send(self, to: str) -> str:
        return f"sent to {to}"

    def __call__(self, to: str) -> str:
        return f"called for {to}"


class TestKinds:
    async def test_every_kind_of_callable_runs_and_gives_its_result(self, shadows: Shadow) -> None:
        def variadic(a: int, /, *rest: int, **named: int) -> list[int]:
            return [a, *rest, *named.values()]

        @functools.wraps(greet)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            return greet(*args, **kwargs)

        mock = AsyncMock(return_value="mocked")
        mock.__name__ = "mocked"
        shadows.register(decorated, names=["decorated"])
        shadows.register(functools.partial(greet, loud=True), names=["shout"])
        executions = [
            await shadows.add(greet)("Jane", loud=True),
            await shadows.add(variadic)(1, 2, 3, a=4, b=5),
            await shadows.add(Mailer().send)("Jane"),
            await shadows.add(Mailer())(to="Jane"),
            await shadows.add("shout")("Joe"),
            await shadows.add(decorated)("Jane"),
            await shadows.add(mock)(1, x=2),
        ]
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert [await execution.get_result(timeout=5) for execution in executions] == [
            "hello Jane!",
            [1, 2, 3, 4, 5],
            "sent to Jane",
            "called for Jane",
            "hello Joe!",
            "hello Jane",
            "mocked",
        ]
        mock.assert_awaited_once_with(1, x=2)

    async def test_a_name_is_enough_where_it_is_registered(self, shadows: Shadow) -> None:
        shadows.register(greet)
        execution = await shadows.add("greet")("Jane")
        assert execution.function_name == "greet"

    async def test_an_unknown_name_is_a_key_error_with_the_remedy(self, shadows: Shadow) -> None:
        with pytest.raises(KeyError, match="no task is called 'nothing': register it first"):
            shadows.add("nothing")

    @pytest.mark.parametrize("function", [42, Mailer, lambda: None])
    async def test_what_cannot_be_a_task_is_refused(self, shadows: Shadow, function: Any) -> None:
        with pytest.raises(InvalidTask):
            shadows.add(function)

    async def test_a_coroutine_is_refused(self, shadows: Shadow) -> None:
        with pytest.raises(InvalidTask, match="greet was called: pass the function itself"):
            shadows.add(greet("Jane"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


class TestFacts:
    async def test_the_answer_says_what_was_added(self, shadows: Shadow) -> None:
        before = datetime.now(UTC)
        execution = await shadows.add(greet, key="k", queue="mail")("Jane", loud=True)
        assert (execution.key, execution.function_name, execution.queue) == ("k", "greet", "mail")
        assert (execution.args, execution.kwargs) == (("Jane",), {"loud": True})
        assert (execution.disposition, execution.state) == (Disposition.SCHEDULED, ExecutionState.QUEUED)
        assert execution.when is not None
        assert before - timedelta(milliseconds=1) <= execution.when <= datetime.now(UTC)
        assert repr(execution) == "<Execution greet key='k' queued>"

    async def test_keys_are_made_up_where_none_is_given(self, shadows: Shadow) -> None:
        add = shadows.add(greet)
        assert (await add("Jane")).key != (await add("Jane")).key

    async def test_the_queue_is_the_tasks_unless_told(self, shadows: Shadow) -> None:
        shadows.register(greet, queue="mail")
        assert (await shadows.add(greet)("Jane")).queue == "mail"
        assert (await shadows.add(greet, queue="fast")("Jane")).queue == "fast"

    async def test_what_is_changed_after_the_call_is_not_sent(self, shadows: Shadow) -> None:
        async def total(numbers: list[int]) -> int:
            return sum(numbers)

        numbers = [1, 2]
        adding = shadows.add(total)(numbers)
        numbers.append(3)
        execution = await adding
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert await execution.get_result(timeout=5) == 3


class TestKey:
    @pytest.mark.parametrize(
        "key",
        ["k", "a b", "ü/🎉", "{a}:b", "~due", "default/1-1", "*", "'\"\\", "x" * 512, "\u200b", "-", "0"],
    )
    async def test_any_text_can_be_one(self, shadows: Shadow, key: str) -> None:
        execution = await shadows.add(greet, key=key)("Jane")
        again = await shadows.add(greet, key=key)("Joe")
        assert again.disposition is Disposition.ALREADY_SCHEDULED
        found = await shadows.get_execution(key)
        assert found is not None
        assert found.key == execution.key == key
        assert await shadows.cancel(key)

    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            ("", "has 0 bytes"),
            ("x" * 513, "has 513 bytes"),
            ("ü" * 257, "has 514 bytes"),
            ("a\nb", "control characters"),
            ("a\0", "control characters"),
            ("\ud800", "lone surrogates"),
            (3, "a key is text"),
        ],
    )
    async def test_what_cannot_be_one_is_refused(self, shadows: Shadow, key: Any, reason: str) -> None:
        with pytest.raises(InvalidName, match=reason):
            shadows.add(greet, key=key)
        with pytest.raises(InvalidName, match=reason):
            await shadows.cancel(key)
        with pytest.raises(InvalidName, match=reason):
            await shadows.get_execution(key)

    async def test_a_second_add_answers_the_one_that_stands(self, shadows: Shadow) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        await shadows.add(greet, key="k", when=later, queue="mail")("Jane", loud=True)

        async def other(n: int) -> None: ...

        again = await shadows.add(other, key="k")(3)
        assert again.disposition is Disposition.ALREADY_SCHEDULED
        assert (again.function_name, again.args, again.kwargs) == ("greet", ("Jane",), {"loud": True})
        assert (again.state, again.when, again.queue) == (ExecutionState.SCHEDULED, later, "mail")

    async def test_it_is_free_again_after_the_end(self, shadows: Shadow) -> None:
        async with Worker(shadows) as worker:
            for _ in range(2):
                execution = await shadows.add(greet, key="k")("Jane")
                assert execution.disposition is Disposition.SCHEDULED
                await worker.run_until_finished()

    async def test_of_many_at_once_one_is_accepted(self, shadows: Shadow) -> None:
        executions = await asyncio.gather(*[shadows.add(greet, key="k")(str(i)) for i in range(300)])
        assert [execution.disposition for execution in executions].count(Disposition.SCHEDULED) == 1
        assert {execution.args for execution in executions} == {executions[0].args}


class TestWhen:
    @pytest.mark.parametrize(
        "when",
        [
            datetime(1969, 1, 1, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime.min.replace(tzinfo=UTC),
            datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        ],
    )
    async def test_in_the_past_it_is_at_once(self, shadows: Shadow, when: datetime) -> None:
        execution = await shadows.add(greet, when=when)("Jane")
        assert execution.state is ExecutionState.QUEUED
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert await execution.get_result(timeout=5) == "hello Jane"

    @pytest.mark.parametrize(
        "when",
        [
            datetime(2100, 1, 1, 1, 2, 3, 456_789, tzinfo=UTC),
            datetime(2100, 3, 28, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
            datetime(2100, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30, microseconds=1))),
            datetime.max.replace(tzinfo=UTC),
        ],
    )
    async def test_in_the_future_it_comes_back_to_the_microsecond(
        self, shadows: Shadow, when: datetime
    ) -> None:
        execution = await shadows.add(greet, when=when, key="k")("Jane")
        found = await shadows.get_execution("k")
        assert found is not None
        for each in (execution, found):
            assert each.state is ExecutionState.SCHEDULED
            assert each.when == when.astimezone(UTC)

    async def test_it_never_runs_early_not_even_by_a_microsecond(self, name: str, url: str) -> None:
        clock = ControlledClock(datetime(2030, 1, 1, tzinfo=UTC))
        when = clock.now + timedelta(microseconds=1)
        async with Shadow(name, url, clock=clock) as shadows, Worker(shadows) as worker:
            execution = await shadows.add(greet, when=when)("Jane")
            await shadows.add(greet)("Joe")
            run = asyncio.create_task(worker.run_until_finished())
            assert (await execution.sync()).state is ExecutionState.SCHEDULED
            await clock.advance(milliseconds=1)
            await run
        assert execution.started_at is None

    @pytest.mark.parametrize(
        ("when", "kind", "reason"),
        [
            (datetime(2030, 1, 1), ValueError, "has no timezone"),  # noqa: DTZ001
            ("tomorrow", TypeError, "is not an instant"),
            (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), ValueError, "outside the years"),
        ],
    )
    async def test_what_is_no_instant_is_refused(
        self, shadows: Shadow, when: Any, kind: type[Exception], reason: str
    ) -> None:
        with pytest.raises(kind, match=reason):
            shadows.add(greet, when=when)


class TestRefusals:
    async def test_nothing_reaches_the_server(
        self, shadows: Shadow, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        add: Any = shadows.add(greet)
        for args, kwargs, kind, reason in (
            (
                (),
                {},
                TypeError,
                "greet: missing a required argument: 'name'; its signature is greet(name: str",
            ),
            (("a", "b"), {}, TypeError, "greet: too many positional arguments"),
            (("a",), {"quiet": 1}, TypeError, "unexpected keyword argument 'quiet'"),
            ((object(),), {}, EncodingError, "greet: parameter 'name'"),
            (("x" * 1024 * 1024,), {}, ValueError, "greet: its arguments take 1,04"),
        ):
            with pytest.raises(kind, match=re.escape(reason)):
                add(*args, **kwargs)
        assert await unfinished() == 0

    async def test_an_invalid_queue_is_refused(self, shadows: Shadow) -> None:
        with pytest.raises(InvalidName, match="queue='a b': a queue's name is"):
            shadows.add(greet, queue="a b")

    async def test_a_broken_queue_is_named_with_the_remedy(
        self, shadows: Shadow, name: str, redis: Redis, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        stream = f"{{{name}}}:ready:mail"
        await shadows.add(greet, queue="mail", key="before")("Jane")
        await redis.delete(stream)
        await redis.set(stream, "x")
        with pytest.raises(NotAccepted, match=re.escape(f"the key '{stream}' holds a string where")):
            await shadows.add(greet, queue="mail")("Jane")
        with pytest.raises(
            ShadowError, match=r"'before' is not cancelled: the key '.*:ready:mail' holds a string"
        ):
            await shadows.cancel("before")
        assert await unfinished() == 1

    async def test_a_full_server_refuses_everything_or_nothing(self, name: str) -> None:
        with running("valkey") as server:
            async with Shadow(name, server.url) as shadows:
                server.call("CONFIG", "SET", "maxmemory", "1")
                with pytest.raises(Overloaded, match=r"the server refuses writes .* was not accepted"):
                    await shadows.add(greet, key="k")("Jane")
                assert await shadows.get_execution("k") is None
                server.call("CONFIG", "SET", "maxmemory", "0")
                await shadows.add(greet, key="k")("Jane")

    async def test_a_server_that_went_away_is_named_with_the_key(self, name: str, proxy: Proxy) -> None:
        async with Shadow(name, proxy.url) as shadows:
            shadows._batcher._patience = 0  # type: ignore[union-attr]  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
            proxy.cut_before_next_request(command("EVALSHA"))
            with pytest.raises(ServerUnreachable, match="adding it again with key='k' is harmless"):
                await shadows.add(greet, key="k")("Jane")
            execution = await shadows.add(greet, key="k")("Jane")
            assert execution.disposition is Disposition.SCHEDULED

    async def test_a_lost_reply_loses_nothing_and_doubles_nothing(
        self, name: str, proxy: Proxy, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        async with Shadow(name, proxy.url) as shadows:
            proxy.drop_next_reply(command("EVALSHA"))
            execution = await shadows.add(greet)("Jane")
        assert execution.disposition is Disposition.SCHEDULED
        assert await unfinished() == 1


class TestCancel:
    @pytest.mark.parametrize("delay", [None, timedelta(hours=1)])
    async def test_what_has_not_started_never_runs_and_its_key_is_free(
        self, shadows: Shadow, delay: timedelta | None
    ) -> None:
        ran: list[str] = []

        async def task(name: str) -> None:
            ran.append(name)

        when = None if delay is None else datetime.now(UTC) + delay
        execution = await shadows.add(task, key="k", when=when)("first")
        assert await shadows.cancel("k") is True
        assert (await execution.sync()).state is ExecutionState.CANCELLED
        again = await shadows.add(task, key="k")("second")
        assert again.disposition is Disposition.SCHEDULED
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert ran == ["second"]

    async def test_what_runs_is_told(self, shadows: Shadow) -> None:
        started = asyncio.Event()

        async def task() -> None:
            started.set()
            await asyncio.Event().wait()

        execution = await shadows.add(task)()
        async with Worker(shadows) as worker:
            run = asyncio.create_task(worker.run_until_finished())
            await started.wait()
            assert (await execution.sync()).state is ExecutionState.RUNNING
            assert execution.worker == worker.name
            assert await shadows.cancel(execution.key) is True
            await run
        assert (await execution.sync()).state is ExecutionState.CANCELLED

    async def test_nothing_to_cancel_is_no_error(self, shadows: Shadow) -> None:
        assert await shadows.cancel("nothing") is False
        execution = await shadows.add(greet)("Jane")
        assert await shadows.cancel(execution.key) is True
        assert await shadows.cancel(execution.key) is False


class TestGetExecution:
    async def test_what_never_was_is_none(self, shadows: Shadow) -> None:
        assert await shadows.get_execution("nothing") is None

    async def test_what_has_ended_is_found_while_its_record_is_kept(self, shadows: Shadow) -> None:
        await shadows.add(greet, key="k")("Jane")
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        found = await shadows.get_execution("k")
        assert found is not None
        assert (found.state, found.function_name) == (ExecutionState.COMPLETED, "greet")
        assert found.disposition is None
