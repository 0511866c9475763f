"""Ending a task that takes too long."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shadows.checks import check_duration

from .context import Run, present
from .hooks import Runtime

if TYPE_CHECKING:
    from shadows.execution import Execution


class Timeout(Runtime["Timeout"]):
    """Ends a task that runs longer than `base` with TimeoutError: `timeout: Timeout = Timeout(timedelta(minutes=1))`.

    Each attempt has the whole time; a `Retry` takes the error for a failure like any other. The time of what is injected
    does not count, nor does waiting for a limit.

    A `def` task cannot be stopped in its thread. Its slot stays taken until it returns; then it has failed with
    TimeoutError, whatever it returns. A long one asks `remaining()` now and then.

    Args:
        base: how long it may take.

    Raises:
        ValueError: no time, or less.
    """

    def __init__(self, base: timedelta) -> None:
        check_duration("base", base)
        if base <= timedelta(0):
            raise ValueError(f"Timeout({base!r}): a duration above nothing")
        self.base = base
        self._run: Run | None = None
        self._started_us = 0
        self._more = timedelta(0)
        """By how much it was extended beyond what the alarm that is set knows of."""
        self._granted = base

    def begin(self, run: Run) -> None:
        self._run = run

    def remaining(self) -> timedelta:
        """How much of the time is left."""
        run = self._run or present("Timeout.remaining()")
        passed_us = run.shadow.clock.now_us() - self._started_us
        return self._granted - timedelta(microseconds=passed_us)

    def extend(self, by: timedelta | None = None) -> None:
        """Allow so much more, by default as much again as at first.

        Raises:
            ValueError: less than nothing.
        """
        by = self.base if by is None else by
        check_duration("by", by)
        if by < timedelta(0):
            raise ValueError(f"extend({by!r}): a duration cannot be negative")
        self._more += by
        self._granted += by

    async def run(
        self,
        execution: "Execution[Any]",
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        clock = (self._run or present("Timeout")).shadow.clock
        self._started_us = clock.now_us()
        call_off: Callable[[], None]

        def ring() -> None:
            nonlocal call_off
            more, self._more = self._more, timedelta(0)
            if more:
                # The alarm may have rung late; a clock that was set back must not make it longer than was wished.
                left = max(timedelta(0), min(more, self.remaining()))
                call_off = clock.call_later(left.total_seconds(), ring)
            else:
                scope.reschedule(asyncio.get_running_loop().time())

        scope = asyncio.timeout(None)
        try:
            async with scope:
                call_off = clock.call_later(self.base.total_seconds(), ring)
                try:
                    return await function(*args, **kwargs)
                finally:
                    call_off()
        except TimeoutError:
            if not scope.expired():
                raise
            raise TimeoutError(
                f"{execution.function_name} took longer than {self._granted}, which is its Timeout"
            ) from None
