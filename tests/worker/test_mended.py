"""Defects that a hostile reader found, each as a promise."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shadows import ExecutionState, InvalidName, ResultUnavailable, Shadow, ShadowError, Worker
from shadows.errors import ServerUnreachable
from shadows.protocol.cycle import Taken, listen
from shadows.protocol.url import check_url
from shadows.worker import cycle as cycle_module
from shadows.worker.cycle import Loop
from tests.support.servers import Server, running
from tests.support.waiting import until


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


def loop_of(worker: Worker) -> Loop:
    assert worker._loop is not None
    return worker._loop


async def test_an_idle_worker_that_compares_often_runs_nothing_twice(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "BACKSTOP", 0.002)
    runs: Counter[int] = Counter()

    async def note(n: int) -> None:
        runs[n] += 1

    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_forever())
        for n in range(100):
            await shadows.add(note)(n)
            await until(lambda: len(runs) == n + 1)  # noqa: B023 - awaited in this very round
        worker.stop()
        await working
    assert runs == Counter(range(100))


async def test_a_server_without_enough_replicas_is_waited_for(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    with running("valkey", port=None) as own:
        async with Shadow(name, own.url) as shadows, Worker(shadows) as worker:
            working = asyncio.create_task(worker.run_forever())
            await shadows.add(note)(1)
            await until(lambda: runs == [1])
            own.call("CONFIG", "SET", "min-replicas-to-write", "1")
            await until(lambda: "NOREPLICAS" in caplog.text or "replicas" in caplog.text)
            own.call("CONFIG", "SET", "min-replicas-to-write", "0")
            await shadows.add(note)(2)
            await until(lambda: runs == [1, 2])
            worker.stop()
            await working


async def test_a_worker_that_has_stopped_swallows_nothing(shadows: Shadow) -> None:
    async def note() -> None: ...

    async with Worker(shadows) as stopped, Worker(shadows) as other:
        working = asyncio.create_task(stopped.run_forever())
        await until(lambda: loop_of(stopped)._ear.listening)
        stopped.stop()
        await working
        assert not loop_of(stopped)._ear.listening
        execution = await shadows.add(note)()
        await asyncio.wait_for(other.run_until_finished(), 10)
    assert (await execution.sync()).state is ExecutionState.COMPLETED


async def test_what_a_stopped_worker_was_given_last_goes_back(shadows: Shadow, server: Server) -> None:
    async def note() -> None: ...

    async with Worker(shadows) as worker:
        loop = loop_of(worker)
        assert worker._lease is not None
        execution = await shadows.add(note)()
        stream = f"{{{shadows.name}}}:ready:default"
        server.call("XREADGROUP", "GROUP", "g", worker._lease.incarnation, "STREAMS", stream, ">")
        await loop._hand_back()
        assert (await execution.sync()).state is ExecutionState.QUEUED


async def test_one_worker_runs_once_at_a_time(shadows: Shadow) -> None:
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_forever())
        await until(lambda: loop_of(worker)._ear.listening)
        with pytest.raises(ShadowError, match="running already"):
            await worker.run_forever()
        worker.stop()
        await working


async def test_a_reopened_worker_can_be_stopped_again(shadows: Shadow) -> None:
    worker = Worker(shadows)
    for _ in range(2):
        async with worker:
            working = asyncio.create_task(worker.run_forever())
            await until(lambda: loop_of(worker)._ear.listening)
            worker.stop()
            await asyncio.wait_for(working, 10)


async def test_a_task_that_will_not_be_cancelled_is_left_behind(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "PATIENCE", 0.05)
    monkeypatch.setattr(cycle_module, "BACKSTOP", 0.05)
    started, release = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    execution = await shadows.add(stubborn)()
    async with Worker(shadows, grace=timedelta(0)) as worker:
        working = asyncio.create_task(worker.run_forever())
        await started.wait()
        job = next(iter(loop_of(worker)._jobs.values()))
        worker.stop()
        await asyncio.wait_for(working, 10)
    assert (await execution.sync()).state is ExecutionState.QUEUED
    release.set()
    assert job.task is not None
    await job.task


async def test_a_cancelled_def_does_not_outlast_the_grace(shadows: Shadow) -> None:
    started, release = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        release.wait(30)

    execution = await shadows.add(wait)()
    async with Worker(shadows, grace=timedelta(0)) as worker:
        working = asyncio.create_task(worker.run_forever())
        await until(started.is_set)
        await shadows.cancel(execution.key)
        await until(lambda: any(job.stop for job in loop_of(worker)._jobs.values()))
        worker.stop()
        await asyncio.wait_for(working, 10)
    release.set()
    assert (await execution.sync()).state is ExecutionState.CANCELLED


async def test_a_task_that_cancels_itself_at_its_very_end_runs_once(shadows: Shadow) -> None:
    runs = 0

    async def odd() -> None:
        nonlocal runs
        runs += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    await shadows.add(odd)()
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert runs == 1


class Hostile(Exception):
    """Words that end the process."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


async def test_words_that_end_the_process_end_their_task_alone(shadows: Shadow) -> None:
    async def fail() -> None:
        raise Hostile

    async def succeed() -> object:
        return Hostile()

    executions = [await shadows.add(fail)(), await shadows.add(succeed)()]
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    states = [(await execution.sync()).state for execution in executions]
    assert states == [ExecutionState.FAILED, ExecutionState.COMPLETED]


async def test_a_failure_outside_the_fence_settles_the_task(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def note() -> None: ...

    async def broken(_: object) -> None:
        raise RuntimeError("a bug of ours")

    execution = await shadows.add(note)()
    async with Worker(shadows) as worker:
        monkeypatch.setattr(loop_of(worker)._runner, "run", broken)
        await worker.run_until_finished()
    assert (await execution.sync()).state is ExecutionState.FAILED
    assert "a bug of ours" in caplog.text


async def test_a_result_too_large_to_keep_is_no_failure(
    shadows: Shadow, caplog: pytest.LogCaptureFixture
) -> None:
    async def large() -> bytes:
        return b"x" * 2_000_000

    execution = await shadows.add(large)()
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    with pytest.raises(ResultUnavailable):
        await execution.get_result(5)
    assert execution.state is ExecutionState.COMPLETED
    assert "result cannot travel task=large" in caplog.text


async def test_outcomes_are_sent_in_requests_of_bounded_size(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "MOST_BYTES", 1000)

    async def result() -> bytes:
        return b"x" * 600

    executions = [await shadows.add(result)() for _ in range(5)]
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    for execution in executions:
        assert len(await execution.get_result(5)) == 600


async def test_names_that_are_no_text_do_not_stop_the_lease(shadows: Shadow, server: Server) -> None:
    prefix = f"{{{shadows.name}}}"
    async with Worker(shadows) as worker:
        assert worker._lease is not None
        server.call("EVAL", f"return redis.call('ZADD', '{prefix}:leases', 1, '\\255')", "0")
        await asyncio.to_thread(worker._lease._beat)
        assert worker._lease.holds()
    server.call("DEL", f"{prefix}:leases")


async def test_what_was_heard_in_a_name_that_is_gone_is_not_kept(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Worker(shadows) as worker:
        loop = loop_of(worker)
        assert worker._lease is not None
        for lost in (False, True):
            loop._ear.hear(worker._lease.incarnation, [Taken("default/1-1", "x", b"")])

            async def fail(*_: object, lost: bool = lost) -> None:
                assert worker._lease is not None
                if lost:
                    worker._lease.incarnation = "another"
                raise ServerUnreachable("gone")

            monkeypatch.setattr(loop, "_request", fail)
            with pytest.raises(ServerUnreachable):
                await loop._cycle(0)
            assert bool(loop._ear.heard) is not lost
        monkeypatch.undo()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost?protocol=3",
        "redis://localhost?socket_timeout=0.5",
        "redis://localhost?foo=1",
        "unix:///s.sock?db=abc",
        "redis://localhost?encoding=utf-16",
        "redis://host:0",
        "redis:// /0",
    ],
)
def test_a_url_cannot_change_how_we_read_the_server(url: str) -> None:
    with pytest.raises(InvalidName):
        check_url(url)


async def test_a_read_over_many_queues_starts_no_more_than_the_concurrency_allows(shadows: Shadow) -> None:
    now = most = runs = 0

    async def hold() -> None:
        nonlocal now, most, runs
        now, runs = now + 1, runs + 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    async with Worker(shadows, concurrency=1) as worker:
        loop = loop_of(worker)
        executions = [await shadows.add(hold, queue=queue)() for queue in ("a", "b", "c", "d")]
        heard = await listen(
            shadows.store,
            loop._ear.link,
            loop._lease.incarnation,
            ["a", "b", "c", "d"],
            block_ms=1000,
            grace=5,
        )
        assert len(heard.taken) == 4
        loop._ear.hear(loop._lease.incarnation, heard.taken)
        await worker.run_until_finished()
    assert (most, runs) == (1, 4)
    for execution in executions:
        assert (await execution.sync()).attempt == 1
