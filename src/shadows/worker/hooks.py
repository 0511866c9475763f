"""A worker's hooks: told when a run starts and ends, and when a task is given up. They change nothing of it."""

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shadows.dependencies.context import Run
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

    async def started(self, run: Run) -> None:
        """A run is about to start."""
        await _call("on_start", self.on_start, run.execution)

    async def ended(self, run: Run, outcome: TaskOutcome) -> None:
        """A run has ended."""
        await _call("on_end", self.on_end, run.execution, outcome)

    async def died(self, execution: Execution[Any], outcome: Outcome) -> None:
        """An execution becomes a dead letter."""
        reason = outcome.data.partition(b"/")[0].decode() if outcome.kind is Kind.DEAD else "failed"
        await _call("on_dead", self.on_dead, execution, reason)


async def _call(name: str, hook: Callable[..., object] | None, *arguments: object) -> None:
    if hook is None:
        return
    try:
        answer = hook(*arguments)
        if inspect.isawaitable(answer):
            await answer
    except Exception:  # a hook looks on: what it does wrong is not the task's fault
        logger.exception("hook failed hook=%s", name)
