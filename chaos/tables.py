"""Findings of several runs as Markdown tables: a row a promise with all engines in it, or a row a run."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from chaos.checker import BREAKING, percentile

type Finding = dict[str, Any]

_NAMES = {"valkey": "Valkey", "redis": "Redis"}


def found(folders: Iterable[Path]) -> dict[str, list[Finding]]:
    """What `--json` left in folders, by the names of its files: F1, and F5-2 for the second run of one."""
    files = sorted((file for folder in folders for file in folder.glob("*.json")), key=_place)
    several: dict[str, list[Finding]] = {}
    for file in files:
        several.setdefault(file.stem, []).append(json.loads(file.read_text()))
    return several


def promises(several: dict[str, list[Finding]], engines: Sequence[str]) -> list[str]:
    """A row for each name without its number, in each cell a value for each engine, or one where all are equal."""
    rows: dict[str, list[Finding]] = {}
    for stem, findings in several.items():
        rows.setdefault(_name(stem), []).extend(findings)
    told = [
        f"Each cell: {' · '.join(engines)}; one value where all are equal. Times in seconds: p50 / p99.",
        "",
        *_head("run", *_COLUMNS),
    ]
    for name, findings in rows.items():
        of = [[one for one in findings if engine_of(one) == engine] for engine in engines]
        cells = (_cell([column(some) if some else "-" for some in of]) for column in _COLUMNS.values())
        told.append(f"| {name} | {' | '.join(cells)} |")
    return told


def runs(several: dict[str, list[Finding]]) -> list[str]:
    """A row for each run."""
    told = _head("run", "of", "engine", "seed", "lease", "struck", *_COLUMNS, "lapses", "seconds", "")
    for stem, findings in several.items():
        for one in findings:
            struck = ", ".join(f"{count:,} {fault}" for fault, count in sorted(one["faults"].items()))
            cells = [stem, one["of"], engine_of(one), str(one["seed"])]
            cells += [f"{one['lease']:g} s" if "lease" in one else "-", struck or "-"]
            cells += [column([one]) for column in _COLUMNS.values()]
            cells += [str(one.get("lapses", 0)), f"{one['seconds']:.0f}"]
            told.append(f"| {' | '.join(cells)} | {'**broken**' if one['failed'] else 'kept'} |")
    return told


def engine_of(finding: Finding) -> str:
    """An engine with its version, as in `Redis 7.0`."""
    kind = finding["engine"].partition("-")[0]
    version = finding.get("version") or finding["engine"].partition("-")[2]
    return f"{_NAMES.get(kind, kind)} {'.'.join(version.split('.')[:2])}".rstrip()


def _place(file: Path) -> tuple[str, int, int, str]:
    """F2 comes before F10, and F12 before F12-2."""
    if known := re.fullmatch(r"F(\d+)(?:-(\d+))?", file.stem):
        return "", int(known[1]), int(known[2] or 1), ""
    return "other", 0, 0, file.stem


def _name(stem: str) -> str:
    return re.sub(r"^(F\d+)-\d+$", r"\1", stem)


def _head(*words: str) -> list[str]:
    return [f"| {' | '.join(words)} |", "| --- " * len(words) + "|"]


def _cell(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else " · ".join(values)


def _sum(name: str) -> Callable[[Sequence[Finding]], str]:
    return lambda findings: f"{sum(one.get(name, 0) for one in findings):,}"


def _struck(findings: Sequence[Finding]) -> str:
    return f"{sum(Counter(one['faults']).total() for one in findings):,}"


def _duplicated(findings: Sequence[Finding]) -> str:
    again = sum(one.get("duplicated", 0) for one in findings)
    explained = sum(Counter(one.get("explained", {})).total() for one in findings)
    return f"{again:,}" if again == explained else f"{again:,} ({explained:,})"


def _broken(findings: Sequence[Finding]) -> str:
    """How many promises: each key of a list, or one where another suite failed."""
    counts = [sum(len(one.get(name, ())) for name in BREAKING) or int(one["failed"]) for one in findings]
    return f"**{sum(counts):,}**" if sum(counts) else "0"


def _times(name: str) -> Callable[[Sequence[Finding]], str]:
    def cell(findings: Sequence[Finding]) -> str:
        values = [value for one in findings for value in one.get(name, ())]
        half, most = percentile(values, 0.5), percentile(values, 0.99)
        return "-" if half is None else f"{half:.2f} / {most:.2f}"

    return cell


_COLUMNS: dict[str, Callable[[Sequence[Finding]], str]] = {
    "accepted": _sum("accepted"),
    "struck": _struck,
    "run again (explained)": _duplicated,
    "broken": _broken,
    "late, refused": _sum("refused"),
    "recovery": _times("recovery"),
    "outage": _times("outages"),
    "resumption": _times("resumption"),
}
"""What a table says of some runs on one engine."""
