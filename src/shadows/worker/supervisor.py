"""The supervisor: keeps a number of worker processes running, each an interpreter of its own.

Processes are started anew (`python -m shadows.worker.process`) rather than forked, so that none inherits an event loop,
a socket or a lock from a neighbour, and one socket to each carries its orders, what it says, and, by its closing, the
supervisor's death, on every platform. The life of a slot, of which there are as many as processes:

    start ─▶ ready ─┬─▶ leaving (recycled): the next one starts at once, while this one finishes what it runs
                    ├─▶ ended, as asked or because nothing is left to do: the slot is done
                    └─▶ dead: the next one starts at once, or, where it did not live long, after a growing pause
      └─▶ failed before any process was ever ready: the same would happen again, so the supervisor ends with that error

Stopping is asked for by message, not by signal: a service manager that signals every process of a group itself does
not thereby ask twice.
"""

import asyncio
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shadows import embedded
from shadows.protocol.keys import check_name
from shadows.shadow import Shadow
from shadows.telemetry import serve

from .crew import Crew
from .exits import FAILED
from .orders import SERVING, Orders
from .process import MARGIN_SECONDS
from .worker import worker_name

logger = logging.getLogger("shadows.supervisor")

SHORT_LIFE = 5.0
"""Seconds that a process must live for the next one to start without a pause."""
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
MOST_SAID = 16 * 1024 * 1024
"""Bytes of a message."""
MOST_STILLBORN = 5
"""How many processes may die unexplained before the first is ready."""


class Process:
    """One worker process, as its supervisor sees it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.leaving = asyncio.Event()
        self.gone = asyncio.Event()
        self.failure: tuple[int, str] | None = None
        self.code = 0
        self.killed = False
        self.renewed = False
        self._process = process
        self._began = time.monotonic()
        self._writer: asyncio.StreamWriter

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lived(self) -> float:
        """How many seconds ago it was started."""
        return time.monotonic() - self._began

    @classmethod
    async def start(cls, name: str, orders: bytes) -> tuple["Process", asyncio.StreamReader]:
        """Start one and hand it its orders; what it says is to be read from the stream."""
        ours, theirs = socket.socketpair()
        with theirs:
            started = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shadows.worker.process", str(theirs.fileno()), name,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # so that Ctrl-C reaches the supervisor alone, which passes it on once
            )  # fmt: skip
        process = cls(name, started)
        reader, process._writer = await asyncio.open_connection(sock=ours, limit=MOST_SAID)
        process._writer.write(orders)
        return process, reader

    async def attend(
        self, reader: asyncio.StreamReader, reported: Callable[["Process", dict[str, Any]], None]
    ) -> None:
        """Hear it until it is gone."""
        with suppress(OSError):  # a reset is an end too
            while line := await reader.readline():
                message = json.loads(line)
                self._hear(message)
                reported(self, message)
        self.code = await self._process.wait()
        self._writer.close()
        self.gone.set()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["say"] == "leaving":
            logger.info("process leaves for another process=%s why=%s", self.name, message["why"])
            self.leaving.set()
        elif message["say"] == "failed":
            self.failure = message["code"], message["message"]

    def tell(self, word: str) -> None:
        """Ask it to `stop`, or to stop `now`."""
        self._writer.write(word.encode() + b"\n")

    def kill(self) -> None:
        """End it without its consent: its tasks are run by others when its lease has run out."""
        if not self.gone.is_set():
            self.killed = True
            logger.warning("process does not end, so it is killed process=%s pid=%d", self.name, self.pid)
            with suppress(ProcessLookupError):
                self._process.kill()


class Supervisor:
    """Runs worker processes until stopped, or until nothing is left to do where the orders say so.

    Args:
        orders: what each of them does.
        processes: how many there are at a time.
        name: what the workers are called, of several each with its number behind it. Default: host and process.
    """

    def __init__(self, orders: Orders, processes: int, name: str | None = None) -> None:
        self._orders = replace(orders, counts="metrics_port" in orders.options)
        self._count = processes
        self._name = check_name(name or worker_name())
        self._living: set[Process] = set()
        self._stop = asyncio.Event()
        self._renewed = asyncio.Event()
        self._asked = 0
        self._ever_ready = False
        self._stillborn = 0
        self._failure: tuple[int, str] | None = None
        self._killers: list[asyncio.TimerHandle] = []
        self._crew = Crew()

    async def run(self) -> tuple[int, str]:
        """Run them all; the exit code, and where something failed the line that says what.

        SIGTERM and SIGINT stop all workers gracefully; a second one stops them now.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            await self._enter_memory()
            async with self._serve(), asyncio.TaskGroup() as group:
                for slot in range(1, self._count + 1):
                    group.create_task(self._keep(slot, group), name=f"shadows:slot:{slot}")
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            for killer in self._killers:
                killer.cancel()
        if self._ever_ready:
            logger.info("supervisor stopped")
        return self._failure or (0, "")

    def _serve(self) -> AbstractAsyncContextManager[object]:
        """Answer for all processes on the ports that the orders name."""
        options = self._orders.options
        serving = {option: options[option] for option in SERVING if option in options}
        if not serving:
            return nullcontext()
        return serve(Shadow(options["shadows_name"], options["url"]), crew=self._crew, **serving)

    async def _enter_memory(self) -> None:
        """Where the engine is private to one process, that one is this, and the workers are told its socket."""
        url = self._orders.options.get("url")
        if isinstance(url, str) and url.startswith("memory:"):
            socket_path = await asyncio.to_thread(embedded.enter, url)
            options = {**self._orders.options, "url": f"unix://{socket_path}"}
            self._orders = replace(self._orders, options=options)

    def stop(self) -> None:
        """Have all workers stop gracefully; called again, now."""
        self._asked += 1
        self._stop.set()
        if self._asked == 1 and self._ever_ready:
            logger.info("stopping, what runs may finish; a second signal stops it now")
        for process in list(self._living):
            self._tell_to_stop(process)

    def renew(self) -> None:
        """Have each worker end gracefully and another start in its place, at once, as their code has changed."""
        self._renewed.set()
        for process in list(self._living):
            process.renewed = True
            self._tell_to_stop(process)

    def _tell_to_stop(self, process: Process) -> None:
        now = self._asked > 1
        process.tell("now" if now else "stop")
        grace = timedelta(0) if now else self._orders.durations.get("grace", timedelta(0))
        patience = grace.total_seconds() + MARGIN_SECONDS
        self._killers.append(asyncio.get_running_loop().call_later(patience, process.kill))

    async def _keep(self, slot: int, group: asyncio.TaskGroup) -> None:
        """Keep one slot filled."""
        short_lives = 0
        while not self._stop.is_set():
            try:
                process = await self._start(slot, group)
            except OSError as error:
                logger.warning("process cannot be started, tried again in a moment error=%s", error)
                short_lives += 1
            else:
                await _first(process.leaving.wait(), process.gone.wait())
                if not process.gone.is_set():
                    continue
                if not self._is_to_be_replaced(process):
                    return
                short = process.lived < SHORT_LIFE and not process.renewed
                short_lives = short_lives + 1 if short else 0
            if short_lives:
                self._renewed.clear()
                pause = min(FIRST_PAUSE * 2 ** (short_lives - 1), LAST_PAUSE)
                await _first(self._stop.wait(), self._renewed.wait(), asyncio.sleep(pause))

    async def _start(self, slot: int, group: asyncio.TaskGroup) -> Process:
        name = self._name if self._count == 1 else f"{self._name}-{slot}"
        process, reader = await Process.start(name, self._orders.encoded(name))
        self._living.add(process)
        self._crew.joined(process.pid, name)
        group.create_task(self._attend(process, reader), name=f"shadows:process:{process.pid}")
        if self._stop.is_set():
            self._tell_to_stop(process)
        return process

    async def _attend(self, process: Process, reader: asyncio.StreamReader) -> None:
        try:
            await process.attend(reader, self._reported)
        finally:
            self._living.discard(process)
            self._crew.left(process.pid)
        if process.killed and self._stop.is_set():
            self._fail(FAILED, f"the worker process {process.name} did not end and was killed")

    def _reported(self, process: Process, message: dict[str, Any]) -> None:
        if message["say"] == "ready":
            if not self._ever_ready:
                logger.info("supervisor started processes=%d", self._count)
            self._ever_ready = True
        elif message["say"] == "report":
            self._crew.reported(process.pid, message)

    def _is_to_be_replaced(self, process: Process) -> bool:
        """What follows from a process's end."""
        if self._stop.is_set():
            return False
        ends = bool(self._orders.options.get("until_finished"))
        if process.failure is not None:
            code, message = process.failure
            if ends or not self._ever_ready:
                self._fail(code, message)
                return False
            logger.error("process failed process=%s error=%s", process.name, message)
            return True
        if process.code == 0:
            return not ends
        logger.warning("process died process=%s pid=%d code=%d", process.name, process.pid, process.code)
        if not self._ever_ready:
            self._stillborn += 1
            if self._stillborn == MOST_STILLBORN:
                self._fail(
                    FAILED,
                    f"{MOST_STILLBORN} worker processes died (the last with {process.code}), and none was ever ready",
                )
                return False
        return True

    def _fail(self, code: int, message: str) -> None:
        """End all, with that error."""
        if self._failure is None:
            self._failure = code, message
            if not self._asked:
                self.stop()


async def _first(*waits: Any) -> None:
    """Wait until one of them is done; the others are called off."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
