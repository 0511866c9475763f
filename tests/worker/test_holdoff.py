"""After the server was away nobody is judged dead for one lease's time: the living could not renew."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shadows import ExecutionState, Shadow, Worker
from shadows.clock import SystemClock
from shadows.protocol.connection import Address, Link
from shadows.protocol.lease import ServerRun
from shadows.protocol.store import Store
from shadows.testing import ControlledClock
from shadows.worker import holdoff
from shadows.worker.holdoff import HoldOff
from shadows.worker.lease import Lease
from shadows.worker.reaper import Reaper
from shadows.worker.watchdog import Watchdog
from tests.support.servers import Server, free_port, running
from tests.support.waiting import until

LENGTH = 8.0


class Monotonic:
    """Stands for the `time` module."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    time = Monotonic()
    monkeypatch.setattr(holdoff, "time", time)
    return time


@pytest.fixture
def hold_off(time: Monotonic) -> HoldOff:
    hold_off = HoldOff("w", LENGTH)
    hold_off.beaten(100, 1_000_000)
    hold_off.connected(ServerRun("one", 3600))
    assert hold_off.remaining() == 0
    return hold_off


def test_regular_beats_and_single_failures_are_no_reason(hold_off: HoldOff) -> None:
    hold_off.beaten(102, 1_002_100)
    hold_off.failed()
    assert hold_off.remaining() == LENGTH / 4, "nobody is judged while it is away"
    hold_off.beaten(106, 1_006_000)
    assert hold_off.remaining() == 0
    hold_off.beaten(116, 1_016_000)
    assert hold_off.remaining() == 0, "nothing failed: it was us who were away"


def test_failing_for_half_a_lease_is_one(
    hold_off: HoldOff, time: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    hold_off.failed()
    hold_off.beaten(104.1, 1_004_100)
    assert hold_off.remaining() == LENGTH
    assert (
        "server was away, nobody is judged dead yet worker=w why=no beat succeeded for 4.1 s" in caplog.text
    )
    time.now += LENGTH - 1
    assert hold_off.remaining() == 1
    time.now += 1
    assert hold_off.remaining() == 0


@pytest.mark.parametrize("jump", [-4_100, 4_100])
def test_a_clock_that_jumped_is_one(hold_off: HoldOff, jump: int) -> None:
    hold_off.beaten(102, 1_002_000 + jump)
    assert hold_off.remaining() == LENGTH
    hold_off.beaten(104, 1_004_000 + jump)
    assert hold_off.remaining() == LENGTH


def test_another_run_of_the_server_is_one_and_another_socket_is_not(
    hold_off: HoldOff, caplog: pytest.LogCaptureFixture
) -> None:
    hold_off.connected(ServerRun("one", 1))
    assert hold_off.remaining() == 0
    hold_off.connected(ServerRun("two", 3600))
    assert hold_off.remaining() == LENGTH
    assert "why=it runs anew" in caplog.text


def test_a_worker_that_meets_a_server_just_started_waits_too(
    time: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    hold_off = HoldOff("w", LENGTH)
    with caplog.at_level(logging.INFO, "shadows.worker"):
        hold_off.connected(ServerRun("one", 3))
    assert hold_off.remaining() == LENGTH - 3
    assert [record.levelname for record in caplog.records] == ["INFO"]


def lease_on(name: str, url: str, clock: SystemClock | ControlledClock) -> Lease:
    watchdog = Watchdog("w", 600, lambda: None)
    return Lease(Store(name, Address(url)), "w", 30, clock, lambda: None, lambda _: None, watchdog)


async def test_a_socket_that_is_reset_is_no_reason(name: str, url: str, server: Server) -> None:
    lease = lease_on(name, url, SystemClock())
    await lease.start()
    began = lease.hold_off()  # (the tests' server may have been started just now)
    for _ in range(2):
        server.call("CLIENT", "KILL", "TYPE", "normal")
        with pytest.raises(RedisConnectionError):
            lease._beat()
        lease._beat()
    assert lease.hold_off() <= began
    await lease.stop()


async def test_a_server_that_may_not_be_asked_is_judged_by_the_beats_alone(
    name: str, url: str, server: Server
) -> None:
    server.call("ACL", "SETUSER", "quiet", "on", ">pw", "~*", "&*", "+@all", "-info")
    lease = lease_on(name, f"{url}&username=quiet&password=pw", SystemClock())
    await lease.start()
    assert lease.holds()
    assert lease.hold_off() == 0
    await lease.stop()
    server.call("ACL", "DELUSER", "quiet")


async def test_a_clock_that_is_moved_by_hand_is_none(name: str, url: str) -> None:
    clock = ControlledClock()
    lease = lease_on(name, url, clock)
    await lease.start()
    await clock.advance(hours=1)
    assert lease.hold_off() == 0
    await lease.stop()


async def test_the_tasks_of_the_living_are_not_taken_when_the_server_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server is away for longer than the lease, and one of two workers is late with its first beat after it."""
    port, runs, go_on = free_port(), list[int](), asyncio.Event()

    async def hold() -> None:
        runs.append(1)
        await go_on.wait()

    persistent = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
    length, soon = timedelta(seconds=3), timedelta(seconds=0.1)
    with running("valkey", *persistent, port=port) as server:
        shadow = Shadow("held", server.tcp_url)
        await shadow.__aenter__()
        late = await Worker(shadow, "late", redelivery_timeout=length, reconnection_delay=soon).__aenter__()
        working = [asyncio.create_task(late.run_forever())]
        execution = await shadow.add(hold)()
        await until(lambda: runs)
        other = await Worker(shadow, "other", redelivery_timeout=length, reconnection_delay=soon).__aenter__()
        working.append(asyncio.create_task(other.run_forever()))
        first, lease = late._lease, other._lease
        assert first is not None
        assert lease is not None
        await until(lambda: lease.hold_off() == 0)
        server.process.kill()
        await until(lambda: not (first.holds() or lease.holds()))
    await asyncio.to_thread(first._beating.acquire)
    try:
        with running("valkey", *persistent, port=port) as server:
            await until(lambda: lease.holds() and other.trouble() is None)
            assert lease.hold_off() > 0
            assert "late#" in str(server.call("ZRANGEBYSCORE", "{held}:leases", 0, "+inf"))
            first._beating.release()
            await until(first.holds)
            await until(lambda: lease.hold_off() == 0)
            go_on.set()
            await execution.get_result(10)
            assert (await execution.sync()).state is ExecutionState.COMPLETED
            assert runs == [1]
            assert "taken back" not in caplog.text
            for worker, task in zip((late, other), working, strict=True):
                worker.stop()
                await task
                await worker.__aexit__(None, None, None)
            await shadow.__aexit__(None, None, None)
    finally:
        if first._beating.locked():
            first._beating.release()


async def test_who_is_held_off_amid_reaping_goes_on_later(
    name: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server fails, then is away, then answers: nobody is forgotten meanwhile."""
    answers = [0.0, 0.0, 0.0, 0.01, 0.0]
    reaped: list[str] = []

    class Reaping(Reaper):
        async def reap(self, worker: str) -> None:
            reaped.append(worker)

    async with Shadow(name, url) as shadow:
        link = Link(Address("unix:///nowhere/at/all.sock"))
        reaper = Reaping(shadow, link, 5, 0.05, lambda: answers.pop(0) if answers else 0.0)
        running = asyncio.create_task(reaper.run())
        await until(lambda: "dead workers not reaped" in caplog.text)
        reaper._link = Link(shadow.store.address)
        reaper.expired(["a", "b"])
        await until(lambda: {*reaped} == {"a", "b"})
        running.cancel()
        await asyncio.wait([running])
        await reaper._link.close()
