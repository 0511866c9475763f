"""Which callables can be tasks, what they are called, and when two of them are the same."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from shadows.errors import InvalidTask

type Function = Callable[..., Any]


def check_function(function: object) -> Function:
    """The callable, if it can be a task.

    Raises:
        InvalidTask: it is not callable, a class, a coroutine, a generator function, or has no readable signature.
    """
    if inspect.iscoroutine(function):
        function.close()
        raise InvalidTask(
            f"{function.__qualname__} was called: pass the function itself, and its arguments afterwards"
        )
    if isinstance(function, type):
        raise InvalidTask(
            f"{function.__qualname__} is a class: pass a function, a method or an instance with __call__"
        )
    if not callable(function):
        raise InvalidTask(
            f"{function!r} is not callable: a task is a function, a method, a partial or a callable object"
        )
    inner = unwrap(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise InvalidTask(
            f"{name_of(function)} is a generator function: a task returns once, so return or await instead"
        )
    try:
        inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise InvalidTask(
            f"{function!r} has no signature that can be read ({error}): wrap it in a def"
        ) from error
    return function


def unwrap(function: object) -> object:
    """The function behind partials, and behind an object's `__call__`."""
    function = _past_partials(function)
    if inspect.isroutine(function) or inspect.iscoroutinefunction(function):
        return function
    return type(function).__call__ if callable(function) else function


def name_of(function: Function) -> str:
    """The name that a task goes by unless told otherwise: `__name__`, or its class's for a callable object.

    Raises:
        InvalidTask: it has none (a lambda).
    """
    inner = _past_partials(function)
    name = getattr(inner, "__name__", None) or type(inner).__name__
    if name == "<lambda>":
        raise InvalidTask(
            "a lambda has no name to go by: give it one with register(function, names=['…']), or use def"
        )
    return str(name)


def _past_partials(function: object) -> object:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def runs_async(function: Function) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(unwrap(function))


def same(one: Function, other: Function) -> bool:
    """Whether two callables are one task: equal, or made by the same lines of code."""
    if one is other or one == other:
        return True
    code, their_code = getattr(one, "__code__", None), getattr(other, "__code__", None)
    return code is not None and code is their_code
