"""What a run comes to, for people and for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.servers import find, version_of

from chaos.checker import Verdict, percentile
from chaos.evidence import Event
from chaos.run import Settings, stamp

_SHOWN = 10
"""How many keys of a list are shown."""


def lines(settings: Settings, verdict: Verdict, events: Sequence[Event], seconds: float) -> list[str]:
    """The report, a line a finding."""
    struck = Counter(str(event.fault) for event in events)
    explained = ", ".join(f"{count} {fault}" for fault, count in verdict.explained.most_common())
    told = [
        f"seed {settings.seed}, {settings.tasks} tasks, {settings.workers} workers, {settings.engine}, {seconds:.0f} s",
        f"faults           {', '.join(f'{count} {fault}' for fault, count in sorted(struck.items())) or 'none'}",
        f"accepted         {verdict.accepted}",
        f"completed        {verdict.completed}",
        *_listed("lost", verdict.lost),
        *_listed("unfinished", verdict.unfinished),
        *_listed("unexpected", verdict.unexpected),
        f"duplicated       {verdict.duplicated}"
        + (f" (in flight at a fault: {explained})" if explained else ""),
        *_listed("unexplained", verdict.unexplained),
        *_listed("false failures", verdict.false_failures),
        *_listed("changed ends", verdict.changed),
        *_listed("wrong pills", verdict.poison),
        *_listed("limit exceeded", verdict.limit_exceeded),
        *_listed("bad exits", verdict.bad_exits),
        *_listed("unrefused", verdict.unrefused),
        *_listed("unclear", verdict.unclear),
        *_listed("stuck", verdict.stuck),
        f"fenced           {verdict.refused} late outcomes refused, {verdict.late_ends} late ends",
        f"recovery         {_times(verdict.recovery)}",
    ]
    if verdict.foreign:
        told.append(f"foreign          {verdict.foreign} calls of another version refused with their reason")
    if verdict.refusals or verdict.waiting:
        told.append(
            f"while full       {verdict.refusals} adds refused, {verdict.drained} of {verdict.waiting} that waited begun"
        )
    if verdict.outages:
        told.append(f"outages          {_times(verdict.outages)}")
    if verdict.resumption:
        told.append(f"resumption       {_times(verdict.resumption)}")
    if verdict.forgotten:
        told.append(f"forgotten        {len(verdict.forgotten)} (the server was told to forget)")
    if verdict.lapses:
        told.append(f"lapses           {verdict.lapses} leases lost without a fault: the machine is too busy")
    return [*told, f"repeat           {settings.command}", "BROKEN" if verdict.failed else "kept"]


def _listed(what: str, keys: Sequence[str]) -> list[str]:
    more = [f"    … and {len(keys) - _SHOWN} more"] if len(keys) > _SHOWN else []
    return [f"{what:16} {len(keys)}", *(f"    {key}" for key in keys[:_SHOWN]), *more]


def _times(values: Sequence[float]) -> str:
    if not values:
        return "nothing to recover"
    half, most = percentile(values, 0.5), percentile(values, 0.99)
    return f"p50 {half:.2f} s, p99 {most:.2f} s, of {len(values)}"


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def write(file: Path, settings: Settings, verdict: Verdict, events: Sequence[Event], seconds: float) -> None:
    """The same as JSON."""
    file.write_text(
        json.dumps(
            {
                "at": stamp(),
                "command": settings.command,
                "of": settings.peer or "shadows",
                "seed": settings.seed,
                "engine": settings.engine,
                "version": version_of(find(settings.engine)),
                "tasks": settings.tasks,
                "workers": settings.workers,
                "lease": settings.lease,
                "seconds": round(seconds, 1),
                "faults": Counter(str(event.fault) for event in events),
                "accepted": verdict.accepted,
                "completed": verdict.completed,
                "lost": verdict.lost,
                "unfinished": verdict.unfinished,
                "forgotten": len(verdict.forgotten),
                "unexpected": verdict.unexpected,
                "duplicated": verdict.duplicated,
                "explained": verdict.explained,
                "unexplained": verdict.unexplained,
                "false_failures": verdict.false_failures,
                "changed": verdict.changed,
                "poison": verdict.poison,
                "limit_exceeded": verdict.limit_exceeded,
                "bad_exits": verdict.bad_exits,
                "foreign": verdict.foreign,
                "unrefused": verdict.unrefused,
                "unclear": verdict.unclear,
                "stuck": verdict.stuck,
                "refusals": verdict.refusals,
                "waiting": verdict.waiting,
                "drained": verdict.drained,
                "refused": verdict.refused,
                "late_ends": verdict.late_ends,
                "lapses": verdict.lapses,
                "recovery": _rounded(verdict.recovery),
                "resumption": _rounded(verdict.resumption),
                "outages": _rounded(verdict.outages),
                "failed": verdict.failed,
            },
            indent=2,
        )
        + "\n"
    )
