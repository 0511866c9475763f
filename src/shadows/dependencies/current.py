"""Values of the present run, as parameter defaults: `async def f(shadows: Shadow = CurrentShadow())`."""

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, cast

from uncalled_for import Dependency

from .context import Run, current_run, present

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
    """The execution that is being run. Its `then` schedules what is to follow its success."""
    return cast("Execution[Any]", Current("CurrentExecution()", lambda run: run.execution))


def TaskKey() -> str:  # noqa: N802
    """The key of the execution that is being run."""
    return cast("str", Current("TaskKey()", lambda run: run.key))


class CurrentVariable:
    """The execution that is being run, as a context variable has it: `current_execution.get()` anywhere inside a task.

    It is built when it is asked for, as most tasks do not; `set` puts another in its place, for tests of one's own code.
    """

    def __init__(self) -> None:
        self._set: ContextVar[Execution[Any]] = ContextVar("shadows_execution")

    def get(self, *default: Any) -> "Execution[Any]":
        """The execution.

        Raises:
            LookupError: outside of any task, without a default.
        """
        given = self._set.get(None)
        if given is not None:
            return given
        run = current_run.get(None)
        if run is not None:
            return run.execution
        if default:
            return cast("Execution[Any]", default[0])
        raise LookupError("no task is being run here")

    def set(self, execution: "Execution[Any]") -> "Token[Execution[Any]]":
        """Put an execution in place; the answer is for `reset`."""
        return self._set.set(execution)

    def reset(self, token: "Token[Execution[Any]]") -> None:
        """Undo a `set`."""
        self._set.reset(token)


current_execution = CurrentVariable()
