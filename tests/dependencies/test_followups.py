"""What a run leaves to follow: other tasks with its success, and its own next run."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shadows import (
    CurrentExecution,
    CurrentShadow,
    Disposition,
    Execution,
    ExecutionState,
    Perpetual,
    Retry,
    Shadow,
    SyncShadow,
    TaskFailed,
    TaskKey,
    Worker,
)
from shadows.testing import ControlledClock
from tests.dependencies.conftest import START, running, stands
from tests.support.servers import Server
from tests.support.waiting import until

ran: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    ran.clear()


async def note(what: Any) -> None:
    ran.append(what)


class TestThen:
    async def test_they_follow_a_success(self, shadows: Shadow, worker: Worker) -> None:
        async def task(execution: Execution[Any] = CurrentExecution()) -> str:
            key = execution.then(note, key="mine")("first")
            execution.then("note", queue="other")(what="second")
            assert not ran
            return key

        shadows.register(note)
        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert await execution.get_result(5) == "mine"
        assert sorted(ran) == ["first", "second"]

    async def test_they_wait_for_their_instant(self, timed: Shadow, clock: ControlledClock) -> None:
        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            execution.then(note, when=clock.now + timedelta(hours=1), key="later")("later")

        await timed.add(task)()
        async with Worker(timed) as worker, running(worker):
            later = await until(lambda: timed.get_execution("later"))
            assert later is not None
            assert later.state is ExecutionState.SCHEDULED
            assert later.when == START + timedelta(hours=1)
            await clock.advance(hours=1)
            await until(lambda: ran == ["later"])

    async def test_nothing_follows_a_failure_or_an_attempt_that_is_tried_again(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        async def task(
            fail_until: int,
            retry: Retry = Retry(attempts=3),
            execution: Execution[Any] = CurrentExecution(),
        ) -> None:
            execution.then(note)((fail_until, retry.attempt))
            if retry.attempt < fail_until:
                raise ValueError

        await shadows.add(task)(3)
        await shadows.add(task)(99)
        await worker.run_until_finished()
        assert ran == [(3, 3)]

    async def test_nothing_follows_a_cancelled_run(self, shadows: Shadow, worker: Worker) -> None:
        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            execution.then(note)("never")
            raise asyncio.CancelledError

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert (await execution.sync()).state is ExecutionState.CANCELLED
        assert not ran

    async def test_they_follow_each_run_of_a_chain(self, shadows: Shadow, worker: Worker) -> None:
        async def task(
            n: int, perpetual: Perpetual = Perpetual(), execution: Execution[Any] = CurrentExecution()
        ) -> None:
            execution.then(note)(n)
            perpetual.perpetuate(n + 1)
            if n == 2:
                perpetual.cancel()

        await shadows.add(task)(0)
        await worker.run_until_finished()
        assert sorted(ran) == [0, 1, 2]

    async def test_a_key_that_is_taken_keeps_what_stands(self, shadows: Shadow, worker: Worker) -> None:
        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            execution.then(note, key="taken")("second")

        await shadows.add(note, when=START.replace(year=2100), key="taken")("first")
        execution = await shadows.add(task)()
        async with running(worker):
            await execution.get_result(5)
        standing = await shadows.get_execution("taken")
        assert standing is not None
        assert standing.args == ("first",)
        await shadows.cancel("taken")
        assert not ran

    async def test_arguments_are_checked_at_once(self, shadows: Shadow, worker: Worker) -> None:
        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            with pytest.raises(TypeError, match="missing a required argument"):
                execution.then(note)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
            with pytest.raises(KeyError, match="no task is called"):
                execution.then("nobody")
            with pytest.raises(ValueError, match="has no timezone"):
                execution.then(note, when=START.replace(tzinfo=None))

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        await execution.get_result(5)

    async def test_a_run_has_a_hundred_at_most(self, shadows: Shadow, worker: Worker) -> None:
        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            for n in range(101):
                execution.then(note)(n)

        async def fine(execution: Execution[Any] = CurrentExecution()) -> None:
            for n in range(100):
                execution.then(note)(n)

        failing = await shadows.add(task)()
        await worker.run_until_finished()
        with pytest.raises(RuntimeError, match="at most 100 follow-ups"):
            await failing.get_result(5)
        assert not ran
        await shadows.add(fine)()
        await worker.run_until_finished()
        assert sorted(ran) == list(range(100))

    async def test_only_the_task_itself_and_only_while_it_runs(self, shadows: Shadow, worker: Worker) -> None:
        kept: list[Execution[Any]] = []

        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            kept.append(execution)

        added = await shadows.add(task)()
        with pytest.raises(RuntimeError, match="is not being run here"):
            added.then(note)
        await worker.run_until_finished()
        with pytest.raises(RuntimeError, match="has ended"):
            kept[0].then(note)(1)

    async def test_a_server_that_is_away_is_waited_for(
        self, shadows: Shadow, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enroll = worker.enroll
        failures = [ConnectionError("away")]

        async def refuse_once(queues: Any) -> None:
            if failures:
                raise failures.pop()
            await enroll(queues)

        monkeypatch.setattr(worker, "enroll", refuse_once)

        async def task(execution: Execution[Any] = CurrentExecution()) -> None:
            execution.then(note, queue="unheard-of")("there")

        await shadows.add(task)()
        await worker.run_until_finished()
        assert ran == ["there"]


class TestOwnKey:
    async def test_adding_its_own_key_states_the_next_run(self, shadows: Shadow, worker: Worker) -> None:
        async def task(n: int, shadow: Shadow = CurrentShadow(), key: str = TaskKey()) -> int:
            ran.append(n)
            if n < 3:
                next_run = await shadow.add(task, key=key)(n + 1)
                assert next_run.disposition is Disposition.SCHEDULED
                found = await shadow.get_execution(key)
                assert found is not None
                assert found.state is ExecutionState.RUNNING
            return n

        execution = await shadows.add(task, key="chain")(1)
        await worker.run_until_finished()
        assert ran == [1, 2, 3]
        assert await execution.get_result(5) == 3

    async def test_it_comes_at_its_instant_and_in_its_queue(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        async def task(n: int, execution: Execution[Any] = CurrentExecution()) -> None:
            ran.append((n, execution.queue))
            if n == 1:
                await timed.replace(task, clock.now + timedelta(hours=1), execution.key, queue="slow")(2)

        execution = await timed.add(task)(1)
        async with Worker(timed) as worker, running(worker):
            await until(lambda: stands(execution, ExecutionState.SCHEDULED))
            assert execution.when == START + timedelta(hours=1)
            await clock.advance(hours=1)
            await until(lambda: len(ran) == 2)
        assert ran == [(1, "default"), (2, "slow")]

    async def test_it_comes_after_a_final_failure_too_but_not_before_the_retries(
        self, shadows: Shadow, worker: Worker, server: Server
    ) -> None:
        async def task(
            n: int,
            retry: Retry = Retry(attempts=2),
            shadow: Shadow = CurrentShadow(),
            key: str = TaskKey(),
        ) -> None:
            ran.append((n, retry.attempt))
            if n == 1:
                await shadow.add(task, key=key)(2)
                raise ValueError

        execution = await shadows.add(task)(1)
        await worker.run_until_finished()
        assert ran == [(1, 1), (1, 2), (2, 1)]
        assert (await execution.sync()).state is ExecutionState.COMPLETED
        assert server.call("HLEN", f"{{{shadows.name}}}:dead") == 1

    async def test_it_takes_the_place_of_a_chains_own_next_run(self, shadows: Shadow, worker: Worker) -> None:
        async def task(
            n: int,
            perpetual: Perpetual = Perpetual(every=timedelta(days=1)),
            execution: Execution[Any] = CurrentExecution(),
        ) -> None:
            ran.append(n)
            if n < 3:
                execution.then(task, key=execution.key)(n + 1)
            else:
                perpetual.cancel()

        await shadows.add(task)(1)
        await worker.run_until_finished()
        assert ran == [1, 2, 3]

    async def test_a_cancelled_run_has_no_next(self, shadows: Shadow, worker: Worker) -> None:
        async def task(shadow: Shadow = CurrentShadow(), key: str = TaskKey()) -> None:
            await shadow.add(task, key=key)()
            raise asyncio.CancelledError

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert (await execution.sync()).state is ExecutionState.CANCELLED

    async def test_run_at_most_cuts_it(self, shadows: Shadow, worker: Worker) -> None:
        async def task(shadow: Shadow = CurrentShadow(), key: str = TaskKey()) -> None:
            ran.append(key)
            await shadow.add(task, key=key)()

        execution = await shadows.add(task, key="k")()
        await worker.run_at_most({"task": 3})
        assert len(ran) == 3
        assert (await execution.sync()).state is ExecutionState.CANCELLED

    async def test_a_def_task_states_it_through_a_sync_shadow(self, name: str, url: str) -> None:
        with SyncShadow(name, url) as blocking:

            def task(n: int, key: str = TaskKey()) -> None:
                ran.append(n)
                if n < 2:
                    blocking.add(task, key=key)(n + 1)

            async with Shadow(name, url) as shadows:
                shadows.register(task)
                await shadows.add(task)(1)
                async with Worker(shadows) as worker:
                    await worker.run_until_finished()
        assert ran == [1, 2]

    async def test_another_shadows_key_of_the_same_name_is_another(
        self, shadows: Shadow, worker: Worker, fresh_name: Any, url: str
    ) -> None:
        async with Shadow(fresh_name(), url) as other:

            async def task(key: str = TaskKey()) -> None:
                execution = await other.add(note, key=key)("elsewhere")
                found = await other.get_execution(execution.key)
                assert found is not None

            execution = await shadows.add(task)()
            await worker.run_until_finished()
            await execution.get_result(5)
            assert await other.cancel(execution.key)

    async def test_after_its_end_a_run_is_nobodys(self, shadows: Shadow, worker: Worker) -> None:
        late: list[asyncio.Task[Execution[None]]] = []
        ended = asyncio.Event()

        async def task(key: str = TaskKey()) -> None:
            async def add_later() -> Execution[None]:
                await ended.wait()
                return await shadows.add(note, key=key)("late")

            late.append(asyncio.create_task(add_later()))

        await shadows.add(task)()
        await worker.run_until_finished()
        ended.set()
        assert (await late[0]).state is ExecutionState.QUEUED
        await worker.run_until_finished()
        assert ran == ["late"]


async def test_one_whose_queue_is_none_fails_the_task_visibly(
    shadows: Shadow, worker: Worker, server: Server
) -> None:
    async def task(execution: Execution[Any] = CurrentExecution()) -> None:
        execution.then(note)("never")
        execution.then(note, queue="broken")("never")

    key = f"{{{shadows.name}}}:ready:broken"
    server.call("SET", key, "nonsense")
    execution = await shadows.add(task)()
    async with running(worker):
        with pytest.raises(TaskFailed, match="what the task left to be scheduled was refused"):
            await execution.get_result(5)
    server.call("DEL", key)
    assert not ran
