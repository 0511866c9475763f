"""What happens when workers die, hang, lose the server or come back late: real processes, real signals, real sockets."""

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest

from shadows import Execution, ExecutionState, Shadow, Worker
from tests.support.fleet import Fleet
from tests.support.proxy import Proxy, command
from tests.support.servers import Server
from tests.support.waiting import until


@contextmanager
def known(shadow: Shadow) -> Generator[None]:
    """The tasks of the fleet's program, known here by name."""

    async def wait_for_gate(n: int) -> int:
        return n

    async def die(n: int) -> None: ...

    for task in (wait_for_gate, die):
        shadow.register(task)
    yield


async def add(shadow: Shadow, task: str, count: int) -> list[Execution[object]]:
    with known(shadow):
        return [await shadow.add(task, key=f"{task}-{n}")(n) for n in range(count)]


async def all_ended(
    executions: list[Execution[object]], state: ExecutionState = ExecutionState.COMPLETED
) -> None:
    async def ended() -> bool:
        return {(await execution.sync()).state for execution in executions} == {state}

    await until(ended, 30)


async def test_a_killed_workers_tasks_run_again(name: str, url: str, fleet: Fleet) -> None:
    async with Shadow(name, url) as shadow:
        victim = fleet.start()
        executions = await add(shadow, "wait_for_gate", 20)
        await until(lambda: len(fleet.effects("start")) == 20, 30)
        second = fleet.start()
        victim.kill()
        await until(lambda: len(fleet.effects("start", second)) == 20, 30)
        fleet.open_gate()
        await all_ended(executions)
        assert {await execution.get_result(5) for execution in executions} == {second.pid}
    assert set(fleet.effects("end").values()) == {1}


async def test_the_late_outcomes_of_a_stopped_worker_are_refused(name: str, url: str, fleet: Fleet) -> None:
    async with Shadow(name, url) as shadow:
        zombie = fleet.start()
        executions = await add(shadow, "wait_for_gate", 5)
        await until(lambda: len(fleet.effects("start")) == 5, 30)
        zombie.send_signal(signal.SIGSTOP)
        second = fleet.start()
        await until(lambda: len(fleet.effects("start", second)) == 5, 30)
        fleet.open_gate()
        await all_ended(executions)
        zombie.send_signal(signal.SIGCONT)
        await until(lambda: "lease lost" in fleet.log(0), 30)
        zombie.terminate()
        assert zombie.wait(30) == 0
        assert {await execution.get_result(5) for execution in executions} == {second.pid}


async def test_a_task_that_kills_its_workers_becomes_a_dead_letter(
    name: str, url: str, fleet: Fleet, server: Server
) -> None:
    async with Shadow(name, url) as shadow:
        executions = await add(shadow, "die", 1)
        for _ in range(5):
            assert fleet.start(lease=1).wait(30) == 9
        fleet.start(lease=1)
        await all_ended(executions, ExecutionState.FAILED)
        assert executions[0].error is not None
        assert executions[0].error.startswith("given up")
    assert fleet.effects("start") == {"0": 5}
    assert str(server.call("HVALS", f"{{{name}}}:dead")).count("deliveries/") == 1


async def test_its_neighbours_do_not(name: str, url: str, fleet: Fleet) -> None:
    async with Shadow(name, url) as shadow:
        neighbours = await add(shadow, "wait_for_gate", 4)
        poison = await add(shadow, "die", 1)
        for _ in range(2):
            assert fleet.start(lease=1).wait(30) == 9
        fleet.open_gate()
        while (await poison[0].sync()).state is not ExecutionState.FAILED:
            worker = fleet.start(lease=1)
            await until(partial(_died_or_given_up, worker, poison[0]), 30)
        await all_ended(neighbours, ExecutionState.COMPLETED)


async def _died_or_given_up(worker: "subprocess.Popen[str]", poison: Execution[object]) -> bool:
    return worker.poll() is not None or (await poison.sync()).state is ExecutionState.FAILED


async def test_on_sigterm_running_tasks_may_end_and_nothing_runs_twice(
    name: str, url: str, fleet: Fleet
) -> None:
    async with Shadow(name, url) as shadow:
        worker = fleet.start(lease=10)
        executions = await add(shadow, "wait_for_gate", 25)
        await until(lambda: len(fleet.effects("start")) == 20, 30)
        worker.terminate()
        fleet.open_gate()
        assert worker.wait(30) == 0
        fleet.start(lease=10)
        await all_ended(executions)
    assert set(fleet.effects("start").values()) == {1}


@pytest.mark.parametrize(
    ("grace", "signals"), [(0.0, [signal.SIGTERM]), (60.0, [signal.SIGTERM, signal.SIGINT])]
)
async def test_after_the_grace_running_tasks_are_handed_over_uncharged(
    grace: float, signals: list[signal.Signals], name: str, url: str, fleet: Fleet
) -> None:
    async with Shadow(name, url) as shadow:
        worker = fleet.start(lease=30, grace=grace)
        executions = await add(shadow, "wait_for_gate", 3)
        await until(lambda: len(fleet.effects("start")) == 3, 30)
        for number in signals:
            worker.send_signal(number)
        assert worker.wait(30) == 0
        found = await shadow.find("wait_for_gate-0")
        assert found.blob.startswith(b"1/0/")
        second = fleet.start()
        await until(lambda: len(fleet.effects("start", second)) == 3, 30)
        fleet.open_gate()
        await all_ended(executions)


async def test_a_cut_reply_to_an_add_makes_one_task(name: str, proxy: Proxy, server: Server) -> None:
    async def note() -> None: ...

    async with Shadow(name, proxy.url) as shadow:
        struck = proxy.drop_next_reply(command("EVALSHA"))
        await shadow.add(note, key="once")()
        assert struck.is_set()
    assert server.call("XLEN", f"{{{name}}}:ready:default") == 1


@pytest.mark.parametrize("fault", ["drop_next_reply", "cut_before_next_request"])
async def test_a_cut_connection_loses_no_outcome_and_runs_nothing_twice(
    fault: str, name: str, url: str, proxy: Proxy
) -> None:
    runs: Counter[int] = Counter()
    release = asyncio.Event()

    async def count(n: int) -> None:
        runs[n] += 1
        await release.wait()

    async with Shadow(name, url) as shadow, Shadow(name, proxy.url) as through:
        executions = [await shadow.add(count)(n) for n in range(30)]
        async with Worker(through, concurrency=8, reconnection_delay=timedelta(seconds=0.1)) as worker:
            running = asyncio.create_task(worker.run_until_finished())
            await until(lambda: len(runs) == 8)
            struck = getattr(proxy, fault)(command("EVALSHA"))
            release.set()
            await until(struck.is_set)
            await running
        assert {(await execution.sync()).state for execution in executions} == {ExecutionState.COMPLETED}
    assert runs == Counter(range(30))


async def test_a_task_whose_taking_was_not_heard_of_is_found(name: str, url: str, proxy: Proxy) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    async with (
        Shadow(name, url) as shadow,
        Shadow(name, proxy.url) as through,
        Worker(through, reconnection_delay=timedelta(seconds=0.1)) as worker,
    ):
        running = asyncio.create_task(worker.run_forever())
        await until(lambda: worker._loop is not None and worker._loop._ear.listening)
        struck = proxy.drop_next_reply(command("XREADGROUP"))
        await shadow.add(note)(1)
        await until(lambda: runs == [1])
        assert struck.is_set()
        worker.stop()
        await running
    assert runs == [1]


async def test_a_worker_carries_on_when_the_server_has_lost_everything(
    name: str, url: str, server: Server
) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    async with Shadow(name, url) as shadow, Worker(shadow, redelivery_timeout=timedelta(seconds=1)) as worker:
        running = asyncio.create_task(worker.run_forever())
        await shadow.add(note)(1)
        await until(lambda: runs == [1])
        server.call("FLUSHALL")
        await shadow.add(note)(2)
        await until(lambda: runs == [1, 2])
        worker.stop()
        await running


async def test_a_worker_takes_again_at_once_when_the_server_has_lost_everything(
    name: str, url: str, server: Server
) -> None:
    """Not only at its next beat, which is 15 s away."""
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    async with Shadow(name, url) as shadow, Worker(shadow, redelivery_timeout=timedelta(minutes=1)) as worker:
        running = asyncio.create_task(worker.run_forever())
        await until(lambda: worker._loop is not None and worker._loop._ear.listening)
        server.call("FLUSHALL")
        await shadow.add(note)(1)
        await until(lambda: runs == [1], 5)
        worker.stop()
        await running


async def test_a_broken_queue_does_not_stop_the_others(name: str, url: str, server: Server) -> None:
    runs: list[int] = []

    async def note(n: int) -> None:
        runs.append(n)

    broken = f"{{{name}}}:ready:broken"
    async with Shadow(name, url) as shadow:
        await shadow.add(note, queue="broken")(0)
        server.call("DEL", broken)
        server.call("SET", broken, "nonsense")
        async with Worker(shadow) as worker:
            running = asyncio.create_task(worker.run_forever())
            await shadow.add(note)(1)
            await until(lambda: runs == [1])
            worker.stop()
            await running
        server.call("DEL", broken)
