"""`shadows snapshot`: what a shadow holds."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .asking import ask, shadow_at
from .options import AsJson, Name, Tasks, Url, UrlFile

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shadows import Execution, Snapshot


def snapshot(
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    tasks: Tasks = None,
    stats: Annotated[
        bool, typer.Option("--stats", metavar="", help="Show how many there are of each task, too.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many tasks to list, running ones and others each.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what is scheduled, ready, running and waiting right now, and who works on it.

    The totals are exact; of a large backlog only the first are listed, and --stats counts a sample.
    """
    from .output import console, write_json

    seen = ask(shadow_at(shadows, url, url_file, tasks), lambda shadow: shadow.snapshot(limit=limit))
    future = seen.future[:limit]
    if as_json:
        write_json(_facts(shadows, seen, future))
        return
    out = console()
    for line in head(shadows, seen):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    if seen.running or future:
        out.print()
        out.print(listing(seen, future))
    hidden = seen.total_tasks - len(seen.running) - len(future)
    if hidden > 0:
        out.print(f"… and {hidden:,} more (--limit lists more)", markup=False, highlight=False)
    if stats and seen.by_function:
        out.print()
        out.print(statistics(seen))


def head(name: str, seen: "Snapshot") -> list[str]:
    """What stands above the tables."""
    counts = seen.counts
    kinds = [
        f"{counts.scheduled:,} scheduled",
        f"{counts.ready:,} ready",
        f"{counts.waiting:,} waiting",
        f"{counts.dead:,} dead",
    ]
    workers = f"{len(seen.workers):,} workers, {counts.running:,}/{seen.total_tasks:,} running"
    lines = [
        f"Shadow {name!r} as of {seen.taken.astimezone():%Y-%m-%d %H:%M:%S %z}",
        workers,
        ", ".join(kinds),
    ]
    if paused := [queue for queue, depth in seen.queues.items() if depth.paused]:
        lines.append(f"paused: {', '.join(paused)}")
    return lines


def listing(seen: "Snapshot", future: "list[Execution[Any]]") -> "RenderableType":
    """The tasks, running ones first."""
    from .output import moment, table

    running = [
        (
            moment(one.when, seen.taken),
            one.function_name,
            one.key,
            one.queue,
            one.state.value,
            one.worker or "",
            moment(one.started, seen.taken),
        )
        for one in seen.running
    ]
    others = [
        (moment(one.when, seen.taken), one.function_name, one.key, one.queue, one.state.value, "", "")
        for one in future
    ]
    return table(
        "When",
        "Task",
        "Key",
        "Queue",
        "State",
        "Worker",
        "Started",
        rows=running + others,
        whole=("When", "State"),
    )


def statistics(seen: "Snapshot") -> "RenderableType":
    """How many there are of each task, the most frequent first."""
    from .output import moment, number, table

    title = "Task, in a sample" if seen.sampled else "Task"
    numbers = ("Total", "Running", "Queued")
    rows = [
        (
            name,
            number(of.total),
            number(of.running),
            number(of.queued),
            moment(of.oldest_queued, seen.taken),
            moment(of.latest_queued, seen.taken),
        )
        for name, of in sorted(seen.by_function.items(), key=lambda item: -item[1].total)
    ]
    return table(title, *numbers, "Oldest queued", "Latest queued", rows=rows, right=numbers)


def _facts(name: str, seen: "Snapshot", future: "list[Execution[Any]]") -> dict[str, Any]:
    return {
        "shadow": name,
        "taken": seen.taken,
        "total_tasks": seen.total_tasks,
        "counts": seen.counts,
        "queues": {
            queue: {
                "ready": of.ready,
                "running": of.running,
                "latency_s": None if of.latency is None else of.latency.total_seconds(),
                "paused": of.paused,
            }
            for queue, of in seen.queues.items()
        },
        "workers": seen.workers,
        "running": [
            {**_execution(one), "worker": one.worker, "started": one.started} for one in seen.running
        ],
        "future": [_execution(one) for one in future],
        "by_function": seen.by_function,
        "sampled": seen.sampled,
    }


def _execution(one: "Execution[Any]") -> dict[str, Any]:
    return {
        "key": one.key,
        "task": one.function_name,
        "queue": one.queue,
        "state": one.state.value,
        "when": one.when,
        "attempt": one.attempt,
    }
