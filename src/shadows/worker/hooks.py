"""A worker's hooks: told when a run starts and ends, and when a task is given up. They change nothing of it."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shadows.dependencies.hooks import TaskOutcome
from shadows.execution import Execution
from shadows.protocol.outcomes import Kind, Outcome

logger = logging.getLogger("shadows.worker")

type OnStart = Callable[[Execution[Any]], object]
"""Called, and awaited where it is async, with an execution that is about to run."""
type OnEnd = Callable[[Execution[Any], TaskOutcome], object]
"""The same with how the run ended, each attempt for itself."""
type OnDead = Callable[[Execution[Any], str], object]
"""The same with an execution that this worker gives up, and why: failed, unknown, undecodable or stricken."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Those of one worker."""

    on_start: OnStart | None = None
    on_end: OnEnd | None = None
    on_dead: OnDead | None = None


async def tell(name: str, hook: Callable[..., object], *arguments: object) -> None:
    """Call a hook, and wait for it where it is async; a run that is cancelled meanwhile ends the hook alone."""
    try:
        answer = hook(*arguments)
        if inspect.isawaitable(answer):
            await answer
    except (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt):
        # A hook looks on: what it does wrong is not the task's fault, nor does it undo what has ended.
        logger.exception("hook failed hook=%s", name)


def reason_of(outcome: Outcome) -> str:
    """Why an execution is given up."""
    return outcome.data.partition(b"/")[0].decode() if outcome.kind is Kind.DEAD else "failed"
