"""The harness: how a contender's script serves the suite, in JSON lines over stdin and stdout, by the standard library alone.

A contender is one script: `benchmarks/contenders/NAME.py`, or `benchmarks/peers/NAME.py` with its pinned libraries in
PEP 723 metadata. It is started once, with the server's URL as its first argument, and ends with

    serve(Contender("pydocket", version, "what was tuned", {"add_one": add_one, ...}, less="what it guarantees less"))

where each operation takes an `Order` and answers a `Reading`, as a function or a coroutine function. What a contender
cannot do is left out of the mapping, and its cells in the tables are empty. The suite flushes the database and orders `reset`
before each workload, reads the server's counters around what is measured, and runs all rounds in the same process, so
that no start is measured. What the script prints goes to stderr. The operations, of which only `reset`, `fill` and
`drain` are needed:

    reset         the database was flushed: open the library anew; `results` says whether results are to be kept
    add_one       add n no-op tasks with PAYLOAD, each awaited
    add_gathered  the same, BATCH awaited at once
    add_bulk      the same by the library's own call for many, BATCH at a time
    fill          add n tasks of a `kind` as fast as may be; not measured
    drain         have one worker run the n tasks that stand there, `concurrency` at once; answers `tally.reading()`
    work, stop    start a worker in the background (n of them, where n is given) and answer when it waits for tasks;
                  stop it as soon as n `stamp` tasks have begun, or at the instant `at`: answers {"late": […]}
    send          add n `stamp(time.time())` tasks, one every `spacing` seconds
    schedule      add n `stamp(due)` tasks, due at `at`, `at + spacing`, …
    fill_later    add n no-op tasks due in an hour, under the keys k0, k1, …
    replace       replace the tasks k0 … k(n-1) by others, due in two hours
    cancel        cancel the tasks k0 … k(n-1)
    fetch         get the results of the n tasks that were filled and drained
    snapshot      look at what is there once, as an operator would
    command       the same by the library's command line, within this process; `kind` is the words of the command
    fill_dead     have n tasks fail for good
    requeue       run n of these again; discard: throw n others of these away
    clear         remove all that is pending

`usage` is answered by the harness: the processor time and memory of this process so far.

Kinds of task: "noop" does nothing but `tally.began()` and `tally.ended()`; "sleep" sleeps SLEEP seconds between them;
"depends" has three dependencies that yield a value each. The hello names those that a contender has as "fill KIND" among
what it does. A worker that is a process of the library's own answers the
reading itself: `first` and `last` by `time.time()`, and its `cpu` and `rss`, which are else this process's.
"""

import asyncio
import inspect
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAYLOAD = "x" * 130
"""With the rest of the call this makes the 150 bytes that the floor carries."""
BATCH = 100
SLEEP = 0.01
LOOK = 0.005
"""Seconds between two looks at whether all tasks ran: outside of what is timed, and rare enough to cost nothing."""

type Reading = dict[str, Any]
"""Figures by name: `seconds`, `cpu` (seconds), `rss` (bytes), `late` (a list of seconds), and others."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the suite asks for; what an operation does not use is left at its default."""

    do: str
    n: int = 0
    concurrency: int = 100
    kind: str = "noop"
    results: bool = False
    at: float = 0.0
    spacing: float = 0.0


type Operation = Callable[[Order], Reading | Awaitable[Reading | None] | None]


@dataclass(frozen=True, slots=True)
class Contender:
    """A library under measurement: its version, what was tuned, what it can do, and what it guarantees less than ours."""

    name: str
    version: str
    note: str
    does: Mapping[str, Operation]
    less: str = ""
    kinds: tuple[str, ...] = ("noop", "sleep")


@dataclass(slots=True)
class Tally:
    """What the tasks of one order tell: when the first began, when the last ended, how late each was."""

    n: int = 0
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    late: list[float] = field(default_factory=list[float])

    def expect(self, n: int) -> None:
        """Forget all, and wait for n tasks."""
        self.n, self.count, self.first, self.last = n, 0, 0.0, 0.0
        self.late = []

    def began(self) -> None:
        """A task's first line."""
        if not self.first:
            self.first = time.time()

    def ended(self) -> None:
        """A task's last line. The clock is read at the n-th only: reading it at each would be measured too."""
        self.count += 1
        if self.count >= self.n:
            self.last = time.time()

    def stamp(self, instant: float) -> None:
        """The one line of a task that was given the instant at which it should have begun."""
        self.late.append(time.time() - instant)

    async def stamped(self, order: Order) -> None:
        """Until as many were stamped as the order says, or it is the instant that it says."""
        # An event would be looked at by every task that is timed.
        while len(self.late) < order.n and time.time() < order.at:  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    def reading(self) -> Reading:
        """From the first task's start to the last task's end."""
        return {
            "seconds": self.last - self.first,
            "first": self.first,
            "last": self.last or time.time(),
            "count": self.count,
        }


def server_url() -> str:
    """The URL that this script was started with."""
    return sys.argv[1]


def run(main: Callable[[], Any]) -> Any:
    """Run a coroutine function, on uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main())
    return uvloop.run(main())


def serve(contender: Contender) -> None:
    """Answer orders until stdin ends: one line each. An operation that raises is answered with its error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(reading: Reading) -> None:
        answers.write(json.dumps(reading) + "\n")
        answers.flush()

    async def main() -> None:
        say(
            {
                "name": contender.name,
                "version": contender.version,
                "note": contender.note,
                "less": contender.less,
                "does": [*sorted(contender.does), *(f"fill {kind}" for kind in contender.kinds)],
            }
        )
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = Order(**json.loads(line))
            if order.do == "usage":
                say({"cpu": time.process_time(), "rss": rss(os.getpid())})
                continue
            try:
                say(await _carry_out(contender.does[order.do], order))
            except Exception as error:  # noqa: BLE001 - one workload that fails must not end the others
                say({"error": f"{type(error).__name__}: {error}"})

    run(main)


async def _carry_out(operation: Operation, order: Order) -> Reading:
    cpu, start = time.process_time(), time.perf_counter()
    answer = operation(order)
    reading = (await answer if inspect.isawaitable(answer) else answer) or {}
    measured = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "rss": rss(os.getpid()),
    }
    return measured | reading


def rss(pid: int) -> int:
    """Bytes of memory that a process has in use (where there is no /proc: its most so far)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
