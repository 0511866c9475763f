"""Running over and over: when the next run is, and when there is none."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shadows import CurrentShadow, ExecutionState, Perpetual, Retry, Shadow, TaskKey, Worker
from shadows.protocol.outcomes import Outcome, succeeded_by
from shadows.testing import ControlledClock
from tests.dependencies.conftest import START, ending, running, scheduled_at, stands
from tests.support.waiting import until

SECOND = 1_000_000


class Chain:
    """Follows a `Perpetual` through endings, and notes what was asked of it."""

    def __init__(self) -> None:
        self.next_us: int | None = None
        self.arguments: list[Any] = []

    def next_run(self, at_us: int, args: tuple[Any, ...] | None, kwargs: dict[str, Any] | None) -> Outcome:
        self.next_us, self.arguments = at_us, [args, kwargs]
        return succeeded_by(b"", at_us // 1000)

    async def after(
        self, perpetual: Perpetual, started_us: int, ended_us: int, error: BaseException | None = None
    ) -> int | None:
        await perpetual.follow(ending(1, error, ended_us, started_us=started_us, next_run=self.next_run))
        return self.next_us


class TestNext:
    @pytest.mark.parametrize(
        ("ended_us", "next_us"),
        [
            (0, 10 * SECOND),
            (1, 10 * SECOND),
            (10 * SECOND - 1, 10 * SECOND),
            (10 * SECOND, 10 * SECOND),
            (10 * SECOND + 1, 20 * SECOND),
            (20 * SECOND, 20 * SECOND),
            (95 * SECOND, 100 * SECOND),
        ],
    )
    async def test_it_is_spaced_from_the_start_and_missed_instants_are_skipped(
        self, ended_us: int, next_us: int
    ) -> None:
        assert await Chain().after(Perpetual(every=timedelta(seconds=10)), 0, ended_us) == next_us

    async def test_a_clock_that_went_back_changes_nothing(self) -> None:
        assert await Chain().after(Perpetual(every=timedelta(seconds=10)), 5 * SECOND, 0) == 15 * SECOND

    async def test_without_an_interval_it_is_at_once(self) -> None:
        assert await Chain().after(Perpetual(), 0, 7) == 7

    async def test_it_comes_after_a_failure_too(self) -> None:
        assert await Chain().after(Perpetual(every=timedelta(seconds=1)), 0, 7, ValueError()) == SECOND

    async def test_after_counts_from_the_end(self) -> None:
        perpetual = Perpetual(every=timedelta(seconds=10))
        perpetual.after(timedelta(seconds=3))
        assert await Chain().after(perpetual, 0, SECOND) == 4 * SECOND

    async def test_at_is_exact(self) -> None:
        perpetual = Perpetual(every=timedelta(seconds=10))
        perpetual.at(datetime.fromtimestamp(1, UTC) + timedelta(microseconds=1))
        assert await Chain().after(perpetual, 0, 0) == SECOND + 1

    async def test_of_several_wishes_the_last_one_counts(self) -> None:
        perpetual = Perpetual()
        perpetual.at(START)
        perpetual.after(timedelta(seconds=1))
        assert await Chain().after(perpetual, 0, 0) == SECOND
        perpetual.at(datetime.fromtimestamp(5, UTC))
        assert await Chain().after(perpetual, 0, 0) == 5 * SECOND

    async def test_a_cancelled_chain_has_none(self) -> None:
        perpetual = Perpetual()
        perpetual.cancel()
        assert await Chain().after(perpetual, 0, 0) is None

    async def test_arguments_are_the_same_unless_others_were_given(self) -> None:
        perpetual, chain = Perpetual(), Chain()
        await chain.after(perpetual, 0, 0)
        assert chain.arguments == [None, None]
        perpetual.perpetuate(1, a=2)
        await chain.after(perpetual, 0, 0)
        assert chain.arguments == [(1,), {"a": 2}]


class TestArguments:
    def test_a_negative_interval_is_refused(self) -> None:
        with pytest.raises(ValueError, match="an interval cannot be negative"):
            Perpetual(every=timedelta(seconds=-1))

    def test_a_naive_instant_is_refused(self) -> None:
        with pytest.raises(ValueError, match="has no timezone"):
            Perpetual().at(datetime(2030, 1, 1))  # noqa: DTZ001


class TestRuns:
    async def test_it_goes_on_until_it_is_cancelled_with_the_arguments_it_chose(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        seen: list[int] = []

        async def count(n: int, perpetual: Perpetual = Perpetual()) -> int:
            seen.append(n)
            if n == 3:
                perpetual.cancel()
            perpetual.perpetuate(n + 1)
            return n

        execution = await shadows.add(count)(0)
        await worker.run_until_finished()
        assert seen == [0, 1, 2, 3]
        assert await execution.get_result(timeout=5) == 3

    async def test_it_goes_on_after_failures(self, shadows: Shadow, worker: Worker) -> None:
        runs: list[int] = []

        async def fail(perpetual: Perpetual = Perpetual()) -> None:
            runs.append(len(runs))
            if len(runs) == 3:
                perpetual.cancel()
            raise ValueError(f"run {len(runs)}")

        execution = await shadows.add(fail)()
        await worker.run_until_finished()
        assert len(runs) == 3
        with pytest.raises(ValueError, match="run 3"):
            await execution.get_result(timeout=5)

    async def test_retries_come_first_and_each_run_has_all_of_them(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        runs: list[int] = []

        async def fail(perpetual: Perpetual = Perpetual(), retry: Retry = Retry(attempts=2)) -> None:
            runs.append(retry.attempt)
            if len(runs) == 4:
                perpetual.cancel()
            raise ValueError

        await shadows.add(fail)()
        await worker.run_until_finished()
        assert runs == [1, 2, 1, 2]

    async def test_it_never_runs_twice_at_once(self, shadows: Shadow, worker: Worker) -> None:
        inside = 0
        runs = 0

        async def task(perpetual: Perpetual = Perpetual()) -> None:
            nonlocal inside, runs
            inside += 1
            assert inside == 1
            for _ in range(5):
                await asyncio.sleep(0)
            inside -= 1
            runs += 1
            if runs == 10:
                perpetual.cancel()

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        await execution.get_result(timeout=5)
        assert runs == 10

    @pytest.mark.parametrize(
        ("args", "reason"), [((), "missing a required argument: 'n'"), ((object(),), "parameter 'n'")]
    )
    async def test_arguments_that_do_not_fit_fail_the_run_and_end_the_chain_visibly(
        self, shadows: Shadow, worker: Worker, args: tuple[Any, ...], reason: str
    ) -> None:
        async def task(n: object, perpetual: Perpetual = Perpetual()) -> None:
            perpetual.perpetuate(*args)

        execution = await shadows.add(task)(1)
        await worker.run_until_finished()
        with pytest.raises(Exception, match=reason) as caught:
            await execution.get_result(timeout=5)
        assert "task: " in str(caught.value)

    async def test_a_next_run_beyond_all_time_fails_visibly(self, shadows: Shadow, worker: Worker) -> None:
        async def task(perpetual: Perpetual = Perpetual(every=timedelta.max)) -> None: ...

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        with pytest.raises(Exception, match="cannot travel"):
            await execution.get_result(timeout=5)

    async def test_a_next_run_beyond_the_calendar_can_still_be_looked_at(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        async def task(perpetual: Perpetual = Perpetual(every=timedelta(days=4_000_000))) -> None: ...

        execution = await shadows.add(task)()
        async with running(worker):
            await until(lambda: stands(execution, ExecutionState.SCHEDULED))
        assert execution.when == datetime.max.replace(tzinfo=UTC)
        assert await shadows.cancel(execution.key)

    async def test_time_is_the_clocks(self, timed: Shadow, clock: ControlledClock) -> None:
        seen: list[datetime] = []

        async def tick(perpetual: Perpetual = Perpetual(every=timedelta(hours=1))) -> None:
            seen.append(clock.now)

        execution = await timed.add(tick, key="tick")()
        async with Worker(timed) as worker, running(worker):
            for hours in (1, 1, 3):
                await until(lambda: scheduled_at(execution, clock.now + timedelta(hours=1)))
                await clock.advance(hours=hours)
            await until(lambda: len(seen) == 4)
            assert seen == [START + timedelta(hours=h) for h in (0, 1, 2, 5)]
            await until(lambda: scheduled_at(execution, START + timedelta(hours=6)))
        assert await timed.cancel("tick")

    async def test_cancelling_the_key_ends_the_chain(self, shadows: Shadow, worker: Worker) -> None:
        async def stop_me(
            perpetual: Perpetual = Perpetual(), key: str = TaskKey(), shadow: Shadow = CurrentShadow()
        ) -> None:
            assert await shadow.cancel(key)
            await asyncio.Event().wait()

        execution = await shadows.add(stop_me)()
        await worker.run_until_finished()
        assert (await execution.sync()).state is ExecutionState.CANCELLED
