"""SyncShadow: the client for code without a running event loop (Django, Flask, scripts, `def` tasks).

One event loop runs in a thread of its own behind it. It may be used from many threads at once; in a process that was
forked off it opens itself anew.
"""

import asyncio
import atexit
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self, overload

from shadows.errors import ShadowError
from shadows.execution import Disposition, Execution, ExecutionState
from shadows.shadow import Shadow


class SyncExecution[R]:
    """An `Execution` for code without a loop: the same facts, and blocking methods."""

    __slots__ = ("_execution", "_owner")

    def __init__(self, owner: "SyncShadow", execution: Execution[R]) -> None:
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

    def get_result(self, timeout: timedelta | float | None = None) -> R:
        """What the task returned; as `Execution.get_result`."""
        return self._owner.wait_for(self._execution.get_result(timeout))


class SyncAdding[**P, R](Protocol):
    """What `SyncShadow.add` answers; as `Adding`."""

    @overload
    def __call__[T](
        self: "SyncAdding[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs
    ) -> SyncExecution[T]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> SyncExecution[R]: ...


class SyncShadow:
    """The surface of `Shadow`, blocking: `with SyncShadow() as shadows: shadows.add(greet)("Jane")`.

    Takes what `Shadow` takes. It may also be made once and used without `with`: it opens at its first use and closes
    with the process.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._shadow = Shadow(*args, **kwargs)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._inherited: object = None
        _all.add(self)

    def __repr__(self) -> str:
        return f"<Sync{repr(self._shadow)[1:]}"

    def __enter__(self) -> Self:
        with self._lock:
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Send what is unsent and close; the next use opens it again."""
        self._check_thread()
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is None or thread is None:
                return
            try:
                asyncio.run_coroutine_threadsafe(self._shut(), loop).result()
            finally:
                _end(loop, thread)

    def register(
        self, function: Callable[..., Any], names: Iterable[str] | None = None, queue: str | None = None
    ) -> None:
        """Make a task known; as `Shadow.register`."""
        self._shadow.register(function, names, queue)

    def register_collection(self, path: str, queue: str | None = None) -> None:
        """Make the tasks of `module:member` known; as `Shadow.register_collection`."""
        self._shadow.register_collection(path, queue)

    @overload
    def add[**P, R](
        self,
        function: Callable[P, R],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
    ) -> SyncAdding[P, R]: ...
    @overload
    def add(
        self, function: str, when: datetime | None = None, key: str | None = None, *, queue: str | None = None
    ) -> Callable[..., SyncExecution[Any]]: ...
    def add(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
    ) -> Callable[..., SyncExecution[Any]]:
        """Have a task run, now or later; as `Shadow.add`, and returns once the call is accepted."""
        accept = self._shadow.add(function, when, key, queue=queue)

        def add(*args: Any, **kwargs: Any) -> SyncExecution[Any]:
            async def send() -> Execution[Any]:
                return await accept(*args, **kwargs)

            return SyncExecution(self, self.wait_for(send()))

        return add

    def cancel(self, key: str) -> bool:
        """Cancel an execution; as `Shadow.cancel`."""
        return self.wait_for(self._shadow.cancel(key))

    def get_execution(self, key: str) -> SyncExecution[Any] | None:
        """The execution with that key; as `Shadow.get_execution`."""
        found = self.wait_for(self._shadow.get_execution(key))
        return None if found is None else SyncExecution(self, found)

    def get_result(self, key: str, timeout: timedelta | float | None = None) -> Any:
        """What the execution with that key returned; as `Execution.get_result`."""
        return self.wait_for(Execution[Any](self._shadow, key, "").get_result(timeout))

    def wait_for[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop behind this, and wait for what comes of it.

        Raises:
            ShadowError: called from that very loop, which would wait for ever.
        """
        call = _Call(coroutine)
        try:
            self._check_thread()  # before the lock, whose holder may be waiting for this very loop
            with self._lock:
                loop = self._open()
                call.given_to = loop
                loop.call_soon_threadsafe(call.start)
        except BaseException:
            if call.given_to is None:
                coroutine.close()
            else:  # interrupted, perhaps after the loop had it
                call.given_to.call_soon_threadsafe(call.abandon)
            raise
        try:
            return call.outcome.result()
        except concurrent.futures.CancelledError:
            raise ShadowError(f"{self!r} was closed while this was waited for") from None
        except BaseException:
            if not call.outcome.done():  # this thread was interrupted: nobody waits for it any more
                loop.call_soon_threadsafe(call.abandon)
            raise

    def _check_thread(self) -> None:
        if self._thread is not None and threading.current_thread() is self._thread:
            raise ShadowError("a SyncShadow cannot be used from its own loop: use Shadow in async code")

    def _open(self) -> asyncio.AbstractEventLoop:
        """The loop, started where it does not run; the lock is held."""
        if self._loop is not None:
            return self._loop
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._serve, args=(loop,), name="shadows-sync", daemon=True)
        thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._shadow.__aenter__(), loop)
        try:
            opening.result()
        except BaseException:
            opening.cancel()
            _end(loop, thread)
            raise
        self._loop, self._thread = loop, thread
        return loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop, and thereby keep this alive for as long as it is open."""
        loop.run_forever()

    async def _shut(self) -> None:
        """Close what is open; whoever waits in another thread is told."""
        try:
            await self._shadow.__aexit__(None, None, None)
        finally:
            if others := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in others:
                    task.cancel()
                await asyncio.wait(others)

    def forked(self) -> None:
        """In a process that was forked off: the parent's loop, thread and sockets are not ours."""
        self._inherited = (self._loop, self._thread)
        self._lock = threading.Lock()
        self._loop = self._thread = None
        self._shadow.abandon()


class _Call[T]:
    """A coroutine on its way to the loop behind: from its hand-over on, only that loop's thread touches it."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        self.given_to: asyncio.AbstractEventLoop | None = None
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def start(self) -> None:
        """Run it."""
        self._task = asyncio.ensure_future(self._coroutine)
        self._task.add_done_callback(self._ended)

    def abandon(self) -> None:
        """End it, whether or not it has begun."""
        if self._task is None:
            self._coroutine.close()
        else:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.cancel()
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def _after_fork() -> None:
    for shadows in list(_all):
        shadows.forked()


def _at_exit() -> None:
    for shadows in list(_all):
        shadows.close()


_all: "weakref.WeakSet[SyncShadow]" = weakref.WeakSet()
atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
