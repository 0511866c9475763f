"""Defects that a second hostile reader proved, each as a promise."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shadows import (
    CompletionHandler,
    ConcurrencyLimit,
    CurrentExecution,
    Disposition,
    Execution,
    ExecutionState,
    Perpetual,
    RateLimit,
    Retry,
    RetryAfter,
    ServerUnreachable,
    Shadow,
    SyncShadow,
    TaskKey,
    TaskOutcome,
    Worker,
)
from shadows.payload.call import Call
from shadows.testing import ControlledClock
from shadows.worker import gate as gate_module
from shadows.worker import process as process_module
from shadows.worker import suspects as suspects_module
from shadows.worker import unknown as unknown_module
from shadows.worker.process import run_worker
from shadows.worker.reaper import Reaper
from shadows.worker.threads import still_running
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


async def test_a_strike_that_could_have_no_effect_is_refused(shadows: Shadow) -> None:
    parameter: Any = 7
    with pytest.raises(TypeError, match="parameter=7: the name of a parameter"):
        await shadows.strike("task", parameter, "==", 1)


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


@pytest.fixture
def hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the task `hang` is found: it says that it runs, and goes on for as long as the file `on` is there."""
    (tmp_path / "on").touch()
    (tmp_path / "hanging.py").write_text(
        f"""
import pathlib, time
def hang() -> None:
    print("hanging", flush=True)
    while pathlib.Path({str(tmp_path / "on")!r}).exists():
        time.sleep(0.01)
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield "hanging:hang"
    (tmp_path / "on").unlink(missing_ok=True)
    sys.modules.pop("hanging", None)


async def test_a_def_that_hangs_does_not_keep_the_process_after_the_grace(
    shadows: Shadow, name: str, url: str, hang: str
) -> None:
    shadows.register_collection(hang)
    execution = await shadows.add("hang")()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shadows", "worker", "--shadows", name, "--url", url),
        *("--tasks", hang, "--grace", "0s"),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"hanging\n"
    process.terminate()
    try:
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert (await execution.sync()).state is ExecutionState.QUEUED


@pytest.mark.parametrize("hangs", [True, False])
def test_only_threads_that_go_on_end_the_process(
    name: str, url: str, hang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(process_module, "THREAD_SECONDS", 0.01 if hangs else 10)
    with SyncShadow(name, url) as shadows:
        shadows.register_collection(hang)
        shadows.add("hang")()

        @asynccontextmanager
        async def stopping(worker: Worker) -> AsyncGenerator[None]:
            async def stop() -> None:
                await until(lambda: bool(still_running(0)))  # it is taken a moment before it is called
                if not hangs:
                    (tmp_path / "on").unlink()
                worker.stop()

            async with asyncio.TaskGroup() as group:
                group.create_task(stop())
                yield

        run_worker({"shadows_name": name, "url": url, "tasks": [hang], "grace": timedelta(0)}, stopping)
    assert codes == [0] * hangs


async def test_a_run_whose_limits_cannot_be_asked_for_is_handed_back(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def task(limit: ConcurrencyLimit = ConcurrencyLimit(1)) -> None: ...

    async def broken(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(gate_module, "acquire", broken)
    execution = await shadows.add(task)()
    async with Worker(shadows) as worker:
        await asyncio.wait_for(worker.run_until_finished(), 10)
    assert (await execution.sync()).state is ExecutionState.COMPLETED


async def test_a_key_stays_taken_after_an_end_whose_follow_ups_were_refused(
    shadows: Shadow, server: Server
) -> None:
    async def follower() -> None:
        raise NotImplementedError

    async def task(execution: Execution[Any] = CurrentExecution()) -> None:
        execution.then(follower, queue="broken")()

    broken = f"{{{shadows.name}}}:ready:broken"
    async with Worker(shadows) as worker:
        await worker.enroll(["broken"])
        server.call("DEL", broken)
        server.call("SET", broken, "no queue")
        await shadows.add(task, key="k", unique_for=timedelta(hours=1))()
        await worker.run_until_finished()
    again = await shadows.add(task, key="k")()
    server.call("DEL", broken)
    assert (again.disposition, again.state) == (Disposition.ALREADY_SCHEDULED, ExecutionState.FAILED)


async def test_of_those_that_were_running_as_workers_died_one_runs_at_a_time(
    shadows: Shadow, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects_module, "PAUSE_MS", 1)
    running: set[str] = set()
    beside: list[set[str]] = []

    async def task(key: str = TaskKey()) -> None:
        running.add(key)
        beside.append({*running})
        await until(lambda: "fresh" in {*running, *(key for some in beside for key in some)})
        running.discard(key)

    stream, leases = (f"{{{shadows.name}}}:{key}" for key in ("ready:default", "leases"))
    suspects = [await shadows.add(task, key=f"suspect{n}")() for n in range(4)]
    async with Worker(shadows, concurrency=10) as worker:
        for dead in ("first", "second"):
            server.call("XREADGROUP", "GROUP", "g", dead, "STREAMS", stream, ">")
            server.call("ZADD", leases, 1, dead)
            await Reaper(shadows, worker._link, 5, 30, lambda: 0.0).reap(dead)
        fresh = await shadows.add(task, key="fresh")()
        await worker.run_until_finished()
    for execution in (*suspects, fresh):
        assert (await execution.sync()).state is ExecutionState.COMPLETED
    assert max(len(some - {"fresh"}) for some in beside) == 1


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
        async def away(*_: object) -> int:
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
