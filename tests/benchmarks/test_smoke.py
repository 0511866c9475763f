"""A short run of the benchmarks: every workload of shadows and the floor gives figures, and they can be shown."""

import math
from pathlib import Path

import pytest
from benchmarks.child import Unanswered
from benchmarks.meter import Figures
from benchmarks.report import markdown
from benchmarks.roster import FLOOR, OURS, Entrant, roster
from benchmarks.stage import Sizes, Stage
from benchmarks.suite import Limits, Results, Row, Unlike, compare, play, together
from benchmarks.tables import sections
from benchmarks.targets import verdicts
from benchmarks.workload import Workload
from benchmarks.workloads import workloads

SMALL = Sizes(n=100, pending=(100, 200), burst=100, stamps=5, seconds=0.2, ahead=0.5, patience=1.0, run=1_000)


@pytest.mark.timeout(400)
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


def test_a_contender_that_fails_says_why_in_its_cell_and_the_others_go_on(url: str, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"

    def capricious(stage: Stage, entrant: Entrant) -> Figures:
        if entrant.name == FLOOR:
            raise Unanswered("it fell over")
        return {"rate": 10.0}

    seen: list[Results] = []

    def watch(number: int, workload: Workload, results: Results) -> None:
        results.write(kept)
        seen.append(Results.read(kept))

    entrants = [roster()[name] for name in (FLOOR, OURS[0])]
    with Stage(url, SMALL) as stage:
        drain = Workload("drain", frozenset({"drain"}), capricious)
        results = play(stage, [drain], entrants, Limits(3), watch)
    assert [len(each.of("drain")["shadows"].rounds) for each in seen] == [1, 2, 3]
    assert set(results.of("drain")) == {"shadows"}
    assert "| floor | failed: it fell over |" in markdown(results)


def test_no_round_is_begun_that_would_not_end_in_time(url: str) -> None:
    with Stage(url, SMALL) as stage:
        drain = Workload("drain", frozenset({"drain"}), lambda stage, entrant: {"rate": 10.0})
        results = play(stage, [drain], [roster()[FLOOR]], Limits(3, seconds=0))
    assert [len(row.rounds) for row in results.rows] == [1]


def run(workload: str, *rows: Row, engine: str = "valkey 9", version: str = "1") -> Results:
    """Results as of one run, of one workload."""
    names = [row.contender for row in rows]
    said = {name: {"name": name, "version": version, "note": "", "less": ""} for name in names}
    for row in rows:
        row.workload = workload
    compare(list(rows))
    return Results(engine, "here", "3.13", "today", 100, said, list(rows), {workload: 1.0})


def test_runs_in_parts_are_one_of_more_rounds_and_more_workloads() -> None:
    first = run("drain", Row("", "shadows", rounds=[{"rate": 40.0}, {"rate": 60.0}]))
    second = run(
        "drain",
        Row("", "shadows", rounds=[{"rate": 50.0}]),
        Row("", FLOOR, rounds=[{"rate": 100.0}]),
    )
    other = run("enqueue", Row("", "shadows", rounds=[{"rate": 5.0}]))
    whole = together([first, second, other])
    drained = whole.of("drain")
    assert [reading["rate"] for reading in drained["shadows"].rounds] == [40.0, 60.0, 50.0]
    assert drained[FLOOR].rounds == [{}, {}, {"rate": 100.0}]
    assert (drained["shadows"].medians, drained["shadows"].to_floor) == ({"rate": 50.0}, 0.5)
    assert set(whole.of("enqueue")) == {"shadows"}
    assert whole.took == {"drain": 2.0, "enqueue": 1.0}


def test_parts_of_other_servers_or_versions_are_not_mixed() -> None:
    here = run("drain", Row("", "shadows"))
    with pytest.raises(Unlike, match="redis 7"):
        together([here, run("drain", Row("", "shadows"), engine="redis 7")])
    with pytest.raises(Unlike, match="shadows 1 and 2"):
        together([here, run("drain", Row("", "shadows"), version="2")])


def test_a_million_pending_tasks_have_a_section_of_their_own() -> None:
    figures = {"fill_rate": 60_000.0, "snapshot_ms": 40.0}
    parts = [
        run(f"growth, {what}, {count:,} pending", Row("", "shadows", rounds=[figures]))
        for what in ("ready", "scheduled", "dead")
        for count in (1_000, 1_000_000)
    ]
    page = markdown(together(parts))
    assert "## A million tasks\n\n| shadows, its defaults | ready | scheduled | dead |" in page
    assert "| snapshot ms | 40.0 | 40.0 | 40.0 |" in page
