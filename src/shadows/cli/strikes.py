"""`shadows strike` and `restore`: have tasks not run, by name or by an argument's value, on all workers; `strikes` lists."""

from typing import Annotated, Any

import typer

from .asking import ask, shadow_at
from .options import AsJson, Name, Url, UrlFile

Function = Annotated[str, typer.Argument(metavar="FUNCTION", help="The task's name; '*' is every task.")]
Parameter = Annotated[str | None, typer.Argument(metavar="PARAMETER", help="The parameter that is compared.")]
Comparison = Annotated[
    str | None, typer.Argument(metavar="OPERATOR", help="== != > >= < <= or between (quote < and >).")
]
Value = Annotated[
    str | None,
    typer.Argument(
        metavar="VALUE",
        help="What it is compared with: text as it stands, else with its type, int:42, uuid.UUID:…; for between, two with a "
        "comma, int:1,int:10.",
    ),
]


def strike(
    function: Function,
    parameter: Parameter = None,
    operator: Comparison = None,
    value: Value = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
) -> None:
    """Have a task, or those of its executions with some argument, not run, on all workers, until it is restored.

    What is stricken goes to the dead letters. Examples: `shadows strike send_mail`, `shadows strike send_mail customer
    == int:42`, `shadows strike '*' tenant == acme`.
    """
    from .output import say

    name, compared = _named(function), _compared(parameter, operator, value)
    if name is None and not compared:
        raise typer.BadParameter(
            "this would strike everything: name a task or a parameter, or use `shadows pause` to stop all work"
        )
    ask(shadow_at(shadows, url, url_file), lambda shadow: shadow.strike(name, *compared))
    say(f"Striking {_shown(name, compared)}")


def restore(
    function: Function,
    parameter: Parameter = None,
    operator: Comparison = None,
    value: Value = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
) -> None:
    """Take a strike back that was made with the same arguments; `shadows strikes` lists them.

    What was turned away meanwhile stays among the dead letters: `shadows dead requeue` has it run.
    """
    from shadows import Shadow
    from shadows.strikes import Strike

    from .output import plain, say

    name, compared = _named(function), _compared(parameter, operator, value)

    async def restored(shadow: Shadow) -> bool:
        await shadow.wait_for_strikes_loaded()
        stood = Strike.of(name, *compared) in list(shadow.strike_list)
        await shadow.restore(name, *compared)
        return stood

    if not ask(shadow_at(shadows, url, url_file), restored):
        typer.echo(
            f"shadows: no strike {plain(_shown(name, compared))} stands: `shadows strikes` lists those that do",
            err=True,
        )
        raise typer.Exit(1)
    say(f"Restoring {_shown(name, compared)}")


def strikes(
    shadows: Name = "shadows", url: Url = None, url_file: UrlFile = None, as_json: AsJson = False
) -> None:
    """List the strikes that stand."""
    from shadows import Shadow
    from shadows.strikes import Strike

    from .output import console, say, table, write_json

    async def listed(shadow: Shadow) -> list[Strike]:
        await shadow.wait_for_strikes_loaded()
        return sorted(shadow.strike_list, key=str)

    found = ask(shadow_at(shadows, url, url_file), listed)
    if as_json:
        write_json(
            [
                {
                    "task": one.function or None,
                    "parameter": one.parameter or None,
                    "operator": one.operator.value if one.parameter else None,
                    "value": one.value,
                }
                for one in found
            ]
        )
    elif found:
        rows = [
            (
                one.function or "*",
                one.parameter,
                one.operator.value if one.parameter else "",
                repr(one.value) if one.parameter else "",
            )
            for one in found
        ]
        console().print(table("Task", "Parameter", "Operator", "Value", rows=rows))
    else:
        say(f"nothing is stricken in the shadow {shadows!r}")


def _named(function: str) -> str | None:
    return None if function in ("", "*") else function


def _compared(parameter: str | None, operator: str | None, value: str | None) -> tuple[Any, ...]:
    """The last three arguments of `Shadow.strike`; none where the whole task is meant."""
    from .values import parse_range, parse_value

    if parameter is None or operator is None or value is None:
        if parameter in (None, "", "*"):
            return ()
        raise typer.BadParameter(
            f"what is {parameter!r} compared with? Write PARAMETER OPERATOR VALUE, as in customer == int:42 (none: is None)"
        )
    try:
        return parameter, operator, parse_range(value) if operator == "between" else parse_value(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _shown(name: str | None, compared: tuple[Any, ...]) -> str:
    task = name or "(all tasks)"
    return f"{task} {compared[0]} {compared[1]} {compared[2]!r}" if compared else task
