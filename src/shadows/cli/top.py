"""`shadows top`: a shadow, live, on a whole screen."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from .asking import ask, shadow_at
from .options import Name, Url, UrlFile, duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shadows import Shadow, Snapshot

SHORTEST = timedelta(milliseconds=100)


def top(
    interval: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_TOP_INTERVAL",
            show_default="2s",
            parser=duration,
            metavar="DURATION",
            help="How often to look.",
        ),
    ] = timedelta(seconds=2),
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many tasks to list, running ones and others each.")
    ] = 10,
    once: Annotated[
        bool, typer.Option("--once", metavar="", help="Show one frame and end, for scripts.")
    ] = False,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
) -> None:
    """Watch a shadow live: queues, workers, tasks. Ends with Ctrl-C."""
    from .output import console

    if interval < SHORTEST:
        raise typer.BadParameter(f"--interval: at least {SHORTEST.total_seconds():g} s")
    shadow = shadow_at(shadows, url, url_file)
    if once:
        seen = ask(shadow, lambda shadow: shadow.snapshot(limit=limit))
        console().print(frame(shadows, seen, limit))
    else:
        try:
            ask(shadow, lambda shadow: _watch(shadow, interval.total_seconds(), limit))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


async def _watch(shadow: "Shadow", interval: float, limit: int) -> None:
    import asyncio

    from redis.exceptions import RedisError
    from rich.live import Live
    from rich.text import Text

    from .output import console, plain

    with Live(console=console(), screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                shown = frame(shadow.name, await shadow.snapshot(limit=limit), limit)
            except RedisError as error:
                shown = Text(plain(error), style="red")
            live.update(shown, refresh=True)
            await asyncio.sleep(interval)


def frame(name: str, seen: "Snapshot", limit: int) -> "RenderableType":
    """One picture of it all."""
    from rich.console import Group
    from rich.text import Text

    from .output import moment, number, span, table
    from .snapshot import head, listing, statistics

    queues = table(
        "Queue",
        "Ready",
        "Running",
        "Oldest",
        "",
        rows=[
            (queue, number(of.ready), number(of.running), span(of.latency), "paused" if of.paused else "")
            for queue, of in seen.queues.items()
        ],
        right=("Ready", "Running", "Oldest"),
    )
    workers = table(
        "Worker",
        "Running",
        "Last seen",
        "Queues",
        rows=[
            (
                worker.name,
                f"{worker.running}/{worker.concurrency}",
                moment(worker.last_seen, seen.taken),
                ", ".join(worker.queues),
            )
            for worker in seen.workers
        ],
        right=("Running",),
    )
    parts: list[RenderableType] = [Text("\n".join(head(name, seen)) + "\n"), queues]
    if seen.workers:
        parts += ["", workers]
    if seen.by_function:
        parts += ["", statistics(seen)]
    if seen.running or seen.future:
        parts += ["", listing(seen, seen.future[:limit])]
    return Group(*parts)
