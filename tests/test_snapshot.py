"""What an operator sees: totals, lists, workers, and how much there is of which task."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from shadows import (
    Counts,
    ExecutionState,
    FunctionCounts,
    QueueCounts,
    Shadow,
    ShadowError,
    Worker,
)
from shadows.protocol.cycle import cycle
from shadows.protocol.look import look
from tests.support.waiting import until

LATER = datetime(2100, 1, 1, 0, 0, 0, 123_457, UTC)


async def greet(name: str) -> str:
    return f"hello {name}"


async def bill(number: int) -> int:
    return number


class Holding:
    """A task that runs until it is let go."""

    def __init__(self) -> None:
        self.started = 0
        self.gate = asyncio.Event()

    async def hold(self) -> None:
        self.started += 1
        await self.gate.wait()


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
async def holding(shadows: Shadow) -> AsyncIterator[Holding]:
    """A worker `w1` that runs `hold` when it is added, and ends at the end."""
    holding = Holding()
    shadows.register(holding.hold)
    async with Worker(shadows, "w1", queues=["default"]) as worker:
        running = asyncio.create_task(worker.run_forever())
        yield holding
        holding.gate.set()
        worker.stop()
        await running


def stream(shadows: Shadow, queue: str = "default") -> str:
    return f"{{{shadows.name}}}:ready:{queue}"


class TestTotals:
    async def test_an_empty_shadow_is_empty(self, shadows: Shadow) -> None:
        before = datetime.now(UTC)
        found = await shadows.snapshot()
        assert timedelta(seconds=-1) < found.taken - before < timedelta(seconds=5)
        assert (found.total_tasks, found.future, found.running, found.workers) == (0, [], [], [])
        assert found.counts == Counts(0, 0, 0, 0, 0)
        assert found.queues == {"default": QueueCounts(0, 0, None, paused=False)}
        assert (found.by_function, found.sampled) == ({}, False)

    async def test_each_task_is_counted_where_it_stands(self, shadows: Shadow, holding: Holding) -> None:
        await shadows.add(holding.hold, key="h")()
        await until(lambda: holding.started)
        await shadows.add(greet, when=LATER, key="s")("a")
        await shadows.add(greet, queue="mail", key="r1")("b")
        await shadows.add(bill, queue="mail", key="r2")(1)
        found = await shadows.snapshot()
        assert found.counts == Counts(scheduled=1, ready=2, running=1, waiting=0, dead=0)
        assert found.total_tasks == 4
        mail = found.queues["mail"]
        assert (mail.ready, mail.running, mail.paused) == (2, 0, False)
        assert mail.latency is not None
        assert timedelta(0) <= mail.latency < timedelta(seconds=10)
        assert found.queues["default"] == QueueCounts(0, 1, None, paused=False)

    async def test_a_dead_letter_is_counted_and_unfinished_no_more(self, shadows: Shadow) -> None:
        async def fail() -> None:
            raise ValueError

        await shadows.add(fail)()
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        found = await shadows.snapshot()
        assert (found.counts.dead, found.total_tasks) == (1, 0)

    async def test_latency_is_since_when_the_oldest_has_been_ready(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        seconds, _ = await redis.time()
        await redis.xadd(stream(shadows), {"k": "old", "c": "1/0/x"}, id=f"{(seconds - 100) * 1000}-0")
        await shadows.add(greet, key="k")("a")
        latency = (await shadows.snapshot()).queues["default"].latency
        assert latency is not None
        assert timedelta(seconds=99) < latency < timedelta(seconds=110)

    async def test_an_entry_of_the_servers_future_has_no_negative_latency(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        seconds, _ = await redis.time()
        await redis.xadd(stream(shadows), {"k": "k", "c": "1/0/x"}, id=f"{(seconds + 100) * 1000}-0")
        assert (await shadows.snapshot()).queues["default"].latency == timedelta(0)

    async def test_a_queue_that_another_client_added_meanwhile_is_seen(
        self, shadows: Shadow, name: str, url: str
    ) -> None:
        async with Shadow(name, url) as other:
            await other.add(greet, queue="mail", key="m")("a")
        found = await shadows.snapshot()
        assert [execution.key for execution in found.future] == ["m"]
        assert found.queues["mail"].ready == 1
        assert found.by_function["greet"].total == 1

    async def test_unopened_it_says_what_to_do(self, name: str, url: str) -> None:
        with pytest.raises(ShadowError, match="is not open"):
            await Shadow(name, url).snapshot()

    async def test_a_negative_limit_is_refused(self, shadows: Shadow) -> None:
        with pytest.raises(ValueError, match="limit=-1: how many of each kind"):
            await shadows.snapshot(limit=-1)

    async def test_a_small_shadow_is_seen_in_two_requests(self, shadows: Shadow, redis: Redis) -> None:
        await shadows.add(greet)("a")
        await shadows.snapshot()
        await redis.config_resetstat()
        await shadows.snapshot()
        stats = await redis.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] == 2


class TestLists:
    async def test_what_is_to_come_is_there_soonest_first_with_all_that_is_known(
        self, shadows: Shadow
    ) -> None:
        await shadows.add(greet, when=LATER, key="late", queue="mail")(name="a")
        await shadows.add(greet, when=LATER - timedelta(days=1), key="sooner")("b")
        await shadows.add(bill, key="ready")(3)
        late, sooner, ready = (await shadows.snapshot()).future[::-1]
        assert (late.key, late.function_name, late.args, late.kwargs) == ("late", "greet", (), {"name": "a"})
        assert (late.when, late.queue, late.state) == (LATER, "mail", ExecutionState.SCHEDULED)
        assert (sooner.key, sooner.when) == ("sooner", LATER - timedelta(days=1))
        assert (ready.key, ready.args, ready.state) == ("ready", (3,), ExecutionState.QUEUED)
        assert (await ready.sync()).state is ExecutionState.QUEUED

    async def test_what_runs_is_there_with_its_worker_and_since_when(
        self, shadows: Shadow, holding: Holding
    ) -> None:
        before = datetime.now(UTC)
        await shadows.add(holding.hold, key="h")()
        await until(lambda: holding.started)
        found = await shadows.snapshot()
        (running,) = found.running
        assert (running.key, running.function_name, running.worker) == ("h", "hold", "w1")
        assert (running.state, running.queue, running.attempt) == (ExecutionState.RUNNING, "default", 1)
        assert running.started is not None
        assert running.started == running.started_at
        assert before - timedelta(seconds=1) < running.started <= found.taken
        assert found.future == []

    async def test_a_task_that_is_tried_again_is_listed_at_its_next_instant(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        await shadows.add(greet, when=LATER, key="k")("a")
        parked = f"{{{shadows.name}}}:parked"
        stored: Any = await redis.hget(parked, "k")
        await redis.hset(parked, "k", stored.replace(b"/1/0/", b"/2/0/", 1))
        again = LATER + timedelta(hours=1)
        await redis.zadd(f"{{{shadows.name}}}:due", {"k": int(again.timestamp() * 1000)})
        found = await shadows.snapshot()
        in_ms = again.replace(microsecond=123_000)
        assert (found.future[0].attempt, found.future[0].when) == (2, in_ms)
        assert found.by_function["greet"].latest_queued == in_ms

    async def test_a_function_that_is_unknown_here_is_a_placeholder_with_its_name(
        self, shadows: Shadow, name: str, url: str
    ) -> None:
        async def stranger(value: int) -> None: ...

        async with Shadow(name, url) as other:
            await other.add(stranger, when=LATER)(1)
            del other.tasks["stranger"]
        (execution,) = (await shadows.snapshot()).future
        assert (execution.function_name, execution.args) == ("stranger", ())

    async def test_as_many_are_listed_of_each_kind_as_were_asked_for(
        self, shadows: Shadow, holding: Holding
    ) -> None:
        for n in range(3):
            await shadows.add(holding.hold, key=f"h{n}")()
        await until(lambda: holding.started == 3)
        for n in range(4):
            await shadows.add(greet, when=LATER + timedelta(seconds=n), key=f"s{n}")("a")
            await shadows.add(bill, key=f"m{n}", queue="mail")(n)
            await shadows.add(bill, key=f"o{n}", queue="other")(n)
        found = await shadows.snapshot(limit=2)
        assert [one.key for one in found.future] == ["m0", "o0", "s0", "s1"]
        assert [one.key for one in found.running] == ["h0", "h1"]
        assert found.counts == Counts(4, 8, 3, 0, 0)
        assert {name: counts.total for name, counts in found.by_function.items()} == {
            "greet": 4, "bill": 8, "hold": 3,
        }  # fmt: skip
        nothing = await shadows.snapshot(limit=0)
        assert (nothing.future, nothing.running) == ([], [])
        assert nothing.by_function == found.by_function

    async def test_long_lists_come_whole_in_pages(self, shadows: Shadow) -> None:
        await asyncio.gather(*[shadows.add(greet, when=LATER)(str(n)) for n in range(450)])
        await asyncio.gather(*[shadows.add(bill)(n) for n in range(300)])
        found = await shadows.snapshot()
        assert len({one.key for one in found.future}) == 750
        assert {one.args[0] for one in found.future if one.function_name == "greet"} == set(
            map(str, range(450))
        )
        assert len((await shadows.snapshot(limit=250)).future) == 500

    async def test_large_calls_come_whole(self, shadows: Shadow) -> None:
        await asyncio.gather(*[shadows.add(greet, when=LATER)("x" * 700_000) for _ in range(4)])
        assert [len(one.args[0]) for one in (await shadows.snapshot()).future] == [700_000] * 4

    async def test_what_cannot_be_read_is_counted_and_not_listed(self, shadows: Shadow, redis: Redis) -> None:
        await redis.xadd(stream(shadows), {"some": "thing"})
        await redis.xadd(stream(shadows), {"k": "k", "c": "1/0/\x02"})
        found = await shadows.snapshot()
        assert found.counts.ready == 2
        assert [one.key for one in found.future] == ["k"]
        assert found.by_function["?"].queued == 2

    async def test_what_moves_on_while_it_is_read_is_listed_once_as_what_it_is_then(
        self, shadows: Shadow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await asyncio.gather(*[shadows.add(greet, when=LATER, key=f"k{n:03}")("a") for n in range(250)])
        looks = 0

        async def look_and_promote(*args: Any, **kwargs: Any) -> Any:
            nonlocal looks
            looks += 1
            answer = await look(*args, **kwargs)
            if looks == 1:  # behind the first page, the first of all becomes ready
                stamp = str(int(LATER.timestamp() * 1000) + 1).encode()
                await cycle(
                    shadows.store, shadows._link, "w", settle=[], take=0, queues=["default"],
                    limits=shadows.limits, promote=1, stamp=stamp,
                )  # fmt: skip
            return answer

        monkeypatch.setattr("shadows.snapshot.look", look_and_promote)
        found = await shadows.snapshot()
        assert sorted(one.key for one in found.future) == [f"k{n:03}" for n in range(250)]
        states = {one.key: one.state for one in found.future}
        assert states["k000"] is ExecutionState.QUEUED
        assert states["k001"] is ExecutionState.SCHEDULED
        assert found.by_function["greet"].total == 250


class TestByFunction:
    async def test_counts_and_instants_are_exact(self, shadows: Shadow, holding: Holding) -> None:
        await shadows.add(holding.hold)()
        await until(lambda: holding.started)
        for days in (3, 1, 2):
            await shadows.add(greet, when=LATER + timedelta(days=days))("a")
        await shadows.add(holding.hold, when=LATER)()
        found = (await shadows.snapshot()).by_function
        day = timedelta(days=1)
        assert found == {
            "greet": FunctionCounts(3, 0, 3, LATER + day, LATER + 3 * day),
            "hold": FunctionCounts(2, 1, 1, LATER, LATER),
        }

    async def test_a_backlog_is_counted_exactly_beyond_what_is_listed(self, shadows: Shadow) -> None:
        adds = [shadows.add(greet, when=LATER)("x" * 2000 if n % 100 == 0 else "a") for n in range(900)]
        await asyncio.gather(*adds, *[shadows.add(bill)(n) for n in range(700)])
        found = await shadows.snapshot(limit=10)
        assert {name: counts.queued for name, counts in found.by_function.items()} == {
            "greet": 900,
            "bill": 700,
        }
        assert found.by_function["greet"].oldest_queued is not None
        assert abs(found.by_function["greet"].oldest_queued - LATER) < timedelta(milliseconds=2)
        assert not found.sampled

    @pytest.mark.parametrize("many", [10_000, 10_001])
    async def test_beyond_ten_thousand_a_labelled_sample_is_counted(self, shadows: Shadow, many: int) -> None:
        await shadows.store.enroll(shadows._link, ["empty"])
        shadows.register(greet)
        shadows.register(bill)
        scheduled = many * 6 // 10
        await asyncio.gather(
            *[
                shadows.add("greet" if n % 3 else "bill", when=LATER + timedelta(seconds=n))(n)
                for n in range(scheduled)
            ],
            *[shadows.add(bill, queue="mail" if n % 2 else None)(n) for n in range(many - scheduled)],
        )
        found = await shadows.snapshot(limit=5)
        assert found.total_tasks == many
        assert found.sampled == (many > 10_000)
        greets = sum(1 for n in range(scheduled) if n % 3)
        counted = {name: counts.total for name, counts in found.by_function.items()}
        if not found.sampled:
            assert counted == {"greet": greets, "bill": many - greets}
        else:
            seen = sum(counted.values())
            assert 4_900 < seen < 5_100
            assert abs(counted["greet"] / seen - greets / many) < 0.05
        assert found.by_function["greet"].oldest_queued == LATER + timedelta(seconds=1)


class TestWorkers:
    async def test_a_worker_is_listed_from_its_entering_to_its_leaving(self, shadows: Shadow) -> None:
        shadows.register(greet)
        assert await shadows.workers() == []
        before = datetime.now(UTC)
        async with Worker(shadows, "w2", queues=["mail", "default"], concurrency=3), Worker(shadows, "w1"):
            first, second = await shadows.workers()
            assert (first.name, first.queues, first.concurrency, first.running) == (
                "w1",
                ("default", "mail"),
                10,
                0,
            )
            assert (second.name, second.queues, second.concurrency) == ("w2", ("mail", "default"), 3)
            assert "greet" in second.tasks
            assert timedelta(seconds=-1) < second.last_seen - before < timedelta(seconds=5)
            assert (await shadows.snapshot()).workers == [first, second]
        assert await shadows.workers() == []

    async def test_what_it_runs_is_counted(self, shadows: Shadow, holding: Holding) -> None:
        await shadows.add(holding.hold)()
        await shadows.add(holding.hold)()
        await until(lambda: holding.started == 2)
        assert [(worker.name, worker.running) for worker in await shadows.workers()] == [("w1", 2)]

    async def test_those_that_can_run_a_task_are_found_by_its_name(self, name: str, url: str) -> None:
        async with Shadow(name, url) as one:
            one.register(greet)
            async with Worker(one, "w1"):
                one.register(bill)
                async with Worker(one, "w2"):
                    assert [worker.name for worker in await one.task_workers("greet")] == ["w1", "w2"]
                    assert [worker.name for worker in await one.task_workers("bill")] == ["w2"]
                    assert await one.task_workers("nothing") == []

    async def test_who_is_silent_for_too_long_or_lost_its_lease_is_not_listed(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        shadows.heartbeat_interval, shadows.missed_heartbeats = timedelta(seconds=10), 3
        seconds, _ = await redis.time()
        key = f"{{{shadows.name}}}:"

        async def say(name: str, seen: int, expiry: int) -> None:
            said = f'{{"name":"{name}","seen_ms":{seen * 1000},"concurrency":1,"queues":[],"tasks":[]}}'
            await redis.hset(key + "workers", name, said)
            await redis.zadd(key + "leases", {name: expiry * 1000})

        await say("well", seconds - 20, seconds + 60)
        await say("silent", seconds - 31, seconds + 60)
        await say("expired", seconds, seconds - 1)
        await redis.zadd(key + "leases", {"speechless": (seconds + 60) * 1000})
        assert [worker.name for worker in await shadows.workers()] == ["well"]
