"""Tables: the figures of one workload in rows, for the terminal and for a page of the documentation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from rich.table import Table

from benchmarks.growth import FILLS, GROWTH
from benchmarks.suite import Results, Row

COLUMNS = {
    "n": ("tasks", ",.0f"),
    "rate": ("tasks/s", ",.0f"),
    "cpu_us": ("CPU µs/task", ",.1f"),
    "redis_cpu_us": ("server µs/task", ",.1f"),
    "commands": ("commands/task", ",.2f"),
    "sent": ("B sent/task", ",.0f"),
    "received": ("B received/task", ",.0f"),
    "kept": ("B kept/task", ",.0f"),
    "rss_mb": ("RSS MB", ",.0f"),
    "rss_growth_percent": ("RSS growth %", ".1f"),
    "p50_ms": ("p50 ms", ",.2f"),
    "p99_ms": ("p99 ms", ",.2f"),
    "last_ms": ("last ms", ",.0f"),
    "trip_ms": ("round trip ms", ".2f"),
    "early": ("early", ",.0f"),
    "missing": ("missing", ",.0f"),
    "to_near": ("× the same way without the 1 ms", ".2f"),
    "fill_rate": ("filled/s", ",.0f"),
    "server_mb": ("server MB", ",.1f"),
    "add_us": ("add CPU µs", ",.0f"),
    "drain_us": ("drain CPU µs", ",.0f"),
    "replace_us": ("replace CPU µs", ",.0f"),
    "cancel_us": ("cancel CPU µs", ",.0f"),
    "requeue_us": ("requeue CPU µs", ",.0f"),
    "discard_us": ("discard CPU µs", ",.0f"),
    "snapshot_ms": ("snapshot ms", ",.1f"),
    "cli_ms": ("command line ms", ",.1f"),
    "clear_s": ("clear s", ",.2f"),
    "requests": ("requests/s a worker", ".2f"),
    "core_percent": ("% of a core a worker", ".2f"),
    "server_percent": ("% of the server's a worker", ".2f"),
    "import_ms": ("import CPU ms", ",.0f"),
    "import_used_ms": ("import, all used CPU ms", ",.0f"),
    "help_ms": ("--help CPU ms", ",.0f"),
    "cold_cpu_ms": ("cold first task CPU ms", ",.0f"),
    "cold_ms": ("cold first task ms", ",.0f"),
}
ABSENT = "\N{EN DASH}"
LESS = "guarantees less"
MILLION = 1_000_000
WORDS = 90
"""So much of why a contender failed is told in its cell."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a run: its title, the heading, the lines, and why what is missing is."""

    title: str
    heading: list[str]
    lines: list[list[str]]
    failed: list[str]


def sections(results: Results) -> Iterator[Section]:
    """A workload each, a line for each contender of the run; of growth one table a kind, a line for each number pending."""
    workloads = dict.fromkeys(row.workload for row in results.rows)
    for title, named in groupby(workloads, lambda name: name.split(", ")[1] if _grows(name) else name):
        names = list(named)
        failed = [
            f"{row.contender} failed in one of its rounds, at least: {row.why}"
            for row in results.rows
            if row.workload in names and row.why and row.medians
        ]
        if _grows(names[0]):
            rows = [row for row in results.rows if row.workload in names]
            yield Section(f"{GROWTH}{title}: shadows, its defaults", *_growth(rows), failed)
        else:
            yield Section(title, *_side_by_side(results, title), failed)


def _grows(workload: str) -> bool:
    return workload.startswith(GROWTH)


def _figures(rows: Iterable[Row]) -> list[str]:
    return [figure for figure in COLUMNS if any(figure in row.medians for row in rows)]


def _cell(value: float | None, form: str) -> str:
    return ABSENT if value is None else format(value, form)


def _side_by_side(results: Results, workload: str) -> tuple[list[str], list[list[str]]]:
    """Empty cells for contenders that cannot do it; whoever failed says why in the first."""
    rows = {row.contender: row for row in results.rows if row.workload == workload}
    figures = _figures(rows.values()) or ["rate"]
    ratios = (
        ["× floor", "× fastest peer"] if any(row.to_floor or row.to_peer for row in rows.values()) else []
    )
    asked = results.contenders if any(row.peer for row in rows.values()) else rows
    lines: list[list[str]] = []
    for contender in asked:
        said, row = results.contenders[contender], rows.get(contender, Row(workload, contender))
        played = sum(map(bool, row.rounds))
        line = [said["name"], *(_cell(row.medians.get(figure), COLUMNS[figure][1]) for figure in figures)]
        if ratios:
            line += [_cell(ratio, ".2f") for ratio in (row.to_floor, row.to_peer)]
        if row.why and not row.medians:
            line[1] = f"failed: {row.why[:WORDS]}"
        lines.append([*line, str(played) if played else ABSENT, said.get("less", "")])
    return ["contender", *(COLUMNS[figure][0] for figure in figures), *ratios, "rounds", LESS], lines


def _growth(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """The last line is the most beside the fewest, of what should not grow."""
    figures = _figures(rows) or ["fill_rate"]
    lines: list[list[str]] = []
    for row in rows:
        line = [
            row.workload.split(", ")[2].removesuffix(" pending"),
            *(_cell(row.medians.get(figure), COLUMNS[figure][1]) for figure in figures),
        ]
        if row.why and not row.medians:
            line[1] = f"failed: {row.why[:WORDS]}"
        lines.append(line)
    few, many = rows[0].medians, rows[-1].medians
    if len(rows) > 1 and few and many:
        lines.append(
            [
                "last × first",
                *(
                    f"{many[figure] / few[figure]:.2f}" if figure.endswith("_us") else ABSENT
                    for figure in figures
                ),
            ]
        )
    return ["pending", *(COLUMNS[figure][0] for figure in figures)], lines


def million(results: Results) -> Section | None:
    """What a million pending tasks cost, a column for each place where they stand; None where that was not measured."""
    rows = {what: results.of(f"{GROWTH}{what}, {MILLION:,} pending") for what in FILLS}
    medians = {what: row["shadows"].medians for what, row in rows.items() if "shadows" in row}
    if not medians:
        return None
    lines: list[list[str]] = []
    for figure in _figures([row["shadows"] for row in rows.values() if row]):
        name, form = COLUMNS[figure]
        lines.append([name, *(_cell(one.get(figure), form) for one in medians.values())])
    waiting = results.of(f"waiting, {MILLION:,} scheduled")
    if "shadows" in waiting:
        for figure, value in waiting["shadows"].medians.items():
            name, form = COLUMNS[figure]
            cells = [format(value, form) if what == "scheduled" else ABSENT for what in medians]
            lines.append([f"an idle worker: {name.removesuffix(' a worker')}", *cells])
    return Section("A million tasks", ["shadows, its defaults", *medians], lines, [])


def tables(results: Results) -> Iterator[Table]:
    """One for each section, for the terminal; what peers guarantee less stands once, before all others."""
    about = Table(title="contenders", title_justify="left")
    for column in ("contender", "version", f"is, or {LESS}"):
        about.add_column(column)
    for said in results.contenders.values():
        about.add_row(said["name"], said["version"], said.get("less") or said["note"])
    yield about
    for section in sections(results):
        shown = len(section.heading) - (section.heading[-1] == LESS)
        table = Table(title=section.title, title_justify="left")
        for number, column in enumerate(section.heading[:shown]):
            table.add_column(column, justify="right" if number else "left")
        for line in section.lines:
            if set(line[1:shown]) != {ABSENT}:
                table.add_row(*line[:shown])
        table.caption = "\n".join(section.failed) or None
        table.caption_justify = "left"
        yield table
