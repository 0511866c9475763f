"""The supervisor: worker processes that are started, replaced, recycled and stopped, on a real engine."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shadows import ExecutionState, Shadow
from shadows.worker import supervisor as module
from shadows.worker.orders import Orders
from shadows.worker.supervisor import Process, Supervisor
from tests.support.waiting import until, until_sync
from tests.telemetry.asking import ask

TASKS = """
import asyncio, os, time

def write(text):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{text} {os.getpid()}\\n")

async def note(text: str) -> None:
    write(text)

async def linger(seconds: float) -> None:
    write("began")
    await asyncio.sleep(seconds)
    write("ended")

async def hold() -> None:
    write("began")
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    write("ended")

async def block(seconds: float) -> None:
    write("began")
    time.sleep(seconds)

async def grow(megabytes: int) -> None:
    kept.append(b"x" * megabytes * 1024 * 1024)

kept = []
all_tasks = [note, linger, hold, block, grow]
"""
SOON = timedelta(seconds=2)
PATIENCE = 50
"""Seconds: a process may take long to start where the machine is busy."""


class Fleet:
    """Worker processes of one shadow, and what their tasks have written."""

    def __init__(self, name: str, url: str, directory: Path) -> None:
        self.name = name
        self.url = url
        self.notes = directory / "notes"
        self.commands: list[subprocess.Popen[bytes]] = []
        self.options: dict[str, Any] = {
            "shadows_name": name, "url": url, "tasks": ["fleet_tasks:all_tasks"], "concurrency": 1,
        }  # fmt: skip

    def orders(
        self, *, max_tasks: int | None = None, max_memory: int | None = None, **options: Any
    ) -> Orders:
        durations = {"grace": timedelta(seconds=20), "redelivery_timeout": timedelta(seconds=10)}
        durations |= {name: options.pop(name) for name in durations if name in options}
        return Orders(
            {**self.options, **options}, durations, "warning", max_tasks=max_tasks, max_memory=max_memory
        )

    def written(self, text: str = "") -> list[str]:
        """The pids of those who wrote a text, in order."""
        if not self.notes.exists():
            return []
        lines = [line.split() for line in self.notes.read_text().splitlines()]
        return [pid for what, pid in lines if what == text or not text]

    def go(self) -> None:
        """Let the tasks that hold end."""
        (self.notes.parent / "go").touch()

    @asynccontextmanager
    async def running(self, supervisor: Supervisor) -> AsyncGenerator[asyncio.Task[tuple[int, str]]]:
        """While it runs; it is stopped at the end where the test did not."""
        task = asyncio.create_task(supervisor.run())
        try:
            yield task
        finally:
            if not task.done():
                supervisor.stop()
            await asyncio.wait_for(task, PATIENCE)

    def command(self, *options: str, stderr: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        """The command line, in a process of its own."""
        words = [
            sys.executable,
            "-m",
            "shadows",
            "worker",
            "--tasks",
            "fleet_tasks:all_tasks",
            "--concurrency",
            "1",
        ]
        where = ["--shadows", self.name, "--url", self.url, "--redelivery-timeout", "10s"]
        started = subprocess.Popen([*words, *where, *options], stderr=stderr)
        self.commands.append(started)
        return started


@pytest.fixture
def fleet(name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    (tmp_path / "fleet_tasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    fleet = Fleet(name, url, tmp_path)
    yield fleet
    for command in fleet.commands:
        if command.poll() is None:
            command.terminate()
            command.communicate()


@pytest.fixture
async def shadow(fleet: Fleet) -> AsyncIterator[Shadow]:
    async with Shadow(fleet.name, fleet.url) as shadow:
        for task in ("note", "linger", "hold", "block", "grow"):
            shadow.register(anything, [task])
        yield shadow


async def anything(*args: Any) -> None:
    """What the workers' tasks look like from here."""


def pids(supervisor: Supervisor) -> set[int]:
    return {process.pid for process in supervisor._living}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def named(shadow: Shadow, *names: str) -> bool:
    return {worker.name for worker in await shadow.workers()} >= set(names)


async def test_processes_share_the_work_and_stop_together(fleet: Fleet, shadow: Shadow) -> None:
    supervisor = Supervisor(fleet.orders(), 2, "hand")
    async with fleet.running(supervisor) as ending:
        await until(lambda: named(shadow, "hand-1", "hand-2"), PATIENCE)
        await asyncio.gather(*(shadow.add("linger")(0.2) for _ in range(4)))
        await until(lambda: len(fleet.written("ended")) == 4, PATIENCE)
        assert set(fleet.written()) == {str(pid) for pid in pids(supervisor)}
        supervisor.stop()
        assert await ending == (0, "")
    assert await shadow.workers() == []


async def test_a_single_process_has_the_name_itself_and_none_is_none_of_two(
    fleet: Fleet, shadow: Shadow
) -> None:
    async with fleet.running(Supervisor(fleet.orders(), 1, "alone")):
        await until(lambda: named(shadow, "alone"), PATIENCE)
    with pytest.raises(ValueError, match="a shadow's name"):
        Supervisor(fleet.orders(), 1, "a b")


async def test_a_dead_process_is_replaced_and_its_task_run_by_another(fleet: Fleet, shadow: Shadow) -> None:
    supervisor = Supervisor(fleet.orders(redelivery_timeout=SOON), 1)
    async with fleet.running(supervisor):
        execution = await shadow.add("linger")(0.3)
        (victim,) = await until(lambda: fleet.written("began"), PATIENCE)
        os.kill(int(victim), signal.SIGKILL)
        await until(lambda: fleet.written("ended"), PATIENCE)
        await until(lambda: _completed(execution), PATIENCE)
        assert str(victim) not in fleet.written("ended")


async def _completed(execution: Any) -> bool:
    return (await execution.sync()).state is ExecutionState.COMPLETED


async def test_a_process_that_was_asked_to_stop_by_somebody_else_is_replaced(
    fleet: Fleet, shadow: Shadow
) -> None:
    supervisor = Supervisor(fleet.orders(), 1, "hand")
    async with fleet.running(supervisor):
        await until(lambda: named(shadow, "hand"), PATIENCE)
        (first,) = pids(supervisor)
        os.kill(first, signal.SIGTERM)
        await until(lambda: pids(supervisor) - {first}, PATIENCE)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"tasks": ["nowhere:tasks"]}, 2, "'nowhere' cannot be imported"),
        ({"url": "unix:///nobody.sock"}, 1, "no Redis or Valkey answers"),
        ({"concurrency": 0}, 2, "concurrency=0"),
    ],
)
async def test_what_can_never_start_ends_with_its_error(
    options: dict[str, Any], code: int, words: str, fleet: Fleet
) -> None:
    ended, message = await Supervisor(fleet.orders(**options), 2).run()
    assert ended == code
    assert words in message


async def test_processes_that_die_before_any_is_ready_are_given_up(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    (tmp_path / "deadly.py").write_text("import os\nos._exit(3)\n")
    code, message = await Supervisor(fleet.orders(tasks=["deadly:tasks"]), 2).run()
    assert code == 1
    assert "5 worker processes died (the last with 3), and none was ever ready" in message


async def test_what_fails_later_is_tried_again_until_it_works(
    fleet: Fleet,
    shadow: Shadow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    supervisor = Supervisor(fleet.orders(), 1, "hand")
    async with fleet.running(supervisor):
        await until(lambda: named(shadow, "hand"), PATIENCE)
        (tmp_path / "fleet_tasks.py").write_text("raise OSError('half written')")
        os.kill(pids(supervisor).pop(), signal.SIGKILL)
        await until(lambda: caplog.text.count("half written") > 1, PATIENCE)
        (tmp_path / "fleet_tasks.py").write_text(TASKS)
        await shadow.add("note")("again")
        await until(lambda: fleet.written("again"), PATIENCE)


async def test_a_process_that_cannot_be_started_is_tried_again(
    fleet: Fleet, shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    start, tries = Process.start, list[str]()

    async def once_not(name: str, orders: bytes) -> Any:
        tries.append(name)
        if len(tries) == 1:
            raise BlockingIOError("no more processes")
        return await start(name, orders)

    monkeypatch.setattr(Process, "start", once_not)
    async with fleet.running(Supervisor(fleet.orders(), 1, "hand")):
        await until(lambda: named(shadow, "hand"), PATIENCE)


async def test_it_ends_when_nothing_is_left_to_do(fleet: Fleet, shadow: Shadow) -> None:
    for number in range(4):
        await shadow.add("note")(f"n{number}")
    assert await Supervisor(fleet.orders(until_finished=True), 2).run() == (0, "")
    assert len(fleet.written()) == 4


async def test_what_nobody_knows_ends_it_with_an_error(fleet: Fleet, shadow: Shadow) -> None:
    shadow.register(anything, ["stranger"])
    await shadow.add("stranger")()
    code, message = await Supervisor(fleet.orders(until_finished=True), 2).run()
    assert code == 1
    assert "no living worker knows: 'stranger'" in message
    await shadow.clear()


async def test_a_process_that_has_run_enough_is_replaced(fleet: Fleet, shadow: Shadow) -> None:
    for number in range(7):
        await shadow.add("note")(f"n{number}")
    assert await Supervisor(fleet.orders(until_finished=True, max_tasks=3), 1).run() == (0, "")
    wrote = fleet.written()
    assert len(wrote) == 7
    assert [wrote.count(pid) for pid in dict.fromkeys(wrote)] == [3, 3, 1]


async def test_the_next_process_does_not_wait_for_one_that_finishes_what_it_runs(
    fleet: Fleet, shadow: Shadow
) -> None:
    supervisor = Supervisor(fleet.orders(max_tasks=1), 1)
    async with fleet.running(supervisor):
        await shadow.add("hold")()
        await until(lambda: fleet.written("began"), PATIENCE)
        await shadow.add("note")("meanwhile")
        await until(lambda: fleet.written("meanwhile"), PATIENCE)
        assert not fleet.written("ended")
        fleet.go()
        await until(lambda: fleet.written("ended"), PATIENCE)


async def test_a_process_that_grew_too_big_is_replaced(fleet: Fleet, shadow: Shadow) -> None:
    supervisor = Supervisor(fleet.orders(max_memory=300 * 1024**2), 1, "hand")
    async with fleet.running(supervisor):
        await until(lambda: named(shadow, "hand"), PATIENCE)
        (first,) = pids(supervisor)
        await (await shadow.add("grow")(400)).get_result(timeout=10)
        await until(lambda: pids(supervisor) - {first}, PATIENCE)
        await until(lambda: first not in pids(supervisor), PATIENCE)


async def test_a_limit_that_no_process_could_keep_is_refused(fleet: Fleet) -> None:
    code, message = await Supervisor(fleet.orders(max_memory=1024**2), 1).run()
    assert code == 2
    assert "before it has run anything" in message


async def test_processes_start_anew_when_their_code_changed(
    fleet: Fleet, shadow: Shadow, tmp_path: Path
) -> None:
    supervisor = Supervisor(fleet.orders(), 1, "hand")
    async with fleet.running(supervisor):
        await until(lambda: named(shadow, "hand"), PATIENCE)
        (tmp_path / "fleet_tasks.py").write_text(TASKS.replace("    write(text)", "    write('new-' + text)"))
        supervisor.renew()
        await until(
            lambda: len(pids(supervisor)) == 1 and not any(one.renewed for one in supervisor._living),
            PATIENCE,
        )
        await shadow.add("note")("text")
        await until(lambda: fleet.written("new-text"), PATIENCE)


async def test_a_process_that_does_not_end_is_killed_and_that_is_said(
    fleet: Fleet, shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MARGIN_SECONDS", 0.2)
    supervisor = Supervisor(fleet.orders(grace=timedelta(0)), 1, "hand")
    async with fleet.running(supervisor) as ending:
        await shadow.add("block")(600)
        await until(lambda: fleet.written("began"), PATIENCE)
        supervisor.stop()
        code, message = await ending
    assert code == 1
    assert message == "the worker process hand did not end and was killed"
    await shadow.purge()


async def test_health_and_metrics_are_those_of_all_processes(fleet: Fleet, shadow: Shadow) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options: dict[str, Any] = {"healthcheck_port": port, "metrics_port": port, "bind": "127.0.0.1"}
    supervisor = Supervisor(fleet.orders(**options), 2, "hand")

    async def completed() -> float:
        families = (await ask(port, "/metrics")).metrics()
        family = families.get("shadows_tasks_completed")
        return sum(one.value for one in family.samples if one.name.endswith("_total")) if family else 0

    async def ready() -> bool:
        return (await ask(port, "/readyz")).status == 200

    async with fleet.running(supervisor):
        await until(lambda: _answers(port), PATIENCE)
        unready = await ask(port, "/readyz")
        assert unready.status == 503
        assert "hand-1: it has not said that it is ready" in unready.body
        await until(ready, PATIENCE)
        assert (await ask(port, "/livez")).status == 200
        assert (await ask(port, "/depth")).json()["ready"] == 0
        for _ in range(5):
            await shadow.add("note")("text")
        await until(lambda: _is(completed, 5), PATIENCE)
        os.kill(int(fleet.written("text")[0]), signal.SIGKILL)
        await until(lambda: named(shadow, "hand-1", "hand-2"), PATIENCE)
        await shadow.add("note")("text")
        await until(lambda: _is(completed, 6), PATIENCE)


async def _is(value: Callable[[], Any], wanted: float) -> bool:
    return bool(await value() == wanted)


async def _answers(port: int) -> bool:
    try:
        await ask(port, "/livez")
    except OSError:
        return False
    return True


async def test_an_engine_of_this_process_alone_is_shared_with_its_workers(fleet: Fleet) -> None:
    url = f"memory://{fleet.name}"
    supervisor = Supervisor(fleet.orders(url=url), 2, "hand")
    async with fleet.running(supervisor), Shadow(fleet.name, url) as here:
        await until(lambda: named(here, "hand-1", "hand-2"), PATIENCE)
        here.register(anything, ["note"])
        await here.add("note")("text")
        await until(lambda: fleet.written("text"), PATIENCE)


# The command itself, in a process of its own.


async def test_a_signal_stops_all_gracefully(fleet: Fleet, shadow: Shadow) -> None:
    command = fleet.command("--processes", "2")
    await asyncio.gather(*(shadow.add("hold")() for _ in range(2)))
    await until(lambda: len(fleet.written("began")) == 2, PATIENCE)
    command.send_signal(signal.SIGTERM)
    fleet.go()
    assert await asyncio.to_thread(command.wait, PATIENCE) == 0
    assert len(fleet.written("ended")) == 2


async def test_a_service_manager_that_signals_every_process_asks_once_and_not_twice(
    fleet: Fleet, shadow: Shadow
) -> None:
    command = fleet.command("--processes", "1", "--max-tasks", "100")
    await shadow.add("linger")(1)
    (worker,) = await until(lambda: fleet.written("began"), PATIENCE)
    os.kill(int(worker), signal.SIGTERM)
    command.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(command.wait, PATIENCE) == 0
    assert fleet.written("ended") == [worker]


async def test_a_second_signal_hands_back_what_runs(fleet: Fleet, shadow: Shadow) -> None:
    command = fleet.command("--processes", "1", stderr=subprocess.PIPE)
    execution = await shadow.add("linger")(600)
    await until(lambda: fleet.written("began"), PATIENCE)
    command.send_signal(signal.SIGINT)
    assert command.stderr is not None
    while b"a second signal" not in await asyncio.to_thread(command.stderr.readline):
        pass
    command.send_signal(signal.SIGINT)
    await asyncio.to_thread(command.communicate)
    assert command.returncode == 0
    assert (await execution.sync()).state is ExecutionState.QUEUED
    await shadow.clear()


async def test_no_process_outlives_a_supervisor_that_was_killed(fleet: Fleet, shadow: Shadow) -> None:
    command = fleet.command("--processes", "2", "--name", "hand", "--grace", "0")
    await asyncio.gather(*(shadow.add("linger")(600) for _ in range(2)))
    await until(lambda: len(fleet.written("began")) == 2, PATIENCE)
    workers = [int(pid) for pid in fleet.written("began")]
    command.kill()
    await asyncio.to_thread(command.wait)
    until_sync(lambda: not any(map(alive, workers)), PATIENCE)
    assert (await shadow.snapshot()).counts.running == 0
    await shadow.clear()
