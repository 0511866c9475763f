"""What a run will do, drawn from its seed alone: which tasks are added when, and which faults strike when."""

import enum
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

AT_ONCE = 2
"""How many of the limited tasks may run at once, in the whole fleet."""
ATTEMPTS = 3
"""The attempt in which a retried task succeeds."""
FOLLOWER = ".then"
"""What the key of a follow-up has behind its leader's."""


class Fault(enum.StrEnum):
    """What may be done to a run."""

    KILL9 = "kill9"
    """A worker is killed."""
    SIGSTOP = "sigstop"
    """A worker is stopped for longer than its lease, and goes on as if nothing had been."""
    SIGTERM = "sigterm"
    """A worker, every third time all of them, is asked to leave."""
    PRODUCER_KILL9 = "producer-kill9"
    """The producer is killed in the middle of its adds, and begins again with what had no answer."""
    REDIS_KILL9 = "redis-kill9"
    """The server is killed, and started again with what it had written (AOF, always)."""
    CUT = "cut"
    """All connections are cut."""
    CUT_BEFORE = "cut-before"
    """A connection is cut before the next script call reaches the server."""
    DROP_REPLY = "drop-reply"
    """A script is carried out, its reply lost, and the connection cut."""
    HANG_REPLY = "hang-reply"
    """No reply arrives for a part of the lease."""
    PARTITION = "partition"
    """No reply arrives for longer than the lease."""
    BYTES = "bytes"
    """Everything arrives byte by byte for a while."""
    LATENCY = "latency"
    """Everything arrives late for a while."""
    IDLE_RESET = "idle-reset"
    """From the start to the end, connections are cut over which nothing has passed for so long."""
    FLUSHALL = "flushall"
    """The server forgets everything, once, in the middle of the run."""
    SCRIPT_FLUSH = "script-flush"
    """The server forgets its scripts."""
    OOM = "oom"
    """The server is full for a while."""
    CPU = "cpu"
    """Some tasks compute for longer than the lease, or hold the interpreter's lock for half of it."""
    POISON = "poison"
    """Some tasks kill their worker."""
    FAILOVER = "failover"
    """The shadow's node of a cluster and its replica change places."""
    MIGRATE = "migrate"
    """The shadow's slot moves to another node of the cluster, key by key, and back."""
    PRIMARY_KILL9 = "primary-kill9"
    """The primary is killed, with what its replica has not heard of; that one is promoted, and the dead one follows it."""


PROXIED = frozenset(
    {
        *(Fault.CUT, Fault.CUT_BEFORE, Fault.DROP_REPLY, Fault.HANG_REPLY),
        *(Fault.PARTITION, Fault.BYTES, Fault.LATENCY, Fault.IDLE_RESET),
    }
)
"""The faults that need a proxy between everybody and the server."""
CLUSTERED = frozenset({Fault.FAILOVER, Fault.MIGRATE, Fault.PRIMARY_KILL9})
"""The faults that need several servers, and go with those alone that are done to workers and producers."""
ON_ONE_SERVER = PROXIED | {Fault.REDIS_KILL9, Fault.FLUSHALL, Fault.SCRIPT_FLUSH, Fault.OOM}
"""The faults that are done to a single server."""

BEHIND_SENTINELS = frozenset(
    {
        Fault.PRIMARY_KILL9,
        Fault.KILL9,
        Fault.SIGSTOP,
        Fault.SIGTERM,
        Fault.PRODUCER_KILL9,
        Fault.CPU,
        Fault.POISON,
    }
)
"""The faults that can be done where sentinels watch over the servers."""

_EVERY = {
    Fault.KILL9: 1.5,
    Fault.SIGSTOP: 2.5,
    Fault.SIGTERM: 2.0,
    Fault.PRODUCER_KILL9: 5.0,
    Fault.REDIS_KILL9: 5.0,
    Fault.CUT: 1.0,
    Fault.CUT_BEFORE: 0.4,
    Fault.DROP_REPLY: 0.4,
    Fault.HANG_REPLY: 3.0,
    Fault.PARTITION: 8.0,
    Fault.BYTES: 4.0,
    Fault.LATENCY: 4.0,
    Fault.SCRIPT_FLUSH: 1.0,
    Fault.OOM: 5.0,
    Fault.FAILOVER: 8.0,
    Fault.MIGRATE: 4.0,
    Fault.PRIMARY_KILL9: 10.0,
}
"""Seconds from one to the next, on average. The others strike once, or are tasks."""

_LASTS = {
    Fault.SIGSTOP: (1.3, 3.0),
    Fault.HANG_REPLY: (0.2, 0.6),
    Fault.PARTITION: (1.3, 2.5),
    Fault.BYTES: (0.2, 0.5),
    Fault.LATENCY: (0.2, 0.6),
    Fault.OOM: (0.5, 1.5),
    Fault.REDIS_KILL9: (0.0, 0.5),
    Fault.PRIMARY_KILL9: (0.0, 0.15),
}
"""How long, in leases: from, to."""


class Kind(enum.StrEnum):
    """The kinds of tasks, by the names of their functions."""

    INSTANT = "instant"
    SLEEPING = "sleeping"
    THREADED = "threaded"
    SCHEDULED = "scheduled"
    RETRIED = "retried"
    PERPETUAL = "perpetual"
    LEADING = "leading"
    LIMITED = "limited"
    COMPUTING = "computing"
    HOLDING = "holding"
    POISON = "poison"


_MIX = {
    Kind.INSTANT: 30,
    Kind.SLEEPING: 26,
    Kind.THREADED: 5,
    Kind.SCHEDULED: 12,
    Kind.RETRIED: 8,
    Kind.PERPETUAL: 3,
    Kind.LEADING: 10,
    Kind.LIMITED: 6,
}
_BLOCKING, _PILLS = 12, 3
"""How many tasks there are of each blocking kind, and how many that kill."""
_LINKS = 5
_LONGEST = 0.4
"""Seconds that a task takes at most, unless it blocks; a limited one a tenth, as they have to queue."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call to add: `at` seconds after the start, to run `delay` later, and so long at its work."""

    key: str
    kind: Kind
    at: float
    seconds: float = 0.0
    delay: float = 0.0

    @property
    def task(self) -> str:
        """The name of its function."""
        return Kind.SLEEPING if self.kind is Kind.SCHEDULED else self.kind

    @property
    def arguments(self) -> tuple[float | int, ...]:
        """What its function takes."""
        match self.kind:
            case Kind.INSTANT | Kind.POISON:
                return ()
            case Kind.PERPETUAL:
                return (1, _LINKS)
            case _:
                return (self.seconds,)

    @property
    def steps(self) -> list[tuple[str, int]]:
        """The runs that have to happen, once each, by key and number."""
        match self.kind:
            case Kind.RETRIED:
                return [(self.key, attempt) for attempt in range(1, ATTEMPTS + 1)]
            case Kind.PERPETUAL:
                return [(self.key, link) for link in range(1, _LINKS + 1)]
            case Kind.LEADING:
                return [(self.key, 1), (self.key + FOLLOWER, 1)]
            case _:
                return [(self.key, 1)]

    @property
    def keys(self) -> list[str]:
        """Its own key, and that of what follows it."""
        return list(dict.fromkeys(key for key, _ in self.steps))


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: `at` seconds after the start, for so many seconds; `pick` chooses the victim among those that are there."""

    at: float
    fault: Fault
    seconds: float
    pick: int


def jobs(seed: int, tasks: int, seconds: float, lease: float, faults: Sequence[Fault]) -> list[Job]:
    """The calls of a run, in the order of their times."""
    draw = random.Random(f"jobs {seed}")
    kinds = draw.choices(list(_MIX), list(_MIX.values()), k=tasks)
    extra: list[Kind] = []
    if Fault.CPU in faults:
        extra += [Kind.COMPUTING, Kind.HOLDING] * _BLOCKING
    if Fault.POISON in faults:
        extra += [Kind.POISON] * _PILLS
    for at, kind in zip(draw.sample(range(tasks), min(tasks, len(extra))), extra, strict=False):
        kinds[at] = kind
    return [_job(draw, n, kind, seconds * n / tasks, lease) for n, kind in enumerate(kinds)]


def foreign(tasks: int, seconds: float) -> list[Job]:
    """Calls for a producer whose words nobody here can read."""
    return [Job(f"foreign-{n}", Kind.INSTANT, round(seconds * n / tasks, 3)) for n in range(tasks)]


def _job(draw: random.Random, n: int, kind: Kind, at: float, lease: float) -> Job:
    seconds = draw.uniform(0, _LONGEST) * draw.random()
    delay = draw.uniform(0, 3 * lease) if kind is Kind.SCHEDULED else 0.0
    match kind:
        case Kind.LIMITED:
            seconds /= 10
        case Kind.COMPUTING:
            seconds = draw.uniform(1.1, 1.6) * lease
        case Kind.HOLDING:
            seconds = 0.5 * lease
        case _:
            pass
    return Job(f"{kind}-{n}", kind, round(at, 3), round(seconds, 4), round(delay, 3))


def strikes(
    seed: int, seconds: float, lease: float, faults: Sequence[Fault], pace: float = 1.0
) -> list[Strike]:
    """The faults of a run, in the order of their times. Each kind has its own sequence, whatever else is chosen.

    With a pace of 3 there is three times as long between two of a kind.
    """
    planned: list[Strike] = []
    for fault in faults:
        draw = random.Random(f"{fault} {seed}")
        if fault is Fault.FLUSHALL:
            planned.append(Strike(seconds / 2, fault, 0.0, 0))
        elif fault is Fault.IDLE_RESET:
            planned.append(Strike(0.0, fault, seconds, 0))
        elif fault in _EVERY:
            every = _EVERY[fault] * pace
            at = draw.uniform(0.3, 1.0) * every
            while at < seconds:
                shortest, longest = _LASTS.get(fault, (0.0, 0.0))
                planned.append(
                    Strike(at, fault, draw.uniform(shortest, longest) * lease, draw.randrange(1 << 30))
                )
                at += draw.uniform(0.5, 1.5) * every
    return sorted(planned, key=lambda strike: strike.at)


def write_plan(file: Path, jobs: list[Job]) -> None:
    """Write the jobs for the producer to read."""
    file.write_text(json.dumps([[job.key, job.kind, job.at, job.seconds, job.delay] for job in jobs]))


def read_plan(file: Path) -> list[Job]:
    """The jobs that were written."""
    return [
        Job(key, Kind(kind), at, seconds, delay)
        for key, kind, at, seconds, delay in json.loads(file.read_text())
    ]


def read_log(file: Path) -> tuple[dict[str, float], set[str]]:
    """Which keys were accepted, and when (for the first time); and which were tried."""
    accepted: dict[str, float] = {}
    tried: set[str] = set()
    for word, key, at, *_ in _lines(file):
        if word == "accepted":
            accepted.setdefault(key, float(at))
        elif word == "tried":
            tried.add(key)
    return accepted, tried


def read_refusals(file: Path) -> list[tuple[float, str]]:
    """When an add was refused, and by which error: the first of each class and key."""
    return [(float(at), name) for word, _, at, *names in _lines(file) if word == "refused" for name in names]


def _lines(file: Path) -> list[list[str]]:
    return [line.split(" ") for line in file.read_text().splitlines()] if file.exists() else []
