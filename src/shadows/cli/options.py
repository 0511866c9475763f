"""The options that several commands share, and the shadow that they name."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from .durations import parse_duration, parse_instant


def duration(text: str | timedelta) -> timedelta:
    """A duration option's value."""
    if isinstance(text, timedelta):
        return text
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def instant(text: str) -> datetime:
    """An instant option's value."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Name = Annotated[str, typer.Option("--shadows", envvar="SHADOWS_NAME", metavar="NAME", help="Which shadow.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The server: redis://, rediss://, redis+cluster://, redis+sentinel://, unix://, memory:// or embedded:///DIR. Others on this machine can see a "
        "command line: put a URL with a password into the environment or a file. [dim]\\[env var: SHADOWS_URL][/dim]",
        show_default="redis://localhost:6379/0",
    ),
]
UrlFile = Annotated[
    Path | None,
    typer.Option(
        "--url-file",
        metavar="PATH",
        help="A file that holds the server's URL. [dim]\\[env var: SHADOWS_URL_FILE][/dim]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Write JSON, for programs.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks",
        envvar="SHADOWS_TASKS",
        metavar="MODULE:MEMBER",
        help="A task, or a collection of tasks; may be given several times. The working directory is importable.",
    ),
]
When = Annotated[
    datetime | None,
    typer.Option(
        "--when",
        parser=instant,
        metavar="INSTANT",
        help="When to run it: 2026-12-24T18:00 (local time), or with a timezone, 2026-12-24T18:00Z.",
    ),
]
Delay = Annotated[
    timedelta | None,
    typer.Option("--in", "--delay", parser=duration, metavar="DURATION", help="How long from now to run it."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Its key: a second one with it is ignored while one stands.",
        show_default="a random one",
    ),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue", metavar="QUEUE", help="The queue it goes through.", show_default="the task's own"
    ),
]


def server_url(url: str | None, url_file: Path | None) -> str | None:
    """The server's URL: from the command line, else from the environment; None where neither names one.

    Raises:
        BadParameter: two at once, or a file that cannot be read.
    """
    if url is not None and url_file is not None:
        raise typer.BadParameter("--url and --url-file both name a server: give one of them")
    if url is not None:
        return url
    if url_file is None:
        if named := os.environ.get("SHADOWS_URL"):
            return named
        if not (named := os.environ.get("SHADOWS_URL_FILE")):
            return None
        url_file = Path(named)
    try:
        held = url_file.read_text().strip()
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--url-file {str(url_file)!r} cannot be read: {error}") from None
    if not held or len(held.split()) != 1:
        raise typer.BadParameter(f"--url-file {str(url_file)!r} must hold one URL and nothing else")
    return held


def chosen_instant(when: datetime | None, delay: timedelta | None) -> datetime | None:
    """The instant that `--when` or `--in` names.

    Raises:
        BadParameter: both were given.
    """
    if when is not None and delay is not None:
        raise typer.BadParameter("--when and --in both say when it is to run: give one of them")
    if delay is not None:
        return datetime.now(UTC) + delay
    return when
