"""Defects that a second hostile reader proved, each as a promise."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shadows import (
    CompletionHandler,
    Disposition,
    Execution,
    ExecutionState,
    Perpetual,
    RateLimit,
    Retry,
    RetryAfter,
    ServerUnreachable,
    Shadow,
    TaskOutcome,
    Worker,
)
from shadows.payload.call import Call
from shadows.testing import ControlledClock
from shadows.worker import unknown as unknown_module
from shadows.worker.unknown import Unknown
from tests.support.servers import Server
from tests.support.waiting import until


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.mark.parametrize("value", [(1, [2]), [1], Decimal("sNaN")])
async def test_a_strike_whose_value_has_no_hash_ends_no_worker(
    shadows: Shadow, name: str, url: str, value: object
) -> None:
    async def task(x: object) -> None: ...

    shadows.register(task)
    async with Worker(shadows) as worker, Shadow(name, url) as operator:
        working = asyncio.create_task(worker.run_forever())
        await operator.strike("task", "x", "==", value)
        await until(lambda: len(shadows.strikes) == 1)
        execution = await shadows.add(task)(1)
        await until(lambda: _ended(execution))
        worker.stop()
        await working
    assert execution.state is ExecutionState.COMPLETED


async def test_a_strike_whose_value_has_no_hash_strikes(shadows: Shadow) -> None:
    async def task(x: object) -> None:
        raise NotImplementedError

    await shadows.strike(task, "x", "==", (1, [2]))
    assert (await shadows.add(task)((1, [2]))).disposition is Disposition.STRUCK


class TestHooks:
    @pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
    @pytest.mark.parametrize("hook", ["on_start", "on_end", "on_dead"])
    async def test_whatever_they_raise_changes_nothing(
        self, shadows: Shadow, hook: str, error: type[BaseException]
    ) -> None:
        def raises(*_: object) -> None:
            raise error

        async def succeed() -> None: ...

        async def fail() -> None:
            raise ValueError

        executions = [await shadows.add(succeed)(), await shadows.add(fail)()]
        async with Worker(shadows, **{hook: raises}) as worker:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            await worker.run_until_finished()
        states = [(await execution.sync()).state for execution in executions]
        assert states == [ExecutionState.COMPLETED, ExecutionState.FAILED]

    @pytest.mark.parametrize("hook", ["on_end", "on_dead"])
    async def test_one_that_hangs_does_not_undo_what_has_ended(self, shadows: Shadow, hook: str) -> None:
        told = asyncio.Event()

        async def hang(*_: object) -> None:
            told.set()
            await asyncio.Event().wait()

        async def fail() -> None:
            raise ValueError

        execution = await shadows.add(fail)()
        async with Worker(shadows, grace=timedelta(0), **{hook: hang}) as worker:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            working = asyncio.create_task(worker.run_forever())
            await told.wait()
            worker.stop()
            await working
        assert (await execution.sync()).state is ExecutionState.FAILED

    async def test_a_run_that_is_stopped_while_its_start_is_told_does_not_begin(
        self, shadows: Shadow
    ) -> None:
        told = asyncio.Event()

        async def hang(*_: object) -> None:
            told.set()
            await asyncio.Event().wait()

        async def task() -> None:
            raise NotImplementedError

        execution = await shadows.add(task)()
        async with Worker(shadows, grace=timedelta(0), on_start=hang) as worker:
            working = asyncio.create_task(worker.run_forever())
            await told.wait()
            worker.stop()
            await working
        assert (await execution.sync()).state is ExecutionState.QUEUED


async def test_a_behaviour_that_ends_the_process_ends_its_task_alone(shadows: Shadow) -> None:
    class Exits(CompletionHandler["Exits"]):
        async def on_complete(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
            raise SystemExit(3)

    async def task(exits: Exits = Exits()) -> None: ...

    execution = await shadows.add(task)()
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert (await execution.sync()).error == "SystemExit: 3"


@pytest.mark.parametrize("retries", [1, 5])
async def test_what_a_task_raises_as_the_worker_cancels_it_for_a_shutdown_is_no_failure(
    shadows: Shadow, retries: int
) -> None:
    runs = 0

    async def task(retry: Retry = Retry(attempts=retries)) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise RuntimeError("cannot roll back: the connection is busy") from None

    execution = await shadows.add(task)()
    async with Worker(shadows, grace=timedelta(0)) as worker:
        working = asyncio.create_task(worker.run_forever())
        await until(lambda: runs)
        worker.stop()
        await working
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert (await execution.sync()).state is ExecutionState.COMPLETED
    assert (runs, execution.attempt) == (2, 1)


async def test_after_the_server_was_away_nobody_is_judged_for_the_time_of_a_lease(
    shadows: Shadow, server: Server
) -> None:
    leases = f"{{{shadows.name}}}:leases"
    async with Worker(shadows) as worker:
        lease = worker._lease
        assert lease is not None
        expired, told = lease._expired, list[str]()

        def tell(workers: list[str]) -> None:
            told.extend(workers)
            expired(workers)

        lease._expired = tell
        server.call("ZADD", leases, 1, "another")
        lease._heard_ms -= 16_000  # more than half of the lease's thirty seconds
        for _ in range(2):
            await asyncio.to_thread(lease._beat)
            assert told == []
        lease._judges_from -= 30
        await asyncio.to_thread(lease._beat)
        await until(lambda: server.call("ZSCORE", leases, "another") is None)


def test_a_worker_remembers_only_so_many_unknown_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_module, "MOST_KEYS", 3)
    unknown = Unknown()
    for key in ("a", "b", "c", "a", "d"):
        unknown.outcome(key, Call("f", b"", 0), 1)
    assert list(unknown.keys) == ["c", "a", "d"]


class TestUntilFinished:
    async def poll(
        self, perpetual: Perpetual = Perpetual(every=timedelta(hours=1), automatic=True)
    ) -> None: ...

    async def test_the_chains_that_others_start_are_not_waited_for(self, shadows: Shadow) -> None:
        shadows.register(self.poll)
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        async with Worker(shadows, schedule_automatic_tasks=False) as worker:
            await asyncio.wait_for(worker.run_until_finished(), 5)
        await shadows.cancel("poll")

    async def test_a_server_that_is_away_as_the_end_is_looked_for_is_waited_for(
        self, shadows: Shadow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(_: object) -> int:
            monkeypatch.undo()
            raise ServerUnreachable("gone for a moment")

        shadows.register(self.poll)
        async with Worker(shadows) as worker:
            monkeypatch.setattr(worker._automatic, "resting", away)
            await worker.run_until_finished()
        await shadows.cancel("poll")


@pytest.mark.parametrize("way", ["read", "comparison"])
async def test_what_an_incarnation_was_given_that_is_gone_is_not_started_by_the_next(
    shadows: Shadow, server: Server, way: str
) -> None:
    async def task() -> None:
        raise NotImplementedError

    leases, stream = (f"{{{shadows.name}}}:{key}" for key in ("leases", "ready:default"))
    await shadows.add(task)()
    async with Worker(shadows) as worker:
        loop, lease = worker._loop, worker._lease
        assert loop is not None
        assert lease is not None
        if way == "comparison":
            server.call("XREADGROUP", "GROUP", "g", lease.incarnation, "STREAMS", stream, ">")
            comparing = asyncio.create_task(loop._compare())
            await asyncio.sleep(0)  # it has asked
            lease.incarnation = "another"
            loop.lease_lost()
            await comparing
        else:
            loop._ear.listen(lease.incarnation, ["default"], 1)
            await until(lambda: loop._ear.heard)
            lease.incarnation = "another"
        server.call("ZADD", leases, "9" * 15, "another")
        assert (await loop._cycle(0)).leased
        assert not loop._jobs


class TestBegun:
    """What was started once: a shutdown, a retry or its worker's death is not the end of it."""

    @pytest.fixture
    def clock(self) -> ControlledClock:
        return ControlledClock()

    @pytest.fixture
    async def shadows(self, name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
        async with Shadow(name, url, clock=clock) as shadows:
            yield shadows

    @pytest.mark.parametrize("way", ["shutdown", "retry", "release"])
    async def test_a_rate_that_drops_has_it_wait(
        self, shadows: Shadow, clock: ControlledClock, way: str
    ) -> None:
        runs = 0

        async def task(
            rate: RateLimit = RateLimit(1, per=timedelta(minutes=1), drop=True),
            retry: Retry = Retry(attempts=2),
        ) -> None:
            nonlocal runs
            runs += 1
            if runs == 1:
                await _end_in(way)

        execution = await shadows.add(task)()
        await _stop_during_the_first(shadows, way, lambda: runs == 1)
        async with Worker(shadows) as worker:
            working = asyncio.create_task(worker.run_until_finished())
            await until(lambda: _stands(execution, ExecutionState.SCHEDULED))
            await clock.advance(minutes=1)
            await working
        assert (await execution.sync()).state is ExecutionState.COMPLETED
        assert runs == 2

    @pytest.mark.parametrize("way", ["shutdown", "retry", "release"])
    async def test_it_does_not_expire(self, shadows: Shadow, clock: ControlledClock, way: str) -> None:
        runs = 0

        async def task(retry: Retry = Retry(attempts=2)) -> None:
            nonlocal runs
            if not runs:
                await clock.advance(minutes=2)
            runs += 1
            if runs == 1:
                await _end_in(way)

        execution = await shadows.add(task, expires=timedelta(minutes=1))()
        await _stop_during_the_first(shadows, way, lambda: runs == 1)
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert (await execution.sync()).state is ExecutionState.COMPLETED
        assert runs == 2


async def _end_in(way: str) -> None:
    if way == "retry":
        raise ValueError
    if way == "release":
        raise RetryAfter(timedelta(0))
    await asyncio.Event().wait()


async def _stop_during_the_first(shadows: Shadow, way: str, started: Callable[[], bool]) -> None:
    if way == "shutdown":
        async with Worker(shadows, grace=timedelta(0)) as worker:
            working = asyncio.create_task(worker.run_forever())
            await until(started)
            worker.stop()
            await working


async def _stands(execution: Execution[Any], state: ExecutionState) -> bool:
    return (await execution.sync()).state is state


async def _ended(execution: Execution[Any]) -> bool:
    return (await execution.sync()).state in _ENDED


_ENDED = {
    ExecutionState.COMPLETED,
    ExecutionState.FAILED,
    ExecutionState.CANCELLED,
    ExecutionState.EXPIRED,
}
