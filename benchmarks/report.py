"""The report: the page of the documentation that shows a run's figures, in Markdown."""

from collections.abc import Iterator

from benchmarks.suite import Results
from benchmarks.tables import million, sections

HEAD = """# Benchmarks

This page is written by a command from a run's figures:

```sh
uv run python -m benchmarks --json figures.json                # on the embedded engine; --url takes another, and flushes it
uv run python -m benchmarks report figures.json > docs/benchmarks.md
uv run python -m benchmarks targets figures.json               # both take the files of several runs, too
```

The floor is `benchmarks/floor.py`: the protocol's work without any framework. Every contender is a process of its own,
peers in environments of their own at pinned versions; rounds are interleaved, figures are medians of the rounds, and
ratios are medians of the rounds' ratios. Drains are timed from the first task's start to the last task's end. Each table
says how many tasks a round a contender had: peers have fewer than shadows and the floor, the slow ones fewest, or a round
would take many minutes. That does not put them back: what a worker has taken before its first task starts is not timed, and
it is a greater part of fewer tasks. Where no target compares with peers, they play fewer rounds. *Commands* counts those inside scripts too. Rates are of one machine at one moment: the
ratios are what to look at. An empty cell is what a contender cannot do.
"""


def markdown(results: Results) -> str:
    """The whole page."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    rounds = max((len(row.rounds) for row in results.rows), default=0)
    yield HEAD
    yield f"{results.date}, {results.engine}, Python {results.python}, {results.machine}; n = {results.n:,}, {rounds} rounds."
    yield "\n## Who contends\n"
    yield from _table(
        ["contender", "version", "what it guarantees less", "what was tuned, and how it works"],
        [
            [said["name"], said["version"], said.get("less", ""), said["note"]]
            for said in results.contenders.values()
        ],
    )
    if (most := million(results)) is not None:
        yield f"\n## {most.title}\n"
        yield from _table(most.heading, most.lines)
    for section in sections(results):
        yield f"\n## {section.title[0].upper()}{section.title[1:]}\n"
        yield from _table(section.heading, section.lines)
        yield from (f"\n{why}" for why in section.failed)


def _table(heading: list[str], lines: list[list[str]]) -> Iterator[str]:
    for line in (heading, ["---"] * len(heading), *lines):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
