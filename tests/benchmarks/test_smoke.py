"""A short run of the benchmarks: every workload of shadows and the floor gives figures, and they can be shown."""

import math
from pathlib import Path

from benchmarks.report import markdown
from benchmarks.roster import FLOOR, OURS, roster
from benchmarks.stage import Sizes, Stage
from benchmarks.suite import Limits, Results, Row, compare, play
from benchmarks.tables import sections
from benchmarks.targets import verdicts
from benchmarks.workloads import workloads

SMALL = Sizes(n=100, pending=(100, 200), burst=100, stamps=5, seconds=0.2, ahead=0.5, patience=1.0, run=1_000)


def test_every_workload_gives_finite_figures_that_can_be_kept_and_shown(url: str, tmp_path: Path) -> None:
    entrants = [roster()[name] for name in (FLOOR, *OURS)]
    with Stage(url, SMALL) as stage:
        results = play(stage, workloads(SMALL), entrants, Limits(1))
        with stage.redis as redis:
            redis.flushdb()
    assert {row.workload for row in results.rows} == {each.name for each in workloads(SMALL)}
    for row in results.rows:
        assert row.rounds or row.contender == FLOOR, row.why
        assert all(math.isfinite(figure) for figure in row.medians.values()), row
    kept = tmp_path / "figures.json"
    results.write(kept)
    assert Results.read(kept) == results
    page = markdown(results).casefold()
    assert all(section.title.casefold() in page for section in sections(results))
    assert {verdict.target for verdict in verdicts(results)} == {f"T{number}" for number in range(1, 13)}


def test_ratios_are_medians_of_what_each_round_had_side_by_side() -> None:
    floor = Row("drain", FLOOR, rounds=[{"rate": 100.0}, {"rate": 10.0}, {"rate": 40.0}])
    ours = Row("drain", OURS[0], rounds=[{"rate": 50.0}, {"rate": 8.0}, {"rate": 10.0}])
    peer = Row("drain", "peer", peer=True, rounds=[{"rate": 10.0}, {"rate": 2.0}, {"rate": 5.0}])
    compare([floor, ours, peer])
    assert (ours.to_floor, ours.to_peer, ours.fastest) == (0.5, 4.0, "peer")
