"""How a command asks a shadow: it opens it, asks, and closes it."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import server_url

if TYPE_CHECKING:
    from shadows import Shadow


def shadow_at(name: str, url: str | None, url_file: Path | None, tasks: list[str] | None = None) -> "Shadow":
    """The shadow that the common options name, with these tasks registered; not open yet.

    Raises:
        BadParameter: it could only be an empty one.
    """
    from shadows import Shadow

    found = server_url(url, url_file)
    if found is not None and found.startswith("memory:"):
        raise typer.BadParameter(
            "memory:// is private to one process, so this command would find nothing there: use embedded:///DIR, which "
            "processes share"
        )
    shadow = Shadow(name, found)
    for path in tasks or ():
        shadow.register_collection(path)
    return shadow


def ask[T](shadow: "Shadow", question: Callable[["Shadow"], Awaitable[T]]) -> T:
    """The answer of an open shadow."""
    import asyncio
    import logging

    logging.getLogger("shadows").addHandler(logging.NullHandler())  # what matters, the command itself says

    async def asking() -> T:
        async with shadow:
            return await question(shadow)

    return asyncio.run(asking())


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person who sits at a terminal; a script is not asked.

    Raises:
        Abort: the answer is no.
    """
    if not yes and sys.stdin.isatty():
        typer.confirm(question, abort=True, err=True)
