"""The stage: the server, the running contenders, and the measuring of one order, the same way for all."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from redis import Redis

from benchmarks.child import Child, Unanswered
from benchmarks.harness import BATCH, Reading
from benchmarks.meter import Figures, counters
from benchmarks.roster import Entrant


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything, and for how many seconds.

    `n` tasks a round are for shadows and the floor, `peers` at most for the others, `slow` for the slow among these: what
    takes them a second takes us a few hundredths, which is too short to tell anything. `run` is how many one worker runs for
    a look at its memory. `seconds` is how long a waiting worker is looked at, `ahead` how long before it is due a task is scheduled, and
    `patience` how long after that the last of them is waited for, each for small numbers.
    """

    n: int = 20_000
    peers: int = 2_000
    slow: int = 500
    pending: tuple[int, ...] = (1_000, 1_000_000)
    burst: int = 10_000
    stamps: int = 200
    seconds: float = 5.0
    ahead: float = 1.0
    patience: float = 1.5
    run: int = 1_000_000


@dataclass(slots=True)
class Stage:
    """What workloads play on. Contenders are started at their first use; the first of each goes on over all workloads."""

    url: str
    sizes: Sizes
    children: dict[tuple[str, int, str], Child] = field(default_factory=dict[tuple[str, int, str], Child])
    network: "Network | None" = None
    bytecode: "tempfile.TemporaryDirectory[str]" = field(default_factory=tempfile.TemporaryDirectory)

    @property
    def environment(self) -> dict[str, str]:
        """That of all processes: each module is compiled once a run, also where Python is told to keep no bytecode."""
        ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return ours | {"PYTHONPYCACHEPREFIX": self.bytecode.name}

    @property
    def redis(self) -> Any:
        """A client of the suite's own."""
        client: Any = Redis
        return client.from_url(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children.values():
            child.close()
        if self.network is not None:
            self.network.close()
        self.bytecode.cleanup()

    def child(self, entrant: Entrant, number: int = 0, url: str | None = None) -> Child:
        """A process of the contender, by a number and its URL."""
        at = (entrant.name, number, url or self.url)
        if at not in self.children:
            self.children[at] = Child(entrant, at[2], self.environment)
        return self.children[at]

    def count(self, entrant: Entrant, n: int, concurrency: int = 0) -> int:
        """How many of n tasks this contender is given: in whole batches, and twice as many as run at once where n has them."""
        if entrant.peer:
            most = self.sizes.slow if entrant.slow else self.sizes.peers
            n = min(n, max(most, 2 * concurrency))
        return max(BATCH, n // BATCH * BATCH)

    def tidy(self) -> None:
        """End all processes but the first of each contender, that none stands in the way of what comes next."""
        for at in [at for at in self.children if at[1:] != (0, self.url)]:
            self.children.pop(at).close()

    def fresh(self, *children: Child, results: bool = False) -> None:
        """Empty the database, and let the contenders begin anew."""
        with self.redis as redis:
            redis.flushdb()
        for child in children:
            child.ask("reset", results=results)

    def measured(self, child: Child, do: str, n: int, **details: Any) -> Figures:
        """Rate, and cost a task, of one order of n tasks."""
        with self.redis as redis:
            before = counters(redis)
            reading = child.ask(do, n=n, **details)
            after = counters(redis)
        check_count(child, reading, n)
        spent = {name: (after[name] - before[name]) / n for name in before}
        return {
            "n": n,
            "rate": n / reading["seconds"],
            "cpu_us": 1e6 * reading["cpu"] / n,
            "redis_cpu_us": 1e6 * spent["redis_cpu"],
            "commands": spent["commands"] - 1 / n,
            "sent": spent["sent"],
            "received": spent["received"],
            "kept": spent["kept"],
            "rss_mb": reading["rss"] / 1e6,
        }

    def delayed(self, milliseconds: float) -> str:
        """The URL of the same server behind a network, TCP, with this delay each way from now on."""
        if self.network is None:
            self.network = Network(self.url)
        self.network.delay(milliseconds)
        return self.network.url


class Network:
    """A network between contenders and the server: a proxy, a process of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        upstream = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        command = [sys.executable, "-m", "benchmarks.delay", upstream]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"redis://127.0.0.1:{int(self._heard())}/0"

    def delay(self, milliseconds: float) -> None:
        """Have everything come so much later, each way."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{milliseconds}\n")
        self._process.stdin.flush()
        self._heard()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def check_count(child: Child, reading: Reading, n: int) -> None:
    """Raises `Unanswered` where other than n tasks ran: such a reading tells nothing."""
    if reading.get("count", n) != n:
        raise Unanswered(f"{reading['count']} of {n} tasks ran")
