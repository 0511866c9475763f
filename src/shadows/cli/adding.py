"""`shadows add` and `shadows tasks`: have a task run, now or later."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .asking import ask, shadow_at
from .options import AsJson, Delay, Key, Name, Queue, Tasks, Url, UrlFile, When, chosen_instant

if TYPE_CHECKING:
    from shadows import Execution, Shadow
    from shadows.tasks.plan import Plan

STRUCK = 1
"""The exit code of an add that was turned away."""


def add(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's name.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARGS…",
            help="Its positional arguments: text as it stands, else with its type, int:42, uuid.UUID:…, json:[1,2].",
        ),
    ] = None,
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--kw", metavar="NAME=VALUE", help="An argument by its name; may be given several times."
        ),
    ] = None,
    when: When = None,
    delay: Delay = None,
    key: Key = None,
    queue: Queue = None,
    tasks: Tasks = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a task run, now or later.

    With --tasks the arguments are checked, and text is read as its parameter's type; without, the worker checks them.
    Example: `shadows add greet Jane --kw times=int:3 --in 10m`.
    """
    from .values import parse_named, parse_value

    at = chosen_instant(when, delay)
    shadow = shadow_at(shadows, url, url_file, tasks)
    plan = shadow.plan(task)
    if plan is None:
        if tasks:
            known = ", ".join(sorted(shadow.tasks))
            raise typer.BadParameter(f"no task is called {task!r} in --tasks: there are {known}")
        plan = _stand_in(shadow, task)
    try:
        args = [parse_value(text) for text in arguments or ()]
        kwargs = parse_named(named or ())
        _fit(plan, args, kwargs, arguments or (), named or ())
        call = shadow.call(plan.name, at, key, queue=queue)(*args, **kwargs)
    except (TypeError, ValueError) as error:  # arguments that do not fit, or cannot travel
        raise typer.BadParameter(str(error)) from None
    (execution,) = ask(shadow, lambda shadow: shadow.add_many([call]))
    _tell(shadows, execution, as_json=as_json)


def _stand_in(shadow: "Shadow", task: str) -> "Plan":
    """A task of that name that takes anything: what it really takes is known to the workers."""

    async def stand_in(*args: Any, **kwargs: Any) -> None:
        """Never run here."""

    shadow.register(stand_in, [task])
    plan = shadow.plan(task)
    assert plan is not None  # noqa: S101 - it was just registered
    return plan


def _fit(
    plan: "Plan", args: list[Any], kwargs: dict[str, Any], texts: Sequence[str], named: Sequence[str]
) -> None:
    """Hold the values against what their parameters are annotated with, and read plain text as that.

    Raises:
        ValueError: one is something else.
    """
    from shadows.tasks.annotations import hints_of

    hints = hints_of(plan.function)
    own = [
        parameter.name
        for parameter in plan.signature.parameters.values()
        if parameter.name not in plan.injected
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    for place, (name, text) in enumerate(zip(own, texts, strict=False)):
        if name in hints:
            args[place] = _fitted(name, text, args[place], hints[name])
    for given in named:
        name, _, text = given.partition("=")
        if name in hints:
            kwargs[name] = _fitted(name, text, kwargs[name], hints[name])


def _fitted(name: str, text: str, value: Any, hint: Any) -> Any:
    import msgspec

    try:
        return msgspec.convert(value, hint, strict=value != text)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{name}: {text!r} does not fit ({error}): write it with its type, as int:42 or json:[1,2]"
        ) from None
    except TypeError:  # a hint that says nothing here: the worker knows
        return value


def _tell(shadows: str, execution: "Execution[Any]", *, as_json: bool) -> None:
    from shadows import Disposition

    from .output import say, write_json

    task, key = execution.function_name, execution.key
    disposition = execution.disposition
    if as_json:
        write_json(
            {
                "key": key,
                "task": task,
                "queue": execution.queue,
                "disposition": disposition,
                "state": execution.state.value,
                "when": execution.when,
            }
        )
    elif disposition is Disposition.SCHEDULED:
        say(f"Added {task} task {key!r} to the shadow {shadows!r}")
    elif disposition is Disposition.STRUCK:
        say(f"Not added: {task} is stricken; its call {key!r} is kept among the dead letters")
    else:
        say(f"Nothing added: the {task} task {key!r} stands already, and is {execution.state.value}")
    if disposition is Disposition.STRUCK:
        raise typer.Exit(STRUCK)


builtin = typer.Typer(help="Run the built-in tasks, to see that a system works.", no_args_is_help=True)
Message = Annotated[str, typer.Argument(help="What it says.")]


@builtin.command()
def trace(
    message: Message = "Howdy!",
    when: When = None,
    delay: Delay = None,
    key: Key = None,
    queue: Queue = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a task that logs a message on the worker that runs it."""
    _add_builtin(
        "trace", message, when, delay, key, queue, shadow_at(shadows, url, url_file), as_json=as_json
    )


@builtin.command()
def fail(
    message: Message = "Howdy!",
    when: When = None,
    delay: Delay = None,
    key: Key = None,
    queue: Queue = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a task that fails, twice: to see that alarms work."""
    _add_builtin("fail", message, when, delay, key, queue, shadow_at(shadows, url, url_file), as_json=as_json)


@builtin.command()
def sleep(
    seconds: Annotated[float, typer.Argument(min=0, help="For how many seconds.")] = 1,
    when: When = None,
    delay: Delay = None,
    key: Key = None,
    queue: Queue = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a task that keeps a worker's slot for a while."""
    _add_builtin(
        "sleep", seconds, when, delay, key, queue, shadow_at(shadows, url, url_file), as_json=as_json
    )


def _add_builtin(
    task: str,
    argument: object,
    when: datetime | None,
    delay: timedelta | None,
    key: str | None,
    queue: str | None,
    shadow: "Shadow",
    *,
    as_json: bool,
) -> None:
    from shadows import tasks

    call = shadow.call(getattr(tasks, task), chosen_instant(when, delay), key, queue=queue)(argument)
    (execution,) = ask(shadow, lambda shadow: shadow.add_many([call]))
    _tell(shadow.name, execution, as_json=as_json)
