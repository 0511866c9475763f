"""Background: one event loop in a thread of its own, on which a client works for code that has no loop.

It may be used from many threads at once; in a process that was forked off it opens itself anew.
"""

import asyncio
import atexit
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from shadows.errors import ShadowError
from shadows.shadow import Shadow


class Background:
    """A `Shadow` on a loop of its own: it opens at its first use, or with `with`, and closes with the process."""

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
        except BaseException:  # a signal may interrupt a thread anywhere
            if call.given_to is None:
                coroutine.close()
            else:  # interrupted, perhaps after the loop had it
                call.given_to.call_soon_threadsafe(call.abandon)
            raise
        try:
            return call.outcome.result()
        except concurrent.futures.CancelledError:
            raise self._closed() from None
        except BaseException as error:  # an interruption too
            if not call.outcome.done():  # this thread was interrupted: nobody waits for it any more
                loop.call_soon_threadsafe(call.abandon)
            elif loop is not self._loop and type(error) is ShadowError:  # in its words, "not open"
                raise self._closed() from None
            raise

    def _closed(self) -> ShadowError:
        return ShadowError(f"{self!r} was closed while this was waited for")

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
        except BaseException:  # interrupted or refused: the next use begins anew
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
    for one in list(_all):
        one.forked()


def _at_exit() -> None:
    for one in list(_all):
        one.close()


_all: "weakref.WeakSet[Background]" = weakref.WeakSet()
atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
