"""What a test says of the tasks that wait to be run: scheduled, ready, or waiting for a limit; not those that run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shadows.execution import Execution
from shadows.payload.failures import show
from shadows.shadow import Shadow

type Task = Callable[..., Any] | str

SHOWN = 20
"""How many executions a failure lists."""
MOST = 100_000
"""How many of each kind are looked at."""


async def assert_task_scheduled(
    shadows: Shadow,
    function: Task,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> None:
    """Check that a task waits to be run: `await assert_task_scheduled(shadows, greet, args=("Jane",))`.

    Args:
        function: the task, or its name.
        args: its positional arguments, all of them as they were passed. Default: any.
        kwargs: some of its named arguments, as they were passed. Default: any.
        key: its key. Default: any.

    Raises:
        AssertionError: no execution is like that; the message lists those there are.
    """
    waiting = (await shadows.snapshot(limit=MOST)).future
    if not any(_is(shadows, execution, function, args, kwargs, key) for execution in waiting):
        wanted = _wanted(shadows, function, args, kwargs, key)
        raise AssertionError(f"{wanted} is not scheduled; {_listed(waiting)}")


async def assert_task_not_scheduled(
    shadows: Shadow,
    function: Task,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> None:
    """Check that no such task waits to be run; arguments as of `assert_task_scheduled`.

    Raises:
        AssertionError: some are like that; the message lists them.
    """
    waiting = (await shadows.snapshot(limit=MOST)).future
    if found := [one for one in waiting if _is(shadows, one, function, args, kwargs, key)]:
        wanted = _wanted(shadows, function, args, kwargs, key)
        raise AssertionError(f"{wanted} is scheduled, and should not be; {_listed(found)}")


async def assert_task_count(shadows: Shadow, function: Task | None = None, *, count: int) -> None:
    """Check how many executions wait to be run, of one task or of all: `await assert_task_count(shadows, count=2)`.

    Raises:
        AssertionError: there are more or less; the message lists them.
    """
    waiting = (await shadows.snapshot(limit=MOST)).future
    if function is not None:
        names = _names(shadows, function)
        waiting = [execution for execution in waiting if execution.function_name in names]
    if len(waiting) != count:
        of = "" if function is None else f" of {' or '.join(_names(shadows, function))}"
        raise AssertionError(f"{count} executions{of} should be scheduled; {_listed(waiting)}")


async def assert_no_tasks(shadows: Shadow) -> None:
    """Check that nothing waits to be run.

    Raises:
        AssertionError: something does; the message lists it.
    """
    await assert_task_count(shadows, count=0)


def _is(
    shadows: Shadow,
    execution: Execution[Any],
    function: Task,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    key: str | None,
) -> bool:
    return (
        execution.function_name in _names(shadows, function)
        and (key is None or execution.key == key)
        and (args is None or execution.args == tuple(args))
        and all(
            name in execution.kwargs and execution.kwargs[name] == value
            for name, value in (kwargs or {}).items()
        )
    )


def _names(shadows: Shadow, function: Task) -> list[str]:
    return [function] if isinstance(function, str) else shadows.names_of(function)


def _wanted(
    shadows: Shadow,
    function: Task,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    key: str | None,
) -> str:
    given = {"args": None if args is None else tuple(args), "kwargs": kwargs, "key": key}
    words = [f"{name}={show(value)}" for name, value in given.items() if value is not None]
    return " or ".join(_names(shadows, function)) + (f" with {', '.join(words)}" if words else "")


def _listed(executions: Sequence[Execution[Any]]) -> str:
    if not executions:
        return "there is none"
    lines = [
        f"  {one.function_name}(args={show(one.args)}, kwargs={show(one.kwargs)}, key={one.key!r}, when={one.when})"
        for one in executions[:SHOWN]
    ]
    if len(executions) > SHOWN:
        lines.append(f"  … and {len(executions) - SHOWN} more")
    return "\n".join([f"there are {len(executions)}:", *lines])
