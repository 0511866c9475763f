"""The run that a coroutine is part of: what contextual dependencies and behaviours see of it."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shadows.execution import Execution
    from shadows.shadow import Shadow
    from shadows.worker import Worker

    from .behaviour import Behaviour


@dataclass(slots=True)
class Run:
    """One run of one execution, for as long as it lasts."""

    shadow: "Shadow"
    worker: "Worker"
    key: str
    attempt: int
    started_us: int
    describe: Callable[[], "Execution[Any]"]
    """Builds the execution for whoever asks for it: most tasks do not."""
    behaviours: list["Behaviour"] = field(default_factory=list["Behaviour"])
    """Those that were entered, in the order of the signature."""


current_run: ContextVar[Run] = ContextVar("shadows_run")


def present(name: str) -> Run:
    """The run of the present task.

    Raises:
        RuntimeError: there is none.
    """
    try:
        return current_run.get()
    except LookupError:
        raise RuntimeError(f"{name} has a value only inside a task that a worker runs") from None
