"""SyncExecution: an `Execution` for code without a loop."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, Self, overload

from shadows.background import Background
from shadows.execution import Disposition, Execution, ExecutionState
from shadows.progress import ProgressReport


class SyncExecution[R]:
    """An `Execution` for code without a loop: the same facts, and blocking methods."""

    __slots__ = ("_execution", "_owner")

    def __init__(self, owner: Background, execution: Execution[R]) -> None:
        self._owner = owner
        self._execution = execution

    def __repr__(self) -> str:
        return repr(self._execution)

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self._execution.key

    @property
    def function_name(self) -> str:
        """The name of its task."""
        return self._execution.function_name

    @property
    def function(self) -> Callable[..., Any]:
        """Its task; where that is not known here, a placeholder that bears its name."""
        return self._execution.function

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments, where they are known here."""
        return self._execution.args

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its named arguments, where they are known here."""
        return self._execution.kwargs

    @property
    def queue(self) -> str:
        """The queue that it goes through."""
        return self._execution.queue

    @property
    def when(self) -> datetime | None:
        """The instant it was to run at."""
        return self._execution.when

    @property
    def attempt(self) -> int:
        """Which run it is in, or was in last; counted from 1."""
        return self._execution.attempt

    @property
    def fence(self) -> int:
        """A number for outside systems to order writes by; 0 where it is not known."""
        return self._execution.fence

    @property
    def progress(self) -> ProgressReport:
        """How far its present run has come."""
        return self._execution.progress

    @property
    def expires(self) -> datetime | None:
        """From when on it is not started any more; None: it never expires."""
        return self._execution.expires

    @property
    def worker(self) -> str | None:
        """Who runs it, or ran it last."""
        return self._execution.worker

    @property
    def started_at(self) -> datetime | None:
        """When its last run began."""
        return self._execution.started_at

    @property
    def completed_at(self) -> datetime | None:
        """When it ended."""
        return self._execution.completed_at

    @property
    def error(self) -> str | None:
        """`"ValueError: text"` where it failed."""
        return self._execution.error

    @property
    def disposition(self) -> Disposition | None:
        """What became of the `add` that answered it."""
        return self._execution.disposition

    @property
    def state(self) -> ExecutionState:
        """Where it stood at the last `sync()`."""
        return self._execution.state

    def sync(self) -> Self:
        """Look where it stands; answers itself."""
        self._owner.wait_for(self._execution.sync())
        return self

    def get_result(self, timeout: timedelta | float | None = None, deadline: datetime | None = None) -> R:
        """What the task returned; as `Execution.get_result`."""
        return self._owner.wait_for(self._execution.get_result(timeout, deadline))


class SyncAdding[**P, R](Protocol):
    """What `SyncShadow.add` answers; as `Adding`."""

    @overload
    def __call__[T](
        self: "SyncAdding[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs
    ) -> SyncExecution[T]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> SyncExecution[R]: ...
