"""The built-in tasks, which every worker knows: to see that a system works without a task of one's own.

What is injected has no types here: the client and the worker know these tasks, and so stand above them.
"""

# ruff: noqa: B008 - what is injected is asked for by a parameter's default

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from shadows.clock import as_datetime
from shadows.dependencies import CurrentExecution, CurrentShadow, Retry, TaskLogger


async def trace(
    message: str,
    logger: "logging.LoggerAdapter[logging.Logger]" = TaskLogger(),
    shadows: Any = CurrentShadow(),
    execution: Any = CurrentExecution(),
) -> None:
    """Log a message, and how long it took from the instant the task was due until it ran here."""
    logger.info(
        "%s key=%s shadow=%s worker=%s waited=%s",
        message,
        execution.key,
        shadows.name,
        execution.worker,
        _since(shadows, execution),
    )


async def fail(
    message: str,
    shadows: Any = CurrentShadow(),
    execution: Any = CurrentExecution(),
    retry: Retry = Retry(attempts=2),
) -> None:
    """Fail, twice, with a message: to see that somebody is told.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(
        f"{message} (attempt {retry.attempt} of {retry.attempts}, key={execution.key}, shadow={shadows.name}, "
        f"worker={execution.worker}, waited={_since(shadows, execution)})"
    )


async def sleep(seconds: float, logger: "logging.LoggerAdapter[logging.Logger]" = TaskLogger()) -> None:
    """Keep a worker's slot for that long."""
    logger.info("sleeping seconds=%s", seconds)
    await asyncio.sleep(seconds)


def _since(shadows: Any, execution: Any) -> timedelta:
    now = as_datetime(shadows.clock.now_us())
    return now - (execution.when or now)


standard_tasks: list[Callable[..., Coroutine[Any, Any, None]]] = [trace, fail, sleep]
