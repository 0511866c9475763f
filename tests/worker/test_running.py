"""Running tasks: what a worker does with what was added, through the public API."""

import asyncio
import contextvars
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

import pytest

from shadows import (
    ExecutionCancelled,
    ExecutionState,
    Logged,
    Perpetual,
    Retry,
    Shadow,
    ShadowError,
    UnknownTasks,
    Worker,
)
from shadows.testing import ControlledClock
from tests.support.servers import Server
from tests.support.waiting import until


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock()


@pytest.fixture
async def shadows(name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
    async with Shadow(name, url, clock=clock) as shadows:
        yield shadows


def idle(worker: Worker) -> bool:
    """Whether the worker waits in its blocking read."""
    return worker._loop is not None and worker._loop._ear.listening


def cancelling(worker: Worker) -> bool:
    """Whether the worker has passed a cancellation on."""
    return worker._loop is not None and any(job.stop for job in worker._loop._jobs.values())


async def finish(shadows: Shadow, concurrency: int = 10) -> None:
    async with Worker(shadows, concurrency=concurrency) as worker:
        await worker.run_until_finished()


async def test_every_added_task_runs_once(shadows: Shadow) -> None:
    runs: Counter[int] = Counter()

    async def count(n: int) -> None:
        runs[n] += 1

    await asyncio.gather(*[shadows.add(count)(n) for n in range(300)])
    await finish(shadows)
    assert runs == Counter(range(300))


async def test_several_workers_share_and_each_task_runs_once(shadows: Shadow) -> None:
    runs: Counter[int] = Counter()

    async def count(n: int) -> None:
        runs[n] += 1
        await asyncio.sleep(0)

    await asyncio.gather(*[shadows.add(count)(n) for n in range(200)])
    await asyncio.gather(*[finish(shadows, 3) for _ in range(4)])
    assert runs == Counter(range(200))


async def test_no_more_tasks_run_at_once_than_the_concurrency_allows(shadows: Shadow) -> None:
    running = most = 0

    async def hold() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    for _ in range(20):
        await shadows.add(hold)()
    await finish(shadows, concurrency=3)
    assert most == 3


async def test_tasks_that_add_tasks_are_followed(shadows: Shadow) -> None:
    seen: list[int] = []

    async def count_down(n: int) -> None:
        seen.append(n)
        if n:
            await shadows.add(count_down)(n - 1)

    await shadows.add(count_down)(5)
    await finish(shadows)
    assert seen == [5, 4, 3, 2, 1, 0]


async def test_scheduled_tasks_run_when_their_instant_comes_and_not_before(
    shadows: Shadow, clock: ControlledClock
) -> None:
    seen: list[str] = []

    async def note(text: str) -> None:
        seen.append(text)

    await shadows.add(note, when=clock.now + timedelta(hours=2))("second")
    await shadows.add(note, when=clock.now + timedelta(hours=1))("first")
    await shadows.add(note)("now")
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await until(lambda: seen == ["now"])
        await clock.advance(timedelta(minutes=59))
        assert seen == ["now"]
        await clock.advance(timedelta(minutes=1))
        await until(lambda: seen == ["now", "first"])
        await clock.advance(timedelta(hours=3))
        await running
    assert seen == ["now", "first", "second"]


async def test_a_nearer_task_wakes_an_idle_worker(shadows: Shadow, clock: ControlledClock) -> None:
    seen: list[str] = []

    async def note(text: str) -> None:
        seen.append(text)

    await shadows.add(note, when=clock.now + timedelta(days=1))("far")
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await until(lambda: idle(worker))
        await shadows.add(note, when=clock.now + timedelta(minutes=1))("near")
        await until(lambda: clock.next_alarm == clock.now + timedelta(minutes=1))
        await clock.advance(timedelta(minutes=1))
        await until(lambda: seen == ["near"])
        await clock.advance(timedelta(days=1))
        await running


async def test_a_retried_task_runs_again_after_its_delay(shadows: Shadow, clock: ControlledClock) -> None:
    attempts: list[int] = []

    async def fail_twice(retry: Retry = Retry(attempts=3, delay=timedelta(minutes=5))) -> str:
        attempts.append(retry.attempt)
        if retry.attempt < 3:
            raise ValueError("not yet")
        return "done"

    execution = await shadows.add(fail_twice)()
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await until(lambda: len(attempts) == 1 and clock.next_alarm is not None)
        await clock.advance(timedelta(minutes=5))
        await until(lambda: len(attempts) == 2 and clock.next_alarm is not None)
        await clock.advance(timedelta(minutes=5))
        await running
    assert attempts == [1, 2, 3]
    assert await execution.get_result(5) == "done"


async def test_a_task_out_of_attempts_has_failed_with_its_own_exception(
    shadows: Shadow, server: Server
) -> None:
    async def fail(retry: Retry = Retry(attempts=2)) -> None:
        raise KeyError(f"attempt {retry.attempt}")

    execution = await shadows.add(fail)()
    await finish(shadows)
    with pytest.raises(KeyError, match="attempt 2"):
        await execution.get_result(5)
    assert execution.state is ExecutionState.FAILED
    assert server.call("HLEN", f"{{{shadows.name}}}:dead") == 1


async def test_run_at_most_stops_a_perpetual_task_after_so_many_runs(shadows: Shadow) -> None:
    runs = 0

    async def tick(perpetual: Perpetual = Perpetual()) -> None:
        nonlocal runs
        runs += 1

    execution = await shadows.add(tick, key="clock")()
    async with Worker(shadows) as worker:
        await worker.run_at_most({"tick": 3})
        assert runs == 3
        assert (await execution.sync()).state is ExecutionState.CANCELLED
        await shadows.add(tick, key="clock")()
        await worker.run_at_most({"clock": 2})
        assert runs == 5
        with pytest.raises(ValueError, match="0 or more"):
            await worker.run_at_most({"clock": -1})


async def test_run_at_most_counts_retries_and_cancels_the_surplus(shadows: Shadow) -> None:
    runs = 0

    async def fail(retry: Retry = Retry(attempts=None)) -> None:
        nonlocal runs
        runs += 1
        raise ValueError

    executions = [await shadows.add(fail)() for _ in range(3)]
    async with Worker(shadows, concurrency=1) as worker:
        await worker.run_at_most({"fail": 4})
    assert runs == 4
    assert {(await execution.sync()).state for execution in executions} == {ExecutionState.CANCELLED}


async def test_run_at_most_lets_other_tasks_run_as_they_like(shadows: Shadow) -> None:
    runs: Counter[str] = Counter()

    async def limited() -> None:
        runs["limited"] += 1

    async def free(retry: Retry = Retry(attempts=3)) -> None:
        runs["free"] += 1
        if retry.attempt < 3:
            raise ValueError

    for _ in range(3):
        await shadows.add(limited)()
    await shadows.add(free)()
    async with Worker(shadows) as worker:
        await worker.run_at_most({"limited": 1})
    assert runs == {"limited": 1, "free": 3}


async def test_a_def_runs_in_a_thread_with_the_context_of_its_run(shadows: Shadow) -> None:
    seen: list[tuple[bool, str]] = []
    variable = contextvars.ContextVar("variable", default="unset")

    def work() -> int:
        seen.append((threading.current_thread() is threading.main_thread(), variable.get()))
        return 42

    variable.set("carried")
    execution = await shadows.add(work)()
    await finish(shadows)
    assert seen == [(False, "carried")]
    assert await execution.get_result(5) == 42


async def test_a_running_task_is_cancelled_where_it_runs(shadows: Shadow) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    execution = await shadows.add(wait)()
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await started.wait()
        assert await shadows.cancel(execution.key)
        await running
    assert cancelled.is_set()
    with pytest.raises(ExecutionCancelled):
        await execution.get_result(5)


async def test_a_cancelled_def_keeps_its_slot_until_it_returns(shadows: Shadow) -> None:
    started, release = threading.Event(), threading.Event()
    returned: list[bool] = []

    def wait() -> None:
        started.set()
        release.wait(30)
        returned.append(True)

    execution = await shadows.add(wait)()
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await until(started.is_set)
        await shadows.cancel(execution.key)
        await until(lambda: cancelling(worker))
        release.set()
        await running
    assert returned == [True]
    assert (await execution.sync()).state is ExecutionState.CANCELLED


async def test_a_task_that_cancels_itself_has_been_cancelled(shadows: Shadow) -> None:
    async def give_up(perpetual: Perpetual = Perpetual()) -> None:
        raise asyncio.CancelledError

    execution = await shadows.add(give_up)()
    await finish(shadows)
    assert (await execution.sync()).state is ExecutionState.CANCELLED


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RecursionError("deep"), MemoryError()])
async def test_whatever_a_task_raises_is_its_own_failure_alone(error: BaseException, shadows: Shadow) -> None:
    async def fail() -> None:
        raise error

    async def fine() -> str:
        return "fine"

    failing, other = await shadows.add(fail)(), await shadows.add(fine)()
    await finish(shadows)
    assert (await failing.sync()).state is ExecutionState.FAILED
    assert await other.get_result(5) == "fine"


async def test_a_result_that_cannot_travel_is_no_failure(
    shadows: Shadow, caplog: pytest.LogCaptureFixture
) -> None:
    runs = 0

    async def odd(retry: Retry = Retry(attempts=3)) -> object:
        nonlocal runs
        runs += 1
        return object()

    execution = await shadows.add(odd)()
    await finish(shadows)
    assert runs == 1
    assert (await execution.sync()).state is ExecutionState.COMPLETED
    assert "result cannot travel task=odd" in caplog.text


async def test_what_cannot_be_read_becomes_a_dead_letter_and_its_neighbours_run(
    shadows: Shadow, server: Server
) -> None:
    seen: list[int] = []

    async def note(n: int) -> None:
        seen.append(n)

    prefix = f"{{{shadows.name}}}"
    await shadows.add(note)(1)
    server.call("XADD", f"{prefix}:ready:default", "*", "k", "x", "c", "1/0/nonsense")
    server.call("XADD", f"{prefix}:ready:default", "*", "k", "y", "c", "nonsense")
    server.call("XADD", f"{prefix}:ready:default", "*", "hello", "world")
    await shadows.add(note)(2)
    await finish(shadows)
    assert sorted(seen) == [1, 2]
    assert server.call("HLEN", f"{prefix}:dead") == 3


async def test_arguments_that_no_longer_fit_the_annotation_become_a_dead_letter(shadows: Shadow) -> None:
    async def task(value: int) -> None: ...

    execution = await shadows.add(task)(1)

    async def newer(value: ExecutionState) -> None: ...

    del shadows.tasks["task"]
    shadows.register(newer, names=["task"])
    await finish(shadows)
    assert (await execution.sync()).state is ExecutionState.FAILED
    assert execution.error is not None
    assert "PayloadError" in execution.error


async def test_a_behaviour_that_fails_fails_the_task(shadows: Shadow) -> None:
    async def task(n: int, perpetual: Perpetual = Perpetual()) -> None:
        perpetual.perpetuate("too", "many", "arguments")

    execution = await shadows.add(task)(1)
    await finish(shadows)
    with pytest.raises(TypeError, match="is injected where the task runs"):
        await execution.get_result(5)


async def test_the_log_says_what_started_and_ended_and_shows_only_logged_arguments(
    shadows: Shadow, caplog: pytest.LogCaptureFixture
) -> None:
    async def greet(name: Annotated[str, Logged], password: str) -> None: ...

    async def fail() -> None:
        raise ValueError("the reason")

    with caplog.at_level(logging.INFO, "shadows.worker"):
        execution = await shadows.add(greet)("Jane", "canary")
        await shadows.add(fail)()
        await finish(shadows)
    assert f"task started task=greet(name='Jane', password=…) key={execution.key} attempt=1" in caplog.text
    assert "task ended task=fail" in caplog.text
    assert "failed error=ValueError('the reason')" in caplog.text
    assert "canary" not in caplog.text


async def test_what_nobody_knows_ends_the_run_and_is_kept(
    shadows: Shadow, name: str, url: str, clock: ControlledClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def stranger() -> None: ...

    execution = await shadows.add(stranger)()
    del shadows.tasks["stranger"]
    async with Worker(shadows) as worker:
        with pytest.raises(UnknownTasks, match="'stranger'") as raised:
            await worker.run_until_finished()
    assert raised.value.names == ("stranger",)
    assert caplog.text.count("unknown task task=stranger") == 1
    assert (await execution.sync()).state is ExecutionState.SCHEDULED
    shadows.register(stranger)
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await until(lambda: clock.next_alarm is not None)
        await clock.advance(timedelta(seconds=1))
        await running
    assert (await execution.sync()).state is ExecutionState.COMPLETED


async def test_an_unknown_task_waits_longer_each_time_and_at_last_is_a_dead_letter(
    shadows: Shadow, clock: ControlledClock, server: Server
) -> None:
    async def stranger() -> None: ...

    execution = await shadows.add(stranger)()
    del shadows.tasks["stranger"]
    delays: list[float] = []
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_forever())
        while (await execution.sync()).state is not ExecutionState.FAILED:
            if (
                execution.state is ExecutionState.SCHEDULED
                and execution.when is not None
                and clock.next_alarm
            ):
                due = int(server.call("ZSCORE", f"{{{shadows.name}}}:due", execution.key) or 0)
                delays.append(round((due - clock.now.timestamp() * 1000) / 1000))
                await clock.advance(timedelta(milliseconds=due - int(clock.now.timestamp() * 1000)))
            await asyncio.sleep(0)
        worker.stop()
        await running
    assert delays[:7] == [1, 1, 2, 4, 8, 16, 32]
    assert max(delays) == 60
    assert str(server.call("HVALS", f"{{{shadows.name}}}:dead")).count("unknown/") == 1


async def test_queues_are_taken_in_order_and_none_starves(shadows: Shadow) -> None:
    seen: list[str] = []

    async def note(queue: str) -> None:
        seen.append(queue)

    for _ in range(12):
        await shadows.add(note, queue="low")("low")
        await shadows.add(note, queue="high")("high")
    async with Worker(shadows, concurrency=1, queues=["high", "low"]) as worker:
        await worker.run_until_finished()
    assert seen.index("high") == 0
    assert seen[:8].count("high") > seen[:8].count("low") > 0


async def test_a_worker_takes_only_from_its_queues(shadows: Shadow) -> None:
    seen: list[str] = []

    async def note(queue: str) -> None:
        seen.append(queue)

    await shadows.add(note, queue="mail")("mail")
    await shadows.add(note)("default")
    async with Worker(shadows, queues=["mail"]) as worker:
        running = asyncio.create_task(worker.run_forever())
        await until(lambda: seen == ["mail"] and idle(worker))
        worker.stop()
        await running
    assert seen == ["mail"]
    await finish(shadows)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency=0: a whole number"),
        (
            {"redelivery_timeout": timedelta(milliseconds=1)},
            r"redelivery_timeout is 0\.001 s: at least 0\.2 s",
        ),
        ({"max_deliveries": 0}, "max_deliveries=0"),
        ({"max_stall": timedelta(milliseconds=999)}, r"max_stall is 0\.999 s: at least 1 s"),
        ({"max_stall": timedelta.max}, "max_stall=.*ten years"),
        ({"grace": timedelta(seconds=-1)}, "grace="),
        ({"queues": []}, r"queues=\[\]"),
        ({"queues": "default"}, "a list of at least one name"),
        ({"concurrency": 1.5}, "a whole number"),
        ({"minimum_check_interval": timedelta.max}, "ten years at most"),
        ({"queues": ["a/b"]}, "a queue's name is"),
        ({"name": "a b"}, "name='a b'"),
    ],
)
def test_a_worker_that_makes_no_sense_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Worker(Shadow("unused", "memory://"), **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_worker_works_only_while_it_is_open(shadows: Shadow) -> None:
    worker = Worker(shadows, "me")
    with pytest.raises(ShadowError, match="not open"):
        await worker.run_forever()
    async with worker:
        with pytest.raises(ShadowError, match="open already"):
            await worker.__aenter__()
    assert repr(worker).startswith("<Worker 'me' of <Shadow")


async def test_a_worker_leaves_nothing_behind(shadows: Shadow, server: Server) -> None:
    async def nothing() -> None: ...

    await shadows.add(nothing)()
    await finish(shadows)
    prefix = f"{{{shadows.name}}}"
    assert server.call("XINFO", "CONSUMERS", f"{prefix}:ready:default", "g") == []
    assert server.call("EXISTS", f"{prefix}:leases", f"{prefix}:workers", f"{prefix}:live") == 0
