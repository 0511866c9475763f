"""Which callables can be tasks."""

import functools
import inspect
import re
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from shadows import InvalidTask
from shadows.tasks.function import check_function, name_of, runs_async, same


async def greet(name: str) -> str:
    return f"hello {name}"


def add_up(a: int, b: int) -> int:
    return a + b


class Mailer:
    async def send(self, to: str) -> str:
        return to

    @classmethod
    async def broadcast(cls, text: str) -> str:
        return text

    @staticmethod
    def count(items: list[int]) -> int:
        return len(items)


class Callable_:
    def __call__(self, x: int) -> int:
        return x


class AsyncCallable:
    async def __call__(self, x: int) -> int:
        return x


def named_mock(kind: type[Mock | AsyncMock], name: str) -> Any:
    mock = kind()
    mock.__name__ = name
    return mock


TASKS: list[tuple[Callable[..., Any], str, bool]] = [
    (greet, "greet", True),
    (add_up, "add_up", False),
    (Mailer().send, "send", True),
    (Mailer.broadcast, "broadcast", True),
    (Mailer.count, "count", False),
    (functools.partial(greet, "Jane"), "greet", True),
    (functools.partial(functools.partial(add_up, 1), b=2), "add_up", False),
    (functools.partial(Mailer().send, to="x"), "send", True),
    (functools.partial(AsyncCallable(), x=1), "AsyncCallable", True),
    (Callable_(), "Callable_", False),
    (AsyncCallable(), "AsyncCallable", True),
    (named_mock(AsyncMock, "mocked"), "mocked", True),
    (named_mock(Mock, "mocked"), "mocked", False),
    (len, "len", False),
]


@pytest.mark.parametrize(("function", "name", "is_async"), TASKS)
def test_functions_methods_partials_and_callables_are_tasks(
    function: Callable[..., Any], name: str, is_async: bool
) -> None:
    assert check_function(function) is function
    assert name_of(function) == name
    assert runs_async(function) is is_async


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class GeneratorCallable:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (42, "42 is not callable"),
        (None, "None is not callable"),
        ("greet", "'greet' is not callable"),
        (Mailer, "Mailer is a class: pass a function, a method or an instance"),
        (generator, "generator is a generator function"),
        (async_generator, "async_generator is a generator function"),
        (functools.partial(generator), "generator is a generator function"),
        (GeneratorCallable(), "GeneratorCallable is a generator function"),
        (functools.partial(cast("Any", add_up), 1, 2, 3), "has no signature that can be read"),
    ],
)
def test_what_cannot_be_a_task_is_refused_with_the_reason(given: object, reason: str) -> None:
    with pytest.raises(InvalidTask, match=re.escape(reason)):
        check_function(given)


def test_a_coroutine_is_refused_and_closed_so_that_python_does_not_warn_of_it() -> None:
    coroutine = greet("Jane")
    with pytest.raises(InvalidTask, match="greet was called: pass the function itself"):
        check_function(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_a_lambda_has_no_name_to_go_by() -> None:
    with pytest.raises(InvalidTask, match=re.escape("names=['…']")):
        name_of(lambda: None)


class TestSame:
    def test_two_looks_at_one_method_are_one_task(self) -> None:
        mailer = Mailer()
        assert same(mailer.send, mailer.send)

    def test_methods_of_two_objects_are_made_by_the_same_lines(self) -> None:
        assert same(Mailer().send, Mailer().send)

    def test_a_function_made_again_by_the_same_lines_is_the_same_task(self) -> None:
        def make() -> Callable[[], Awaitable[None]]:
            async def task() -> None: ...

            return task

        assert same(make(), make())

    def test_other_lines_make_another_task(self) -> None:
        assert not same(greet, add_up)
        assert not same(Callable_(), Callable_())
        assert not same(named_mock(AsyncMock, "a"), named_mock(AsyncMock, "a"))

    def test_a_copy_of_a_function_is_the_same_task(self) -> None:
        copy = types.FunctionType(greet.__code__, globals(), "other")
        assert same(greet, copy)
