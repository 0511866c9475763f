"""Replacing, many calls at once, keys that stay taken, calls that expire, and executions made by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from redis.asyncio import Redis

from shadows import (
    CurrentShadow,
    Disposition,
    Execution,
    ExecutionState,
    InvalidName,
    InvalidTask,
    NotAccepted,
    Overloaded,
    Shadow,
    ShadowError,
    TaskCall,
    Worker,
)
from shadows.payload.call import decode_call
from shadows.protocol.blob import split_blob
from shadows.testing import ControlledClock
from tests.support.proxy import Proxy, command
from tests.support.servers import running
from tests.support.waiting import until

LATER = datetime(2100, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


async def note(what: Any) -> Any:
    ran.append(what)
    return what


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


async def work(shadows: Shadow) -> None:
    async with Worker(shadows) as worker:
        await worker.run_until_finished()


class TestReplace:
    @pytest.mark.parametrize("before", [None, LATER])
    @pytest.mark.parametrize("after", [None, LATER - timedelta(days=1)])
    async def test_it_takes_the_place_of_what_waits(
        self, shadows: Shadow, before: datetime | None, after: datetime | None
    ) -> None:
        await shadows.add(note, before, "k")("old")
        execution = await shadows.replace(note, after, "k", queue="mail")("new")
        assert execution.disposition is Disposition.SCHEDULED
        found = await shadows.get_execution("k")
        assert found is not None
        for each in (execution, found):
            assert (each.key, each.args, each.queue) == ("k", ("new",), "mail")
            assert each.state is (ExecutionState.QUEUED if after is None else ExecutionState.SCHEDULED)
        assert after is None or execution.when == found.when == after
        if after is None:
            await work(shadows)
            assert ran == ["new"]

    async def test_where_nothing_stands_it_adds(self, shadows: Shadow) -> None:
        shadows.register(note)
        execution = await shadows.replace("note", None, "k")("new")
        assert execution.disposition is Disposition.SCHEDULED
        await work(shadows)
        assert ran == ["new"]

    async def test_what_runs_goes_on_and_counts_no_more(self, shadows: Shadow) -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> str:
            started.set()
            await go_on.wait()
            ran.append("old")
            return "old"

        await shadows.add(slow, key="k")()
        async with Worker(shadows) as worker:
            run = asyncio.create_task(worker.run_until_finished())
            await started.wait()
            execution = await shadows.replace(note, None, "k")("new")
            assert await execution.get_result(timeout=5) == "new"
            go_on.set()
            await run
        assert sorted(ran) == ["new", "old"]
        assert await execution.get_result(timeout=5) == "new"

    async def test_a_key_and_an_instant_are_needed(self, shadows: Shadow) -> None:
        with pytest.raises(TypeError):
            shadows.replace(note)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
        keys: list[Any] = [None, ""]
        for key in keys:
            with pytest.raises(InvalidName):
                shadows.replace(note, None, key)
        with pytest.raises(KeyError, match="no task is called 'nothing'"):
            shadows.replace("nothing", None, "k")
        with pytest.raises(ValueError, match="has no timezone"):
            shadows.replace(note, datetime(2030, 1, 1), "k")  # noqa: DTZ001


class TestTaskCall:
    async def test_it_says_what_is_called(self, shadows: Shadow) -> None:
        call = shadows.call(note, LATER, "k")({"a": 1})
        assert (call.function, call.function_name) == (note, "note")
        assert (call.args, call.kwargs, call.key, call.when) == (({"a": 1},), {}, "k", LATER)
        assert (call.queue, call.unique_for, call.expires) == ("default", None, None)

    async def test_it_equals_one_that_was_made_by_hand_to_say_the_same(self, shadows: Shadow) -> None:
        span, end = timedelta(hours=1), timedelta(minutes=1)
        call = shadows.call(note, LATER, "k", unique_for=span, expires=end)(1)
        by_hand = TaskCall(note, (1,), {}, "k", LATER, "note", "default", span, end)
        assert call == by_hand
        assert call != TaskCall(note, (2,), {}, "k", LATER, "note", "default", span, end)
        assert call != "k"
        assert repr(call) == repr(by_hand)
        assert "TaskCall(function=" in repr(call)
        assert "key='k'" in repr(call)

    async def test_its_key_and_instant_are_fixed_when_it_is_made(self, shadows: Shadow) -> None:
        before = datetime.now(UTC)
        make = shadows.call(note)
        first, second = make(1), make(what=2)
        assert first.key != second.key
        assert before - timedelta(milliseconds=1) <= first.when <= datetime.now(UTC)
        assert second.kwargs == {"what": 2}

    async def test_nothing_is_sent_by_making_it(
        self, shadows: Shadow, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        shadows.call(note)(1)
        assert await unfinished() == 0

    async def test_it_can_be_made_before_the_client_is_open(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)
        call = shadows.call(note)(1)
        with pytest.raises(ShadowError, match="is not open"):
            await shadows.add_many([call])
        async with shadows:
            await shadows.add_many([call])
            await work(shadows)
        assert ran == [1]

    async def test_what_cannot_be_called_is_refused_at_once(self, shadows: Shadow) -> None:
        async def injected(n: int, shadows: Shadow = CurrentShadow()) -> None: ...

        with pytest.raises(TypeError, match="missing a required argument"):
            shadows.call(note)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        with pytest.raises(TypeError, match="'shadows' is injected where the task runs"):
            shadows.call(injected)(1, shadows)
        with pytest.raises(TypeError, match="'shadows' is injected where the task runs"):
            await shadows.add(injected)(1, shadows=shadows)
        with pytest.raises(KeyError, match="no task is called 'nothing'"):
            shadows.call("nothing")
        with pytest.raises(InvalidTask):
            shadows.call(lambda: None)
        with pytest.raises(InvalidName):
            shadows.call(note, key="")


class TestMany:
    async def test_each_is_accepted_in_order(self, shadows: Shadow) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        calls = [
            shadows.call(note, key="a")(1),
            shadows.call(note, later, "b", queue="mail")(2),
            shadows.call(note)(3),
        ]
        executions = await shadows.add_many(calls)
        assert [execution.key for execution in executions] == [call.key for call in calls]
        assert [execution.args for execution in executions] == [(1,), (2,), (3,)]
        assert [execution.queue for execution in executions] == ["default", "mail", "default"]
        assert executions[1].when == later
        assert {execution.disposition for execution in executions} == {Disposition.SCHEDULED}
        await shadows.cancel("b")
        await work(shadows)
        assert ran == [1, 3]

    @pytest.mark.parametrize("chunk_size", [1, 7, 200, 1000])
    async def test_any_number_travels_in_chunks(self, shadows: Shadow, chunk_size: int) -> None:
        executions = await shadows.add_many(
            (shadows.call(note)(n) for n in range(450)), chunk_size=chunk_size
        )
        assert [execution.args for execution in executions] == [(n,) for n in range(450)]
        await work(shadows)
        assert sorted(ran) == list(range(450))

    async def test_nothing_is_answered_with_nothing(self, shadows: Shadow) -> None:
        assert await shadows.add_many([]) == await shadows.replace_many(iter(())) == []

    @pytest.mark.parametrize("chunk_size", [0, -1])
    async def test_a_chunk_has_at_least_one(self, shadows: Shadow, chunk_size: int) -> None:
        for many in (shadows.add_many, shadows.replace_many):
            with pytest.raises(ValueError, match=f"chunk_size={chunk_size}: .* at least 1"):
                await many([], chunk_size=chunk_size)

    async def test_of_equal_keys_the_first_that_is_added_wins(self, shadows: Shadow) -> None:
        executions = await shadows.add_many([shadows.call(note, key="k")(n) for n in range(3)])
        assert [execution.disposition for execution in executions] == [
            Disposition.SCHEDULED, Disposition.ALREADY_SCHEDULED, Disposition.ALREADY_SCHEDULED,
        ]  # fmt: skip
        assert [execution.args for execution in executions] == [(0,)] * 3
        await work(shadows)
        assert ran == [0]

    async def test_of_equal_keys_the_last_that_replaces_wins(self, shadows: Shadow) -> None:
        await shadows.add(note, key="k")("old")
        executions = await shadows.replace_many([shadows.call(note, key="k")(n) for n in range(3)])
        assert [execution.disposition for execution in executions] == [Disposition.SCHEDULED] * 3
        await work(shadows)
        assert ran == [2]

    async def test_the_same_calls_again_add_nothing(
        self, shadows: Shadow, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        calls = [shadows.call(note)(n) for n in range(5)]
        await shadows.add_many(calls)
        again = await shadows.add_many(calls)
        assert {execution.disposition for execution in again} == {Disposition.ALREADY_SCHEDULED}
        assert await unfinished() == 5

    async def test_calls_are_drawn_no_faster_than_they_are_accepted(
        self, shadows: Shadow, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        drawn = 0

        def calls() -> Iterator[TaskCall]:
            nonlocal drawn
            for n in range(30):
                drawn += 1
                yield shadows.call(note)(n)
            raise LookupError("no more")

        with pytest.raises(LookupError) as caught:
            await shadows.add_many(calls(), chunk_size=10)
        assert caught.value.__notes__ == [
            "at least 20 calls were accepted; handing all of them over again is harmless"
        ]
        assert drawn == 30
        assert await unfinished() <= 30

    async def test_the_next_chunk_is_made_while_the_last_one_travels(self, name: str, proxy: Proxy) -> None:
        async with Shadow(name, proxy.url) as shadows:
            drawn: list[int] = []

            def calls() -> Iterator[TaskCall]:
                for n in range(4):
                    drawn.append(n)
                    yield shadows.call(note)(n)

            proxy.hang_replies()
            many = asyncio.create_task(shadows.add_many(calls(), chunk_size=1))
            await until(lambda: drawn == [0, 1])
            proxy.resume()
            assert len(await many) == 4

    async def test_a_call_may_be_made_by_hand(self, shadows: Shadow) -> None:
        shadows.register(note, names=["other"])
        calls = [
            TaskCall(note, (1,), {}, "a", LATER),
            TaskCall(note, (), {"what": 2}, "b", LATER, "other", "mail"),
        ]
        executions = await shadows.replace_many(calls)
        assert [(one.key, one.function_name, one.queue, one.when) for one in executions] == [
            ("a", "other", "default", LATER), ("b", "other", "mail", LATER),
        ]  # fmt: skip
        with pytest.raises(TypeError, match="missing a required argument"):
            await shadows.add_many([TaskCall(note, (), {}, "c", LATER)])

    async def test_anything_else_is_refused_with_the_remedy(self, shadows: Shadow) -> None:
        for wrong in (note, "note"):
            with pytest.raises(TypeError, match=r"is not a TaskCall: make it with shadows\.call\(function\)"):
                await shadows.add_many([wrong])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]

    async def test_one_that_is_not_accepted_leaves_the_others_accepted(
        self, shadows: Shadow, name: str, redis: Redis, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        await shadows.add(note, queue="mail")("first")
        await work(shadows)
        await redis.delete(f"{{{name}}}:ready:mail")
        await redis.set(f"{{{name}}}:ready:mail", "x")
        calls = [shadows.call(note, queue="mail" if n in (1, 3) else None)(n) for n in range(5)]
        with pytest.raises(NotAccepted) as caught:
            await shadows.add_many(calls)
        assert caught.value.__notes__ == [
            "at least 3 calls were accepted; handing all of them over again is harmless"
        ]
        assert await unfinished() == 3
        await redis.delete(f"{{{name}}}:ready:mail")
        again = await shadows.add_many(calls)
        assert [execution.disposition is Disposition.SCHEDULED for execution in again] == [
            *(False, True, False, True, False)
        ]

    async def test_a_full_server_takes_none_of_a_chunk(self, name: str) -> None:
        with running("valkey") as server:
            async with Shadow(name, server.url) as shadows:
                calls = [shadows.call(note)(n) for n in range(300)]
                server.call("CONFIG", "SET", "maxmemory", "1")
                with pytest.raises(Overloaded):
                    await shadows.add_many(calls)
                server.call("CONFIG", "SET", "maxmemory", "0")
                executions = await shadows.add_many(calls)
                assert {execution.disposition for execution in executions} == {Disposition.SCHEDULED}

    async def test_a_lost_reply_loses_nothing_and_doubles_nothing(
        self, name: str, proxy: Proxy, unfinished: Callable[[], Awaitable[int]]
    ) -> None:
        async with Shadow(name, proxy.url) as shadows:
            proxy.drop_next_reply(command("EVALSHA"))
            executions = await shadows.add_many([shadows.call(note)(n) for n in range(300)])
        assert {execution.disposition for execution in executions} == {Disposition.SCHEDULED}
        assert await unfinished() == 300


class TestUniqueFor:
    async def test_the_key_stays_taken_that_long_after_the_end(self, name: str, url: str) -> None:
        clock = ControlledClock(datetime(2030, 1, 1, tzinfo=UTC))
        async with Shadow(name, url, clock=clock) as shadows:
            add = shadows.add(note, key="k", unique_for=timedelta(hours=1))
            assert (await add(1)).disposition is Disposition.SCHEDULED
            await work(shadows)
            await clock.advance(minutes=59)
            assert (await add(2)).disposition is Disposition.ALREADY_SCHEDULED
            await clock.advance(minutes=1)
            assert (await add(3)).disposition is Disposition.SCHEDULED
            await work(shadows)
        assert ran == [1, 3]

    async def test_it_travels_with_every_kind_of_call(self, shadows: Shadow) -> None:
        span = timedelta(milliseconds=1, microseconds=1)
        await shadows.add(note, LATER, "a", unique_for=span)(1)
        await shadows.replace(note, LATER, "b", unique_for=span)(1)
        await shadows.add_many([shadows.call(note, LATER, "c", unique_for=span)(1)])
        await shadows.add_many([TaskCall(note, (1,), {}, "d", LATER, unique_for=span)])
        await shadows.add(note, LATER, "e")(1)
        assert [split_blob((await shadows.find(key)).blob).unique_ms for key in "abcde"] == [2, 2, 2, 2, 0]

    @pytest.mark.parametrize("span", [timedelta(0), timedelta(seconds=-1), timedelta(days=4000)])
    async def test_a_span_that_makes_no_sense_is_refused(self, shadows: Shadow, span: timedelta) -> None:
        with pytest.raises(ValueError, match=r"unique_for=.* more than nothing and ten years at most"):
            shadows.add(note, unique_for=span)


class TestExpires:
    async def expiry(self, shadows: Shadow, key: str) -> datetime | None:
        _, _, _, data = split_blob((await shadows.find(key)).blob)
        us = decode_call(data).expires_us
        return (
            datetime.fromtimestamp(us // 1_000_000, UTC) + timedelta(microseconds=us % 1_000_000)
            if us
            else None
        )

    async def test_it_travels_with_every_kind_of_call(self, shadows: Shadow) -> None:
        expires = LATER + timedelta(microseconds=1)
        await shadows.add(note, LATER, "a", expires=expires)(1)
        await shadows.replace(note, LATER, "b", expires=expires)(1)
        await shadows.add_many([shadows.call(note, LATER, "c", expires=expires)(1)])
        await shadows.add_many([TaskCall(note, (1,), {}, "d", LATER, expires=expires)])
        await shadows.add(note, LATER, "e")(1)
        assert [await self.expiry(shadows, key) for key in "abcde"] == [*[expires] * 4, None]

    async def test_the_answer_says_when(self, shadows: Shadow) -> None:
        expires = LATER + timedelta(microseconds=1)
        assert (await shadows.add(note, LATER, expires=expires)(1)).expires == expires
        assert (await shadows.add(note, LATER, expires=timedelta(hours=1))(1)).expires == LATER + timedelta(
            hours=1
        )
        assert (await shadows.add(note, LATER)(1)).expires is None
        made = await shadows.schedule(
            Execution[Any](shadows, "k", "note", args=(1,), when=LATER, expires=expires)
        )
        assert await self.expiry(shadows, "k") == made.expires == expires

    async def test_what_expired_before_there_were_clocks_has_expired(self, shadows: Shadow) -> None:
        before = datetime(1969, 1, 1, tzinfo=UTC)
        for key, expires in (("a", datetime(1970, 1, 1, tzinfo=UTC)), ("b", before + timedelta(hours=1))):
            await shadows.replace(note, before, key, expires=expires)(1)
            found = await self.expiry(shadows, key)
            assert found is not None
            assert found < datetime(1970, 1, 2, tzinfo=UTC)

    async def test_a_delta_counts_from_the_instant_it_is_due(self, name: str, url: str) -> None:
        clock = ControlledClock(datetime(2030, 1, 1, tzinfo=UTC))
        hour, minute = timedelta(hours=1), timedelta(minutes=1)
        async with Shadow(name, url, clock=clock) as shadows:
            for key, when in (("now", None), ("later", clock.now + hour), ("before", clock.now - hour)):
                await shadows.add(note, when, key, expires=minute)(1)
            assert [await self.expiry(shadows, key) for key in ("now", "later", "before")] == [
                clock.now + minute, clock.now + hour + minute, clock.now + minute,
            ]  # fmt: skip

    @pytest.mark.parametrize(
        ("when", "expires", "kind", "reason"),
        [
            (None, timedelta(0), ValueError, "expires=.* more than nothing and ten years at most"),
            (None, timedelta(days=4000), ValueError, "ten years at most"),
            (None, datetime(2030, 1, 1), ValueError, "has no timezone"),  # noqa: DTZ001
            (None, 5, TypeError, "is not an instant"),
            (LATER, LATER, ValueError, "is not after the instant it is due"),
        ],
    )
    async def test_what_could_never_run_is_refused(
        self, shadows: Shadow, when: datetime | None, expires: Any, kind: type[Exception], reason: str
    ) -> None:
        with pytest.raises(kind, match=reason):
            shadows.add(note, when, expires=expires)


class TestSchedule:
    async def test_an_execution_made_by_hand_is_accepted(self, shadows: Shadow) -> None:
        shadows.register(note)
        execution = Execution[Any](shadows, "k", "note", args=(1,), when=LATER)
        assert execution.function is note
        assert await shadows.schedule(execution) is execution
        assert (execution.disposition, execution.state) == (
            Disposition.SCHEDULED,
            ExecutionState.SCHEDULED,
        )
        assert (execution.queue, execution.when) == ("default", LATER)

    async def test_where_the_key_is_taken_it_shows_what_stands(self, shadows: Shadow) -> None:
        await shadows.add(note, LATER, "k", queue="mail")("standing")
        execution = await shadows.schedule(Execution[Any](shadows, "k", "note", kwargs={"what": 1}))
        assert execution.disposition is Disposition.ALREADY_SCHEDULED
        assert (execution.args, execution.queue, execution.when) == (("standing",), "mail", LATER)

    async def test_what_is_stricken_says_so(self, shadows: Shadow) -> None:
        shadows.register(note)
        await shadows.strike("note")
        execution = await shadows.schedule(Execution[Any](shadows, "k", "note", args=(1,)))
        assert execution.disposition is Disposition.STRUCK

    async def test_what_cannot_be_is_refused(self, shadows: Shadow) -> None:
        with pytest.raises(KeyError, match="no task is called 'nothing'"):
            await shadows.schedule(Execution[Any](shadows, "k", "nothing"))
        shadows.register(note)
        with pytest.raises(InvalidName):
            await shadows.schedule(Execution[Any](shadows, "", "note", args=(1,)))
        with pytest.raises(TypeError):
            await shadows.schedule(Execution[Any](shadows, "k", "note"))

    async def test_a_task_that_is_not_known_has_a_placeholder_with_its_name(self, shadows: Shadow) -> None:
        function = Execution[Any](shadows, "k", "nothing").function
        assert function.__name__ == "nothing"
        with pytest.raises(ShadowError, match="the task 'nothing' is not known here"):
            await function(1, a=2)


class TestTasks:
    async def test_adding_and_calling_register(self, shadows: Shadow) -> None:
        mock = AsyncMock()
        mock.__name__ = "mocked"
        shadows.call(mock)
        assert shadows.tasks["mocked"] is mock
        await shadows.add("mocked")(1, x=2)
        await work(shadows)
        mock.assert_awaited_once_with(1, x=2)

    async def test_the_mapping_can_be_changed(self, shadows: Shadow) -> None:
        shadows.tasks["other"] = note
        await shadows.add("other")(1)
        await work(shadows)
        assert ran == [1]
        del shadows.tasks["other"]
        with pytest.raises(KeyError):
            shadows.add("other")
