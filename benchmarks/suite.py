"""The suite: workload by workload, rounds in which every contender plays once, begun by another each time."""

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.child import Unanswered
from benchmarks.meter import Figures, engine
from benchmarks.roster import FLOOR, Entrant
from benchmarks.stage import Stage
from benchmarks.workload import Workload


@dataclass(slots=True)
class Row:
    """One contender at one workload; `rounds` holds a reading a round, or nothing, and `why` there is none."""

    workload: str
    contender: str
    peer: bool = False
    rounds: list[Figures] = field(default_factory=list[Figures])
    medians: Figures = field(default_factory=dict[str, float])
    to_floor: float | None = None
    to_peer: float | None = None
    """Medians of the rounds' ratios of rates: to the floor, and to the fastest of the peers."""
    fastest: str = ""
    why: str = ""


@dataclass(slots=True)
class Results:
    """All that was measured, and on what."""

    engine: str
    machine: str
    python: str
    date: str
    n: int
    contenders: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    rows: list[Row] = field(default_factory=list[Row])

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What `write` wrote."""
        said = json.loads(path.read_text())
        return cls(**said | {"rows": [Row(**row) for row in said["rows"]]})

    def of(self, workload: str) -> dict[str, Row]:
        """The rows of one workload that have figures, by contender."""
        return {row.contender: row for row in self.rows if row.workload == workload and row.rounds}


def play(stage: Stage, workloads: Sequence[Workload], entrants: Sequence[Entrant], rounds: int) -> Results:
    """Measure all, and compare."""
    with stage.redis as redis:
        name = engine(redis)
    results = Results(
        engine=name,
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        n=stage.sizes.n,
    )
    entrants = [entrant for entrant in entrants if _introduced(stage, entrant, results)]
    for workload in workloads:
        results.rows += _played(stage, workload, entrants, workload.rounds or rounds)
        stage.tidy()
    return results


def _introduced(stage: Stage, entrant: Entrant, results: Results) -> bool:
    try:
        hello = stage.child(entrant).hello
    except Unanswered as failure:
        results.contenders[entrant.name] = {"name": entrant.name, "version": "", "note": str(failure)}
        return False
    results.contenders[entrant.name] = {word: hello[word] for word in ("name", "version", "note")}
    return True


def _played(stage: Stage, workload: Workload, entrants: Sequence[Entrant], rounds: int) -> list[Row]:
    taking_part = [
        entrant
        for entrant in entrants
        if (not workload.only or entrant.name in workload.only)
        and workload.needs <= set(stage.child(entrant).hello["does"])
    ]
    rows = {entrant.name: Row(workload.name, entrant.name, entrant.peer) for entrant in taking_part}
    for number in range(rounds):
        turn = number % max(1, len(taking_part))
        for entrant in taking_part[turn:] + taking_part[:turn]:
            row = rows[entrant.name]
            if row.why:
                continue
            try:
                row.rounds.append(workload.play(stage, entrant))
            except Unanswered as failure:
                # A contender that fails once has no figures here: rounds would no longer stand beside each other.
                row.why, row.rounds = str(failure), []
                _restart(stage, entrant)
    compare(list(rows.values()))
    return list(rows.values())


def _restart(stage: Stage, entrant: Entrant) -> None:
    for at in [at for at in stage.children if at[0] == entrant.name]:
        stage.children.pop(at).close()


def compare(rows: list[Row]) -> None:
    """Fill in the medians of one workload's rows, and the ratios of those that have a rate."""
    for row in rows:
        if row.rounds:
            row.medians = {
                figure: statistics.median(reading[figure] for reading in row.rounds)
                for figure in row.rounds[0]
            }
    rated = [row for row in rows if "rate" in row.medians]
    floor = next((row for row in rated if row.contender == FLOOR), None)
    peer = max((row for row in rated if row.peer), key=lambda row: row.medians["rate"], default=None)
    for row in rated:
        row.to_floor = _ratio(row, floor)
        row.to_peer = _ratio(row, peer)
        row.fastest = peer.contender if peer else ""


def _ratio(row: Row, other: Row | None) -> float | None:
    if other is None:
        return None
    pairs = zip(row.rounds, other.rounds, strict=True)
    return statistics.median(mine["rate"] / theirs["rate"] for mine, theirs in pairs)
