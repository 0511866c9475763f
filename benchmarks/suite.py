"""The suite: rounds of all workloads, in which every contender plays once, begun by another each time."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.child import Unanswered
from benchmarks.meter import Figures, engine
from benchmarks.roster import FLOOR, Entrant
from benchmarks.stage import Stage
from benchmarks.workload import Workload

PATIENCE = 2
"""So often may a contender fail at a workload: then it is not asked again."""


@dataclass(slots=True)
class Row:
    """One contender at one workload; `rounds` holds a reading a round, empty where it failed, and `why` it last did."""

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

    @property
    def hopeless(self) -> bool:
        """Whether it failed at its first round, or too often."""
        return bool(self.rounds) and (not self.rounds[0] or self.rounds.count({}) >= PATIENCE)


@dataclass(slots=True)
class Results:
    """All that was measured, and on what; `took` is how many seconds each workload was played."""

    engine: str
    machine: str
    python: str
    date: str
    n: int
    contenders: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    rows: list[Row] = field(default_factory=list[Row])
    took: dict[str, float] = field(default_factory=dict[str, float])

    def write(self, path: Path) -> None:
        """As JSON; what stood there before stays whole until all is written."""
        aside = path.with_name(f"{path.name}.part")
        aside.write_text(json.dumps(asdict(self), indent=1) + "\n")
        aside.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What `write` wrote."""
        said = json.loads(path.read_text())
        return cls(**said | {"rows": [Row(**row) for row in said["rows"]]})

    def of(self, workload: str) -> dict[str, Row]:
        """The rows of one workload that have figures, by contender."""
        return {row.contender: row for row in self.rows if row.workload == workload and row.medians}


class Unlike(ValueError):
    """Figures that must not be reported together; the message says why."""


def together(parts: Sequence[Results]) -> Results:
    """Several runs as one: other workloads beside each other, of the same ones the rounds one after the other.

    Raises:
        Unlike: they are of different servers or machines, or of different versions of a contender.
    """
    first = parts[0]
    whole = Results(first.engine, first.machine, first.python, first.date, max(part.n for part in parts))
    if first is not parts[-1]:
        whole.date = f"{first.date} to {parts[-1].date}"
    rows: dict[tuple[str, str], Row] = {}
    for part in parts:
        if (part.engine, part.machine, part.python) != (first.engine, first.machine, first.python):
            raise Unlike(f"figures of {part.engine} and of {first.engine}: report them each by themselves")
        for name, said in part.contenders.items():
            known = whole.contenders.setdefault(name, said)
            if known["version"] and said["version"] and known["version"] != said["version"]:
                raise Unlike(f"figures of {name} {known['version']} and {said['version']}")
            if not known["version"]:
                whole.contenders[name] = said
        for name, seconds in part.took.items():
            whole.took[name] = whole.took.get(name, 0.0) + seconds
        _append(rows, part)
    whole.rows = list(rows.values())
    for workload in dict.fromkeys(row.workload for row in whole.rows):
        compare([row for row in whole.rows if row.workload == workload])
    return whole


def _append(rows: dict[tuple[str, str], Row], part: Results) -> None:
    """Rounds of contenders must go on standing beside each other: where one has none, its place is left empty."""
    for workload in dict.fromkeys(row.workload for row in part.rows):
        before = max((len(row.rounds) for at, row in rows.items() if at[0] == workload), default=0)
        for row in part.rows:
            if row.workload == workload:
                whole = rows.setdefault((workload, row.contender), Row(workload, row.contender, row.peer))
                whole.rounds += [{} for _ in range(before - len(whole.rounds))]
                whole.rounds += row.rounds
                whole.why = row.why or whole.why


@dataclass(slots=True)
class Limits:
    """How many rounds are played at most, and the seconds in which another is begun only if it should fit."""

    rounds: int
    seconds: float = float("inf")


def play(
    stage: Stage,
    workloads: Sequence[Workload],
    entrants: Sequence[Entrant],
    limits: Limits,
    watch: Callable[[int, Workload, Results], None] | None = None,
) -> Results:
    """Measure all, and compare. After every workload of every round `watch` is given what there is until then."""
    begun = time.monotonic()
    with stage.redis as redis:
        name = engine(redis)
    results = Results(
        engine=name,
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        n=stage.sizes.n,
    )
    does = {entrant: does for entrant in entrants if (does := _introduced(stage, entrant, results))}
    rows = {
        workload: {
            entrant: Row(workload.name, entrant.name, entrant.peer)
            for entrant in does
            if (not workload.only or entrant.name in workload.only) and workload.needs <= does[entrant]
        }
        for workload in workloads
    }
    results.rows = [row for each in rows.values() for row in each.values()]
    lasted: dict[Workload, float] = {}
    for number in range(limits.rounds):
        due = [each for each in workloads if number < (each.rounds or limits.rounds)]
        if number and time.monotonic() - begun + sum(lasted[each] for each in due) > limits.seconds:
            break
        for place, workload in enumerate(due):
            start = time.monotonic()
            _round(stage, workload, rows[workload], number)
            compare(list(rows[workload].values()))
            if not (workload.cast and due[place + 1 : place + 2] and due[place + 1].cast == workload.cast):
                stage.tidy()
            lasted[workload] = time.monotonic() - start
            results.took[workload.name] = results.took.get(workload.name, 0.0) + lasted[workload]
            if watch is not None:
                watch(number, workload, results)
    return results


def _introduced(stage: Stage, entrant: Entrant, results: Results) -> frozenset[str]:
    """What the contender can do: nothing, where it does not start."""
    try:
        hello = stage.child(entrant).hello
    except Unanswered as failure:
        said = {"name": entrant.name, "version": "", "note": f"failed: {failure}", "less": ""}
        results.contenders[entrant.name] = said
        return frozenset()
    results.contenders[entrant.name] = {word: hello[word] for word in ("name", "version", "note", "less")}
    return frozenset(hello["does"])


def _round(stage: Stage, workload: Workload, rows: dict[Entrant, Row], number: int) -> None:
    """Each contender once. One that fails, however it does, is started anew, and has no figures of this round."""
    turn = number % max(1, len(rows))
    for entrant in [*rows][turn:] + [*rows][:turn]:
        row = rows[entrant]
        if entrant.peer and workload.peers is not None and number >= workload.peers:
            continue
        reading: Figures = {}
        if not row.hopeless:
            try:
                reading = workload.play(stage, entrant)
            except Exception as failure:  # noqa: BLE001 - what one of them does must not end the run
                said = (
                    str(failure)
                    if isinstance(failure, Unanswered)
                    else f"{type(failure).__name__}: {failure}"
                )
                row.why = said
                _restart(stage, entrant)
        row.rounds.append(reading)


def _restart(stage: Stage, entrant: Entrant) -> None:
    for at in [at for at in stage.children if at[0] == entrant.name]:
        stage.children.pop(at).close()


def compare(rows: list[Row]) -> None:
    """Fill in the medians of one workload's rows, and the ratios of those that have a rate."""
    for row in rows:
        readings = [reading for reading in row.rounds if reading]
        row.medians = {
            figure: statistics.median(reading[figure] for reading in readings)
            for figure in (readings[0] if readings else ())
        }
    rated = [row for row in rows if "rate" in row.medians]
    floor = next((row for row in rated if row.contender == FLOOR), None)
    peer = fastest([row for row in rated if row.peer])
    for row in rated:
        row.to_floor = ratio(row, floor)
        row.to_peer = ratio(row, peer)
        row.fastest = peer.contender if peer else ""


def fastest(rows: Sequence[Row]) -> Row | None:
    """The row with the greatest median of rates."""
    return max(rows, key=lambda row: row.medians["rate"], default=None)


def ratio(row: Row | None, other: Row | None, figure: str = "rate") -> float | None:
    """The median of the ratios of rounds that stand beside each other; None where there are none."""
    if row is None or other is None:
        return None
    pairs = zip(row.rounds, other.rounds, strict=False)
    ratios = [mine[figure] / theirs[figure] for mine, theirs in pairs if figure in mine and figure in theirs]
    return statistics.median(ratios) if ratios else None
