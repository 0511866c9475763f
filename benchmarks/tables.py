"""Tables: the figures of one workload in rows, for the terminal and for a page of the documentation."""

from collections.abc import Iterator

from rich.table import Table

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
    "add_us": ("add µs", ",.0f"),
    "drain_us": ("drain µs", ",.0f"),
    "replace_us": ("replace µs", ",.0f"),
    "cancel_us": ("cancel µs", ",.0f"),
    "snapshot_ms": ("snapshot ms", ",.1f"),
    "requests": ("requests/s a worker", ".2f"),
    "core_percent": ("% of a core a worker", ".2f"),
    "import_ms": ("import ms", ",.0f"),
    "import_used_ms": ("import, all used ms", ",.0f"),
    "help_ms": ("--help ms", ",.0f"),
    "cold_ms": ("cold first task ms", ",.0f"),
}
ABSENT = "\N{EN DASH}"


def workloads_of(results: Results) -> list[str]:
    """Their names, in the order in which they were played."""
    return list(dict.fromkeys(row.workload for row in results.rows))


def cells(results: Results, workload: str) -> Iterator[list[str]]:
    """The heading, then a line for each contender of the run: empty cells for those that cannot do it."""
    rows = {row.contender: row for row in results.rows if row.workload == workload}
    figures = [figure for figure in COLUMNS if any(figure in row.medians for row in rows.values())]
    ratios = "rate" in figures
    yield [
        "contender",
        *(COLUMNS[figure][0] for figure in figures),
        *(["× floor", "× fastest peer"] * ratios),
    ]
    for contender, said in results.contenders.items():
        row = rows.get(contender, Row(workload, contender))
        line = [said["name"]]
        for figure in figures:
            value = row.medians.get(figure)
            line.append(ABSENT if value is None else format(value, COLUMNS[figure][1]))
        if ratios:
            line += [ABSENT if ratio is None else f"{ratio:.2f}" for ratio in (row.to_floor, row.to_peer)]
        yield line


def tables(results: Results) -> Iterator[Table]:
    """One for each workload, for the terminal."""
    for workload in workloads_of(results):
        heading, *lines = cells(results, workload)
        table = Table(title=workload, title_justify="left")
        for number, column in enumerate(heading):
            table.add_column(column, justify="right" if number else "left")
        for line in lines:
            if set(line[1:]) != {ABSENT}:
                table.add_row(*line)
        failed = [row.why for row in results.rows if row.workload == workload and row.why]
        table.caption = "\n".join(failed) or None
        table.caption_justify = "left"
        yield table
