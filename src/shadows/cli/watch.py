"""`shadows watch`: one execution, live, until it has ended."""

import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .asking import ask, shadow_at
from .options import Name, Tasks, Url, UrlFile, duration

if TYPE_CHECKING:
    from rich.progress import Progress

    from shadows import Execution, Shadow

CODES = {"completed": 0, "failed": 1, "cancelled": 3, "expired": 3}
"""The exit code by how it ended."""
UNKNOWN = 2
TIMED_OUT = 124


def watch(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The execution's key.")],
    timeout: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="Give up after so long.", show_default="never"
        ),
    ] = None,
    tasks: Tasks = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Write one JSON object a change, for programs.")
    ] = False,
) -> None:
    """Watch an execution until it has ended: its state, its progress, and what came of it.

    Ends with 0 where it completed, 1 where it failed, 3 where it was cancelled or expired, 2 where nothing is known of the
    key, and 124 after the timeout.
    """

    async def watched(shadow: "Shadow") -> int:
        import asyncio

        try:
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                return await _follow(shadow, key, as_json=as_json)
        except TimeoutError:
            typer.echo(f"shadows: {key!r} has not ended within {timeout}", err=True)
            return TIMED_OUT

    code = ask(shadow_at(shadows, url, url_file, tasks), watched)
    raise typer.Exit(code)


async def _follow(shadow: "Shadow", key: str, *, as_json: bool) -> int:
    from .output import plain, write_json

    execution = await shadow.get_execution(key)
    if execution is None:
        typer.echo(
            f"shadows: nothing is known of the key {plain(key)!r} in the shadow {shadow.name!r}: it never was, or its record "
            "is gone",
            err=True,
        )
        return UNKNOWN
    bar = None if as_json or not sys.stdout.isatty() else _bar(execution)
    shown: AbstractContextManager[Any] = bar or nullcontext()
    with shown:
        async for event in execution.subscribe():
            if as_json:
                write_json(event)
            elif event["type"] == "progress":
                _advance(bar, execution)
            else:
                _state(bar, execution)
    if not as_json:
        await _ending(execution)
    return CODES.get(execution.state.value, UNKNOWN)


def _bar(execution: "Execution[Any]") -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        transient=True,
    )
    bar.add_task(execution.function_name, total=None)
    return bar


def _advance(bar: "Progress | None", execution: "Execution[Any]") -> None:
    from .output import plain, say

    progress = execution.progress
    if progress.current is None and progress.message is None:
        return
    message = plain(progress.message or execution.function_name)
    if bar is None:
        say(f"progress {progress.current or 0}/{progress.total} {message}")
    else:
        bar.update(
            bar.task_ids[0], completed=progress.current or 0, total=progress.total, description=message
        )


def _state(bar: "Progress | None", execution: "Execution[Any]") -> None:
    from datetime import UTC, datetime

    from .output import moment, plain, say

    said = [f"{execution.function_name} {execution.key!r} is {execution.state.value}"]
    if execution.worker:
        said.append(f"on {execution.worker}")
    if execution.state.value == "scheduled":
        said.append(f"to run {moment(execution.when, datetime.now(UTC))}")
    if execution.attempt > 1:
        said.append(f"(attempt {execution.attempt})")
    if bar is None:
        say(" ".join(said))
    else:
        bar.console.print(plain(" ".join(said)), markup=False, highlight=False)


async def _ending(execution: "Execution[Any]") -> None:
    from shadows import ShadowError

    from .output import say, span

    if execution.started_at and execution.completed_at:
        say(f"it took {span(execution.completed_at - execution.started_at)}")
    if execution.error:
        say(f"error: {execution.error}")
    elif execution.state.value == "completed":
        try:
            result = await execution.get_result()
        except ShadowError:
            return  # none is kept
        if result is not None:
            say(f"result: {result!r}")
