"""The defects that were measured in a task queue of this kind: none of them may be ours. `README.md` maps each to its test.

Those that other tests prove already are not here.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from shadows import Disposition, Execution, ExecutionState, Retry, Shadow, Worker
from shadows.clock import SystemClock
from shadows.protocol.lease import strangers
from tests.support.fleet import Fleet
from tests.support.leases import holder, outlive
from tests.support.proxy import Proxy
from tests.support.servers import Server, running
from tests.support.waiting import until

COMPLETED, FAILED, CANCELLED = ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED
LEASE = 2.0
"""Seconds. Leases are real time in real processes: one that is starved for a second must not lose its own."""


@pytest.fixture
async def shadow(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadow:
        yield shadow


async def finish(shadow: Shadow) -> None:
    async with Worker(shadow) as worker:
        await asyncio.wait_for(worker.run_until_finished(), 30)


async def wait_for_gate(n: int) -> int:
    return n


async def block(n: int) -> int:
    return n


async def test_d2_an_exception_that_holds_what_cannot_travel_fails_its_task_alone(shadow: Shadow) -> None:
    class Held(Exception):
        def __init__(self) -> None:
            super().__init__(threading.Lock(), lambda: None)
            self.held = iter(())

        def __reduce__(self) -> Any:
            raise RuntimeError

    runs: Counter[str] = Counter()

    async def fail(retry: Retry = Retry(attempts=2)) -> None:
        runs["fail"] += 1
        raise Held

    async def succeed() -> None:
        runs["succeed"] += 1

    failing, succeeding = await shadow.add(fail)(), await shadow.add(succeed)()
    await finish(shadow)
    assert ((await failing.sync()).state, (await succeeding.sync()).state) == (FAILED, COMPLETED)
    assert runs == {"fail": 2, "succeed": 1}


async def test_d6_what_blocks_its_worker_costs_none_of_its_neighbours_its_lease(
    name: str, url: str, fleet: Fleet, server: Server
) -> None:
    async with Shadow(name, url) as shadow:
        first = fleet.start(lease=LEASE)
        blocked = holder(server, name)
        neighbours = [await shadow.add(wait_for_gate)(n) for n in range(10)]
        await until(lambda: len(fleet.effects("start", first)) == 10, 30)
        blocking = await shadow.add(block)(99)
        await until(lambda: fleet.effects("start")["99"], 30)
        fleet.start(lease=LEASE)
        await outlive(server, name, blocked, LEASE)
        await until(lambda: "event loop blocked" in fleet.log(0), 30)
        fleet.open_gate()
        for execution in (*neighbours, blocking):
            assert await execution.get_result(30) in (first.pid, execution.args[0])
    assert set(fleet.effects("start").values()) == {1}


async def test_d7_a_worker_that_is_ending_keeps_its_lease_for_what_still_runs(
    name: str, url: str, fleet: Fleet, server: Server
) -> None:
    async with Shadow(name, url) as shadow:
        worker = fleet.start(lease=LEASE)
        ending = holder(server, name)
        execution = await shadow.add(wait_for_gate)(1)
        await until(lambda: fleet.effects("start"), 30)
        fleet.start(lease=LEASE)
        worker.terminate()
        await outlive(server, name, ending, LEASE)
        fleet.open_gate()
        assert worker.wait(30) == 0
        assert await execution.get_result(30) == worker.pid
    assert fleet.effects("start") == {"1": 1}


async def test_d11_a_task_whose_place_was_lost_runs_all_the_same(shadow: Shadow, server: Server) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    for n in range(3):
        await shadow.add(note, key=f"k{n}")(n)
    assert server.call("HDEL", f"{{{shadow.name}}}:live", "k1") == 1
    await finish(shadow)
    assert sorted(runs) == [0, 1, 2]


async def test_d12_a_scheduled_task_whose_call_was_lost_becomes_a_dead_letter(
    shadow: Shadow, server: Server
) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    executions = [await shadow.add(note, soon, f"k{n}")(n) for n in range(3)]
    assert server.call("HDEL", f"{{{shadow.name}}}:parked", "k1") == 1
    await finish(shadow)
    assert sorted(runs) == [0, 2]
    assert (await executions[1].sync()).state is FAILED
    assert [(letter.key, letter.reason) for letter in await shadow.dead_letters()] == [("k1", "lost")]


async def test_d13_the_late_end_of_an_earlier_life_leaves_the_keys_present_one_alone(
    name: str, url: str
) -> None:
    """Where no record is kept of what ended, either."""
    gates = [asyncio.Event() for _ in range(2)]
    begun: list[str] = []

    def lived(where: str) -> Any:
        async def live() -> None:
            begun.append(where)
            await gates[0 if where == "a" else 1].wait()

        return live

    async def one(where: str) -> Shadow:
        shadow = Shadow(name, url, execution_ttl=timedelta(0))
        shadow.register(lived(where), names=["live"])
        return await shadow.__aenter__()

    lease = timedelta(milliseconds=300)
    a, b = await one("a"), await one("b")
    async with Worker(a, "a", redelivery_timeout=lease) as zombie:
        assert zombie._lease is not None
        working = [asyncio.create_task(zombie.run_forever())]
        await b.add("live", key="k")()
        await until(lambda: begun == ["a"])
        await asyncio.to_thread(zombie._lease._beating.acquire)  # it does not know that it is dead
        async with Worker(b, "b", redelivery_timeout=lease) as other:
            working.append(asyncio.create_task(other.run_forever()))
            await until(lambda: begun == ["a", "b"])
            gates[1].set()

            async def gone() -> bool:
                return await b.get_execution("k") is None

            await until(gone)
            gates[1].clear()
            await b.add("live", key="k")()
            await until(lambda: begun == ["a", "b", "b"])
            gates[0].set()
            assert zombie._loop is not None
            loop = zombie._loop
            await until(lambda: not loop._jobs and not loop._finished)
            again = await b.add("live", key="k")()
            assert again.disposition is Disposition.ALREADY_SCHEDULED
            assert again.state is ExecutionState.RUNNING
            gates[1].set()
            await until(gone)
            zombie._lease._beating.release()
            for worker, task in zip((zombie, other), working, strict=True):
                worker.stop()
                await task
    assert begun == ["a", "b", "b"]
    for shadow in (a, b):
        await shadow.__aexit__(None, None, None)


async def test_d14_what_ends_while_the_server_is_full_is_recorded_and_not_run_again() -> None:
    runs, gate = list[int](), asyncio.Event()

    async def work(n: int) -> int:
        runs.append(n)
        await gate.wait()
        return n

    with running("valkey", port=None) as own:
        async with Shadow("full", own.url) as shadow:
            executions = [await shadow.add(work)(n) for n in range(20)]
            async with Worker(shadow, redelivery_timeout=timedelta(seconds=1)) as worker:
                working = asyncio.create_task(worker.run_until_finished())
                await until(lambda: len(runs) == 10)
                own.call("CONFIG", "SET", "maxmemory", "1")
                gate.set()
                await asyncio.wait_for(working, 30)
                assert [await execution.get_result(5) for execution in executions] == [*range(20)]
    assert sorted(runs) == [*range(20)]


async def test_d15_keys_that_sound_like_ours_are_keys_like_any_other(shadow: Shadow, server: Server) -> None:
    runs: Counter[str] = Counter()

    async def note(key: str) -> None:
        runs[key] += 1

    names = [
        *("victim", "runs:victim", "live", "due", "parked", "meta", "queues", "workers", "leases", "stream"),
        *(
            "queue",
            "ready:default",
            "default/1-1",
            "~due",
            "~victim",
            "u/victim",
            "p/x",
            "__proto__",
            "*",
            "%s",
        ),
    ]
    names += [f"{{{shadow.name}}}:{name}" for name in names]
    before = {key: server.call("TYPE", key) for key in server.call("KEYS", f"{{{shadow.name}}}:*")}
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    for number, key in enumerate(names):
        await shadow.add(note, soon if number % 2 else None, key)(key)
    await finish(shadow)
    assert runs == Counter(names)
    assert {key: server.call("TYPE", key) for key in before} == before


async def test_d17_a_worker_with_a_short_lease_takes_nothing_from_one_with_a_long_one(
    shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, runs, gate = list[int](), list[int](), asyncio.Event()

    async def counted(*arguments: Any) -> set[str]:
        looks.append(1)
        return await strangers(*arguments)

    async def hold() -> None:
        runs.append(1)
        await gate.wait()

    monkeypatch.setattr("shadows.worker.reaper.strangers", counted)
    execution = await shadow.add(hold)()
    async with Worker(shadow, redelivery_timeout=timedelta(minutes=5)) as patient:
        working = [asyncio.create_task(patient.run_forever())]
        await until(lambda: runs)
        async with Worker(shadow, redelivery_timeout=timedelta(milliseconds=200)) as hasty:
            working.append(asyncio.create_task(hasty.run_forever()))
            await until(lambda: len(looks) > 5)
            gate.set()
            await execution.get_result(5)
            for worker, task in zip((patient, hasty), working, strict=True):
                worker.stop()
                await task
    assert runs == [1]


async def test_d18_thousands_due_at_one_instant_do_not_stop_the_server() -> None:
    runs: Counter[int] = Counter()

    async def note(n: int) -> None:
        runs[n] += 1

    with running("valkey", "--slowlog-log-slower-than", "300000", port=None) as own:
        async with Shadow("burst", own.url) as shadow:
            soon = datetime.now(UTC) + timedelta(milliseconds=100)
            await shadow.add_many([shadow.call(note, soon)(n) for n in range(5000)])
            async with Worker(shadow, concurrency=100) as worker:
                await asyncio.wait_for(worker.run_until_finished(), 60)
        assert own.call("SLOWLOG", "GET", "-1") == []
    assert runs == Counter(range(5000))


async def test_d19_what_was_cancelled_while_its_worker_heard_nothing_does_not_complete(
    name: str, url: str, proxy: Proxy
) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await gate.wait()

    seen: list[ExecutionState] = []
    async with (
        Shadow(name, url) as shadow,
        Shadow(name, proxy.url) as through,
        Worker(through, reconnection_delay=timedelta(seconds=0.1)) as worker,
    ):
        execution = await shadow.add(work)()
        through.register(work)
        working = asyncio.create_task(worker.run_forever())
        await begun.wait()
        proxy.hang_replies()
        assert await shadow.cancel(execution.key)
        seen.append((await execution.sync()).state)
        proxy.resume()

        async def ended() -> bool:
            seen.append((await execution.sync()).state)
            return seen[-1] is CANCELLED

        await until(ended)
        gate.set()
        worker.stop()
        await working
        seen.append((await execution.sync()).state)
    assert {*seen} == {ExecutionState.RUNNING, CANCELLED}
    assert seen[-1] is CANCELLED


async def test_d22_nothing_is_left_of_workers_that_were_killed(
    name: str, url: str, fleet: Fleet, server: Server
) -> None:
    async with Shadow(name, url) as shadow:
        executions: list[Execution[int]] = []
        for n in range(3):
            executions.append(await shadow.add(wait_for_gate)(n))
            victim = fleet.start(lease=1)
            await until(partial(fleet.effects, "start", victim), 30)
            victim.kill()
        fleet.start(lease=1)

        def known() -> tuple[int, int, int]:
            consumers = server.call("XINFO", "CONSUMERS", f"{{{name}}}:ready:default", "g")
            counts = [
                server.call(ask, f"{{{name}}}:{role}")
                for ask, role in (("ZCARD", "leases"), ("HLEN", "workers"))
            ]
            return len(consumers), counts[0], counts[1]

        await until(lambda: known() == (1, 1, 1), 30)
        fleet.open_gate()
        for execution in executions:
            await execution.get_result(30)


class FastClock(SystemClock):
    """An hour ahead."""

    def now_us(self) -> int:
        return super().now_us() + 3_600_000_000


async def test_d23_a_worker_whose_clock_is_fast_starts_nothing_early(name: str, url: str) -> None:
    started: list[datetime] = []

    async def note() -> None:
        started.append(datetime.now(UTC))

    async with Shadow(name, url) as shadow, Shadow(name, url, clock=FastClock()) as fast:
        fast.register(note)
        async with Worker(fast) as worker:
            working = asyncio.create_task(worker.run_forever())
            due = datetime.now(UTC) + timedelta(seconds=1)
            execution = await shadow.add(note, due)()
            await execution.get_result(20)
            worker.stop()
            await working
    assert started[0] >= due
