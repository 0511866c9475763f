"""Trying again after a failure: how often, and when."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from shadows import (
    Depends,
    ExecutionState,
    ExponentialRetry,
    Perpetual,
    Retry,
    RetryAfter,
    Shadow,
    TaskFailed,
    Worker,
)
from shadows.dependencies.behaviour import Decision
from shadows.protocol.outcomes import Kind, Outcome
from shadows.testing import ControlledClock
from tests.dependencies.conftest import START, ending, has, running, scheduled_at, stands
from tests.support.waiting import until

BOOM = ValueError("boom")


class TestFollow:
    async def test_success_needs_no_retry(self) -> None:
        assert await Retry(attempts=3).follow(ending()) is None

    async def test_attempts_count_all_runs(self) -> None:
        retry = Retry(attempts=3)
        assert await retry.follow(ending(1, BOOM)) == Outcome(Kind.RETRY)
        assert await retry.follow(ending(2, BOOM)) == Outcome(Kind.RETRY)
        assert await retry.follow(ending(3, BOOM)) is None

    async def test_one_attempt_is_the_default(self) -> None:
        assert await Retry().follow(ending(1, BOOM)) is None

    async def test_none_is_without_end(self) -> None:
        assert await Retry(attempts=None).follow(ending(1_000_000, BOOM)) == Outcome(Kind.RETRY)

    async def test_the_delay_begins_at_the_end_of_the_run_and_is_never_cut_short(self) -> None:
        retry = Retry(attempts=2, delay=timedelta(seconds=1))
        assert await retry.follow(ending(1, BOOM, 1_000_001)) == Outcome(Kind.RETRY, 2001)
        assert await retry.follow(ending(1, BOOM, 1_000_000)) == Outcome(Kind.RETRY, 2000)

    async def test_a_wish_for_an_instant_is_kept_to_the_millisecond_never_early(self) -> None:
        retry = Retry(attempts=2)
        with pytest.raises(Exception, match=r"a retry at 1970-01-01T00:00:05\.000001"):
            retry.at(datetime.fromtimestamp(5, UTC) + timedelta(microseconds=1))
        assert await retry.follow(ending(1, BOOM)) == Outcome(Kind.RETRY, 5001)

    async def test_a_wish_for_a_delay_takes_the_place_of_the_delay(self) -> None:
        retry = Retry(attempts=2, delay=timedelta(hours=1))
        with pytest.raises(Exception, match="a retry in 0:00:02"):
            retry.in_(timedelta(seconds=2))
        assert await retry.follow(ending(1, BOOM, 0)) == Outcome(Kind.RETRY, 2000)

    async def test_no_wish_is_granted_beyond_the_attempts(self) -> None:
        retry = Retry(attempts=2)
        with pytest.raises(Exception, match="a retry in"):
            retry.in_(timedelta(seconds=2))
        assert await retry.follow(ending(2, BOOM)) is None


class TestArguments:
    @pytest.mark.parametrize("attempts", [0, -1])
    def test_less_than_one_attempt_is_refused(self, attempts: int) -> None:
        with pytest.raises(ValueError, match=f"attempts={attempts}: a whole number, at least 1"):
            Retry(attempts=attempts)

    def test_a_negative_delay_is_refused(self) -> None:
        with pytest.raises(ValueError, match="a delay cannot be negative"):
            Retry(delay=timedelta(seconds=-1))

    def test_a_naive_instant_is_refused(self) -> None:
        with pytest.raises(ValueError, match="has no timezone"):
            Retry(attempts=2).at(datetime(2030, 1, 1))  # noqa: DTZ001


class TestRuns:
    async def test_a_task_is_run_again_until_it_succeeds(self, shadows: Shadow, worker: Worker) -> None:
        async def task(n: int, retry: Retry = Retry(attempts=5)) -> int:
            if retry.attempt < n:
                raise ValueError(f"attempt {retry.attempt}")
            return retry.attempt

        execution = await shadows.add(task)(3)
        await worker.run_until_finished()
        assert await execution.get_result(timeout=5) == 3
        assert execution.attempt == 3

    async def test_the_last_failure_is_the_tasks(self, shadows: Shadow, worker: Worker) -> None:
        async def task(retry: Retry = Retry(attempts=3)) -> None:
            raise ValueError(f"attempt {retry.attempt}")

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        with pytest.raises(ValueError, match="attempt 3"):
            await execution.get_result(timeout=5)
        assert (execution.state, execution.attempt) == (ExecutionState.FAILED, 3)
        assert execution.error == "ValueError: attempt 3"

    async def test_runs_do_not_share_what_they_wish(self, shadows: Shadow, worker: Worker) -> None:
        async def task(retry: Retry = Retry(attempts=2)) -> str:
            if retry.attempt == 1:
                retry.in_(timedelta(0))
            return str(retry.delay)

        executions = [await shadows.add(task)() for _ in range(3)]
        await worker.run_until_finished()
        assert [await execution.get_result(timeout=5) for execution in executions] == ["0:00:00"] * 3

    async def test_a_wish_on_the_last_attempt_is_its_failure(self, shadows: Shadow, worker: Worker) -> None:
        async def task(retry: Retry = Retry(attempts=1)) -> None:
            retry.in_(timedelta(hours=1))

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        with pytest.raises(TaskFailed, match="RetryRequested: a retry in 1:00:00 was asked for"):
            await execution.get_result(timeout=5)

    async def test_the_next_attempt_waits_for_its_instant(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        async def task(retry: Retry = Retry(attempts=2)) -> datetime:
            if retry.attempt == 1:
                retry.at(START + timedelta(hours=2))
            return clock.now

        execution = await timed.add(task)()
        async with Worker(timed) as worker, running(worker):
            await until(lambda: stands(execution, ExecutionState.SCHEDULED))
            assert execution.when == START + timedelta(hours=2)
            assert execution.attempt == 2
            await clock.advance(hours=1, minutes=59)
            assert await stands(execution, ExecutionState.SCHEDULED)
            await clock.advance(minutes=1)
            assert await execution.get_result(timeout=5) == START + timedelta(hours=2)


class TestOn:
    async def test_only_after_the_named_errors_is_it_run_again(self, shadows: Shadow, worker: Worker) -> None:
        seen: list[int] = []

        async def task(retry: Retry = Retry(attempts=5, on=(ConnectionError, TimeoutError))) -> None:
            seen.append(retry.attempt)
            raise [TimeoutError, ConnectionResetError, KeyError][retry.attempt - 1]

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert seen == [1, 2, 3]
        assert execution.error is None
        assert (await execution.sync()).error == "KeyError: "

    async def test_what_a_failing_dependency_raised_counts(self, shadows: Shadow, worker: Worker) -> None:
        tries: list[int] = []

        def database() -> str:
            tries.append(1)
            raise ConnectionError("no database") if len(tries) < 3 else LookupError("no such row")

        async def task(
            row: str = Depends(database), retry: Retry = Retry(attempts=9, on=ConnectionError)
        ) -> None: ...

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert len(tries) == 3
        with pytest.raises(TaskFailed, match="LookupError: no such row"):
            await execution.get_result(5)

    async def test_a_wish_for_a_retry_counts_whatever_the_errors_are(self) -> None:
        retry = Retry(attempts=2, on=KeyError)
        with pytest.raises(Exception, match="a retry in"):
            retry.after(timedelta(seconds=2))
        assert await retry.follow(ending(1, BOOM, 0)) == Outcome(Kind.RETRY, 2000)

    async def test_forever_is_without_end(self) -> None:
        retry = Retry.forever(delay=timedelta(seconds=1))
        assert (retry.attempts, retry.delay) == (None, timedelta(seconds=1))
        assert await retry.follow(ending(10**6, BOOM, 0)) == Outcome(Kind.RETRY, 1000)


class TestExponential:
    async def test_the_delays_double_up_to_the_maximum_and_n_attempts_have_one_less(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        starts: list[datetime] = []
        told: list[timedelta] = []

        async def task(
            retry: ExponentialRetry = ExponentialRetry(
                attempts=8, minimum_delay=timedelta(seconds=1), maximum_delay=timedelta(seconds=20)
            ),
        ) -> None:
            starts.append(clock.now)
            told.append(retry.delay)
            raise ValueError("always")

        execution = await timed.add(task)()
        delays = [1, 2, 4, 8, 16, 20, 20]
        async with Worker(timed) as worker, running(worker):
            for count, delay in enumerate(delays, 1):
                due = clock.now + timedelta(seconds=delay)
                await until(partial(has, starts, count))
                await until(partial(scheduled_at, execution, due))
                await clock.advance(seconds=delay - 0.001)
                assert len(starts) == count
                await clock.advance(milliseconds=1)
            await until(lambda: stands(execution, ExecutionState.FAILED))
        gaps = [(later - start).total_seconds() for start, later in pairwise(starts)]
        assert gaps == delays
        assert [delay.total_seconds() for delay in told] == [*delays, 20]

    async def test_forever_takes_its_first_delay_and_the_longest(self) -> None:
        retry = ExponentialRetry.forever(delay=timedelta(seconds=3), maximum_delay=timedelta(minutes=10))
        assert retry.attempts is None
        assert (retry.minimum_delay, retry.maximum_delay) == (timedelta(seconds=3), timedelta(minutes=10))

    @pytest.mark.parametrize(("attempt", "seconds"), [(1, 0), (10**6, 0)])
    async def test_without_a_minimum_there_is_no_delay(self, attempt: int, seconds: int) -> None:
        retry = ExponentialRetry(attempts=None, minimum_delay=timedelta(0))
        retry.begin(run_of(attempt))
        assert retry.delay == timedelta(seconds=seconds)

    async def test_the_millionth_delay_is_the_maximum(self) -> None:
        retry = ExponentialRetry(attempts=None)
        retry.begin(run_of(10**6))
        assert retry.delay == timedelta(seconds=64)

    async def test_jitter_takes_off_up_to_its_part(self) -> None:
        delays: set[timedelta] = set()
        for _ in range(200):
            retry = ExponentialRetry(attempts=9, minimum_delay=timedelta(seconds=8), jitter=0.25)
            retry.begin(run_of(1))
            delays.add(retry.delay)
        assert len(delays) > 100
        assert timedelta(seconds=6) <= min(delays) < timedelta(seconds=6.5)
        assert timedelta(seconds=7.5) < max(delays) <= timedelta(seconds=8)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"minimum_delay": timedelta(seconds=-1)}, "minimum_delay=.*cannot be negative"),
            ({"maximum_delay": timedelta(0)}, "maximum_delay=.*at least minimum_delay"),
            ({"jitter": 1.5}, "jitter=1.5: a part"),
            ({"attempts": 0}, "attempts=0: a whole number, at least 1"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            ExponentialRetry(**options)


class TestRetryAfter:
    async def test_it_runs_again_after_the_delay_and_uses_up_no_attempt(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        seen: list[tuple[datetime, int]] = []

        async def task(retry: Retry = Retry(attempts=2)) -> str:
            seen.append((clock.now, retry.attempt))
            if len(seen) < 4:
                raise RetryAfter(timedelta(seconds=30))
            return "done"

        execution = await timed.add(task)()
        async with Worker(timed) as worker, running(worker):
            for _ in range(3):
                await until(lambda: scheduled_at(execution, clock.now + timedelta(seconds=30)))
                await clock.advance(seconds=30)
            assert await execution.get_result(5) == "done"
        assert seen == [(START + timedelta(seconds=30 * n), 1) for n in range(4)]

    async def test_without_a_delay_it_is_at_once_and_no_behaviour_is_asked(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        seen: list[int] = []

        async def task(perpetual: Perpetual = Perpetual(every=timedelta(days=1))) -> None:
            seen.append(1)
            if len(seen) < 3:
                raise RetryAfter(timedelta(0))
            perpetual.cancel()

        await shadows.add(task)()
        await worker.run_until_finished()
        assert len(seen) == 3

    async def test_what_is_injected_may_ask_for_it(self, shadows: Shadow, worker: Worker) -> None:
        seen: list[int] = []

        def circuit() -> int:
            seen.append(1)
            if len(seen) < 3:
                raise RetryAfter(timedelta(0))
            return len(seen)

        async def task(n: int = Depends(circuit)) -> int:
            return n

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert await execution.get_result(5) == 3

    async def test_run_at_most_counts_it(self, shadows: Shadow, worker: Worker) -> None:
        runs: list[int] = []

        async def task() -> None:
            runs.append(1)
            raise RetryAfter(timedelta(0))

        execution = await shadows.add(task)()
        await worker.run_at_most({"task": 3})
        assert len(runs) == 3
        assert (await execution.sync()).state is ExecutionState.CANCELLED

    def test_a_negative_delay_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot be negative"):
            RetryAfter(timedelta(seconds=-1))

    def test_a_decision_of_no_kind_decides_nothing(self) -> None:
        with pytest.raises(NotImplementedError):
            Decision().follow(ending())


def run_of(attempt: int) -> Any:
    return SimpleNamespace(attempt=attempt)
