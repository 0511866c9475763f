"""A clock that only moves when told to."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shadows import Shadow, Worker
from shadows.testing import ControlledClock
from tests.dependencies.conftest import running
from tests.support.waiting import until

START = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock(START)


class TestTime:
    def test_it_stands_still(self, clock: ControlledClock) -> None:
        assert clock.now == START
        assert clock.now_us() == int(START.timestamp()) * 1_000_000
        assert clock.stamp() == str(int(START.timestamp()) * 1000).encode()

    def test_it_begins_at_the_present_unless_told(self) -> None:
        before = datetime.now(UTC)
        assert before - timedelta(milliseconds=1) < ControlledClock().now <= datetime.now(UTC)

    def test_it_stands_at_whole_milliseconds_as_the_servers_does(self) -> None:
        assert ControlledClock(START + timedelta(microseconds=1999)).now == START + timedelta(milliseconds=1)

    def test_it_begins_at_no_naive_instant(self) -> None:
        with pytest.raises(ValueError, match="has no timezone"):
            ControlledClock(datetime(2030, 1, 1))  # noqa: DTZ001

    async def test_it_moves_by_what_it_is_told(self, clock: ControlledClock) -> None:
        await clock.advance(timedelta(seconds=1))
        await clock.advance(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)
        assert clock.now == START + timedelta(days=1, hours=2, minutes=3, seconds=5, milliseconds=5)

    async def test_it_does_not_go_back(self, clock: ControlledClock) -> None:
        with pytest.raises(ValueError, match="this clock only goes forward"):
            await clock.advance(seconds=-1)
        assert clock.now == START


class TestAlarms:
    async def test_they_ring_in_their_order_as_it_passes_them(self, clock: ControlledClock) -> None:
        rung: list[str] = []
        clock.call_later(2, lambda: rung.append("b"))
        clock.call_later(1, lambda: rung.append("a"))
        clock.call_later(2, lambda: rung.append("c"))
        clock.call_later(2.001, lambda: rung.append("d"))
        await clock.advance(seconds=1)
        assert rung == ["a"]
        await clock.advance(seconds=1)
        assert rung == ["a", "b", "c"]

    async def test_one_that_is_called_off_does_not_ring(self, clock: ControlledClock) -> None:
        rung: list[str] = []
        off = clock.call_later(1, lambda: rung.append("a"))
        clock.call_later(1, lambda: rung.append("b"))
        off()
        off()
        await clock.advance(seconds=1)
        assert rung == ["b"]

    async def test_the_nearest_one_is_known(self, clock: ControlledClock) -> None:
        assert clock.next_alarm is None
        clock.call_later(2, list)
        clock.call_later(1, list)
        assert clock.next_alarm == START + timedelta(seconds=1)
        await clock.advance(seconds=1)
        assert clock.next_alarm == START + timedelta(seconds=2)

    async def test_one_that_is_due_rings_at_once(self, clock: ControlledClock) -> None:
        rung = asyncio.Event()
        clock.call_later(0, rung.set)
        await asyncio.wait_for(rung.wait(), 5)


class TestFollowers:
    async def test_they_are_told_before_it_moves(self, clock: ControlledClock) -> None:
        told: list[tuple[int, datetime]] = []
        unfollow = clock.follow(lambda instant_ms: told.append((instant_ms, clock.now)))
        await clock.advance(seconds=1)
        assert told == [(int(START.timestamp()) * 1000 + 1000, START)]
        unfollow()
        await clock.advance(seconds=1)
        assert len(told) == 1


class TestWorkers:
    async def test_what_falls_due_runs_in_its_order(
        self, name: str, url: str, clock: ControlledClock
    ) -> None:
        ran: list[tuple[int, datetime]] = []

        async def task(hours: int) -> None:
            ran.append((hours, clock.now))

        async with Shadow(name, url, clock=clock) as shadows:
            for hours in (3, 1, 2):
                await shadows.add(task, when=START + timedelta(hours=hours))(hours)
            async with Worker(shadows, concurrency=1) as worker, running(worker):
                await clock.advance(minutes=59)
                await clock.advance(hours=1, minutes=1)
                await until(lambda: len(ran) == 2)
                await clock.advance(hours=1)
                await until(lambda: len(ran) == 3)
        assert ran == [(hours, START + timedelta(hours=max(hours, 2))) for hours in (1, 2, 3)]

    async def test_nothing_runs_a_millisecond_early(
        self, name: str, url: str, clock: ControlledClock
    ) -> None:
        async def task() -> None: ...

        async with Shadow(name, url, clock=clock) as shadows:
            execution = await shadows.add(task, when=START + timedelta(seconds=1, microseconds=1))()
            async with Worker(shadows) as worker, running(worker):
                await clock.advance(seconds=1)
                other = await shadows.add(task)()
                await other.get_result(timeout=5)
                assert (await execution.sync()).completed_at is None
                await clock.advance(milliseconds=1)
                await execution.get_result(timeout=5)

    async def test_travelling_far_costs_no_worker_its_lease(
        self, name: str, url: str, clock: ControlledClock
    ) -> None:
        started, done = asyncio.Event(), asyncio.Event()
        runs = 0

        async def task() -> int:
            nonlocal runs
            runs += 1
            started.set()
            await done.wait()
            return runs

        async with Shadow(name, url, clock=clock) as shadows:
            execution = await shadows.add(task)()
            async with Worker(shadows) as worker, Worker(shadows) as other, running(worker), running(other):
                await started.wait()
                for _ in range(3):
                    await clock.advance(days=365)
                done.set()
                assert await execution.get_result(timeout=5) == 1
        assert execution.completed_at == START + timedelta(days=3 * 365)
