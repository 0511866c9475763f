"""The worker where things go wrong in ways that no user can order: looked at from inside."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shadows import ExecutionState, Shadow, UnknownTasks, Worker
from shadows.dependencies.context import present
from shadows.protocol.cycle import Cycled, Taken
from shadows.protocol.lease import Beat, beat
from shadows.worker import cycle as cycle_module
from shadows.worker import lease as lease_module
from shadows.worker.cycle import Loop
from shadows.worker.lease import Lease
from shadows.worker.quota import Quota
from shadows.worker.runner import Stop
from tests.support.servers import Server, running
from tests.support.waiting import until


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


def inside(worker: Worker) -> tuple[Loop, Lease]:
    """The worker's loop and lease."""
    assert worker._loop is not None
    assert worker._lease is not None
    return worker._loop, worker._lease


@pytest.fixture
async def own_factory() -> AsyncIterator[None]:
    """The test's loop has a task factory of its own, so that a run is made at one time and begins at another."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, run, **options: asyncio.Task(run, loop=loop, **options))
    yield
    loop.set_task_factory(None)


async def test_a_lost_lease_cancels_what_runs_and_a_new_incarnation_takes_it_up(
    shadows: Shadow, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[str] = []
    gate = asyncio.Event()

    async def wait() -> None:
        runs.append("start")
        try:
            await gate.wait()
        except asyncio.CancelledError:
            runs.append("cancelled")
            raise
        runs.append("end")

    await shadows.add(wait)()
    async with Worker(shadows, redelivery_timeout=timedelta(seconds=1)) as worker:
        working = asyncio.create_task(worker.run_until_finished())
        loop, lease = inside(worker)
        await until(lambda: runs == ["start"] and loop._ear.listening)
        old = lease.incarnation
        server.call("ZADD", f"{{{shadows.name}}}:leases", "0", old)
        await until(lambda: lease.incarnation != old)
        await until(lambda: runs == ["start", "cancelled", "start"])
        assert lease.incarnation != old
        gate.set()
        await working
    assert runs == ["start", "cancelled", "start", "end"]
    assert "lease lost" in caplog.text


async def test_what_was_taken_in_a_name_that_is_gone_is_left_to_others(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []

    async def note() -> None:
        runs.append(1)

    await shadows.add(note)()
    async with Worker(shadows) as worker:
        loop, lease = inside(worker)
        request = loop._request

        async def lose_meanwhile(*arguments: object) -> object:
            monkeypatch.undo()
            cycled = await request(*arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            lease.incarnation = "another"
            return cycled

        monkeypatch.setattr(loop, "_request", lose_meanwhile)
        assert len((await loop._cycle(5)).taken) == 1
        assert not loop._jobs


async def test_what_a_late_request_took_is_found_by_comparing(
    shadows: Shadow, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "BACKSTOP", 0.02)
    runs: list[int] = []
    gate = asyncio.Event()

    async def note(n: int) -> None:
        runs.append(n)
        await gate.wait()

    prefix = f"{{{shadows.name}}}"
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_forever())
        loop, lease = inside(worker)
        await shadows.add(note)(1)
        await until(lambda: runs == [1])
        server.call("ZADD", f"{prefix}:controls", "0", f"{lease.incarnation}\0default/1-1")
        execution = await shadows.add(note, queue="mail")(2)
        server.call("XREADGROUP", "GROUP", "g", lease.incarnation, "STREAMS", f"{prefix}:ready:mail", ">")
        await until(lambda: runs == [1, 2])
        gate.set()
        await until(lambda: not loop._jobs)
        worker.stop()
        await working
    assert (await execution.sync()).state is ExecutionState.COMPLETED


async def test_without_a_lease_nothing_is_compared_or_taken(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def note() -> None: ...

    execution = await shadows.add(note)()
    async with Worker(shadows) as worker:
        loop, lease = inside(worker)
        monkeypatch.setattr(lease, "holds", lambda: False)
        await loop._compare()
        assert loop._free() == 0
        assert not (await loop._cycle(0)).taken
        assert (await execution.sync()).state is ExecutionState.QUEUED
        monkeypatch.setattr(lease, "holds", lambda: True)
        monkeypatch.setattr(cycle_module, "MOST_UNSETTLED", -1)
        assert loop._free() == 0


async def test_a_worker_whose_lease_was_removed_takes_nothing_until_it_has_another(
    shadows: Shadow, server: Server
) -> None:
    runs: list[int] = []

    async def note() -> None:
        runs.append(1)

    async with Worker(shadows) as worker:
        _, lease = inside(worker)
        server.call("ZREM", f"{{{shadows.name}}}:leases", lease.incarnation)
        await shadows.add(note)()
        working = asyncio.create_task(worker.run_until_finished())
        before = lease.incarnation
        await asyncio.to_thread(lease._beat)
        await working
        assert lease.incarnation != before
    assert runs == [1]


async def test_what_the_server_will_never_answer_otherwise_ends_the_worker(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Worker(shadows) as worker:
        with monkeypatch.context() as patched:
            patched.setattr(cycle_module, "cycle", AsyncMock(side_effect=ResponseError("ERR no such thing")))
            with pytest.raises(ResponseError, match="no such thing"):
                await worker.run_forever()


async def test_a_worker_waits_for_a_broken_key_to_be_mended_and_names_it(
    shadows: Shadow, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    async def note() -> None:
        runs.append(1)

    due = f"{{{shadows.name}}}:due"
    await shadows.add(note)()
    server.call("SET", due, "nonsense")
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_until_finished())
        await until(lambda: f"the key '{due}' holds a string where shadows keeps a zset" in caplog.text)
        assert f'RENAME "{due}" "broken:{due}"' in caplog.text
        assert not runs
        server.call("DEL", due)
        await working
    assert runs == [1]


async def test_a_lease_that_is_lost_while_a_cycle_is_looked_at_leaves_what_it_took_to_others(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def note() -> None:
        raise NotImplementedError

    await shadows.add(note)()
    async with Worker(shadows) as worker:
        loop, lease = inside(worker)

        def holds() -> bool:
            lease.incarnation = "another"
            return True

        monkeypatch.setattr(lease, "holds", holds)
        assert len((await loop._cycle(5)).taken) == 1
        assert not loop._jobs
        assert not loop._finished
        monkeypatch.undo()


@pytest.mark.parametrize("patience", [60.0, -1.0])
async def test_a_worker_that_starts_asks_again_where_its_first_heartbeat_is_not_answered_in_time(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    beats = 0

    def slow(*arguments: Any, **options: Any) -> Beat:
        nonlocal beats
        beats += 1
        if beats == 1:
            raise RedisTimeoutError("Timeout reading from socket")
        return beat(*arguments, **options)

    monkeypatch.setattr(lease_module, "beat", slow)
    monkeypatch.setattr(lease_module, "PATIENCE", patience)
    if patience < 0:
        with pytest.raises(RedisTimeoutError):
            await Worker(shadows).__aenter__()
    else:
        async with Worker(shadows) as worker:
            assert inside(worker)[1].holds()


async def test_two_looks_for_work_are_as_far_apart_as_asked(shadows: Shadow) -> None:
    looked: list[float] = []
    second = asyncio.Event()

    async def note() -> None:
        looked.append(inside(worker)[0].cycled_at)
        second.set()

    async def wait() -> None:
        looked.append(inside(worker)[0].cycled_at)
        await shadows.add(note)()
        await second.wait()

    await shadows.add(wait)()
    async with Worker(shadows, minimum_check_interval=timedelta(milliseconds=30)) as worker:
        await worker.run_until_finished()
    assert looked[1] - looked[0] >= 0.03


async def test_a_task_cancelled_before_it_began_is_handed_back(shadows: Shadow, own_factory: None) -> None:
    async def note() -> None: ...

    execution = await shadows.add(note)()
    async with Worker(shadows) as worker:
        loop, _ = inside(worker)
        await loop._cycle(5)
        loop.cancel_running(Stop.SHUTDOWN)
        await until(lambda: len(loop._finished) == 1)
        loop._start(Taken("default/1-1", "x", b""))
        loop.cancel_running(Stop.LEASE_LOST)
        loop.cancel_running(Stop.SHUTDOWN)
        await until(lambda: not loop._jobs)
        assert len(loop._finished) == 1
    assert (await execution.sync()).state is ExecutionState.QUEUED


async def test_a_run_that_never_waits_has_ended_once_its_cycle_has(shadows: Shadow) -> None:
    seen: list[tuple[asyncio.Task[object] | None, str]] = []

    async def note(key: str) -> None:
        seen.append((asyncio.current_task(), present("a test").key))

    keys = [(await shadows.add(note, key=key)(key)).key for key in "abc"]
    async with Worker(shadows) as worker:
        loop, _ = inside(worker)
        await loop._cycle(5)
        assert not loop._jobs
        assert len(loop._finished) == 3
        assert [key for _, key in seen] == keys
        assert len({asyncio.current_task(), *(task for task, _ in seen)}) == 4  # each in a task of its own
        with pytest.raises(
            RuntimeError, match="only inside a task"
        ):  # and none leaves anything behind in ours
            present("a test")


async def test_a_task_that_has_its_own_run_cancelled_in_its_first_step_hears_of_it_when_it_waits(
    shadows: Shadow,
) -> None:
    waited: list[bool] = []

    async def note() -> None:
        inside(worker)[0].cancel_running(Stop.SHUTDOWN)
        try:
            await asyncio.Event().wait()
        finally:
            waited.append(True)

    execution = await shadows.add(note)()
    async with Worker(shadows) as worker:
        await inside(worker)[0]._cycle(5)
        await until(lambda: waited == [True])
    assert (await execution.sync()).state is ExecutionState.QUEUED


async def test_leaving_in_a_first_step_waits_for_no_run(shadows: Shadow) -> None:
    async def note() -> None:
        ending = inside(worker)[0].end()
        with pytest.raises(StopIteration):  # it has nothing to wait for
            ending.send(None)

    execution = await shadows.add(note)()
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert (await execution.sync()).state is ExecutionState.COMPLETED


async def test_leaving_hands_back_what_runs_and_what_was_taken(shadows: Shadow) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    executions = [await shadows.add(wait)() for _ in range(3)]
    async with Worker(shadows, concurrency=2) as worker:
        working = asyncio.create_task(worker.run_forever())
        loop, _ = inside(worker)
        await until(lambda: len(loop._jobs) == 2)
        working.cancel()
        await asyncio.wait([working])
    async with Worker(shadows) as worker:
        loop, _ = inside(worker)
        loop._stopping = True
        await loop._cycle(2)
        assert len(loop._finished) == 2
        await loop._compare()
        assert not loop._jobs
    async with Worker(shadows) as worker:
        loop, _ = inside(worker)
        await loop._cycle(2)
        assert len(loop._jobs) == 2
    for execution in executions:
        assert (await shadows.find(execution.key)).blob.startswith(b"1/0/")
        assert (await execution.sync()).state is ExecutionState.QUEUED


async def test_a_def_that_outlasts_the_grace_is_handed_over(shadows: Shadow) -> None:
    started, release = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        release.wait(30)

    execution = await shadows.add(wait)()
    async with Worker(shadows, grace=timedelta(0)) as worker:
        working = asyncio.create_task(worker.run_forever())
        await until(started.is_set)
        worker.stop()
        worker.stop()
        await working
    release.set()
    assert (await execution.sync()).state is ExecutionState.QUEUED


async def test_a_server_that_dies_is_waited_for_and_left_without_it(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running("valkey", port=None) as own:
        async with Shadow(name, own.url, heartbeat_interval=timedelta(seconds=0.05)) as shadows:
            lease = timedelta(milliseconds=200)
            async with Worker(shadows, redelivery_timeout=lease, reconnection_delay=lease) as worker:
                working = asyncio.create_task(worker.run_forever())
                loop, _ = inside(worker)
                await until(lambda: loop._ear.listening)
                own.process.kill()
                for words in (
                    "not announced",
                    "not renewed",
                    "does not answer",
                    "no word from",
                ):
                    await until(lambda words=words: words in caplog.text, what=words)
                worker.stop()
                working.cancel()
                await asyncio.wait([working])
    assert "tasks not handed back" in caplog.text
    assert "lease not given back" in caplog.text


async def test_unknown_tasks_that_ended_elsewhere_are_forgotten(shadows: Shadow) -> None:
    async def stranger() -> None: ...

    first, second = await shadows.add(stranger)(), await shadows.add(stranger)()
    del shadows.tasks["stranger"]
    async with Worker(shadows) as worker:
        with pytest.raises(UnknownTasks):
            await worker.run_until_finished()
        assert worker._unknown.keys == {first.key: "stranger", second.key: "stranger"}
        await shadows.cancel(first.key)
        assert not await worker._finish().reached(Cycled([], [], None, [], leased=True, unfinished=2))
        worker._unknown.keys[first.key] = "stranger"
        with pytest.raises(UnknownTasks):
            await worker.run_until_finished()
        assert worker._unknown.keys == {second.key: "stranger"}


async def test_a_task_that_another_living_worker_knows_is_waited_for(
    shadows: Shadow, name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stranger() -> None: ...

    async with Shadow(name, url) as other:
        other.register(stranger)
        await other.add(stranger)()
        plan = other.tasks.find("stranger")
        del shadows.tasks["stranger"]
        async with Worker(shadows) as worker, Worker(other) as knowing:
            working = asyncio.create_task(worker.run_until_finished())
            await until(lambda: worker._unknown.keys)
            monkeypatch.setattr(inside(worker)[0], "_free", lambda: 0)  # else it may take it again and again
            assert plan is not None
            await knowing.run_until_finished()
            await working


def test_only_what_asks_for_another_run_is_cut() -> None:
    from shadows.protocol.outcomes import Kind, completed, retry

    quota = Quota({"task": 1})
    assert quota.cut("task", "key", retry()).kind is Kind.RETRY
    assert quota.spend("task", "key")
    assert quota.cut("task", "key", completed()).kind is Kind.COMPLETED
    assert quota.cut("task", "key", retry()).kind is Kind.CANCELLED
    assert not quota.spend("task", "key")


async def test_news_for_a_loop_that_has_ended_is_nobodys() -> None:
    ended = asyncio.new_event_loop()
    ended.close()
    lease = object.__new__(Lease)
    lease._loop = ended
    lease._tell(lambda: None)
