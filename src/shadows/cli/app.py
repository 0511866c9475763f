"""The command `shadows`, put together; wrong input ends in one line and a non-zero exit, never in a traceback.

What a command needs is imported inside it, so that help and completion, which run at every press of a key, are quick.
"""

import inspect
import sys
from importlib.metadata import version as _installed
from typing import Annotated, Any

import typer

from .adding import add, builtin
from .clear import clear
from .dead import dead
from .dev import dev
from .doctor import doctor
from .pausing import pause, resume
from .snapshot import snapshot
from .strikes import restore, strike, strikes
from .top import top
from .watch import watch
from .worker import worker
from .workers import workers

app = typer.Typer(
    name="shadows",
    help="Distributed background tasks on Redis streams.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_WORK, _SEE, _OPERATE, _OTHER = "Run", "See", "Operate", "More"
for panel, commands in {
    _WORK: (worker, dev, add),
    _SEE: (snapshot, top, watch, doctor, strikes),
    _OPERATE: (pause, resume, strike, restore, clear),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(builtin, name="tasks", rich_help_panel=_WORK)
app.add_typer(workers, name="workers", rich_help_panel=_SEE)
app.add_typer(dead, name="dead", rich_help_panel=_OPERATE)


@app.command(rich_help_panel=_OTHER)
def version() -> None:
    """Print the version."""
    typer.echo(_installed("shadow-task"))


@app.command(rich_help_panel=_OTHER)
def demo(
    speed: Annotated[
        float, typer.Option(metavar="N", help="How fast: 2 is twice as fast.", min=0.1, max=20)
    ] = 1.0,
) -> None:
    """Show tasks run on the embedded engine: at once, later, retried, chained, again and again. Takes a few seconds."""
    import asyncio

    from .demo import show

    asyncio.run(show(speed))


for group in (app, builtin, workers, dead):
    for entry in group.registered_commands:
        # A paragraph flows over the width of the terminal, and does not break where its source does.
        paragraphs = inspect.cleandoc((entry.callback and entry.callback.__doc__) or "").split("\n\n")
        entry.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process.

    Exit codes: 0, 1 where something failed, 2 where what was given cannot be used, 130 where it was interrupted.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and answer its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="shadows", standalone_mode=False)
    except typer.TyperException as error:  # wrong usage, in the parser's words
        words: Any = error
        message, code = str(words.format_message()), int(words.exit_code)
        return _complain(message, code) if message else code
    except typer.Abort:
        return _complain("not confirmed, so nothing was done", 1)
    except Exception as error:
        from shadows.worker.exits import exit_code_of

        known = exit_code_of(error)
        if known is None:
            raise
        return _complain(error, known)
    return code if isinstance(code, int) else 0


def _complain(message: object, code: int) -> int:
    text = " ".join(str(message).split())
    typer.echo(f"shadows: {text}", err=True)
    return code
