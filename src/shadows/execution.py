"""Execution: one call of a task, where it stands, and what came of it."""

import asyncio
import enum
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypedDict, cast, overload

from shadows.clock import as_datetime, as_instant_us
from shadows.errors import ExecutionCancelled, PayloadError, ResultUnavailable, ShadowError, TaskFailed
from shadows.events import Watch
from shadows.payload.call import decode_call
from shadows.payload.failures import revive
from shadows.payload.outcomes import Record, decode_record
from shadows.payload.values import decode_value
from shadows.progress import ProgressReport, read_progress
from shadows.protocol.blob import split_blob
from shadows.protocol.execution import Found, Stand
from shadows.tasks.plan import Plan


class Disposition(enum.StrEnum):
    """What became of an `add`."""

    SCHEDULED = "scheduled"
    ALREADY_SCHEDULED = "already_scheduled"
    """The key was taken by an unfinished execution, which stands; nothing was added."""
    STRUCK = "struck"
    """It is stricken: it was not scheduled, its key is free, and its call is kept among the dead letters."""


class ExecutionState(enum.StrEnum):
    """Where an execution stands."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """It was not started in time, and was not run."""
    UNKNOWN = "unknown"
    """Nothing is known of the key: it never was, or its record is gone."""


type FollowUp = Callable[
    [Callable[..., Any] | str, datetime | None, str | None, str | None], Callable[..., str]
]
"""Takes a function, an instant, a key and a queue, and answers what takes the arguments."""


class Source(Protocol):
    """Where an execution looks itself up."""

    async def find(self, key: str) -> Found: ...

    def watch(self, key: str) -> AbstractAsyncContextManager[Watch]: ...

    def plan(self, function_name: str) -> Plan | None: ...


class StateEvent(TypedDict):
    """An execution is in another state."""

    type: Literal["state"]
    key: str
    state: ExecutionState
    when: str | None
    worker: str | None
    started_at: str | None
    completed_at: str | None
    error: str | None


class ProgressEvent(TypedDict):
    """An execution has come further."""

    type: Literal["progress"]
    key: str
    current: int | None
    total: int
    message: str | None


_FIRST_LOOK, _LAST_LOOK = 1.0, 5.0
"""Seconds between looks of one who waits, besides the news that he hears: none is trusted to arrive."""
_LEAST_PATIENCE = 0.1
"""Seconds that `get_result` takes at least: with a timeout of 0, one look."""
_GIVEN_UP = "given up: its workers died while it ran, none knew its task, or its call could not be read"


class Execution[R]:
    """One call of a task. Its facts are as of the last `sync()` (or of its adding).

    Attributes:
        key: its idempotency key.
        function_name: the name of its task.
        args, kwargs: its arguments, where they are known here; else empty.
        queue: the queue that it goes through.
        disposition: what became of the `add` that answered it; None for one that was looked up.
        state: where it stands.
        attempt: which run it is in, or was in last; counted from 1.
        fence: a number for outside systems to order writes by: that of a later run is greater. 0 where it is not known.
        expires: from when on it is not started any more; None: it never expires.
        worker: who runs it, or ran it last; None where nobody has.
        started_at, completed_at: of the last run.
        error: `"ValueError: text"` where it failed; else None.
    """

    __slots__ = (
        "_progress", "_record", "_source", "_when", "_when_us", "args", "attempt", "completed_at", "disposition", "error",
        "expires", "fence", "function_name", "key", "kwargs", "queue", "started_at", "state", "then_run", "worker",
    )  # fmt: skip

    _record: Record | None
    _when: datetime | None
    _progress: ProgressReport | None
    worker: str | None
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None
    then_run: FollowUp | None
    """Where its own task leaves what is to follow; None for all but the execution that is being run."""

    def __init__(
        self,
        source: Source,
        key: str,
        function_name: str,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        queue: str = "",
        when: datetime | None = None,
        disposition: Disposition | None = None,
        state: ExecutionState = ExecutionState.UNKNOWN,
        attempt: int = 1,
        worker: str | None = None,
        expires: datetime | None = None,
        fence: int = 0,
        progress: ProgressReport | None = None,
        when_us: int | None = None,
    ) -> None:
        self._begin(
            source, key, function_name, tuple(args), dict(kwargs) if kwargs else {}, queue, when_us, disposition, state, expires
        )  # fmt: skip
        if when is not None:
            self._when = when
        self.attempt = attempt
        self.worker = worker
        self.fence = fence
        self._progress = progress

    def _begin(
        self, source: Source, key: str, function_name: str, args: tuple[Any, ...], kwargs: dict[str, Any], queue: str,
        when_us: int | None, disposition: Disposition | None, state: ExecutionState, expires: datetime | None,
    ) -> None:  # fmt: skip
        self._source = source
        self._record = None
        self.key = key
        self.function_name = function_name
        self.args = args
        self.kwargs = kwargs
        self.queue = queue
        self._when = None
        self._when_us = when_us
        self.disposition = disposition
        self.state = state
        self.attempt = 1
        self.worker = None
        self.expires = expires
        self.fence = 0
        self._progress = None
        self.started_at = self.completed_at = self.error = self.then_run = None

    def __repr__(self) -> str:
        return f"<Execution {self.function_name} key={self.key!r} {self.state.value}>"

    @property
    def when(self) -> datetime | None:
        """The instant it was to run at."""
        if self._when_us is not None:  # most are never asked
            self._when, self._when_us = as_datetime(self._when_us), None
        return self._when

    @when.setter
    def when(self, when: datetime | None) -> None:
        self._when, self._when_us = when, None

    @property
    def progress(self) -> ProgressReport:
        """How far its present run has come."""
        if self._progress is None:
            self._progress = ProgressReport()
        return self._progress

    @progress.setter
    def progress(self, progress: ProgressReport) -> None:
        self._progress = progress

    @property
    def function(self) -> Callable[..., Any]:
        """Its task; where that is not known here, a placeholder that bears its name."""
        plan = self._source.plan(self.function_name)
        return _placeholder(self.function_name) if plan is None else plan.function

    async def sync(self) -> "Execution[R]":
        """Look where the execution stands; answers itself."""
        self.update(await self._source.find(self.key))
        return self

    @overload
    def then[**P](
        self,
        function: Callable[P, Any],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
    ) -> Callable[P, str]: ...
    @overload
    def then(
        self, function: str, when: datetime | None = None, key: str | None = None, *, queue: str | None = None
    ) -> Callable[..., str]: ...
    def then(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
    ) -> Callable[..., str]:
        """Have another task follow this one's success: `CurrentExecution().then(send, key="k")(address)`; answers its key.

        It is scheduled in the same step that records the success, or not at all: nothing follows a run that fails, is
        retried or is cancelled. Arguments are checked at once. Where the key is taken by then, nothing is added. A run has
        at most 100 of them.

        Args:
            function, when, key, queue: as of `Shadow.add`. The task's own key: its next run, which follows a final
                failure too.

        Raises:
            RuntimeError: this is not the execution that is being run; or it has 100 already.
            InvalidTask, KeyError, InvalidName, ValueError, TypeError: as of `Shadow.add`.
        """
        if self.then_run is None:
            raise RuntimeError(
                f"{self!r} is not being run here: then() is for the task itself, with CurrentExecution()"
            )
        return self.then_run(function, when, key, queue)

    async def get_result(
        self, timeout: timedelta | float | None = None, deadline: datetime | None = None
    ) -> R:
        """What the task returned; waits until it has ended, `timeout` (seconds, or a timedelta) at most.

        Args:
            timeout: how long to wait. Default: without end.
            deadline: until when to wait, in its place.

        Raises:
            Exception: the task's own, where its class is a builtin; else TaskFailed, with its name and message.
            ExecutionCancelled: it was cancelled, or had expired.
            ResultUnavailable: it ended, and its record is gone or holds no result that could be encoded.
            TimeoutError: it has not ended in time; it goes on.
            ServerUnreachable: no answer; waiting again is harmless.
            ValueError: both a timeout and a deadline, or a deadline without a timezone.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if deadline is not None:
            if seconds is not None:
                raise ValueError(f"timeout={timeout!r}, deadline={deadline!r}: give one of them")
            seconds = (as_instant_us(deadline) - time.time_ns() // 1000) / 1_000_000
        try:
            async with asyncio.timeout(None if seconds is None else max(seconds, _LEAST_PATIENCE)):
                if (await self.sync()).state in _UNFINISHED:
                    await self._see_it_end()
        except TimeoutError:
            raise TimeoutError(f"{self!r} has not ended within {seconds} seconds") from None
        return self._outcome()

    async def subscribe(
        self, ready: asyncio.Event | None = None
    ) -> AsyncGenerator[StateEvent | ProgressEvent]:
        """What happens to the execution, until it has ended: first its present state and progress, then every change.

        Args:
            ready: set as soon as no change is missed any more.
        """
        async with self._source.watch(self.key) as watch:
            await self.sync()
            if ready is not None:
                ready.set()
            yield self._state_event()
            yield self._progress_event()
            patience = _FIRST_LOOK
            while self.state in _UNFINISHED:
                state, progress = self.state, self.progress
                news = await watch.next(patience)
                patience = min(patience * 2, _LAST_LOOK)
                if news is not None and news.state in _PASSING:
                    self.state, self.worker = ExecutionState(news.state), news.worker or self.worker
                    if self.state is ExecutionState.RUNNING:
                        await self._learn_of_run()
                else:
                    await self.sync()
                if self.state is not state:
                    yield self._state_event()
                if self.progress != progress:
                    yield self._progress_event()

    async def _learn_of_run(self) -> None:
        """The facts of the run that has begun, unless it is over already: its end is told by what comes next."""
        found = await self._source.find(self.key)
        if found.stand is Stand.RUNNING:
            self.update(found)

    async def _see_it_end(self) -> None:
        async with self._source.watch(self.key) as watch:
            patience = _FIRST_LOOK
            while (await self.sync()).state in _UNFINISHED:
                news = await watch.next(patience)
                while news is not None and news.state in _UNENDED:
                    news = await watch.next(patience)
                patience = min(patience * 2, _LAST_LOOK)

    def _state_event(self) -> StateEvent:
        return {
            "type": "state",
            "key": self.key,
            "state": self.state,
            "when": _text(self.when),
            "worker": self.worker,
            "started_at": _text(self.started_at),
            "completed_at": _text(self.completed_at),
            "error": self.error,
        }

    def _progress_event(self) -> ProgressEvent:
        report = self.progress
        return {
            "type": "progress",
            "key": self.key,
            "current": report.current,
            "total": report.total,
            "message": report.message,
        }

    def update(self, found: Found) -> None:
        """Take over what was found."""
        match found.stand:
            case Stand.NONE:
                self.state = ExecutionState.UNKNOWN
                return
            case Stand.ENDED:
                self._take_record(found)
            case stand:
                self._take_stand(stand, found)
        self.queue = found.queue or self.queue
        self.fence = fence_of(found.token) or self.fence
        if found.stand is Stand.RUNNING:
            self.progress = read_progress(found.progress)
        try:
            self.attempt, _, _, call_data = split_blob(found.blob)
            call = decode_call(call_data)
        except (ValueError, PayloadError):
            return
        self.function_name = call.function
        self.expires = as_datetime(call.expires_us) if call.expires_us else None
        exact = found.stand is not Stand.SCHEDULED or -(-call.when_us // 1000) == found.instant_ms
        self.when = as_datetime(call.when_us if exact else found.instant_ms * 1000)
        plan = self._source.plan(call.function)
        if plan is not None:
            try:
                args, kwargs = plan.decode(call.arguments)
            except PayloadError:
                return
            self.args, self.kwargs = tuple(args), kwargs

    def _take_stand(self, stand: Stand, found: Found) -> None:
        if self.completed_at is not None:  # the key has another life
            self._record = self.worker = self.started_at = self.completed_at = self.error = None
        self.state = ExecutionState(stand.value.lower())
        if found.worker:
            self.worker = found.worker.partition("#")[0]

    def _take_record(self, found: Found) -> None:
        self.state = ExecutionState(found.state)
        self.completed_at = as_datetime(found.instant_ms * 1000)
        self._record, self.error = None, None
        if not found.info:
            if self.state is ExecutionState.FAILED:
                self.error = _GIVEN_UP
            return
        record = self._record = decode_record(found.info)
        self.function_name = record.function
        self.worker = record.worker
        self.attempt = record.attempt
        self.started_at = as_datetime(record.started_us)
        self.completed_at = as_datetime(record.completed_us)
        if record.failure is not None:
            self.error = f"{record.failure.type_name}: {record.failure.message}"

    def _outcome(self) -> R:
        record = self._record
        match self.state:
            case ExecutionState.CANCELLED:
                raise ExecutionCancelled(f"{self!r} was cancelled")
            case ExecutionState.EXPIRED:
                raise ExecutionCancelled(f"{self!r} was not started before it expired, and so not run")
            case ExecutionState.FAILED if record is not None and record.failure is not None:
                raise revive(record.failure)
            case ExecutionState.FAILED:
                raise TaskFailed(f"{self!r} was {_GIVEN_UP}")
            case ExecutionState.COMPLETED if record is not None and record.result is not None:
                value = decode_value(record.result)
                plan = self._source.plan(record.function)
                if plan is not None and plan.result_adapter is not None:
                    value = plan.result_adapter.lift(value, "the result")
                return cast("R", value)
            case _:
                raise ResultUnavailable(
                    f"{self!r} has ended or never was, and no result of it is kept: results stay for execution_ttl after "
                    "the end, and only where the codec carries them"
                )


def fence_of(token: str) -> int:
    """The number of a run's token; 0 where it has none."""
    ms, dash, nth = token.rpartition("/")[2].partition("-")
    return (int(ms) << 20) + int(nth) if dash else 0


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _placeholder(name: str) -> Callable[..., Any]:
    async def placeholder(*args: object, **kwargs: object) -> None:  # noqa: ARG001 - takes whatever the task takes
        raise ShadowError(f"the task {name!r} is not known here: register it")

    placeholder.__name__ = placeholder.__qualname__ = name
    return placeholder


_UNFINISHED = {
    ExecutionState.SCHEDULED,
    ExecutionState.QUEUED,
    ExecutionState.RUNNING,
    ExecutionState.WAITING,
}
_PASSING = {"scheduled", "queued", "running", "waiting"}
_UNENDED = {*_PASSING, "progress"}


def answered(
    source: Source, key: str, function_name: str, args: tuple[Any, ...], kwargs: dict[str, Any], queue: str, when_us: int,
    disposition: Disposition, state: ExecutionState, expires: datetime | None,
) -> Execution[Any]:  # fmt: skip
    """The execution of a call that was just answered: made in half the time, which counts where there are many."""
    execution: Execution[Any] = object.__new__(Execution)  # pyright: ignore[reportUnknownVariableType]
    begin = execution._begin  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (this module's own, but no method for users)
    begin(source, key, function_name, args, kwargs, queue, when_us, disposition, state, expires)
    return execution
