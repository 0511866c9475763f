"""Tables: the figures of one workload in rows, for the terminal and for a page of the documentation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from rich.table import Table

from benchmarks.growth import GROWTH
from benchmarks.suite import Results, Row

COLUMNS = {
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
    "to_near": ("× without the 1 ms", ".2f"),
    "fill_rate": ("filled/s", ",.0f"),
    "server_mb": ("server MB", ",.1f"),
    "add_us": ("add µs", ",.0f"),
    "drain_us": ("drain µs", ",.0f"),
    "replace_us": ("replace µs", ",.0f"),
    "cancel_us": ("cancel µs", ",.0f"),
    "requeue_us": ("requeue µs", ",.0f"),
    "discard_us": ("discard µs", ",.0f"),
    "snapshot_ms": ("snapshot ms", ",.1f"),
    "cli_ms": ("command line ms", ",.1f"),
    "clear_s": ("clear s", ",.2f"),
    "requests": ("requests/s a worker", ".2f"),
    "core_percent": ("% of a core a worker", ".2f"),
    "server_percent": ("% of the server's a worker", ".2f"),
    "import_ms": ("import ms", ",.0f"),
    "import_used_ms": ("import, all used ms", ",.0f"),
    "help_ms": ("--help ms", ",.0f"),
    "cold_ms": ("cold first task ms", ",.0f"),
}
ABSENT = "\N{EN DASH}"


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
        failed = [f"{row.contender}: {row.why}" for row in results.rows if row.workload in names and row.why]
        if _grows(names[0]):
            rows = [row for row in results.rows if row.workload in names]
            yield Section(f"{GROWTH}{title}", *_growth(rows), failed)
        else:
            yield Section(title, *_side_by_side(results, title), failed)


def _grows(workload: str) -> bool:
    return workload.startswith(GROWTH)


def _figures(rows: Iterable[Row]) -> list[str]:
    return [figure for figure in COLUMNS if any(figure in row.medians for row in rows)]


def _cell(value: float | None, form: str) -> str:
    return ABSENT if value is None else format(value, form)


def _side_by_side(results: Results, workload: str) -> tuple[list[str], list[list[str]]]:
    """Empty cells for contenders that cannot do it."""
    rows = {row.contender: row for row in results.rows if row.workload == workload}
    figures = _figures(rows.values())
    ratios = ["× floor", "× fastest peer"] if "rate" in figures else []
    lines: list[list[str]] = []
    for contender, said in results.contenders.items():
        row = rows.get(contender, Row(workload, contender))
        line = [said["name"], *(_cell(row.medians.get(figure), COLUMNS[figure][1]) for figure in figures)]
        if ratios:
            line += [_cell(ratio, ".2f") for ratio in (row.to_floor, row.to_peer)]
        lines.append(line)
    return ["contender", *(COLUMNS[figure][0] for figure in figures), *ratios], lines


def _growth(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """The last line is the most beside the fewest, of what should not grow."""
    figures = _figures(rows)
    lines = [
        [
            row.workload.split(", ")[2].removesuffix(" pending"),
            *(_cell(row.medians.get(figure), COLUMNS[figure][1]) for figure in figures),
        ]
        for row in rows
    ]
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


def tables(results: Results) -> Iterator[Table]:
    """One for each section, for the terminal."""
    for section in sections(results):
        table = Table(title=section.title, title_justify="left")
        for number, column in enumerate(section.heading):
            table.add_column(column, justify="right" if number else "left")
        for line in section.lines:
            if set(line[1:]) != {ABSENT}:
                table.add_row(*line)
        table.caption = "\n".join(section.failed) or None
        table.caption_justify = "left"
        yield table
