"""The command `shadows` and its commands; wrong input ends in one line and a non-zero exit, never in a traceback."""

import sys
from importlib.metadata import version as _installed
from typing import Annotated, Any

import typer

from shadows.errors import InvalidName, InvalidTask, ShadowError

from .worker import worker

app = typer.Typer(
    name="shadows",
    help="Distributed background tasks on Redis streams.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(worker)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(_installed("shadow-task"))


@app.command()
def demo(
    speed: Annotated[float, typer.Option(help="How fast: 2 is twice as fast.", min=0.1, max=20)] = 1.0,
) -> None:
    """Show tasks run on the embedded engine: at once, later, retried, chained, again and again. Takes a few seconds."""
    import asyncio

    from .demo import show

    asyncio.run(show(speed))


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
    except (InvalidName, InvalidTask, ValueError) as error:
        return _complain(error, 2)
    except ShadowError as error:
        return _complain(error, 1)
    except typer.TyperException as error:  # wrong usage, in the parser's words
        words: Any = error
        message, code = str(words.format_message()), int(words.exit_code)
        return _complain(message, code) if message else code
    return code if isinstance(code, int) else 0


def _complain(message: object, code: int) -> int:
    text = " ".join(str(message).split())
    typer.echo(f"shadows: {text}", err=True)
    return code
