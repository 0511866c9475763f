"""The run that a coroutine is part of: what contextual dependencies and behaviours see of it."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from shadows.progress import ProgressReport
from shadows.protocol.schedule import Item

if TYPE_CHECKING:
    from shadows.execution import Execution
    from shadows.shadow import Shadow
    from shadows.worker import Worker

    from .behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class Host:
    """What all runs of one worker have in common."""

    shadow: "Shadow"
    worker: "Worker"
    describe: Callable[["Run"], "Execution[Any]"]
    """Builds the execution for whoever asks for it: most tasks do not."""
    report: Callable[[str, str], ProgressReport]
    """Begins the report of how far the run of a token and key has come, for whoever asks: most tasks do not."""


class Run(msgspec.Struct, eq=False):
    """One run of one execution, for as long as it lasts."""

    host: Host
    job: Any
    """What the worker knows of it, which is nobody else's business."""
    task: str
    key: str
    token: str
    attempt: int
    when_us: int
    """The instant that the run is for."""
    started_us: int
    behaviours: list["Behaviour[Any]"] = []
    """Those that were entered, in the order of the signature."""
    followers: list[Item] | None = None
    """What is to be scheduled with its success."""
    next_run: Item | None = None
    """What the task added under its own key: it is scheduled with the run's end."""
    ended: bool = False
    """Whether what follows is settled: from then on the run takes no more wishes."""
    _execution: "Execution[Any] | None" = None
    _report: ProgressReport | None = None

    @property
    def shadow(self) -> "Shadow":
        """The shadow that it was taken from."""
        return self.host.shadow

    @property
    def worker(self) -> "Worker":
        """The worker that makes it."""
        return self.host.worker

    @property
    def queue(self) -> str:
        """The queue that it was taken from."""
        return self.token.partition("/")[0]

    @property
    def execution(self) -> "Execution[Any]":
        """The execution that is being run: one object for all that ask."""
        if self._execution is None:
            self._execution = self.host.describe(self)
        return self._execution

    @property
    def progress(self) -> ProgressReport:
        """How far it has come."""
        if self._report is None:
            self._report = self.host.report(self.token, self.key)
        return self._report


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


def own_next_run(shadow: str, url: str, item: Item) -> bool:
    """Whether a call is one that a running task adds under its own key: then it is recorded with the end of the run."""
    run = current_run.get(None)
    if run is None or run.ended or run.key != item.key or (run.shadow.name, run.shadow.url) != (shadow, url):
        return False
    run.next_run = item
    return True
