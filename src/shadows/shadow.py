"""Shadow: the client. It accepts calls of tasks, to run now or later, and knows where each of them stands."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self, overload

from shadows.clock import Clock, SystemClock, as_datetime, as_instant_us
from shadows.errors import ShadowError
from shadows.execution import Disposition, Execution, ExecutionState
from shadows.letters import DeadLetter, discard, list_letters, requeue
from shadows.payload.call import Call, encode_call
from shadows.protocol.batcher import Batcher
from shadows.protocol.connection import Address, Link, check_server
from shadows.protocol.cycle import Limits
from shadows.protocol.execution import Cancelled, Found, cancel, find
from shadows.protocol.keys import check_key, check_queue
from shadows.protocol.operator import ALL, clear, pause, purge, resume
from shadows.protocol.schedule import Answer, Item
from shadows.protocol.store import Store
from shadows.snapshot import Snapshot, WorkerInfo, list_workers, take_snapshot
from shadows.tasks.collections import load_collection
from shadows.tasks.plan import Plan
from shadows.tasks.registry import Registry
from shadows.view import View

DEFAULT_URL = "redis://localhost:6379/0"
MAX_CALL_BYTES = 1024 * 1024


class Adding[**P, R](Protocol):
    """What `add` answers: to be called with the task's own arguments, and awaited.

    The result's type is found here and not by overloads of `add`: among these, mypy gives up where a task has `Any` in
    its signature.
    """

    @overload
    def __call__[T](
        self: "Adding[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, Execution[T]]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Execution[R]]: ...


class Shadow:
    """A named set of tasks on one Redis or Valkey, as its clients see it: `async with Shadow() as shadows: …`.

    Args:
        name: which shadow; everything of it stands under this name. Default "shadows".
        url: where the server is: redis://, rediss://, unix://, memory:// (an embedded server, gone with this process) or
            embedded:///DIR (one that is kept on disk). Default: the environment's SHADOWS_URL, then
            redis://localhost:6379/0.
        heartbeat_interval: how often workers write what they say of themselves. Default 2 s.
        missed_heartbeats: how many of these may be missing before a worker counts as gone. Default 5.
        execution_ttl: how long the record of an ended execution (and its result) is kept. Default 15 min; 0 keeps none.
        max_ended: how many such records are kept at most. Default 100,000.
        max_dead: how many dead letters are kept at most. Default 10,000.
        clock: the source of time; only tests need another than the system's.

    Raises:
        InvalidName: a name or URL that cannot be used.
        ValueError: a limit or interval that makes no sense.
    """

    def __init__(
        self,
        name: str = "shadows",
        url: str | None = None,
        *,
        heartbeat_interval: timedelta = timedelta(seconds=2),
        missed_heartbeats: int = 5,
        execution_ttl: timedelta = timedelta(minutes=15),
        max_ended: int = 100_000,
        max_dead: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        if heartbeat_interval <= timedelta(0):
            raise ValueError(f"heartbeat_interval={heartbeat_interval!r}: more than nothing")
        if missed_heartbeats < 1:
            raise ValueError(f"missed_heartbeats={missed_heartbeats!r}: at least 1")
        if execution_ttl < timedelta(0):
            raise ValueError(f"execution_ttl={execution_ttl!r}: nothing (0 keeps no records) or more")
        if max_ended < 1 or max_dead < 1:
            raise ValueError(f"max_ended={max_ended!r}, max_dead={max_dead!r}: at least 1 each")
        address = Address(url or os.environ.get("SHADOWS_URL") or DEFAULT_URL)
        self.store = Store(name, address)
        self.name = name
        self.url = address.shown
        self.heartbeat_interval = heartbeat_interval
        self.missed_heartbeats = missed_heartbeats
        self.limits = Limits(execution_ttl // timedelta(milliseconds=1), max_ended, max_dead)
        self.clock: Clock = clock or SystemClock()
        self.tasks = Registry(name)
        self._link = Link(address)
        self._batcher: Batcher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack = AsyncExitStack()
        self._inherited: object = None

    def __repr__(self) -> str:
        return f"<Shadow {self.name!r} on {self.url}>"

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ShadowError(f"{self!r} is open already: open it once, and share it")
        async with AsyncExitStack() as stack:
            sending = Link(self.store.address)
            stack.push_async_callback(self._link.close)
            stack.push_async_callback(sending.close)
            await check_server(sending)
            await self.store.enroll(sending, (plan.queue for plan in self.plans()))
            self._batcher = batcher = Batcher(self.store, sending, self.clock.stamp)
            flusher = asyncio.create_task(batcher.run(), name=f"shadows:{self.name}:batcher")

            async def flush() -> None:
                self._batcher = None  # what is added from here on is refused, as nobody would send it
                batcher.close()
                await flusher

            stack.push_async_callback(flush)
            self._loop = asyncio.get_running_loop()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._stack.aclose()
        finally:
            self._batcher = self._loop = None

    def register(
        self, function: Callable[..., Any], names: Iterable[str] | None = None, queue: str | None = None
    ) -> None:
        """Make a task known to this shadow's workers, under its own name or under others.

        Args:
            function: a sync or async function, method, partial or callable object.
            names: the names it goes by. Default: its `__name__`.
            queue: the queue that its executions go through unless `add` names another. Default "default".

        Raises:
            InvalidTask: it cannot be a task, its dependencies conflict, or another task has the name.
        """
        self.tasks.register(function, names, queue)

    def register_collection(self, path: str, queue: str | None = None) -> None:
        """Make all tasks known that `module:member` holds: a task, an iterable of them, or a mapping of names to them.

        Raises:
            InvalidTask: it cannot be imported, or holds something that is not a task.
        """
        for function, names in load_collection(path):
            self.tasks.register(function, names, queue)

    @overload
    def add[**P, R](
        self,
        function: Callable[P, R],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
    ) -> Adding[P, R]: ...
    @overload
    def add(
        self, function: str, when: datetime | None = None, key: str | None = None, *, queue: str | None = None
    ) -> Callable[..., Coroutine[Any, Any, Execution[Any]]]: ...
    def add(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
    ) -> Callable[..., Coroutine[Any, Any, Execution[Any]]]:
        """Have a task run, now or later: `await shadows.add(greet, when=…)("Jane")`.

        Args:
            function: the task, or the name of one that is registered (its arguments are then not checked by types).
            when: an aware datetime; in the past, or None: at once. Never earlier.
            key: the idempotency key: while an execution with it is unfinished, adding another changes nothing, and answers
                the one that stands. Default: a random one.
            queue: the queue it goes through. Default: the task's own.

        Returns:
            A function that takes the task's arguments and, awaited, answers once the call is accepted: from then on it
            will run.

        Raises:
            InvalidTask, KeyError: it cannot be a task; no task has the name.
            InvalidName: a key or queue that cannot be used.
            ValueError: `when` without a timezone.
            TypeError: arguments that do not fit, are injected, or cannot travel (EncodingError).
            Overloaded: the server refuses writes; nothing was accepted.
            ServerUnreachable: no answer; adding again with the same key (the message has it) is harmless.
        """
        plan = self._plan(function)
        when_us = None if when is None else as_instant_us(when)
        if key is not None:
            check_key(key)
        target = plan.queue if queue is None else check_queue(queue)

        def accept(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Execution[Any]]:
            arguments = plan.encode(args, kwargs)
            due_us = self.clock.now_us() if when_us is None else when_us
            call = encode_call(Call(plan.name, arguments, due_us))
            if len(call) > MAX_CALL_BYTES:
                raise ValueError(
                    f"{plan.name}: its arguments take {len(call):,} bytes, a call may have {MAX_CALL_BYTES:,}: store the "
                    "data elsewhere and pass a reference to it"
                )
            item = Item(key or uuid.uuid4().hex, target, 0 if when_us is None else -(-when_us // 1000), call)
            return self._accept(item, plan.name, args, kwargs, due_us)

        return accept

    async def cancel(self, key: str) -> bool:
        """Cancel an execution: one that has not started never runs, and its key is free at once; one that runs is told.

        Returns:
            True where there was one; False where nothing unfinished has the key.

        Raises:
            InvalidName: a key that cannot be one.
            ServerUnreachable: no answer; cancelling again is harmless.
        """
        self._check_open()
        answer = await cancel(self.store, self._link, check_key(key), self.limits, stamp=self.clock.stamp())
        if answer is Cancelled.BAD:
            raise ShadowError(
                f"the execution {key!r} stands in a queue whose key holds something else: mend that key first"
            )
        return answer is not Cancelled.NONE

    def abandon(self) -> None:
        """In a process that was forked off: leave the open connections to the parent, so that it can be opened here."""
        self._inherited = (
            self._loop,
            self._link,
            self._stack,
        )  # kept: ending them here would disturb the parent's
        self._loop = self._batcher = None
        self._link, self._stack = Link(self.store.address), AsyncExitStack()

    async def get_execution(self, key: str) -> Execution[Any] | None:
        """The execution with that key, unfinished or ended (until its record goes); None where there is none."""
        found = await self.find(check_key(key))
        execution = Execution[Any](self, key, "")
        execution.update(found)
        return None if execution.state is ExecutionState.UNKNOWN else execution

    async def find(self, key: str) -> Found:
        """Where the execution with that key stands, in the protocol's words."""
        self._check_open()
        return await find(self.store, self._link, key)

    def plan(self, function_name: str) -> Plan | None:
        """The plan of the task with that name; None where this shadow does not know it."""
        return self.tasks.find(function_name)

    async def snapshot(self, *, limit: int = 1000) -> Snapshot:
        """What is scheduled, ready, running, waiting and dead, and who is alive.

        Totals are exact whatever there is; a backlog is never loaded whole.

        Args:
            limit: how many of each kind (scheduled, ready, waiting, running) to list at most. Default 1000; 0 lists none.

        Raises:
            ValueError: a negative limit.
            ServerUnreachable: no answer.
        """
        return await take_snapshot(self._view(), limit)

    async def workers(self) -> list[WorkerInfo]:
        """The living workers, by name: each has its lease, and was heard of lately (`missed_heartbeats`)."""
        return await list_workers(self._view())

    async def task_workers(self, name: str) -> list[WorkerInfo]:
        """The living workers that can run the task of that name."""
        return [worker for worker in await self.workers() if name in worker.tasks]

    async def clear(self) -> int:
        """Remove all that is scheduled, waiting or ready; how many tasks that were.

        They end as cancelled and their keys are free at once. What runs goes on. Where no worker is alive and nothing
        runs, the records of what ended and the bookkeeping of limits go too. Dead letters, strikes and pauses stay. What is
        added meanwhile may be removed or not.

        Raises:
            ServerUnreachable: no answer; some may have been removed, and clearing again removes the others.
        """
        self._check_open()
        total, more = 0, True
        while more:
            removed, more = await clear(self.store, self._link, self.limits, stamp=self.clock.stamp())
            total += removed
        return total

    async def purge(self) -> None:
        """Remove everything of this shadow from the server, running tasks, dead letters and strikes too: as if it never was.

        For the ends of tests, and for good: workers that are alive lose what they run.
        """
        self._check_open()
        await purge(self.store, self._link)

    async def pause(self, queue: str | None = None) -> None:
        """Have workers take nothing more from a queue, from their next cycle on, until `resume`; restarts change nothing.

        What runs goes on, what is added is kept.

        Args:
            queue: which; it need not exist yet. Default: all, those to come too.

        Raises:
            InvalidName: not a queue's name.
        """
        self._check_open()
        await pause(self.store, self._link, ALL if queue is None else check_queue(queue))

    async def resume(self, queue: str | None = None) -> None:
        """Have workers take from a queue again.

        Args:
            queue: which; while all are paused (`pause()`) it stays paused with them. Default: all, whichever were paused.

        Raises:
            InvalidName: not a queue's name.
        """
        self._check_open()
        await resume(self.store, self._link, ALL if queue is None else check_queue(queue))

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """What failed for good, newest first.

        Args:
            limit: how many at most. Default 100.
            before: the id of the last one of the page before. Default: begin with the newest.

        Raises:
            ValueError: a limit below 1, or no letter has the id `before` any more.
        """
        return await list_letters(self._view(), limit, before)

    async def requeue(self, id: str) -> Execution[Any]:  # noqa: A002 - what it is called
        """Run a dead letter's task again: at once, under its own key, through its own queue, as a first attempt.

        It does not expire any more. Asking twice runs it once.

        Raises:
            NotRequeued: no letter has the id (any more), its key belongs to an unfinished execution, or its call is lost.
        """
        return await requeue(self._view(), id)

    async def discard(self, id: str) -> bool:  # noqa: A002 - what it is called
        """Throw a dead letter away; False where none has the id."""
        return await discard(self._view(), id)

    def _view(self) -> View:
        self._check_open()
        silence = self.heartbeat_interval * self.missed_heartbeats
        return View(self, self.store, self._link, self.clock.stamp(), silence // timedelta(milliseconds=1))

    async def _accept(
        self, item: Item, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], due_us: int
    ) -> Execution[Any]:
        answer = await self._check_open().submit(item)
        if answer is Answer.EXISTS:
            standing = Execution[Any](self, item.key, name, disposition=Disposition.ALREADY_SCHEDULED)
            return await standing.sync()
        later = item.instant_ms and due_us > self.clock.now_us()
        return Execution(
            self,
            item.key,
            name,
            args=args,
            kwargs=kwargs,
            queue=item.queue,
            when=as_datetime(due_us),
            disposition=Disposition.SCHEDULED,
            state=ExecutionState.SCHEDULED if later else ExecutionState.QUEUED,
        )

    def _plan(self, function: Callable[..., Any] | str) -> Plan:
        if not isinstance(function, str):
            return self.tasks.add(function)
        plan = self.tasks.find(function)
        if plan is None:
            raise KeyError(
                f"no task is called {function!r}: register it first, with register(…) or register_collection(…)"
            )
        return plan

    def plans(self) -> list[Plan]:
        """The plans of all known tasks."""
        return [plan for name in self.tasks if (plan := self.tasks.find(name))]

    def _check_open(self) -> Batcher:
        batcher, loop = self._batcher, self._loop
        if batcher is None or loop is None:
            raise ShadowError(f"{self!r} is not open: use it inside `async with`")
        if loop is not asyncio.get_running_loop():
            raise ShadowError(
                f"{self!r} was opened on another event loop: use SyncShadow from threads and other loops"
            )
        return batcher
