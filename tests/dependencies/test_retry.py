"""Trying again after a failure: how often, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from shadows import ExecutionState, Retry, Shadow, TaskFailed, Worker
from shadows.protocol.outcomes import Kind, Outcome
from shadows.testing import ControlledClock
from tests.dependencies.conftest import START, ending, running, stands
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
        with pytest.raises(ValueError, match=f"attempts={attempts}: at least 1"):
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
