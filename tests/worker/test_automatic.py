"""Tasks that workers start by themselves, and how far a run goes on for them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from shadows import Cron, ExecutionState, Perpetual, Retry, Shadow, Worker
from shadows.testing import ControlledClock
from shadows.worker import automatic as automatic_module
from tests.dependencies.conftest import has, running, stands
from tests.support.servers import Server
from tests.support.waiting import until

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock()


@pytest.fixture
async def shadows(name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
    async with Shadow(name, url, clock=clock) as shadows:
        yield shadows


async def test_they_are_started_once_in_the_whole_fleet_under_their_own_name(
    shadows: Shadow, clock: ControlledClock
) -> None:
    runs: list[int] = []

    async def poll(n: int = 7, perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
        runs.append(n)

    shadows.register(poll)
    async with Worker(shadows) as one, Worker(shadows) as two, running(one), running(two):
        await until(lambda: len(runs) == 1)
        execution = await until(lambda: shadows.get_execution("poll"))
        await until(lambda: stands(execution, ExecutionState.SCHEDULED))
        for count in (2, 3):
            await clock.advance(HOUR)
            await until(partial(has, runs, count))
            await until(lambda: stands(execution, ExecutionState.SCHEDULED))
    assert runs == [7, 7, 7]
    await shadows.cancel("poll")


async def test_a_worker_may_be_told_not_to(shadows: Shadow) -> None:
    async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
        raise NotImplementedError

    shadows.register(poll)
    async with Worker(shadows, schedule_automatic_tasks=False) as worker:
        await worker.run_until_finished()
    assert await shadows.get_execution("poll") is None


async def test_until_finished_does_not_wait_for_their_future_runs(shadows: Shadow) -> None:
    runs: list[str] = []

    async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
        runs.append("poll")

    async def report(cron: Cron = Cron("@daily")) -> None:
        raise NotImplementedError

    async def child() -> None:
        runs.append("child")

    async def parent() -> None:
        runs.append("parent")
        await shadows.add(child)()

    for task in (poll, report):
        shadows.register(task)
    await shadows.add(parent)()
    async with Worker(shadows) as one, Worker(shadows) as two:
        await asyncio.gather(one.run_until_finished(), two.run_until_finished())
    assert sorted(runs) == ["child", "parent", "poll"]
    for key in ("poll", "report"):
        execution = await shadows.get_execution(key)
        assert execution is not None
        assert execution.state is ExecutionState.SCHEDULED
        await shadows.cancel(key)


async def test_until_finished_waits_for_a_chain_that_was_added_by_hand(
    shadows: Shadow, clock: ControlledClock
) -> None:
    runs: list[int] = []

    async def poll(perpetual: Perpetual = Perpetual(every=HOUR)) -> None:
        runs.append(1)
        if len(runs) == 2:
            perpetual.cancel()

    execution = await shadows.add(poll)()
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_until_finished())
        await until(lambda: stands(execution, ExecutionState.SCHEDULED))
        assert not working.done()
        await until(lambda: clock.next_alarm)
        await clock.advance(HOUR)
        await working
    assert len(runs) == 2


async def test_until_finished_waits_for_a_task_beside_a_resting_chain(
    shadows: Shadow, clock: ControlledClock
) -> None:
    async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None: ...

    async def later() -> None: ...

    shadows.register(poll)
    execution = await shadows.add(later, when=clock.now + timedelta(minutes=1))()
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_until_finished())
        await until(lambda: clock.next_alarm)
        poll_execution = await until(lambda: shadows.get_execution("poll"))
        await until(lambda: stands(poll_execution, ExecutionState.SCHEDULED))
        assert not working.done()
        await clock.advance(minutes=1)
        await working
    assert (await execution.sync()).state is ExecutionState.COMPLETED
    await shadows.cancel("poll")


@pytest.mark.parametrize("task", ["poll", "report"])
async def test_run_at_most_runs_them_so_often_and_cancels_them(
    shadows: Shadow, clock: ControlledClock, task: str
) -> None:
    runs: list[str] = []

    async def poll(perpetual: Perpetual = Perpetual(automatic=True)) -> None:
        runs.append("poll")

    async def report(cron: Cron = Cron("* * * * * *"), retry: Retry = Retry(attempts=2)) -> None:
        runs.append("report")

    shadows.register(poll if task == "poll" else report)
    async with Worker(shadows) as worker:
        working = asyncio.create_task(worker.run_at_most({task: 3}))
        while not working.done():
            await clock.advance(milliseconds=500)
            await asyncio.wait([working], timeout=0.01)
        await working
    assert runs == [task] * 3
    execution = await shadows.get_execution(task)
    assert execution is not None
    assert execution.state is ExecutionState.CANCELLED


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic_module, "HEAL_EVERY", 0.01)


@pytest.mark.usefixtures("impatient")
class TestHealing:
    async def test_a_chain_that_was_lost_is_begun_anew(
        self, shadows: Shadow, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs: list[int] = []

        async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
            runs.append(1)

        shadows.register(poll)
        async with Worker(shadows) as worker, running(worker):
            execution = await until(lambda: shadows.get_execution("poll"))
            await until(lambda: stands(execution, ExecutionState.SCHEDULED))
            for role in ("live", "due", "parked"):
                server.call("DEL", f"{{{shadows.name}}}:{role}")
            await until(lambda: len(runs) == 2)
        await shadows.cancel("poll")

    async def test_one_that_ended_in_a_dead_letter_too(self, shadows: Shadow) -> None:
        runs: list[int] = []

        async def poll(n: int = 0, perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
            runs.append(n)
            if len(runs) == 1:
                perpetual.perpetuate("not", "such", "arguments")

        shadows.register(poll)
        async with Worker(shadows) as worker, running(worker):
            await until(lambda: len(runs) == 2)
        await shadows.cancel("poll")

    @pytest.mark.parametrize("by", ["client", "task"])
    async def test_one_that_was_cancelled_stays_so_until_a_worker_starts_anew(
        self, shadows: Shadow, server: Server, by: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs: list[int] = []
        looks: list[str] = []

        async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
            runs.append(1)
            if by == "task" and len(runs) == 1:
                perpetual.cancel()

        shadows.register(poll)
        find = shadows.find

        async def looked(key: str) -> object:
            looks.append(key)
            return await find(key)

        async with Worker(shadows) as worker:
            async with running(worker):
                execution = await until(lambda: shadows.get_execution("poll"))
                if by == "client":
                    await until(lambda: stands(execution, ExecutionState.SCHEDULED))
                    await shadows.cancel("poll")
                else:
                    await until(lambda: stands(execution, ExecutionState.COMPLETED))
                monkeypatch.setattr(shadows, "find", looked)
                await until(lambda: len(looks) > 3)
                server.call("DEL", f"{{{shadows.name}}}:ended", f"{{{shadows.name}}}:ended:at")
                seen = len(looks)
                await until(lambda: len(looks) > seen + 3)
                monkeypatch.undo()
                assert await shadows.get_execution("poll") is None
            async with running(worker):
                await until(lambda: len(runs) == 2)
                await until(lambda: stands(execution, ExecutionState.SCHEDULED))
        await shadows.cancel("poll")

    async def test_one_that_somebody_added_again_is_healed_again(
        self, shadows: Shadow, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs: list[int] = []
        looks: list[object] = []

        async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
            runs.append(1)

        shadows.register(poll)
        find = shadows.find

        async def looked(key: str) -> object:
            looks.append((await find(key)).stand)
            return await find(key)

        async def seen_anew() -> None:
            looks.clear()
            await until(lambda: len(looks) > 3)

        async with Worker(shadows) as worker, running(worker):
            execution = await until(lambda: shadows.get_execution("poll"))
            await until(lambda: stands(execution, ExecutionState.SCHEDULED))
            monkeypatch.setattr(shadows, "find", looked)
            await shadows.cancel("poll")
            await seen_anew()
            await shadows.add(poll, key="poll")()
            await until(partial(has, runs, 2))
            await seen_anew()
            for role in ("live", "due", "parked", "ended", "ended:at"):
                server.call("DEL", f"{{{shadows.name}}}:{role}")
            await until(partial(has, runs, 3))
            monkeypatch.undo()
        await shadows.cancel("poll")

    async def test_a_stricken_one_is_begun_once_it_is_restored(self, shadows: Shadow, server: Server) -> None:
        runs: list[int] = []

        async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
            runs.append(1)

        shadows.register(poll)
        await shadows.strike(poll)
        async with Worker(shadows) as worker, running(worker):
            await until(lambda: worker._loop is not None and worker._loop._ear.listening)
            await shadows.restore(poll)
            await until(partial(has, runs, 1))
        assert server.call("HLEN", f"{{{shadows.name}}}:dead") == 0
        await shadows.cancel("poll")

    async def test_what_goes_wrong_is_tried_again(
        self, shadows: Shadow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs: list[int] = []

        async def poll(perpetual: Perpetual = Perpetual(every=HOUR, automatic=True)) -> None:
            runs.append(1)

        shadows.register(poll)
        add, find = shadows.add, shadows.find
        failures = {"add": 1, "find": 1}

        def refuse_add(*args: object, **kwargs: object) -> object:
            if failures["add"]:
                failures["add"] = 0
                raise ConnectionError("away")
            return add(*args, **kwargs)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportUnknownVariableType, reportArgumentType]

        async def refuse_find(key: str) -> object:
            if failures["find"]:
                failures["find"] = 0
                raise ConnectionError("away")
            return await find(key)

        monkeypatch.setattr(shadows, "add", refuse_add)
        monkeypatch.setattr(shadows, "find", refuse_find)
        async with Worker(shadows) as worker, running(worker):
            await until(lambda: runs)
        assert "chain not begun task=poll error=away" in caplog.text
        assert "chain not looked at task=poll error=away" in caplog.text
        await shadows.cancel("poll")
