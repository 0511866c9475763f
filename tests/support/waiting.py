"""Waiting for what must come true, bounded in time: what tests do instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import cast, overload


@overload
async def until[T](
    condition: Callable[[], Awaitable[T]], timeout: float = 10, *, what: str | None = None
) -> T: ...


@overload
async def until[T](condition: Callable[[], T], timeout: float = 10, *, what: str | None = None) -> T: ...


async def until(condition: Callable[[], object], timeout: float = 10, *, what: str | None = None) -> object:
    """Ask `condition` (a function, or a coroutine function) until its answer is true, and return that answer.

    Raises `AssertionError` after `timeout` seconds, even where the condition itself hangs. `what` says in the
    message what was waited for.
    """
    answer: object = None
    scope = asyncio.timeout(timeout)
    try:
        async with scope:
            for pause in _pauses():
                answer = condition()
                if inspect.isawaitable(answer):
                    answer = await cast("Awaitable[object]", answer)
                if answer:
                    break
                await asyncio.sleep(pause)
    except TimeoutError:
        if not scope.expired():
            raise
        raise AssertionError(_failure(condition, answer, timeout, what)) from None
    return answer


def until_sync[T](condition: Callable[[], T], timeout: float = 10, *, what: str | None = None) -> T:
    """`until` for code without an event loop; a condition that hangs is not interrupted."""
    end = time.monotonic() + timeout
    for pause in _pauses():
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(_failure(condition, answer, timeout, what))
        time.sleep(pause)
    raise NotImplementedError


def _pauses() -> Iterator[float]:
    """Without end: from half a millisecond up to a twentieth of a second."""
    pause = 0.0005
    while True:
        yield pause
        pause = min(pause * 1.5, 0.05)


def _failure(condition: Callable[[], object], answer: object, timeout: float, what: str | None) -> str:
    subject = what or getattr(condition, "__qualname__", repr(condition))
    return f"not within {timeout:g} s: {subject} (its last answer: {answer!r})"
