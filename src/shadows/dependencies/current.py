"""Values of the present run, as parameter defaults: `async def f(shadows: Shadow = CurrentShadow())`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from uncalled_for import Dependency

from .context import Run, present

if TYPE_CHECKING:
    from shadows.execution import Execution
    from shadows.shadow import Shadow
    from shadows.worker import Worker


class Current[T](Dependency[T]):
    """One value of the present run."""

    def __init__(self, name: str, look: Callable[[Run], T]) -> None:
        self._name = name
        self._look = look

    async def __aenter__(self) -> T:
        return self._look(present(self._name))


def CurrentShadow() -> "Shadow":  # noqa: N802 - reads as the type it stands for
    """The shadow that the task was taken from: to add other tasks with."""
    return cast("Shadow", Current("CurrentShadow()", lambda run: run.shadow))


def CurrentWorker() -> "Worker":  # noqa: N802
    """The worker that runs the task."""
    return cast("Worker", Current("CurrentWorker()", lambda run: run.worker))


def CurrentExecution() -> "Execution[Any]":  # noqa: N802
    """The execution that is being run."""
    return cast("Execution[Any]", Current("CurrentExecution()", lambda run: run.describe()))


def TaskKey() -> str:  # noqa: N802
    """The key of the execution that is being run."""
    return cast("str", Current("TaskKey()", lambda run: run.key))
