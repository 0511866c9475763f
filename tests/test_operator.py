"""What an operator does: clear, purge, pause and resume."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from shadows import (
    ExecutionCancelled,
    ExecutionState,
    InvalidName,
    ResultUnavailable,
    Shadow,
    ShadowError,
    Worker,
)

LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def greet(name: str) -> str:
    return f"hello {name}"


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


async def keys(redis: Redis, shadows: Shadow) -> set[str]:
    """What is left of the shadow on the server."""
    prefix = f"{{{shadows.name}}}:"
    found: list[Any] = await redis.keys(prefix + "*")
    return {key.decode().removeprefix(prefix) for key in found}


class TestClear:
    async def test_all_that_is_pending_goes_and_is_counted(self, shadows: Shadow, redis: Redis) -> None:
        await asyncio.gather(*[shadows.add(greet, when=LATER)("a") for _ in range(250)])
        await asyncio.gather(*[shadows.add(greet, queue="mail")("a") for _ in range(250)])
        first = await shadows.add(greet, key="k")("a")
        assert await shadows.clear() == 501
        assert (await shadows.snapshot()).total_tasks == 0
        assert (await first.sync()).state is ExecutionState.UNKNOWN
        assert await keys(redis, shadows) <= {"meta", "queues", "wake", "ready:default", "ready:mail"}
        assert await shadows.clear() == 0

    async def test_what_is_cleared_never_runs_and_its_key_is_free(self, shadows: Shadow) -> None:
        ran: list[str] = []

        async def note(name: str) -> None:
            ran.append(name)

        await shadows.add(note, key="k")("old")
        await shadows.clear()
        await shadows.add(note, key="k")("new")
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert ran == ["new"]

    async def test_what_runs_goes_on_and_its_result_is_kept(self, shadows: Shadow) -> None:
        started, gate = asyncio.Event(), asyncio.Event()

        async def hold() -> str:
            started.set()
            await gate.wait()
            return "done"

        running = await shadows.add(hold)()
        async with Worker(shadows) as worker:
            working = asyncio.create_task(worker.run_until_finished())
            await started.wait()
            pending = await shadows.add(greet, when=LATER)("a")
            assert await shadows.clear() == 1
            assert (await running.sync()).state is ExecutionState.RUNNING
            with pytest.raises(ExecutionCancelled):
                await pending.get_result(timeout=5)
            gate.set()
            await working
            assert await running.get_result(timeout=5) == "done"

    async def test_whoever_waits_for_its_result_is_told(self, shadows: Shadow) -> None:
        async with Worker(shadows):
            execution = await shadows.add(greet, when=LATER)("a")
            waiting = asyncio.create_task(execution.get_result(timeout=10))
            await asyncio.sleep(0)
            await shadows.clear()
            with pytest.raises(ExecutionCancelled):
                await waiting

    async def test_without_workers_results_go_but_not_dead_letters_and_pauses(self, shadows: Shadow) -> None:
        async def fail() -> None:
            raise ValueError

        good, _ = await shadows.add(greet)("a"), await shadows.add(fail)()
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
            await shadows.clear()
            assert await good.get_result(timeout=5) == "hello a"
        await shadows.pause("mail")
        assert await shadows.clear() == 0
        with pytest.raises(ResultUnavailable):
            await good.get_result(timeout=5)
        assert len(await shadows.dead_letters()) == 1
        await shadows.add(greet, queue="mail")("a")
        assert (await shadows.snapshot()).queues["mail"].paused

    async def test_adding_goes_on_behind_it(self, shadows: Shadow) -> None:
        await shadows.add(greet)("a")
        await shadows.clear()
        execution = await shadows.add(greet)("b")
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
            assert await execution.get_result(timeout=5) == "hello b"

    async def test_unopened_it_says_what_to_do(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)
        for deed in (
            shadows.clear,
            shadows.purge,
            shadows.pause,
            shadows.resume,
            shadows.workers,
            shadows.dead_letters,
        ):
            with pytest.raises(ShadowError, match="is not open"):
                await deed()


class TestPurge:
    async def test_nothing_is_left(self, shadows: Shadow, redis: Redis) -> None:
        async def fail() -> None:
            raise ValueError

        await shadows.add(fail)()
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        await shadows.add(greet, queue="mail")("a")
        await shadows.add(greet, when=LATER)("a")
        await shadows.pause("mail")
        assert await keys(redis, shadows)
        await shadows.purge()
        assert await keys(redis, shadows) == set()

    async def test_the_shadow_can_be_used_behind_it(self, shadows: Shadow) -> None:
        await shadows.purge()
        execution = await shadows.add(greet, queue="mail")("a")
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
            assert await execution.get_result(timeout=5) == "hello a"
        await shadows.purge()
        assert (await shadows.snapshot()).total_tasks == 0

    async def test_others_are_left_alone(self, shadows: Shadow, fresh_name: object, url: str) -> None:
        async with Shadow(f"{shadows.name}x", url) as other:
            await other.add(greet, key="k", when=LATER)("a")
            await shadows.purge()
            assert (await other.snapshot()).total_tasks == 1
            await other.purge()


class TestPause:
    async def test_nothing_is_taken_until_it_is_resumed_and_nothing_is_lost(self, shadows: Shadow) -> None:
        await shadows.pause("mail")
        mail = await shadows.add(greet, queue="mail")("a")
        other = await shadows.add(greet)("b")
        async with Worker(shadows) as worker:
            running = asyncio.create_task(worker.run_forever())
            assert await other.get_result(timeout=10) == "hello b"
            assert (await mail.sync()).state is ExecutionState.QUEUED
            await shadows.resume("mail")
            assert await mail.get_result(timeout=10) == "hello a"
            worker.stop()
            await running

    async def test_all_queues_are_paused_at_once_those_to_come_too(self, shadows: Shadow) -> None:
        await shadows.pause()
        one, two = await shadows.add(greet)("a"), await shadows.add(greet, queue="mail")("b")
        found = await shadows.snapshot()
        assert [queue.paused for queue in found.queues.values()] == [True, True]
        async with Worker(shadows) as worker:
            running = asyncio.create_task(worker.run_forever())
            await shadows.resume("mail")
            assert (await shadows.snapshot()).queues["mail"].paused
            await shadows.resume()
            assert await one.get_result(timeout=10) == "hello a"
            assert await two.get_result(timeout=10) == "hello b"
            worker.stop()
            await running

    async def test_it_survives_a_restart(self, shadows: Shadow, name: str, url: str) -> None:
        await shadows.pause("default")
        async with Shadow(name, url) as later:
            assert (await later.snapshot()).queues["default"].paused
            await later.resume()
        assert not (await shadows.snapshot()).queues["default"].paused

    async def test_to_resume_all_resumes_each(self, shadows: Shadow) -> None:
        await shadows.pause("default")
        await shadows.pause()
        await shadows.resume()
        assert not (await shadows.snapshot()).queues["default"].paused

    @pytest.mark.parametrize("queue", ["*", "", "a b", "a/b"])
    async def test_what_is_no_queue_is_refused(self, shadows: Shadow, queue: str) -> None:
        for deed in (shadows.pause, shadows.resume):
            with pytest.raises(InvalidName, match="a queue's name is 1 to 128"):
                await deed(queue)
