"""The targets T1 to T12: what was asked, what was read, and whether that is met or by how much it is not."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from benchmarks.growth import FILLS, GROWTH
from benchmarks.roster import FLOOR
from benchmarks.suite import Results, Row, fastest, ratio

OFF, ON = "shadows-off", "shadows"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reading beside its bound; `reading` is None where the run has not measured it."""

    target: str
    what: str
    bound: float
    reading: float | None
    least: bool
    """Whether the bound is the least that is enough, rather than the most that is allowed."""
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where that is not known."""
        if self.reading is None:
            return None
        return self.reading >= self.bound if self.least else self.reading <= self.bound

    def __str__(self) -> str:
        if self.reading is None:
            return "not measured"
        if self.met:
            return "met"
        return f"missed by {abs(self.reading - self.bound):,.2f} {self.unit}"


def verdicts(results: Results) -> Iterator[Verdict]:
    """All that can be judged from a run, like with like.

    Drains of no-op tasks, near, far and in several processes, are those without results, beside peers without; everything else
    is of the defaults. With everything on the fastest peer with results is the one of the drain without dependencies: few peers
    have any, and theirs would be the easier mark.
    """

    def figure(workload: str, name: str, contender: str = ON) -> float | None:
        row = results.of(workload).get(contender)
        return None if row is None else row.medians.get(name)

    def row(workload: str, contender: str) -> Row:
        return results.of(workload).get(contender, Row(workload, contender))

    for concurrency, times in ((100, 12), (10, 6)):
        drain = row(f"drain, concurrency {concurrency}", OFF)
        yield Verdict("T1", f"drain at {concurrency} × fastest peer", times, drain.to_peer, least=True)
        yield Verdict("T1", f"drain at {concurrency} × floor", 0.5, drain.to_floor, least=True)
    everything = row("everything on, drain", ON)
    best = fastest([one for one in results.of("results on, drain").values() if one.peer])
    yield Verdict("T2", "everything on × fastest peer with results", 5, ratio(everything, best), least=True)
    one = row("enqueue, one by one", ON)
    yield Verdict("T3", "one by one × floor", 0.85, one.to_floor, least=True)
    yield Verdict("T3", "one by one × fastest peer", 2, one.to_peer, least=True)
    bulk, gathered = row("enqueue, bulk", ON), row("enqueue, gathered", ON)
    floor = results.of("enqueue, bulk").get(FLOOR)
    yield Verdict("T4", "bulk × floor's bulk", 0.6, bulk.to_floor, least=True)
    yield Verdict("T4", "gathered × floor's bulk", 0.6, ratio(gathered, floor), least=True)
    yield Verdict("T4", "bulk × fastest peer's", 4, bulk.to_peer, least=True)
    yield Verdict("T4", "gathered × fastest peer's", 5, gathered.to_peer, least=True)
    idle, name = results.of("latency, idle worker"), "latency, idle worker"
    p50, trip = figure(name, "p50_ms"), figure(name, "trip_ms") or 0.0
    yield Verdict("T5", "latency p50", 2 * trip + 0.3, p50, least=False, unit="ms")
    yield Verdict("T5", "latency p99", 5, figure(name, "p99_ms"), least=False, unit="ms")
    quickest = min((one.medians["p50_ms"] for one in idle.values() if one.peer), default=None)
    beside = p50 / quickest if p50 and quickest else None
    yield Verdict("T5", "latency p50 × the quickest peer's", 1, beside, least=False)
    late = "lateness, idle worker"
    yield Verdict("T6", "lateness p50", 2, figure(late, "p50_ms"), least=False, unit="ms")
    yield Verdict("T6", "lateness p99", 10, figure(late, "p99_ms"), least=False, unit="ms")
    for name in ("early", "missing"):
        yield Verdict("T6", f"lateness: {name}", 0, figure(late, name), least=False)
    for name, most, unit in (("last_ms", 600, "ms"), ("early", 0, ""), ("missing", 0, "")):
        said = figure("burst, all due at once", name)
        yield Verdict("T6", f"burst: {name.removesuffix('_ms')}", most, said, least=False, unit=unit)
    for name in _named(results, "waiting, ") or ["waiting"]:
        yield Verdict("T7", f"{name}: requests/s", 3, figure(name, "requests"), least=False)
        yield Verdict("T7", f"{name}: core", 0.5, figure(name, "core_percent"), least=False, unit="%")
    yield Verdict("T8", "a ready task", 400, figure("enqueue, bulk", "kept"), least=False, unit="B")
    yield Verdict("T8", "a scheduled task", 550, figure("memory, scheduled", "kept"), least=False, unit="B")
    for name in _named(results, "memory, worker") or ["memory, worker"]:
        grown = figure(name, "rss_growth_percent")
        yield Verdict("T8", f"{name}: growth", 5, grown, least=False, unit="%")
    yield from _growth(results)
    for contender in (ON, OFF):
        one, two, four = (row(f"processes, {count} workers", contender) for count in (1, 2, 4))
        yield Verdict("T10", f"{contender}: 2 processes × 1", 1, ratio(two, one), least=True)
        yield Verdict("T10", f"{contender}: 4 processes × 2", 0.95, ratio(four, two), least=True)
    for label, name, most in (
        ("import shadows", "import_ms", 250),
        ("the same, with Shadow and Worker looked up", "import_used_ms", 250),
        ("shadows --help", "help_ms", 400),
        ("first task, from cold", "cold_ms", 1_000),
    ):
        yield Verdict("T11", label, most, figure("start", name), least=False, unit="ms")
    far = row("drain, 1 ms away, concurrency 100", OFF)
    near = ratio(far, row("drain, concurrency 100", OFF))
    yield Verdict("T12", "1 ms away × loopback", 0.6, near, least=True)
    same = far.medians.get("to_near")
    yield Verdict("T12", "1 ms away × the same proxy without it", 0.6, same, least=True)


def _named(results: Results, start: str) -> list[str]:
    """The workloads whose names begin so: sizes are a part of them."""
    return list(dict.fromkeys(row.workload for row in results.rows if row.workload.startswith(start)))


def _growth(results: Results) -> Iterator[Verdict]:
    """The most pending tasks beside the fewest: within a fifth."""
    for what in FILLS:
        start = f"{GROWTH}{what}"
        rows = [
            one
            for one in results.rows
            if one.workload.startswith(start) and one.contender == ON and one.medians
        ]
        rows.sort(key=_pending)
        if len(rows) < 2:
            yield Verdict("T9", f"{what}: growth", 1.2, None, least=False)
            continue
        few, many = rows[0].medians, rows[-1].medians
        label = rows[-1].workload.removeprefix(GROWTH)
        for name in [name for name in few if name.endswith("_us") and name in many]:
            grown = many[name] / few[name]
            yield Verdict(
                "T9",
                f"{label}: {name.removesuffix('_us')} × beside {_pending(rows[0]):,}",
                1.2,
                grown,
                least=False,
            )
        for name, said in (("snapshot_ms", "snapshot"), ("cli_ms", "command line")):
            yield Verdict("T9", f"{label}: {said}", 100, many.get(name), least=False, unit="ms")


def _pending(row: Row) -> int:
    return int(row.workload.split(", ")[2].removesuffix(" pending").replace(",", ""))


def table(results: Results) -> Table:
    """All of them, for the terminal."""
    shown = Table(title=f"Targets: {results.engine}, n={results.n:,}, {results.date}", title_justify="left")
    for column in ("", "what", "asked", "read", ""):
        shown.add_column(column, justify="right" if column in ("asked", "read") else "left")
    for verdict in verdicts(results):
        sign = "≥" if verdict.least else "≤"
        read = "" if verdict.reading is None else f"{verdict.reading:,.2f} {verdict.unit}"
        asked = f"{sign} {verdict.bound:,.2f} {verdict.unit}"
        shown.add_row(verdict.target, verdict.what, asked, read, str(verdict))
    return shown
