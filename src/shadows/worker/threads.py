"""Where `def` tasks run: threads, with the context of their run."""

import asyncio
import contextvars
import functools
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .job import Stop

_PREFIX = "shadows-task-"
_LEAVING = (Stop.LEASE_LOST.value, Stop.SHUTDOWN.value)


class Threads:
    """The threads of one worker, each started when there is something to run."""

    def __init__(self, most: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=_PREFIX + name)

    def close(self) -> None:
        """Take nothing more; what runs is not waited for."""
        self._pool.shutdown(wait=False)

    async def run(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        ready: Callable[[], None],
    ) -> object:
        """Call a function in a thread, with the context variables of here, and answer what it returned.

        What is cancelled while it waits for a thread is never called. A thread cannot be stopped: whoever cancels what runs
        waits until it has returned, unless the process ends or others run the task.

        Args:
            ready: called by the thread just before the function, which is not called where this raises.
        """
        context = contextvars.copy_context()

        def call() -> object:
            ready()
            return context.run(function, *args, **kwargs)

        calling = self._pool.submit(call)
        future = asyncio.wrap_future(calling)
        wish: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                if calling.cancel() or (error.args and error.args[0] in _LEAVING):
                    raise
                wish = error
        if wish is not None:
            raise wish
        result: object = future.result()
        if inspect.isawaitable(result):  # a def that hands on a coroutine, as decorators do
            return await result
        return result

    def called(self, function: Callable[..., Any], ready: Callable[[], None]) -> Callable[..., Any]:
        """The function as an async one that runs it in a thread; `ready` as for `run`."""

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> object:
            return await self.run(function, args, kwargs, ready)

        return call


def still_running(patience: float) -> list[threading.Thread]:
    """The threads that have not ended after so many seconds, of workers that have: only the process ends them."""
    ends = time.monotonic() + patience
    mine = [thread for thread in threading.enumerate() if thread.name.startswith(_PREFIX)]
    for thread in mine:
        thread.join(max(0.0, ends - time.monotonic()))
    return [thread for thread in mine if thread.is_alive()]
