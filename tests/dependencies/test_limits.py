"""Limits: how they are written, which one a run comes under, and that the fleet keeps them."""

import asyncio
import enum
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

import pytest

from shadows import (
    ConcurrencyLimit,
    Cooldown,
    Debounce,
    Depends,
    Execution,
    ExecutionState,
    InvalidTask,
    RateLimit,
    Retry,
    Shadow,
    Worker,
)
from shadows.dependencies.behaviour import Asking
from shadows.protocol.acquire import Claim, Need
from shadows.tasks.plan import Plan
from shadows.testing import ControlledClock
from shadows.worker.recipe import Recipe, outer_dependencies
from tests.dependencies.conftest import START, has, running, stands
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


def claims_of(
    function: Callable[..., Any],
    *args: Any,
    attempt: int = 1,
    deliveries: int = 0,
    outer: list[Any] | None = None,
    **kwargs: Any,
) -> list[Claim]:
    """What a run of a task asks for."""
    plan = Plan(function, "task", "default")
    recipe = Recipe(plan, outer_dependencies(outer))
    return recipe.claims(lambda: Asking("task", "k", attempt, deliveries, plan.named(args, kwargs)))


class TestForms:
    def test_all_ways_of_writing_one_are_alike(self) -> None:
        async def first(user: int, limit: ConcurrencyLimit = ConcurrencyLimit("user", 2)) -> None: ...
        async def second(user: Annotated[int, ConcurrencyLimit(2)]) -> None: ...
        async def third(
            user: int, limit: ConcurrencyLimit = ConcurrencyLimit(argument_name="user", max_concurrent=2)
        ) -> None: ...
        async def fourth(user: Annotated[int, ConcurrencyLimit(max_concurrent=2)]) -> None: ...
        async def fifth(other: Annotated[int, ConcurrencyLimit("user", 2)], user: int = 7) -> None: ...

        expected = [Claim(Need.PERMIT, "function/task/user/7", 2)]
        for function in (first, second, third, fourth, fifth):
            assert claims_of(function, 7) == expected

    def test_the_function_as_a_whole(self) -> None:
        async def named(limit: ConcurrencyLimit = ConcurrencyLimit(max_concurrent=3)) -> None: ...
        async def plain(limit: ConcurrencyLimit = ConcurrencyLimit(3)) -> None: ...
        async def default(limit: ConcurrencyLimit = ConcurrencyLimit()) -> None: ...

        assert claims_of(named) == claims_of(plain) == [Claim(Need.PERMIT, "function/task", 3)]
        assert claims_of(default) == [Claim(Need.PERMIT, "function/task", 1)]

    def test_rates(self) -> None:
        async def whole(rate: RateLimit = RateLimit(10, per=SECOND)) -> None: ...
        async def named(
            user: int, rate: RateLimit = RateLimit("user", 10, per=SECOND, drop=True)
        ) -> None: ...
        async def noted(user: Annotated[int, RateLimit(limit=10, per=SECOND, drop=True)]) -> None: ...

        assert claims_of(whole) == [Claim(Need.RATE, "function/task/1000ms", 10, 1000)]
        expected = [Claim(Need.RATE, "function/task/user/7/1000ms", 10, 1000, drop=True)]
        assert claims_of(named, 7) == claims_of(noted, 7) == expected

    @pytest.mark.parametrize(("kind", "need"), [(Cooldown, Need.COOLDOWN), (Debounce, Need.DEBOUNCE)])
    def test_windows(self, kind: Any, need: Need) -> None:
        keyword: dict[str, Any] = {"window" if kind is Cooldown else "settle": SECOND}

        async def whole(limit: Any = kind(SECOND)) -> None: ...
        async def keyed(limit: Any = kind(**keyword)) -> None: ...
        async def named(user: int, limit: Any = kind("user", SECOND)) -> None: ...
        async def noted(user: Annotated[int, kind(SECOND)]) -> None: ...

        assert claims_of(whole) == claims_of(keyed) == [Claim(need, "function/task", 1, 1000)]
        assert claims_of(named, 7) == claims_of(noted, 7) == [Claim(need, "function/task/user/7", 1, 1000)]

    @pytest.mark.parametrize("kind", [Cooldown, Debounce])
    def test_what_started_once_does_not_come_under_its_window_again(self, kind: Any) -> None:
        async def task(limit: Any = kind(SECOND)) -> None: ...

        assert claims_of(task, attempt=2) == claims_of(task, deliveries=1) == []

    def test_a_scope_is_shared_across_functions(self) -> None:
        async def one(limit: ConcurrencyLimit = ConcurrencyLimit(2, scope="api")) -> None: ...
        async def two(user: Annotated[int, ConcurrencyLimit(2, scope="api")]) -> None: ...

        assert claims_of(one) == [Claim(Need.PERMIT, "scope/api", 2)]
        assert claims_of(two, 7) == [Claim(Need.PERMIT, "scope/api/user/7", 2)]

    def test_several_go_together(self) -> None:
        async def task(
            user: Annotated[int, ConcurrencyLimit(1), RateLimit(5, per=SECOND)],
            all_of_them: ConcurrencyLimit = ConcurrencyLimit(10),
            burst: RateLimit = RateLimit(10, per=SECOND),
            hourly: RateLimit = RateLimit(1000, per=timedelta(hours=1)),
        ) -> None: ...

        assert {(claim.need, claim.name) for claim in claims_of(task, 7)} == {
            (Need.PERMIT, "function/task/user/7"),
            (Need.RATE, "function/task/user/7/1000ms"),
            (Need.PERMIT, "function/task"),
            (Need.RATE, "function/task/1000ms"),
            (Need.RATE, "function/task/3600000ms"),
        }

    def test_an_argument_that_was_left_out_has_its_default(self) -> None:
        async def task(user: Annotated[int, ConcurrencyLimit(1)] = 3) -> None: ...
        async def more(limit: ConcurrencyLimit = ConcurrencyLimit("user", 1), **named: int) -> None: ...

        assert claims_of(task)[0].name == "function/task/user/3"
        assert claims_of(more, user=4)[0].name == "function/task/user/4"
        with pytest.raises(ValueError, match="the call has no such argument"):
            claims_of(more)

    def test_a_window_is_never_cut_short(self) -> None:
        async def task(limit: Cooldown = Cooldown(timedelta(microseconds=1001))) -> None: ...

        assert claims_of(task)[0].window_ms == 2


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (Colour.RED, "Colour.RED"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (frozenset({"b", "a"}), "a,b"),
    ],
)
def test_a_value_has_the_same_name_in_every_process(value: object, text: str) -> None:
    async def task(value: Annotated[Any, ConcurrencyLimit(1)]) -> None: ...

    assert claims_of(task, value)[0].name == f"function/task/value/{text}"


@pytest.mark.parametrize("value", ["x" * 1000, "line\nbreak", "null\0", "\ud800"])
def test_a_name_that_is_long_or_unprintable_is_a_hash(value: str) -> None:
    async def task(value: Annotated[str, ConcurrencyLimit(1)]) -> None: ...

    name = claims_of(task, value)[0].name
    assert name.isprintable()
    assert len(name.encode()) <= 200
    assert name == claims_of(task, value)[0].name != claims_of(task, value + "y")[0].name


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: ConcurrencyLimit(0), "max_concurrent=0: a whole number, at least 1"),
            (lambda: ConcurrencyLimit("user", max_concurrent=-1), "max_concurrent=-1"),
            (lambda: ConcurrencyLimit(1, scope=""), "scope='': printable text"),
            (lambda: RateLimit(0, per=SECOND), "limit=0: a whole number"),
            (lambda: RateLimit("user", per=SECOND), "limit=0: a whole number"),  # type: ignore[call-overload]
            (lambda: RateLimit(True, per=SECOND), "limit=True: a whole number"),
            (lambda: RateLimit(1, per=timedelta(0)), "per=.*a duration above nothing"),
            (lambda: Cooldown("user", timedelta(0)), "window=.*a duration above nothing"),
            (lambda: Cooldown("user"), "window=.*a duration above nothing"),  # type: ignore[call-overload]
            (lambda: Debounce(-SECOND), "settle=.*a duration above nothing"),
        ],
    )
    def test_what_makes_no_sense(self, make: Callable[[], object], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            make()

    def test_a_window_that_is_no_duration(self) -> None:
        with pytest.raises(TypeError, match="per=60: a duration is a timedelta"):
            RateLimit(1, per=60)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

    def test_an_argument_that_does_not_exist_or_is_injected(self, shadows: Shadow) -> None:
        async def missing(user: int, limit: ConcurrencyLimit = ConcurrencyLimit("usr", 1)) -> None: ...

        async def injected(
            row: int = Depends(lambda: 1), limit: ConcurrencyLimit = ConcurrencyLimit("row", 1)
        ) -> None: ...

        with pytest.raises(
            InvalidTask, match=r"'limit': ConcurrencyLimit\('usr', …\) names no .*it has 'user'"
        ):
            shadows.register(missing)
        with pytest.raises(InvalidTask, match="names no argument that callers pass: it has none"):
            shadows.register(injected)

    def test_the_same_twice(self, shadows: Shadow) -> None:
        async def twice(
            user: Annotated[int, ConcurrencyLimit(1)], limit: ConcurrencyLimit = ConcurrencyLimit("user", 2)
        ) -> None: ...

        async def debounced(
            one: Debounce = Debounce(SECOND), two: Debounce = Debounce(2 * SECOND)
        ) -> None: ...

        with pytest.raises(ValueError, match="'limit' and 'user' are the same ConcurrencyLimit twice"):
            shadows.register(twice)
        with pytest.raises(ValueError, match="at most one Debounce, and 'one', 'two' are"):
            shadows.register(debounced)


class TestFleet:
    async def test_never_more_run_at_once_than_the_limit_and_all_run(self, name: str, url: str) -> None:
        now: Counter[int] = Counter()
        most: Counter[int] = Counter()
        done: list[int] = []

        async def task(user: Annotated[int, ConcurrencyLimit(2)], n: int) -> None:
            now[user] += 1
            most[user] = max(most[user], now[user])
            for _ in range(3):
                await asyncio.sleep(0)
            now[user] -= 1
            done.append(n)

        async with Shadow(name, url) as shadows:
            for n in range(60):
                await shadows.add(task)(n % 3, n)
            async with Worker(shadows) as one, Worker(shadows) as two:
                await asyncio.gather(one.run_until_finished(), two.run_until_finished())
        assert sorted(done) == list(range(60))
        assert most == {0: 2, 1: 2, 2: 2}

    async def test_what_waits_holds_no_slot_and_nothing_of_it_is_entered(self, shadows: Shadow) -> None:
        entered: list[int] = []
        gate, others = asyncio.Event(), asyncio.Event()

        def enter() -> None:
            entered.append(1)

        async def task(
            n: int, limit: ConcurrencyLimit = ConcurrencyLimit(1), opened: None = Depends(enter)
        ) -> None:
            await gate.wait()

        async def free() -> None:
            others.set()

        executions = [await shadows.add(task)(n) for n in range(5)]
        async with Worker(shadows, concurrency=2) as worker, running(worker):
            for waiting in executions[1:]:
                await until(partial(stands, waiting, ExecutionState.WAITING))
            await shadows.add(free)()
            await others.wait()
            assert len(entered) == 1
            gate.set()
            for execution in executions:
                await execution.get_result(5)
        assert len(entered) == 5

    async def test_a_scope_holds_for_different_functions(self, shadows: Shadow) -> None:
        inside = most = 0

        async def hold() -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

        async def one(limit: ConcurrencyLimit = ConcurrencyLimit(1, scope="shared")) -> None:
            await hold()

        async def two(limit: ConcurrencyLimit = ConcurrencyLimit(1, scope="shared")) -> None:
            await hold()

        for _ in range(10):
            await shadows.add(one)()
            await shadows.add(two)()
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert most == 1

    async def test_a_rate_spreads_starts_over_windows(self, timed: Shadow, clock: ControlledClock) -> None:
        starts: list[datetime] = []

        async def task(rate: RateLimit = RateLimit(2, per=timedelta(minutes=1))) -> None:
            starts.append(clock.now)

        executions = [await timed.add(task)() for _ in range(5)]
        async with Worker(timed) as worker, running(worker):
            for count in (2, 4, 5):
                await until(partial(has, starts, count))
                await until(partial(all_but, executions, count))
                await clock.advance(minutes=1)
        assert starts == [START + timedelta(minutes=n // 2) for n in range(5)]

    async def test_a_rate_that_drops_ends_the_surplus_as_cancelled(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        runs: list[int] = []

        async def task(n: int, rate: RateLimit = RateLimit(2, per=timedelta(hours=1), drop=True)) -> None:
            runs.append(n)

        executions = [await shadows.add(task)(n) for n in range(5)]
        await worker.run_until_finished()
        assert len(runs) == 2
        states = Counter([(await execution.sync()).state for execution in executions])
        assert states == {ExecutionState.COMPLETED: 2, ExecutionState.CANCELLED: 3}

    async def test_a_cooldown_drops_what_follows_but_not_the_retry(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        runs: list[tuple[int, int]] = []

        async def task(
            n: int, cooldown: Cooldown = Cooldown(timedelta(minutes=5)), retry: Retry = Retry(attempts=2)
        ) -> None:
            runs.append((n, retry.attempt))
            if retry.attempt == 1:
                raise ValueError

        async with Worker(timed) as worker:
            for n in (1, 2):
                await timed.add(task)(n)
            await worker.run_until_finished()
            assert runs == [(1, 1), (1, 2)]
            await clock.advance(minutes=5)
            await timed.add(task)(3)
            await worker.run_until_finished()
        assert runs[2:] == [(3, 1), (3, 2)]

    async def test_a_debounce_runs_the_newest_after_a_pause(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        runs: list[tuple[int, datetime]] = []

        async def task(n: int, debounce: Debounce = Debounce(timedelta(seconds=10))) -> None:
            runs.append((n, clock.now))

        async with Worker(timed) as worker, running(worker):
            executions: list[Execution[None]] = []
            for n in range(3):
                executions.append(await timed.add(task)(n))
                await until(lambda: stands(executions[-1], ExecutionState.SCHEDULED))
                await clock.advance(seconds=4)
            await clock.advance(seconds=6)
            await until(lambda: runs)
        assert runs == [(2, START + timedelta(seconds=18))]
        assert [(await one.sync()).state for one in executions[:2]] == [ExecutionState.CANCELLED] * 2

    async def test_a_claim_that_cannot_be_made_fails_the_task_visibly(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        async def task(limit: ConcurrencyLimit = ConcurrencyLimit("user", 1), **named: int) -> None: ...

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        with pytest.raises(ValueError, match="the call has no such argument"):
            await execution.get_result(5)


async def all_but(executions: list[Execution[None]], count: int) -> bool:
    """Whether so many have ended, and the others are set aside."""
    states = Counter([(await execution.sync()).state for execution in executions])
    return states[ExecutionState.COMPLETED] == count and states[ExecutionState.SCHEDULED] == 5 - count
