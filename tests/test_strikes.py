"""Striking tasks and parameters: what is stricken is neither scheduled nor run, and not lost."""

import asyncio
import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from redis.asyncio import Redis

from shadows import (
    CurrentShadow,
    Disposition,
    EncodingError,
    ExecutionState,
    Operator,
    Overloaded,
    Perpetual,
    Retry,
    ServerUnreachable,
    Shadow,
    ShadowError,
    TaskCall,
    Worker,
)
from shadows import strike_list as strike_list_module
from shadows.payload.values import encode_value
from shadows.protocol.execution import Stand
from shadows.protocol.strikes import Listed, look
from shadows.strikes import Rules, Strike, arguments_of
from shadows.testing import ControlledClock
from tests.support.proxy import Proxy, command
from tests.support.servers import running
from tests.support.waiting import until

type Dead = Callable[[], Awaitable[dict[str, str]]]


class Tier(enum.Enum):
    FREE = "free"
    PAID = "paid"


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
async def another(name: str, url: str) -> AsyncIterator[Shadow]:
    """Another client of the same shadow, as another process has it."""
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
def dead(name: str, redis: Redis) -> Dead:
    """The dead letters: their reasons by their keys."""

    async def read() -> dict[str, str]:
        found: dict[str, str] = {}
        letters = cast("dict[bytes, bytes]", await redis.hgetall(f"{{{name}}}:dead"))
        for letter in letters.values():
            reason, _, size, _, tail = letter.split(b"/", 4)
            found[tail[: int(size)].decode()] = reason.decode()
        return found

    return read


ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


async def send(customer: int, tier: str = "free") -> None:
    ran.append(customer)


async def poll(n: int, perpetual: Perpetual = Perpetual(every=timedelta(hours=1))) -> None:
    ran.append(n)


async def work(shadows: Shadow) -> None:
    async with Worker(shadows) as worker:
        await worker.run_until_finished()


class TestOperators:
    @pytest.mark.parametrize(
        ("operator", "value", "argument", "stricken"),
        [
            ("==", 7, 7, True),
            ("==", 7, 7.0, True),
            ("==", 7, 8, False),
            ("==", 7, "7", False),
            ("==", None, None, True),
            ("==", None, 0, False),
            ("==", [1, 2], [1, 2], True),
            ("==", [1, 2], [1], False),
            ("==", {"a": 1}, {"a": 1}, True),
            ("==", frozenset({1}), {1}, True),
            ("==", UUID(int=3), UUID(int=3), True),
            ("==", Tier.PAID, Tier.PAID, True),
            ("==", "paid", Tier.PAID, True),
            ("==", Tier.PAID, "paid", True),
            ("!=", 7, 8, True),
            ("!=", 7, 7, False),
            (">", 7, 8, True),
            (">", 7, 7, False),
            (">=", 7, 7, True),
            (">=", 7, 6, False),
            ("<", 7, 6, True),
            ("<", 7, 7, False),
            ("<=", 7, 7, True),
            ("<=", 7, 8, False),
            ("<", "m", "a", True),
            (">", datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC), True),
            ("between", (3, 5), 3, True),
            ("between", (3, 5), 5, True),
            ("between", [3, 5], 2, False),
            ("between", (3, 5), 6, False),
            ("between", (Tier.FREE, Tier.PAID), "g", True),
            (Operator.BETWEEN, (3, 3), 3, True),
        ],
    )
    def test_an_argument_is_compared_with_the_value(
        self, operator: str, value: object, argument: object, stricken: bool
    ) -> None:
        strike = Strike.of("f", "x", operator, value)
        for rules in (Rules([strike]), Rules([Strike.read(strike.field)])):
            assert rules.strike("f", lambda: {"x": argument}) is stricken
            assert not rules.strike("f", lambda: {"y": argument})
            assert not rules.strike("g", lambda: {"x": argument})

    def test_what_cannot_be_compared_is_not_stricken_and_told_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Odd:
            def __eq__(self, other: object) -> bool:
                raise RuntimeError("no")

            def __hash__(self) -> int:
                raise RuntimeError("no")

        rules = Rules(
            [Strike.of("", "x", ">", 7), Strike.of("", "x", "==", "secret"), Strike.of("", "x", "<", 9)]
        )
        for _ in range(3):
            assert not rules.strike("f", lambda: {"x": Odd()})
        assert rules.strike("f", lambda: {"x": 8})
        texts = [record.getMessage() for record in caplog.records]
        assert texts == [
            "strike cannot be compared task=* parameter=x operator=== value=str argument=Odd: such calls are run",
            "strike cannot be compared task=* parameter=x operator=> value=int argument=Odd: such calls are run",
            "strike cannot be compared task=* parameter=x operator=< value=int argument=Odd: such calls are run",
        ]

    def test_many_values_are_looked_up(self) -> None:
        rules = Rules([Strike.of("", "x", "==", n) for n in range(1000)])
        assert len(rules) == len(list(rules)) == 1000
        assert rules.strike("f", lambda: {"x": 999})
        assert not rules.strike("f", lambda: {"x": [1]})

    def test_a_strike_says_what_it_strikes(self) -> None:
        assert str(Strike.of()) == "every task"
        assert str(Strike.of("send")) == "send"
        assert str(Strike.of("", "customer", "between", (1, 3))) == "every task where customer between [1, 3]"


class TestArguments:
    def test_they_are_told_by_name_with_their_defaults(self) -> None:
        import inspect

        def task(a: int, b: int = 2, *rest: int, c: int = 3, shadows: Any = None, **named: int) -> None: ...

        signature = inspect.signature(task)
        assert arguments_of(signature, ["shadows"], (1,), {}) == {"a": 1, "b": 2, "rest": (), "c": 3}
        assert arguments_of(signature, ["shadows"], (1, 5, 6), {"c": 7, "x": 8}) == {
            "a": 1,
            "b": 5,
            "rest": (6,),
            "c": 7,
            "x": 8,
        }

    def test_of_another_version_of_the_task_those_with_names_count(self) -> None:
        import inspect

        def task(a: int) -> None: ...

        assert arguments_of(inspect.signature(task), [], (1, 2), {"b": 3}) == {"b": 3}


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "kind", "reason"),
        [
            (("send", "customer", "~", 1), ValueError, "operator='~': one of == != > >= < <= between"),
            (("send", None, "==", 1), ValueError, "value=1 without a parameter: name the parameter"),
            (("send", None, ">"), ValueError, "operator='>', value=None without a parameter"),
            (("send", "customer", "between", 1), ValueError, "two values, the least and the greatest"),
            (("send", "customer", "between", (1, 2, 3)), ValueError, "two values"),
            (("send", "customer", "between", (3, 1)), ValueError, "the least comes first"),
            (("send", "customer", "between", (1, "a")), ValueError, "both are of one kind"),
            (("send", "customer", "<", None), ValueError, "nothing is more or less than None"),
            (("send", "customer", "==", object()), EncodingError, "the value of the strike"),
            (("send", "customer", "==", "x" * 1024), ValueError, "a strike may take 1,024 bytes"),
            ((send, "nobody", "==", 1), ValueError, "send has the parameters customer, tier"),
            ((poll, "perpetual", "==", 1), ValueError, "poll has the parameters n;"),
            ((3,), TypeError, "3 is not callable"),
        ],
    )
    async def test_what_cannot_be_stricken_is_refused_with_the_reason(
        self, shadows: Shadow, arguments: Any, kind: type[Exception], reason: str
    ) -> None:
        shadows.register(send)
        shadows.register(poll)
        for act in (shadows.strike, shadows.restore):
            with pytest.raises(kind, match=reason):
                await act(*arguments)
        assert not shadows.strike_list

    async def test_a_task_that_takes_any_name_has_every_parameter(self, shadows: Shadow) -> None:
        async def anything(**named: int) -> None: ...

        shadows.register(anything)
        await shadows.strike(anything, "whatever", "==", 1)
        assert (await shadows.add(anything)(whatever=1)).disposition is Disposition.STRUCK
        assert (await shadows.add(anything)(whatever=2)).disposition is Disposition.SCHEDULED

    async def test_of_too_many_none_is_made(self, shadows: Shadow, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(strike_list_module, "MOST_STRIKES", 3)
        for n in range(3):
            await shadows.strike("f", "x", "==", n)
        with pytest.raises(ShadowError, match="there are 3 strikes already"):
            await shadows.strike("f", "x", "==", 3)
        assert len(shadows.strike_list) == 3

    async def test_a_client_that_is_not_open_strikes_nothing(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)
        for act in (shadows.strike, shadows.restore, shadows.wait_for_strikes_loaded):
            with pytest.raises(ShadowError, match="is not open"):
                await act()


class TestAdding:
    async def test_a_stricken_task_is_not_scheduled_and_not_lost(
        self, shadows: Shadow, dead: Dead, caplog: pytest.LogCaptureFixture
    ) -> None:
        await shadows.strike(send)
        execution = await shadows.add(send, key="k", queue="mail")(7)
        assert execution.disposition is Disposition.STRUCK
        assert (execution.key, execution.function_name, execution.args) == ("k", "send", (7,))
        assert (execution.queue, execution.state) == ("mail", ExecutionState.UNKNOWN)
        assert await shadows.get_execution("k") is None
        assert await dead() == {"k": "stricken"}
        assert "stricken, not scheduled: kept among the dead letters task=send key=k" in caplog.messages

    async def test_its_key_is_free(self, shadows: Shadow) -> None:
        await shadows.strike("send")
        await shadows.add(send, key="k")(7)
        await shadows.restore("send")
        assert (await shadows.add(send, key="k")(7)).disposition is Disposition.SCHEDULED

    async def test_a_key_that_is_added_again_and_again_is_kept_once(
        self, shadows: Shadow, dead: Dead
    ) -> None:
        await shadows.strike(send)
        for _ in range(3):
            await shadows.add(send, key="k")(7)
        await shadows.add(send)(7)
        assert len(await dead()) == 2

    async def test_a_value_is_stricken_in_one_task_or_in_all(self, shadows: Shadow) -> None:
        async def bill(customer: int) -> None: ...

        await shadows.strike(send, "customer", "==", 7)
        await shadows.strike(None, "customer", ">", 100)
        answers = [
            (await shadows.add(task)(customer)).disposition is Disposition.STRUCK
            for task, customer in ((send, 7), (send, 8), (bill, 7), (send, 101), (bill, 101))
        ]
        assert answers == [True, False, False, True, True]

    async def test_a_default_counts_as_it_would_when_it_is_passed(self, shadows: Shadow) -> None:
        await shadows.strike(send, "tier", "==", "free")
        assert (await shadows.add(send)(1)).disposition is Disposition.STRUCK
        assert (await shadows.add(send)(1, tier="free")).disposition is Disposition.STRUCK
        assert (await shadows.add(send)(1, "paid")).disposition is Disposition.SCHEDULED

    @pytest.mark.parametrize("everything", [(), ("",), (None,)])
    async def test_everything_can_be_stricken(self, shadows: Shadow, everything: Any) -> None:
        await shadows.strike(*everything)
        assert (await shadows.add(send)(1)).disposition is Disposition.STRUCK
        await shadows.restore()
        assert (await shadows.add(send)(1)).disposition is Disposition.SCHEDULED

    async def test_a_task_is_stricken_under_all_of_its_names(self, shadows: Shadow) -> None:
        shadows.register(send, names=["first", "second"])
        await shadows.strike(send)
        assert sorted(strike.function for strike in shadows.strike_list) == ["first", "second"]
        assert (await shadows.add("second")(1)).disposition is Disposition.STRUCK
        await shadows.restore(send)
        assert not list(shadows.strike_list)

    async def test_what_is_replaced_by_something_stricken_stays(self, shadows: Shadow, dead: Dead) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        await shadows.add(send, later, "k")(1)
        await shadows.strike(send, "customer", "==", 2)
        assert (await shadows.replace(send, later, "k")(2)).disposition is Disposition.STRUCK
        found = await shadows.get_execution("k")
        assert found is not None
        assert found.args == (1,)
        assert await dead() == {"k": "stricken"}

    async def test_of_many_only_the_stricken_are_turned_away(self, shadows: Shadow, dead: Dead) -> None:
        await shadows.strike(send, "customer", "between", (100, 350))
        executions = await shadows.add_many(
            (shadows.call(send, key=str(n))(n) for n in range(500)), chunk_size=400
        )
        stricken = [e.key for e in executions if e.disposition is Disposition.STRUCK]
        assert stricken == [str(n) for n in range(100, 351)]
        assert sorted(await dead()) == sorted(stricken)
        await work(shadows)
        assert sorted(ran) == [*range(100), *range(351, 500)]

    async def test_what_was_handed_over_is_taken_back_where_drawing_fails(
        self, shadows: Shadow, dead: Dead
    ) -> None:
        await shadows.strike(send, "customer", "==", 0)

        def calls() -> Iterator[TaskCall]:
            yield from (shadows.call(send, key=str(n))(n) for n in range(2))
            raise LookupError("no more")

        with pytest.raises(LookupError):
            await shadows.add_many(calls(), chunk_size=2)
        assert await dead() == {"0": "stricken"}

    async def test_a_server_that_takes_no_writes_is_overloaded(self, name: str) -> None:
        with running("valkey") as server:
            async with Shadow(name, server.url) as shadows:
                await shadows.strike()
                server.call("CONFIG", "SET", "maxmemory", "1")
                with pytest.raises(Overloaded, match="'k' was not accepted"):
                    await shadows.add(send, key="k")(1)
                server.call("CONFIG", "SET", "maxmemory", "0")

    async def test_a_server_that_went_away_is_named_with_the_key(self, name: str, proxy: Proxy) -> None:
        async with Shadow(name, proxy.url) as shadows:
            await shadows.strike()
            proxy.cut_before_next_request(command("EVALSHA"))
            with pytest.raises(ServerUnreachable, match="adding it again with key='k' is harmless"):
                await shadows.add(send, key="k")(1)
            assert (await shadows.add(send, key="k")(1)).disposition is Disposition.STRUCK


class TestLearning:
    async def test_a_client_that_opens_knows_what_is_stricken(
        self, shadows: Shadow, name: str, url: str
    ) -> None:
        await shadows.strike(send)
        async with Shadow(name, url) as another:
            assert (await another.add(send)(1)).disposition is Disposition.STRUCK

    async def test_another_client_learns_of_it_when_it_next_adds(
        self, shadows: Shadow, another: Shadow
    ) -> None:
        await shadows.strike(send)
        await another.add(send)(1)  # the answer says that something was stricken
        assert (await another.add(send)(2)).disposition is Disposition.STRUCK
        await shadows.restore(send)
        await another.add_many([another.call(poll)(1)])
        assert (await another.add(send)(3)).disposition is Disposition.SCHEDULED

    async def test_a_client_that_was_quiet_looks_before_it_adds(
        self, shadows: Shadow, another: Shadow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(strike_list_module, "FRESH", -1.0)  # whatever was seen is too old
        await another.wait_for_strikes_loaded()
        await shadows.strike(send)
        answers = await asyncio.gather(*[another.add(send, key=str(n))(n) for n in range(20)])
        assert {answer.disposition for answer in answers} == {Disposition.STRUCK}

    async def test_those_who_add_together_look_together(
        self, name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Shadow(name, proxy.url) as shadows:
            looks = 0

            async def counted(*arguments: Any) -> Listed:
                nonlocal looks
                looks += 1
                return await look(*arguments)

            monkeypatch.setattr(strike_list_module, "look", counted)
            shadows.strikes.heard(99)
            await asyncio.gather(*[shadows.add(send, key=str(n))(n) for n in range(20)])
            assert looks == 1
            await work(shadows)
        assert ran == list(range(20))

    async def test_a_version_that_is_known_is_not_looked_at_again(self, name: str, proxy: Proxy) -> None:
        async with Shadow(name, proxy.url) as shadows:
            await shadows.strike(send)
            proxy.forget()
            await shadows.strikes.refresh(1)
            assert proxy.commands == []
            await shadows.strikes.refresh(2)
            assert proxy.commands == ["EVALSHA"]

    async def test_a_look_that_a_fork_left_behind_is_made_anew(self, shadows: Shadow) -> None:
        parents = asyncio.new_event_loop()
        shadows.strikes._looking = parents.create_future()  # pyright: ignore[reportPrivateUsage]
        parents.close()
        shadows.strikes.heard(99)
        assert (await shadows.add(send)(1)).disposition is Disposition.SCHEDULED

    async def test_while_it_adds_a_client_learns_for_nothing(self, name: str, proxy: Proxy) -> None:
        async with Shadow(name, proxy.url) as shadows:
            await shadows.add(send)(1)
            proxy.forget()
            for n in range(5):
                await shadows.add(send)(n)
            assert proxy.commands == ["EVALSHA"] * 5

    async def test_those_who_add_many_look_before_they_do(self, shadows: Shadow, another: Shadow) -> None:
        await shadows.strike(send, "customer", "<", 2)
        await another.add(poll)(1)
        executions = await another.add_many([another.call(send)(n) for n in range(4)])
        assert [execution.disposition is Disposition.STRUCK for execution in executions] == [
            *(True, True, False, False)
        ]

    async def test_it_waits_for_what_was_stricken_so_far(self, shadows: Shadow, another: Shadow) -> None:
        await shadows.strike(send, "customer", "==", 7)
        await another.wait_for_strikes_loaded()
        assert another.strike_list.is_stricken({"customer": 7}, "send")
        assert not another.strike_list.is_stricken({"customer": 7})
        assert another.strike_list.version == shadows.strikes.version == 1

    async def test_a_look_that_gets_no_answer_keeps_nobody(
        self, name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Shadow(name, proxy.url) as shadows:
            await shadows.strike(send, "customer", "==", 7)
            shadows.strikes.heard(99)
            proxy.cut_before_next_request(command("EVALSHA"))
            assert (await shadows.add(send)(7)).disposition is Disposition.STRUCK
            monkeypatch.setattr(strike_list_module, "PATIENCE", 0.0)
            shadows.strikes.heard(99)
            assert (await shadows.add(send)(8)).disposition is Disposition.SCHEDULED

    async def test_it_survives_a_restart_of_the_server(self, name: str, tmp_path: Any) -> None:
        async with Shadow(name, f"embedded://{tmp_path}") as shadows:
            await shadows.strike(send)
        async with Shadow(name, f"embedded://{tmp_path}") as shadows:
            assert [str(strike) for strike in shadows.strike_list] == ["send"]

    async def test_what_is_stricken_alike_is_restored_by_either(self, shadows: Shadow) -> None:
        await shadows.strike(send, "customer", "==", 7)
        await shadows.strike(send, "customer", "==", 7.0)
        assert len(shadows.strike_list) == 2
        await shadows.restore(send, "customer", "==", 7)
        assert not shadows.strike_list

    async def test_what_was_never_stricken_can_be_restored(self, shadows: Shadow) -> None:
        await shadows.restore(send)
        assert shadows.strike_list.version == 0

    async def test_a_strike_of_a_later_version_has_no_effect_here(
        self, shadows: Shadow, name: str, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        for field in (
            b"\xc1",
            encode_value(["f", "", "~", None]),
            encode_value([1, "", "==", None]),
            encode_value(1),
        ):
            await redis.hset(f"{{{name}}}:strikes", field, "1")  # pyright: ignore[reportArgumentType]
        await shadows.strike(send)
        assert [str(strike) for strike in shadows.strike_list] == ["send"]
        assert sum("strike cannot be read" in text for text in caplog.messages) == 4


class TestRunning:
    async def test_what_is_stricken_after_it_was_added_does_not_run(
        self, shadows: Shadow, dead: Dead
    ) -> None:
        for n in range(3):
            await shadows.add(send, key=str(n))(n)
        await shadows.strike(send, "customer", "<", 2)
        await work(shadows)
        assert ran == [2]
        assert await dead() == {"0": "stricken", "1": "stricken"}
        found = await shadows.get_execution("0")
        assert found is not None
        assert found.state is ExecutionState.FAILED

    async def test_workers_know_of_it_from_their_next_cycle_on(
        self, shadows: Shadow, another: Shadow, dead: Dead
    ) -> None:
        async with Worker(another) as worker:
            run = asyncio.create_task(worker.run_forever())
            await shadows.add(send, key="before")(1)
            await until(lambda: ran == [1])
            await shadows.strike(send)
            await turned_away(shadows, 2)
            await until(lambda: dead_has(dead, "late-2"))
            run.cancel()
        assert ran == [1]

    async def test_a_worker_that_gets_no_answer_what_is_stricken_starts_nothing_until_it_has(
        self, shadows: Shadow, another: Shadow, dead: Dead
    ) -> None:
        async with Worker(another) as worker:
            await shadows.strike(send, "customer", "<", 3)
            for n in range(5):
                await shadows.add(poll if n == 4 else send, key=str(n))(n)
            for n in range(3):
                await turned_away(shadows, n)
            refused = asyncio.Event()

            async def look_once(*arguments: Any) -> Listed:
                if not refused.is_set():
                    refused.set()
                    raise ServerUnreachable("no answer")
                return await look(*arguments)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(strike_list_module, "look", look_once)
                run = asyncio.create_task(worker.run_forever())
                await until(lambda: sorted(ran) == [3, 4])
                assert refused.is_set()
            await until(lambda: dead_has(dead, "late-2"))
            run.cancel()
        assert sorted(ran) == [3, 4]

    async def test_a_retry_is_not_made(self, shadows: Shadow, dead: Dead) -> None:
        async def flaky(shadows: Shadow = CurrentShadow(), retry: Retry = Retry(attempts=5)) -> None:
            ran.append(retry.attempt)
            await shadows.strike("flaky")
            raise ValueError

        await shadows.add(flaky, key="k")()
        await work(shadows)
        assert ran == [1]
        assert await dead() == {"k": "stricken"}

    async def test_restoring_revives_nothing(self, shadows: Shadow, dead: Dead) -> None:
        await shadows.add(send, key="k")(1)
        await shadows.strike(send)
        await work(shadows)
        await shadows.restore(send)
        await work(shadows)
        assert ran == []
        assert await dead() == {"k": "stricken"}

    async def test_the_chain_of_a_perpetual_goes_on(self, name: str, url: str, dead: Dead) -> None:
        clock = ControlledClock(datetime(2030, 1, 1, tzinfo=UTC))
        async with Shadow(name, url, clock=clock) as shadows, Worker(shadows) as worker:
            run = asyncio.create_task(worker.run_forever())
            await shadows.add(poll, key="p")(1)
            await until(lambda: ran == [1])
            await shadows.strike(poll)
            await clock.advance(hours=3)
            await until(lambda: due(shadows, "p", datetime(2030, 1, 1, 4, tzinfo=UTC)))
            assert ran == [1]
            await shadows.restore(poll)
            await clock.advance(hours=1)
            await until(lambda: ran == [1, 1])
            run.cancel()
        assert await dead() == {}

    async def test_a_chain_without_pauses_does_not_turn_in_circles(self, name: str, url: str) -> None:
        async def restless(perpetual: Perpetual = Perpetual()) -> None:
            ran.append(1)

        clock = ControlledClock(datetime(2030, 1, 1, tzinfo=UTC))
        async with Shadow(name, url, clock=clock) as shadows, Worker(shadows) as worker:
            await shadows.add(restless, key="p")()
            await shadows.strike(restless)
            run = asyncio.create_task(worker.run_forever())
            await until(lambda: due(shadows, "p", clock.now + timedelta(seconds=1)))
            run.cancel()
        assert ran == []

    async def test_a_stricken_chain_ends_with_its_quota(self, shadows: Shadow) -> None:
        await shadows.add(poll, key="p")(1)
        await shadows.strike(poll)
        async with Worker(shadows) as worker:
            await worker.run_at_most({"poll": 1})
        assert ran == []
        found = await shadows.get_execution("p")
        assert found is not None
        assert found.state is ExecutionState.CANCELLED

    async def test_each_run_of_a_stricken_chain_counts_once(
        self, shadows: Shadow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def beat(perpetual: Perpetual = Perpetual()) -> None: ...

        monkeypatch.setattr("shadows.worker.runner.STRICKEN_PAUSE_MS", 1)
        await shadows.add(beat, key="b")()
        await shadows.strike(beat)
        async with Worker(shadows) as worker:
            await worker.run_at_most({"beat": 3})
        assert caplog.text.count("stricken, not run task=beat") == 3

    async def test_a_stricken_run_beyond_its_quota_is_cancelled_as_any(self, shadows: Shadow) -> None:
        await turned_away(shadows, 1)
        await shadows.strike(send)
        async with Worker(shadows) as worker:
            await worker.run_at_most({"send": 0})
        found = await shadows.get_execution("late-1")
        assert found is not None
        assert found.state is ExecutionState.CANCELLED


async def turned_away(shadows: Shadow, n: int) -> None:
    """A stricken execution that waits, as one added by a client that did not know of the strike."""
    item = shadows.preparer(send, None, f"late-{n}", None)(n).item
    await shadows._check_open().post(item)  # pyright: ignore[reportPrivateUsage]


async def dead_has(dead: Dead, key: str) -> bool:
    return key in await dead()


async def due(shadows: Shadow, key: str, when: datetime) -> bool:
    """Whether the execution is scheduled for that instant."""
    found = await shadows.find(key)
    return found.stand is Stand.SCHEDULED and found.instant_ms == when.timestamp() * 1000
