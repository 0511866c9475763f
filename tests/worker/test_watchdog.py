"""A task that blocks the event loop: it is said where, the lease goes on, and past `max_stall` it does not."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from shadows import Execution, ExecutionState, Shadow, Worker
from shadows.clock import SystemClock
from shadows.protocol.connection import Address
from shadows.protocol.store import Store
from shadows.telemetry import serve
from shadows.worker import watchdog as watchdog_module
from shadows.worker.lease import Lease
from shadows.worker.watchdog import Watchdog
from tests.support.fleet import Fleet
from tests.support.leases import holder, outlive
from tests.support.servers import Server
from tests.support.waiting import until, until_sync
from tests.telemetry.asking import ask

LEASE = 2.0
"""Seconds. Leases are real time in real processes: one that is starved for a second must not lose its own."""


@dataclass
class Blockable:
    """A loop in a thread of its own, its watchdog, and what was told of it."""

    loop: asyncio.AbstractEventLoop
    watchdog: Watchdog
    stalls: list[str]
    go_on: threading.Event = field(default_factory=threading.Event)

    def block(self) -> None:
        """Block the loop until `go_on`."""
        blocked = threading.Event()

        def blocking() -> None:
            blocked.set()
            self.go_on.wait(30)

        self.loop.call_soon_threadsafe(blocking)
        blocked.wait(30)

    def look_until(self, seen: bool) -> None:
        until_sync(lambda: self.watchdog.look() is seen)


@contextmanager
def blockable(max_stall: float) -> Generator[Blockable]:
    loop = asyncio.new_event_loop()
    stalls: list[str] = []

    async def make() -> Watchdog:
        return Watchdog("w", max_stall, lambda: stalls.append(threading.current_thread().name))

    thread = threading.Thread(target=loop.run_forever, name="the-loop")
    thread.start()
    made = Blockable(loop, asyncio.run_coroutine_threadsafe(make(), loop).result(10), stalls)
    try:
        yield made
    finally:
        made.go_on.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def soon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests of the watchdog alone a loop is blocked after a moment already."""
    if "fleet" not in request.fixturenames:
        monkeypatch.setattr(watchdog_module, "STALL", 0.05)


def test_a_blocked_loop_is_told_of_once_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    with blockable(60) as it:
        it.block()
        until_sync(lambda: it.watchdog.look() and it.stalls)
        assert it.watchdog.look()
        assert it.stalls == [threading.current_thread().name]
        assert caplog.text.count("event loop blocked worker=w") == 1
        assert "self.go_on.wait(30)" in caplog.text
        it.go_on.set()
        until_sync(lambda: it.watchdog.look() and "event loop goes on worker=w" in caplog.text)
        assert caplog.text.count("goes on") == 1


def test_a_loop_that_is_blocked_for_too_long_gives_up_until_it_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with blockable(0.1) as it:
        it.block()
        it.look_until(False)
        assert not it.watchdog.look()
        assert caplog.text.count("blocked for too long worker=w") == 1
        assert "max_stall=0.1" in caplog.text
        it.go_on.set()
        it.look_until(True)


def test_nothing_is_said_of_a_loop_that_responds_or_has_ended(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog_module, "STALL", 30)
    with blockable(60) as it:
        for _ in range(3):
            assert it.watchdog.look()
            until_sync(lambda: it.watchdog._asked is None)
    monkeypatch.setattr(watchdog_module, "STALL", 0)
    for _ in range(3):
        assert it.watchdog.look()
    assert not caplog.records
    assert it.stalls == []


async def test_a_workers_stall_is_counted_and_its_health_not_answered(name: str, url: str) -> None:
    """The worker has a loop of its own here, as the test must not be blocked with it."""
    ports: list[int | None] = []
    workers: list[Worker] = []
    go_on, done = threading.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def block() -> None:
        go_on.wait(30)

    async def work() -> None:
        shadow = Shadow(name, url)
        shadow.register(block)
        async with shadow, Worker(shadow) as worker, serve(shadow, worker, healthcheck_port=0) as served:
            ports.append(served.healthcheck_port)
            workers.append(worker)
            await worker.run_forever()
        here.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    await until(lambda: workers)
    assert (await ask(ports[0], "/livez")).status == 200
    async with Shadow(name, url) as shadow:
        execution = await shadow.add(block)()
        await until(lambda: workers[0].meter.counts.stalls == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(ports[0], "/livez"), 0.3)
        go_on.set()
        await until(lambda: ask(ports[0], "/livez"))
        await execution.get_result(5)
        assert (await execution.sync()).state is ExecutionState.COMPLETED
    lease = workers[0]._lease
    assert lease is not None
    lease._loop.call_soon_threadsafe(workers[0].stop)
    await done.wait()
    await asyncio.to_thread(thread.join)


async def test_a_lease_is_renewed_again_when_the_loop_goes_on(name: str, url: str) -> None:
    class Told(Watchdog):
        responds = True

        def look(self) -> bool:
            return self.responds

    watchdog = Told("w", 600, lambda: None)
    store = Store(name, Address(url))
    lease = Lease(store, "w", 0.3, SystemClock(), lambda: None, lambda _: None, watchdog)
    await lease.start()
    watchdog.responds = False
    await until(lambda: not lease.holds())
    watchdog.responds = True
    await until(lease.holds)
    await lease.stop()


async def test_a_task_that_blocks_longer_than_the_lease_runs_once(
    name: str, url: str, fleet: Fleet, server: Server
) -> None:
    async with Shadow(name, url) as shadow:
        execution = await blocking(shadow)
        fleet.start(lease=LEASE)
        blocked = holder(server, name)
        await until(lambda: fleet.effects("start"), 30)
        fleet.start(lease=LEASE)
        await outlive(server, name, blocked, LEASE)
        await until(lambda: "event loop blocked" in fleet.log(0), 30)
        assert "time.sleep(0.01)" in fleet.log(0)
        fleet.open_gate()
        assert await execution.get_result(30) == fleet.processes[0].pid
    assert fleet.effects("start") == {"0": 1}
    assert "lease lost" not in fleet.log(0)


async def test_past_max_stall_others_run_the_tasks_of_a_process_that_hangs(
    name: str, url: str, fleet: Fleet
) -> None:
    async with Shadow(name, url) as shadow:
        execution = await blocking(shadow)
        hung = fleet.start(lease=LEASE, max_stall=1)
        await until(lambda: fleet.effects("start", hung), 30)
        second = fleet.start(lease=LEASE)
        await until(lambda: fleet.effects("start", second), 30)
        assert "blocked for too long" in fleet.log(0)
        fleet.open_gate()
        assert await execution.get_result(30) == second.pid
        await until(lambda: "lease lost" in fleet.log(0), 30)


async def blocking(shadow: Shadow) -> Execution[int]:
    async def block(n: int) -> int:
        return n

    return await shadow.add(block)(0)
