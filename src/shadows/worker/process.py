"""A worker process: a worker in an interpreter of its own, under a supervisor or alone.

    python -m shadows.worker.process SOCKET NAME

is how a supervisor starts one; the socket is inherited, one line of JSON a message. Its life:

1. It reads its orders, and from then on a thread listens to the supervisor: `stop`, `now`, or the end of the stream,
   which is the supervisor's death, however it died. The thread hears that even where a task blocks the event loop.
2. It says `ready` once the worker has its lease, and from then on, every second, how it is and what it has counted.
3. When it has started as many runs as it may, or is too big, it says `leaving` and finishes what runs; the supervisor
   starts another in its place at once.
4. What it cannot do it says as `failed`, in one line; the supervisor decides what becomes of that.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, NoReturn

from shadows.telemetry import meter, metrics
from shadows.telemetry.logs import set_up_logging

from .exits import FAILED, exit_code_of, one_line
from .orders import Orders
from .threads import still_running
from .worker import Around, Worker

logger = logging.getLogger("shadows.worker")

LOOK_SECONDS = 1.0
"""How often the memory is looked at."""
THREAD_SECONDS = 0.5
"""How long the threads of `def` tasks may take to end after the worker."""
MARGIN_SECONDS = 15.0
"""How long beyond its grace an orphan may take to end."""


def run_worker(options: dict[str, Any], around: Around | None = None) -> None:
    """Run a worker until it is told to stop; `options` are those of `Worker.run`.

    Where `def` tasks go on in their threads after that, the process ends here, with 0: they were handed over, and Python
    would wait for them.
    """
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(Worker.run(around=around, **options))
    if left := still_running(THREAD_SECONDS):
        logger.warning("def tasks were handed over, and end with the process threads=%d", len(left))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _fastest_loop() -> "type[asyncio.AbstractEventLoop] | None":
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


class Ward:
    """A worker process's side of its supervision."""

    def __init__(self, channel: socket.socket, orders: Orders) -> None:
        self._channel = channel
        self._orders = orders
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signals = 0
        self._asked = 0
        self._heeded = 0

    def listen(self, lines: Any) -> None:
        """Hear the supervisor until one of us has ended; a thread's work."""
        with suppress(OSError):  # a reset is an end too
            for line in lines:
                self._ask(2 if line.strip() == b"now" else 1)
        self._ask(1)
        patience = self._orders.durations.get("grace", timedelta(0)).total_seconds() + MARGIN_SECONDS
        orphaned = threading.Timer(patience, os._exit, [FAILED])
        orphaned.daemon = True
        orphaned.start()

    def say(self, **message: object) -> None:
        """Tell the supervisor something; where it is gone, nobody."""
        with suppress(OSError), self._lock:
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    @asynccontextmanager
    async def around(self, worker: Worker) -> AsyncGenerator[None]:
        """Beside the worker while it runs."""
        loop = asyncio.get_running_loop()
        resident = resident_bytes()
        most = self._orders.max_memory
        if most is not None and resident > most:
            raise ValueError(
                f"max_memory={_megabytes(most)}: the worker takes {_megabytes(resident)} before it has run anything: "
                "allow more"
            )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        if (runs := self._orders.max_tasks) is not None:
            worker.stop_after(runs, lambda: self._leave(f"it has started {runs} runs"))
        watching = asyncio.create_task(self._watch(worker), name="shadows:watch")
        self._worker, self._loop = worker, loop
        self.say(say="ready", name=worker.name)
        self._heed()
        try:
            with meter.listening() if self._orders.counts else nullcontext():
                yield
                self._report(worker)
        finally:
            self._worker = None
            watching.cancel()

    async def _watch(self, worker: Worker) -> None:
        most = self._orders.max_memory
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._report(worker)
            resident = resident_bytes()
            if most is not None and resident > most:
                self._leave(f"it takes {_megabytes(resident)}, more than {_megabytes(most)}")
                worker.retire()
                most = None

    def _report(self, worker: Worker) -> None:
        self.say(
            say="report", trouble=worker.trouble(), counted=metrics.snapshot() if self._orders.counts else []
        )

    def _leave(self, why: str) -> None:
        logger.info("worker leaves for another worker=%s why=%s", self._worker and self._worker.name, why)
        self.say(say="leaving", why=why)

    def _signalled(self) -> None:
        self._signals += 1
        self._ask(self._signals)

    def _ask(self, level: int) -> None:
        """Be asked to stop (1), or to stop now (2). The supervisor and a signal may both ask for the same."""
        self._asked = max(self._asked, min(level, 2))
        if self._loop is None:
            os._exit(0)  # pragma: no cover - nothing has been taken yet, and nothing records what ends so
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._heed)

    def _heed(self) -> None:
        while self._worker is not None and self._heeded < self._asked:
            self._heeded += 1
            self._worker.stop()


def resident_bytes() -> int:
    """How much memory this process takes: at present on Linux, at its highest elsewhere."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"


def main() -> NoReturn:
    """The life of a worker process under a supervisor."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    lines = channel.makefile("rb")
    orders = Orders.decoded(lines.readline())
    ward = Ward(channel, orders)
    threading.Thread(target=ward.listen, args=[lines], name="shadows-supervised", daemon=True).start()
    set_up_logging(orders.logging_level, orders.logging_format)
    try:
        run_worker({**orders.options, **orders.durations}, ward.around)
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise  # pragma: no cover - a fault of ours, told by its traceback at the end of a process
        ward.say(say="failed", code=code, message=one_line(error))
        sys.exit(code)
    sys.exit(0)


if __name__ == "__main__":
    main()
