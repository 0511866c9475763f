"""How a worker's runs end and begin again, and what a comparison may do: promises found broken on a last reading."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from shadows import ExecutionState, Shadow, Shared, TaskKey, Worker
from shadows.protocol.cycle import recover
from shadows.protocol.lease import announcements
from shadows.protocol.scripts import load
from shadows.worker import cycle as cycle_module
from shadows.worker.cycle import Loop
from tests.support.proxy import Proxy, Request, command
from tests.support.servers import Server, running
from tests.support.waiting import until


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


def loop_of(worker: Worker) -> Loop:
    assert worker._loop is not None
    return worker._loop


async def test_an_idle_worker_stops_although_the_server_is_gone(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running("valkey", port=None) as own:
        async with Shadow(name, own.url) as shadows, Worker(shadows) as worker:
            working = asyncio.create_task(worker.run_forever())
            await until(lambda: loop_of(worker)._ear.listening)
            own.process.kill()
            await until(lambda: "does not answer" in caplog.text)
            worker.stop()
            await asyncio.wait_for(working, 20)


async def test_after_the_grace_a_worker_stops_although_the_server_is_gone(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cycle_module, "PATIENCE", 0.1)
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    with running("valkey", port=None) as own:
        async with Shadow(name, own.url) as shadows, Worker(shadows, grace=timedelta(0)) as worker:
            await shadows.add(wait)()
            working = asyncio.create_task(worker.run_forever())
            await started.wait()
            own.process.kill()
            await until(lambda: "does not answer" in caplog.text)
            worker.stop()
            await asyncio.wait_for(working, 30)


async def test_a_worker_that_was_stopped_runs_and_stops_again(shadows: Shadow) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    async with Worker(shadows) as worker:
        for n in range(3):
            await shadows.add(note)(n)
            working = asyncio.create_task(worker.run_forever())
            await until(lambda: len(runs) == n + 1)  # noqa: B023 - awaited in this very round
            worker.stop()
            await asyncio.wait_for(working, 10)
    assert runs == [0, 1, 2]


async def test_what_tasks_share_outlives_them_when_a_run_is_cancelled(shadows: Shadow) -> None:
    seen: list[str] = []
    started = asyncio.Event()

    @asynccontextmanager
    async def resource() -> AsyncGenerator[str]:
        try:
            yield "open"
        finally:
            seen.append("closed")

    async def use(shared: str = Shared(resource)) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("task ended")

    await shadows.add(use)()
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_forever())
        await started.wait()
        working.cancel()
        await asyncio.wait([working])
    assert seen == ["task ended", "closed"]


async def test_a_comparison_starts_no_more_than_the_concurrency_allows(
    shadows: Shadow, server: Server
) -> None:
    now = most = runs = 0

    async def hold() -> None:
        nonlocal now, most, runs
        now, runs = now + 1, runs + 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    async with Worker(shadows, concurrency=1) as worker:
        loop = loop_of(worker)
        for _ in range(4):
            await shadows.add(hold)()
        stream = f"{{{shadows.name}}}:ready:default"
        server.call("XREADGROUP", "GROUP", "g", loop._lease.incarnation, "STREAMS", stream, ">")
        assert len(await recover(shadows.store, loop._link, loop._lease.incarnation, ["default"])) == 4
        loop._compared = 0.0
        await worker.run_until_finished()
    assert (most, runs) == (1, 4)


async def test_only_cycles_that_take_count_towards_another_queue_coming_first(shadows: Shadow) -> None:
    async with Worker(shadows, queues=["a", "b", "c"]) as worker:
        loop = loop_of(worker)
        orders = [loop._order(take) for take in [1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1]]
    firsts = [order[0] for order in orders]
    assert firsts == ["a", "a", "a", "a", "a", "a", "b", "a", "a", "a", "a", "c"]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)


async def test_a_worker_says_which_queues_it_takes_from(shadows: Shadow) -> None:
    async with Worker(shadows, queues=["mail"]) as worker:
        said = await announcements(shadows.store, worker._link, worker.now_us() // 1000)
        assert [one.queues for one in said.values()] == [("mail",)]


async def test_what_is_sent_again_is_no_late_outcome(
    name: str, url: str, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await gate.wait()

    async with Shadow(name, url) as shadows, Shadow(name, proxy.url) as through:
        execution = await shadows.add(wait)()
        async with Worker(through, concurrency=1) as worker:
            working = asyncio.create_task(worker.run_until_finished())
            await started.wait()
            struck = proxy.drop_next_reply(command("EVALSHA"))
            gate.set()
            await working
        assert struck.is_set()
        assert (await execution.sync()).state is ExecutionState.COMPLETED
    assert "late outcome refused" not in caplog.text


async def test_an_outcome_that_comes_after_another_has_the_key_is_refused_and_told(
    name: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()

    async with Shadow(name, url) as shadows, Worker(shadows) as worker:
        execution = await shadows.add(work, key="k")()
        running = asyncio.create_task(worker.run_until_finished())
        await begun.wait()
        keys, link = shadows.store.keys, shadows._link
        number = (await link.request(b"HGET", keys["live"], "k")).partition(b"/")[2]
        await link.request(b"XACK", keys.ready("default"), b"g", number)
        await link.request(b"XDEL", keys.ready("default"), number)
        await link.request(b"HDEL", keys["live"], "k")
        go.set()
        await running
        assert "late outcome refused key=k" in caplog.text
        assert (await execution.sync()).state is ExecutionState.UNKNOWN


@pytest.mark.parametrize("undone", [True, False])
async def test_what_a_failover_has_undone_is_not_begun_though_a_read_had_brought_it(
    name: str, url: str, proxy: Proxy, server: Server, undone: bool
) -> None:
    ran: list[str] = []

    async def work(key: str = TaskKey()) -> None:
        ran.append(key)

    def confirms(request: Request) -> bool:
        """Whether it is the cycle before which nothing that was read is begun; the server forgets that it was."""
        found = load("cycle").sha in request.words and b"started" in request.words
        if found and undone:
            stream = f"{{{name}}}:ready:default"
            ((number, fields),) = server.call("XRANGE", stream, "-", "+")
            server.call("XACK", stream, "g", number)
            server.call("XDEL", stream, number)
            number = server.call("XADD", stream, "*", *fields)
            server.call("HSET", f"{{{name}}}:live", "k", b"default/" + number)
        return found

    async with Shadow(name, url) as shadows, Shadow(name, proxy.url) as through:
        through.register(work)
        async with Worker(through) as worker:
            working = asyncio.create_task(worker.run_forever())
            await until(lambda: loop_of(worker)._ear.listening)
            struck = proxy.cut_before_next_request(confirms)
            execution = await shadows.add(work, key="k")()
            await execution.get_result()
            assert struck.is_set()
            worker.stop()
            await working
    assert ran == ["k"]
