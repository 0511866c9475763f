"""What a run leaves behind for the checker: plain data, so that tests can make it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.effects import Effect
from chaos.plan import Fault, Job

LAPSE = "lapse"
"""Tasks were taken back from a worker that nothing was done to: the machine gave it no turn for so long."""

_RUN_AGAIN = frozenset(
    {
        Fault.KILL9,
        Fault.SIGSTOP,
        Fault.REDIS_KILL9,
        Fault.PRIMARY_KILL9,
        Fault.PARTITION,
        Fault.FLUSHALL,
        Fault.POISON,
        LAPSE,
    }
)
"""Faults after which at-least-once may run again what the victim had in flight. After all others it must not."""
_HINDERING = frozenset(
    {
        *(
            Fault.REDIS_KILL9,
            Fault.PRIMARY_KILL9,
            Fault.CUT,
            Fault.CUT_BEFORE,
            Fault.DROP_REPLY,
            Fault.HANG_REPLY,
            Fault.PARTITION,
        ),
        *(Fault.BYTES, Fault.OOM, Fault.FLUSHALL, Fault.IDLE_RESET, Fault.FAILOVER, Fault.MIGRATE),
    }
)
"""Faults that a worker may meet at its start: it then ends with an error, as where no server is."""
_SILENT = _HINDERING | {Fault.SIGSTOP}
"""Faults during which the victim can record nothing."""
RECONNECTION = 1.0
"""Seconds that a worker may pause before it turns to a server again that did not answer it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fault as it happened: from when until when, and to which processes (None: to all that there were).

    What the server did in the last `lag` seconds before a fault may be undone by it.
    """

    fault: str
    begin: float
    end: float
    victims: frozenset[int] | None = None
    lag: float = 0.0

    def strikes(self, pid: int) -> bool:
        """Whether it was done to that process."""
        return self.victims is None or pid in self.victims

    @property
    def runs_again(self) -> bool:
        """Whether what was in flight may run again."""
        return self.fault in _RUN_AGAIN

    @property
    def silence(self) -> float:
        """From its begin until then nothing can be recorded for certain."""
        if self.fault not in _SILENT:
            return self.begin
        return self.end + (RECONNECTION if self.hinders else 0.0)

    @property
    def hinders(self) -> bool:
        """Whether a worker may fail to start meanwhile."""
        return self.fault in _HINDERING

    @property
    def forgets(self) -> bool:
        """Whether the server lost what it knew."""
        return self.fault == Fault.FLUSHALL

    @property
    def goes_back(self) -> bool:
        """Whether the server lost what it did last: what its replica had not heard of when it died."""
        return self.fault == Fault.PRIMARY_KILL9

    @property
    def sure(self) -> float:
        """What the server did until then is not undone."""
        return self.begin - self.lag


@dataclass(frozen=True, slots=True)
class Record:
    """What the shadow itself says of a key: its state, and the facts of its last run; `reason` where it is a dead letter."""

    state: str
    worker: str | None = None
    attempt: int = 1
    completed_at: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker process ended; `asked` where it was told to, by SIGTERM; `up` where it had ever begun to work."""

    name: str
    pid: int
    code: int
    begin: float
    end: float
    asked: bool = False
    killed: bool = False
    up: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """A whole run.

    Attributes:
        jobs: what was to be added, by key.
        accepted: the keys that were answered for, and when.
        effects: what the tasks wrote, in order.
        events: the faults.
        records: what the shadow says of each key at the end.
        early: records that were seen before the end, by key, and when they were seen.
        exits: how worker processes ended.
        refused: late outcomes that workers say were refused.
        lease: of its workers, in seconds.
        foreign: the reason for which each call that nobody could read is a dead letter, by key; None where it is none.
        newcomer: what a worker of today ended with, and said, that came once another version's words were there.
        refusals: when adds were refused, and by which class of errors.
    """

    jobs: Mapping[str, Job]
    accepted: Mapping[str, float]
    effects: Sequence[Effect]
    events: Sequence[Event] = ()
    records: Mapping[str, Record] = field(default_factory=dict[str, Record])
    early: Mapping[str, tuple[float, Record]] = field(default_factory=dict[str, tuple[float, Record]])
    exits: Sequence[Exit] = ()
    refused: int = 0
    lease: float = 2.0
    refusals: Sequence[tuple[float, str]] = ()
    foreign: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    newcomer: tuple[int, str] | None = None
