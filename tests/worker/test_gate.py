"""The gate: whatever the network does, a run is admitted once or not at all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shadows import ConcurrencyLimit, Execution, ExecutionState, Progress, Shadow, Worker
from shadows.protocol.acquire import Admission, Claim, Need
from shadows.protocol.scripts import load
from shadows.testing.clock import ControlledClock
from shadows.worker import gate as gate_module
from shadows.worker.gate import Gate
from tests.support.proxy import Proxy
from tests.support.servers import Server
from tests.support.waiting import until

ONE = [Claim(Need.PERMIT, "one", 1)]


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
async def gate(shadows: Shadow) -> AsyncIterator[Gate]:
    gate = Gate(shadows, lambda: "w#1")
    yield gate
    await gate.close()


async def test_many_that_ask_together_are_answered_in_as_few_requests_as_may_be(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "MOST_ARGUMENTS", 20)
    asked = [gate.acquire("default/1-1", f"k{n}", "x", ONE) for n in range(5)]
    assert await asyncio.gather(*asked) == [Admission.STALE] * 5


async def test_one_who_gave_up_holds_nobody_else_up(name: str, server: Server) -> None:
    async with Proxy(server.socket) as proxy, Shadow(name, proxy.url) as shadows:
        gate = Gate(shadows, lambda: "w#1")
        await gate.acquire("default/1-1", "k0", "x", ONE)  # (the script is known from here on)
        proxy.hang_replies()
        first = asyncio.create_task(gate.acquire("default/1-1", "k1", "x", ONE))
        sent = len(proxy.commands)
        await until(lambda: len(proxy.commands) > sent)
        second = asyncio.create_task(gate.acquire("default/1-1", "k2", "x", ONE))
        third = asyncio.create_task(gate.acquire("default/1-1", "k3", "x", ONE))
        await until(lambda: len(gate._queue) == 2)
        first.cancel()
        second.cancel()
        await asyncio.wait([first, second])
        proxy.resume()
        assert await third is Admission.STALE
        await gate.close()


async def test_a_cut_request_is_sent_again(
    name: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    async def limited(n: int, limit: ConcurrencyLimit = ConcurrencyLimit(1)) -> None:
        runs.append(n)

    async with Proxy(server.socket) as proxy, Shadow(name, proxy.url) as shadows:
        for n in range(4):
            await shadows.add(limited)(n)
        async with Worker(shadows) as worker:
            proxy.drop_next_reply(lambda request: load("acquire").sha in request.words)
            await worker.run_until_finished()
    assert runs == [0, 1, 2, 3]
    assert "limits not asked for" in caplog.text


async def test_what_cannot_be_asked_for_sends_the_run_back_for_a_while(
    shadows: Shadow, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    await shadows._link.request(b"SET", shadows.store.keys["held"], b"x")
    assert await gate.acquire("default/1-1", "k", "x", ONE) is Admission.UNKNOWN
    assert "limits not asked for" in caplog.text
    await shadows._link.request(b"DEL", shadows.store.keys["held"])


async def test_a_gate_that_closes_asks_no_more(name: str, server: Server) -> None:
    async with Proxy(server.socket) as proxy, Shadow(name, proxy.url) as shadows:
        gate = Gate(shadows, lambda: "w#1")
        proxy.hang_replies()
        asking = asyncio.create_task(gate.acquire("default/1-1", "k", "x", ONE))
        await until(lambda: gate._asking is not None)
        await gate.close()
        assert gate._asking is None
        asking.cancel()
        proxy.resume()


async def test_a_run_that_cannot_be_admitted_comes_back_when_that_is_mended(name: str, url: str) -> None:
    runs: list[int] = []

    async def limited(limit: ConcurrencyLimit = ConcurrencyLimit(1)) -> None:
        runs.append(1)

    clock = ControlledClock()
    async with Shadow(name, url, clock=clock) as shadows, Worker(shadows) as worker:
        permits = shadows.store.keys["permits"]
        await shadows._link.request(b"SET", permits, b"x")
        execution = await shadows.add(limited)()
        working = asyncio.create_task(worker.run_until_finished())
        await until(lambda: clock.next_alarm is not None)
        assert (await execution.sync()).state is ExecutionState.SCHEDULED
        await shadows._link.request(b"DEL", permits)
        await clock.advance(seconds=1)
        await working
    assert runs == [1]


async def test_progress_that_cannot_be_written_is_told_and_fails_nothing(
    name: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(progress: Progress = Progress()) -> int:
        await progress.increment()
        await until(lambda: "progress not written" in caplog.text)
        await progress.increment()
        return 7

    async with Proxy(server.socket) as proxy, Shadow(name, proxy.url) as shadows, Worker(shadows) as worker:
        execution = await shadows.add(work)()
        proxy.cut_before_next_request(lambda request: load("progress").sha in request.words)
        await worker.run_until_finished()
        assert await execution.get_result() == 7


async def test_what_was_to_be_forgotten_while_the_server_was_away_is_forgotten_later(
    name: str, url: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with Proxy(server.socket) as proxy, Shadow(name, url) as here, Shadow(name, proxy.url) as shadows:

        async def written() -> int:
            return int(await here._link.request(b"HLEN", here.store.keys["progress"]))

        async def first(progress: Progress = Progress()) -> None:
            await progress.increment()
            await until(written)
            proxy.cut_before_next_request(lambda request: load("progress").sha in request.words)

        async def second(progress: Progress = Progress()) -> None:
            await until(lambda: "progress not written" in caplog.text)
            await progress.increment()

        async with Worker(shadows) as worker:
            await shadows.add(first)()
            await worker.run_until_finished()
            await shadows.add(second)()
            await worker.run_until_finished()
        assert await written() == 0


async def test_progress_is_seen_while_it_runs_and_forgotten_afterwards(name: str, url: str) -> None:
    told, go, ready = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(progress: Progress = Progress()) -> None:
        await progress.set_total(5)
        await progress.increment(2)
        await progress.set_message("half way")
        told.set()
        await go.wait()

    async def watching(execution: Execution[None]) -> list[tuple[int | None, int, str | None]]:
        return [
            (event["current"], event["total"], event["message"])
            async for event in execution.subscribe(ready)
            if event["type"] == "progress"
        ]

    async with Shadow(name, url) as shadows, Worker(shadows) as worker:
        execution = await shadows.add(work)()
        seen = asyncio.create_task(watching(await shadows.add(work, key=execution.key)()))
        await ready.wait()
        running = asyncio.create_task(worker.run_until_finished())
        await told.wait()

        async def written() -> bool:
            return (await execution.sync()).progress.current == 2

        await until(written)
        assert (execution.progress.total, execution.progress.message) == (5, "half way")
        go.set()
        await running
        assert (await seen)[-1] == (2, 5, "half way")
    async with Shadow(name, url) as shadows:
        assert await shadows._link.request(b"HLEN", shadows.store.keys["progress"]) == 0


async def test_a_herald_looks_at_all_limits_however_many_there_are(name: str, url: str) -> None:
    async with Shadow(name, url) as shadows:
        shadows.heartbeat_interval = timedelta(milliseconds=20)
        waiting = shadows.store.keys["waiting"]
        words = [word for n in range(150) for word in (0, f"limit-{n:03}\0order\0gone")]
        await shadows._link.request(b"ZADD", waiting, *words)
        async with Worker(shadows):

            async def forgotten() -> bool:
                return bool(await shadows._link.request(b"ZCARD", waiting) == 0)

            await until(forgotten)
