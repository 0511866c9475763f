"""What the scripts of frameworks without an event loop share: a worker that is a process of its own, and its tasks.

The process is the same script, started as `SCRIPT URL worker CONCURRENCY RESULTS SLATE`; its tasks tell what they have to
tell in memory that both processes map, the slate. It ends by SIGINT, which all of these frameworks take as the wish to
finish what runs, or when the script that started it is gone.
"""

import atexit
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import LOOK, SLEEP, Order, Reading, rss, server_url

WORKER = sys.argv[2:3] == ["worker"]
"""Whether this process is to be a worker."""
N, COUNT, FIRST, LAST, CPU_FIRST, CPU_LAST, READY, LATE, HEAD = range(9)
"""Cells of the slate, eight bytes each; after the head as many as LATE says, a lateness each."""
ROOM = 20_000
"""How many latenesses there is room for: the rest is not told."""
LEAVE = 15.0
"""Seconds that a worker has to end in."""


class Slate:
    """Times and counts of tasks, in a file that the worker and its starter map; what `Tally` is within one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self.cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        self.lock = threading.Lock()

    @classmethod
    def new(cls) -> "Slate":
        """A clean one, in a file of its own."""
        handle, name = tempfile.mkstemp(prefix="benchmarks-slate-")
        os.ftruncate(handle, struct.calcsize("d") * (HEAD + ROOM))
        os.close(handle)
        atexit.register(os.unlink, name)
        return cls(Path(name))

    def expect(self, n: int) -> None:
        """Forget all, and wait for n tasks."""
        for cell in range(HEAD):
            self.cells[cell] = 0.0
        self.cells[N] = n

    def began(self) -> None:
        """A task's first line."""
        if not self.cells[FIRST]:
            with self.lock:
                self.cells[FIRST] = self.cells[FIRST] or time.time()
                self.cells[CPU_FIRST] = time.process_time()

    def ended(self) -> None:
        """A task's last line. The clocks are read at the n-th only."""
        with self.lock:
            self.cells[COUNT] += 1
            if self.cells[COUNT] == self.cells[N]:
                self.cells[LAST], self.cells[CPU_LAST] = time.time(), time.process_time()

    def stamp(self, instant: float) -> None:
        """The one line of a task that was given the instant at which it should have begun."""
        late = time.time() - instant
        with self.lock:
            place = int(self.cells[LATE])
            if place < ROOM:
                self.cells[HEAD + place], self.cells[LATE] = late, place + 1

    def ready(self) -> None:
        """The worker waits for tasks."""
        self.cells[READY] = 1.0

    def reading(self) -> Reading:
        """From the first task's start to the last task's end, and the worker's processor time between them."""
        return {
            "seconds": self.cells[LAST] - self.cells[FIRST],
            "first": self.cells[FIRST],
            "last": self.cells[LAST],
            "cpu": self.cells[CPU_LAST] - self.cells[CPU_FIRST],
            "count": int(self.cells[COUNT]),
        }

    def late(self) -> list[float]:
        """How late each of the tasks was that were stamped."""
        return self.cells[HEAD : HEAD + int(self.cells[LATE])].tolist()


slate = Slate(Path(sys.argv[5])) if WORKER else Slate.new()


def noop(payload: str) -> None:
    """The task that does nothing."""
    slate.began()
    slate.ended()


def sleep(payload: str) -> None:
    """The task that waits, as for a network."""
    slate.began()
    time.sleep(SLEEP)
    slate.ended()


def stamp(instant: float) -> None:
    """The task that tells how late it is."""
    slate.stamp(instant)


KINDS = {"noop": noop, "sleep": sleep, "stamp": stamp}


def orphaned() -> None:
    """End this worker when its starter is gone, which its stdin tells."""

    def watch() -> None:
        # Not by `sys.stdin`, whose lock would be held against the processes that a worker forks.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(slots=True)
class Apart:
    """The operations `drain`, `work` and `stop` of a framework whose worker is a process of its own."""

    script: str
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, order: Order, *, results: bool) -> None:
        """Start the worker. Only its errors are to be seen."""
        words = [str(order.concurrency), "results" if results else "none", str(slate.path)]
        self.process = subprocess.Popen(
            [sys.executable, self.script, server_url(), "worker", *words], stdin=subprocess.PIPE
        )

    def end(self) -> None:
        """Have the worker finish, by force where it does not."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def wait(self, cell: int, value: float) -> None:
        """Until the slate says so. Raises where the worker ends before that."""
        assert self.process is not None
        while slate.cells[cell] < value:
            time.sleep(LOOK)
            if self.process.poll() is not None:
                raise RuntimeError(f"the worker ended after {slate.cells[COUNT]:.0f} tasks")

    def drain(self, order: Order) -> Reading:
        """Have a worker run the n tasks that stand there. They are counted after its end, that none ran too often."""
        slate.expect(order.n)
        self.start(order, results=order.results)
        try:
            self.wait(COUNT, order.n)
            assert self.process is not None
            memory = rss(self.process.pid)
        finally:
            self.end()
        return slate.reading() | {"rss": memory}

    def work(self, order: Order) -> None:
        """Have a worker run in the background, from when it waits for tasks."""
        slate.expect(0)
        self.start(order, results=False)
        self.wait(READY, 1.0)

    def stop(self, order: Order) -> Reading:
        """End it when all began, or it is time, and tell how late its tasks began."""
        while slate.cells[LATE] < order.n and time.time() < order.at:
            time.sleep(LOOK)
        self.end()
        return {"late": slate.late()}
