"""Bases for behaviours of one's own: around the call, after a failure, and at the end."""

import abc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from shadows.protocol.outcomes import Outcome

from .behaviour import Behaviour, Ending

if TYPE_CHECKING:
    from shadows.execution import Execution


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How a run ended: its duration, and its result or its exception."""

    duration: timedelta
    result: Any = None
    exception: BaseException | None = None


class Runtime[T](Behaviour[T]):
    """Makes the call of the task, in a way of its own: `class Traced(Runtime["Traced"])`. A task has one at most."""

    single = True

    @abc.abstractmethod
    async def run(
        self,
        execution: "Execution[Any]",
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call `function` with these arguments, what is injected included, and answer its result.

        A `def` task is an async function here, which runs it in a thread.
        """


class FailureHandler[T](Behaviour[T]):
    """Has a say when the task failed: `class Refund(FailureHandler["Refund"])`. A task has one at most; Retry is one."""

    single = True
    rank: ClassVar[int] = 10

    async def handle_failure(self, execution: "Execution[Any]", outcome: TaskOutcome) -> bool:  # noqa: ARG002
        """Deal with a failure; True: it is dealt with, and counts as completed, without a result.

        It may add the task again under its own key, `shadows.add(f, key=execution.key)(…)`: that is its next run.
        """
        return False

    async def follow(self, ending: Ending) -> Outcome | None:
        if ending.error is None or not await self.handle_failure(ending.execution(), _outcome(ending)):
            return None
        return ending.handled()


class CompletionHandler[T](Behaviour[T]):
    """Is told when the task has ended, well or badly, and is not retried. A task has one at most; Perpetual is one."""

    single = True
    rank: ClassVar[int] = 20

    async def on_complete(self, execution: "Execution[Any]", outcome: TaskOutcome) -> bool:  # noqa: ARG002
        """Take notice of the end. What it answers changes nothing of what is recorded.

        It may add the task again under its own key, `shadows.add(f, key=execution.key)(…)`: that is its next run.
        """
        return False

    async def follow(self, ending: Ending) -> Outcome | None:
        if type(self).on_complete is not CompletionHandler.on_complete:
            await self.on_complete(ending.execution(), _outcome(ending))
        return None


def _outcome(ending: Ending) -> TaskOutcome:
    return TaskOutcome(ending.duration, ending.result, ending.error)
