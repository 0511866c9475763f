"""The runs with names, F1 to F13: a promise each, at its full size, in less than nine minutes on two cores."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chaos.plan import Fault
from chaos.run import SENTINEL, Settings
from chaos.versions import BREAKING, NEXT, OLD


@dataclass(frozen=True, slots=True)
class Preset:
    """What a name stands for: runs of the suite one after the other, or the command of another suite.

    Attributes:
        promise: what has to come of it.
        runs: what is run; nothing where another suite has it.
        command: the other suite's: its module and words; the engine and the seed that are told come behind them.
        strikes: what the other suite calls what it does.
        counts: where its findings are in what it prints: `struck`, and names of this suite's.
    """

    promise: str
    runs: tuple[Settings, ...] = ()
    command: tuple[str, ...] = ()
    strikes: str = ""
    counts: Mapping[str, str] = field(default_factory=dict[str, str])


def _one(
    faults: tuple[Fault, ...],
    tasks: int,
    seconds: float,
    *,
    workers: int = 4,
    pace: float = 1.0,
    concurrency: int = 10,
) -> Settings:
    return Settings(
        faults=faults, tasks=tasks, seconds=seconds, workers=workers, pace=pace, concurrency=concurrency
    )


_WIRE = (
    *(Fault.CUT, Fault.CUT_BEFORE, Fault.DROP_REPLY, Fault.HANG_REPLY),
    *(Fault.BYTES, Fault.LATENCY, Fault.IDLE_RESET),
)

PRESETS = {
    "F1": Preset("200 workers killed, 50,000 tasks: lost 0", (_one((Fault.KILL9,), 50_000, 420),)),
    "F2": Preset(
        "the producer killed: every acknowledged add runs, none doubled",
        (_one((Fault.PRODUCER_KILL9,), 10_000, 100, pace=0.4),),
    ),
    "F3": Preset("Redis killed, AOF: lost 0", (_one((Fault.REDIS_KILL9,), 5_000, 100),)),
    "F4": Preset(
        "workers stopped past their lease: late outcomes refused, one end each",
        (_one((Fault.SIGSTOP,), 5_000, 120),),
    ),
    "F5": Preset(
        "a faulty proxy: lost 0, doubled 0; idle sockets reset, and what died is still taken over",
        (_one(_WIRE, 5_000, 120), _one((Fault.IDLE_RESET, Fault.KILL9), 3_000, 90)),
    ),
    "F6": Preset(
        "tasks that block their loop for longer than a lease: run once", (_one((Fault.CPU,), 3_000, 60),)
    ),
    "F7": Preset(
        "tasks that kill their worker: dead-lettered, all else unharmed", (_one((Fault.POISON,), 2_000, 60),)
    ),
    "F8": Preset(
        "Redis full: adds refused by an error that says so, the backlog drains",
        (_one((Fault.OOM,), 5_000, 100, workers=3, concurrency=1),),
    ),
    "F9": Preset(
        "SIGTERM, 4 workers rolling: lost 0, doubled 0, gone within their grace",
        (_one((Fault.SIGTERM,), 10_000, 120),),
    ),
    "F10": Preset(
        "10,000 bad inputs: no crash, each in the dead letters with its reason",
        command=("tests.fuzz", "--entries", "10000"),
        strikes="damaged",
        counts={
            "struck": r"damaged: (\d+)",
            "accepted": r"neighbours: (\d+)",
            "duplicated": r"run twice: (\d+)",
        },
    ),
    "F11": Preset(
        "20,000 steps of the model on the engine: both agree after each",
        command=("tests.protocol.walk", "--walks", "334", "--steps", "60"),
        strikes="walks",
        counts={"struck": r"(\d+) walks", "accepted": r"(\d+) tasks run"},
    ),
    "F12": Preset(
        "a cluster's slots moved, nodes failed over and primaries killed under load, in a cluster and behind sentinels: "
        "lost 0 of what a replica had",
        (
            _one((Fault.FAILOVER, Fault.MIGRATE), 5_000, 100),
            _one((Fault.PRIMARY_KILL9,), 5_000, 100),
            replace(_one((Fault.PRIMARY_KILL9,), 5_000, 100), behind=SENTINEL),
        ),
    ),
    "F13": Preset(
        "two versions side by side, rolling both ways: lost 0; what cannot be read is refused with its reason",
        (
            *(
                Settings(
                    faults=(Fault.SIGTERM, Fault.KILL9),
                    tasks=3_000,
                    seconds=60,
                    workers=4,
                    pace=2,
                    beside=beside,
                )
                for beside in (OLD, NEXT)
            ),
            Settings(tasks=2_000, seconds=40, beside=BREAKING),
        ),
    ),
}
