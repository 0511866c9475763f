"""`shadows dev`: an embedded engine and a worker in one command, for working on tasks."""

import os
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from .options import Name

DIRECTORY = ".shadows"


def dev(
    tasks: Annotated[
        list[str],
        typer.Option(
            "--tasks",
            envvar="SHADOWS_TASKS",
            metavar="MODULE:MEMBER",
            help="A task, or a collection of tasks; may be given several times. The working directory is importable.",
        ),
    ],
    shadows: Name = "shadows",
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Another engine; SHADOWS_URL is not heeded.",
            show_default=f"embedded:///…/{DIRECTORY}",
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="How many tasks run at once.")] = 10,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            metavar="",
            help="Start the worker anew when a Python file below this directory changes.",
        ),
    ] = False,
) -> None:
    """Run an embedded engine and a worker, for working on tasks: nothing else needs to be installed or started.

    The engine keeps its data in the directory .shadows below this one. Other commands and programs reach it by the URL
    that is shown.
    """
    import asyncio
    from datetime import timedelta

    from shadows.telemetry.logs import LogFormat, set_up_logging
    from shadows.worker.orders import Orders
    from shadows.worker.supervisor import Supervisor

    from .reloading import changes

    logging_format = LogFormat.RICH if sys.stderr.isatty() else LogFormat.PLAIN
    set_up_logging("info", logging_format)
    reached = url or _embedded(Path.cwd())
    named = "" if shadows == "shadows" else f" SHADOWS_NAME={shadows}"
    typer.echo(f"Reach this engine by: export SHADOWS_URL={reached}{named}", err=True)
    options = {"shadows_name": shadows, "url": reached, "tasks": tasks, "concurrency": concurrency}
    orders = Orders(options, {"grace": timedelta(seconds=2)}, "info", logging_format)

    async def run() -> tuple[int, str]:
        supervisor = Supervisor(orders, 1)
        if not reload:
            return await supervisor.run()
        watching = asyncio.create_task(changes(Path.cwd(), supervisor.renew))
        try:
            return await supervisor.run()
        finally:
            watching.cancel()

    code, message = asyncio.run(run())
    if message:
        typer.echo(f"shadows: {message}", err=True)
    raise typer.Exit(code)


def _embedded(here: Path) -> str:
    """The URL of the engine in a directory below this one, which version control leaves out."""
    directory = here / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / ".gitignore").write_text("*\n")
    return f"embedded://{quote(os.fspath(directory))}"
