"""Agenda: calls that are scheduled together, spread over a span of time, so that they are not all due at once."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, overload

from shadows.calls import TaskCall
from shadows.checks import check_duration
from shadows.clock import as_datetime, as_instant_us
from shadows.execution import Execution
from shadows.protocol.keys import check_key
from shadows.shadow import Shadow

type Entry = tuple[Callable[..., Any] | str, tuple[Any, ...], dict[str, Any], str | None]
"""A task or its name, its arguments, and the key it is to have."""


class Agenda:
    """Calls to be scattered over a span of time, once or again: `agenda.add(send)(user)`, `await agenda.scatter(shadows, …)`.

    Its length is the number of its calls; iterating gives each as task, positional and named arguments, and key.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @overload
    def add[**P](self, function: Callable[P, Any], key: str | None = None) -> Callable[P, None]: ...
    @overload
    def add(self, function: str, key: str | None = None) -> Callable[..., None]: ...
    def add(self, function: Callable[..., Any] | str, key: str | None = None) -> Callable[..., None]:
        """Note a call: `agenda.add(greet)("Jane")`. Its arguments are kept as they are, and checked when it is scattered.

        Args:
            function: the task, or the name of one that the shadow knows it by.
            key: the idempotency key, so that scattering again while it is unfinished adds no second one. Default: another
                random one each time.

        Raises:
            InvalidName: a key that cannot be used.
        """
        if key is not None:
            check_key(key)

        def note(*args: Any, **kwargs: Any) -> None:
            self._entries.append((function, args, kwargs, key))

        return note

    def clear(self) -> None:
        """Forget all calls; what was scattered stays scheduled."""
        self._entries.clear()

    async def scatter(
        self,
        shadows: Shadow,
        over: timedelta,
        start: datetime | None = None,
        jitter: timedelta | None = None,
    ) -> list[Execution[Any]]:
        """Schedule all calls, evenly from the start of a span to its end; a single one in its middle. The agenda keeps them.

        Args:
            shadows: where to schedule them; it must be open.
            over: how long the span is.
            start: when it begins. Default: now.
            jitter: by how much each instant is moved at random, back or forth, within the span. Default: not at all.

        Returns:
            An execution a call, in order.

        Raises:
            ValueError: a span of nothing, a negative jitter, or a start without a timezone.
            KeyError, InvalidTask, TypeError: a call that cannot be; then nothing is scheduled.
            Overloaded, ServerUnreachable: as `Shadow.add_many`.
        """
        check_duration("over", over)
        if over <= timedelta(0):
            raise ValueError(f"over={over!r}: how long the span is, more than nothing")
        if jitter is not None:
            check_duration("jitter", jitter)
        if jitter is not None and jitter < timedelta(0):
            raise ValueError(f"jitter={jitter!r}: by how much an instant may be moved, nothing or more")
        start_us = shadows.clock.now_us() if start is None else as_instant_us(start)
        span_us = over // timedelta(microseconds=1)
        most_us = 0 if jitter is None else jitter // timedelta(microseconds=1)
        last = len(self._entries) - 1
        calls: list[TaskCall] = []
        for number, (function, args, kwargs, key) in enumerate(self._entries):
            at_us = span_us * number // last if last else span_us // 2
            at_us += random.randint(-most_us, most_us)  # noqa: S311 - spreads load, and keeps no secret
            when = as_datetime(start_us + min(max(at_us, 0), span_us))
            call: Callable[..., TaskCall] = shadows.call(function, when, key)
            calls.append(call(*args, **kwargs))
        return await shadows.add_many(calls)
