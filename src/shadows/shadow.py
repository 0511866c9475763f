"""Shadow: the client. It accepts calls of tasks, to run now or later, and knows where each of them stands."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from redis.credentials import CredentialProvider

from shadows.caller import Caller
from shadows.checks import check_duration
from shadows.clock import Clock, SystemClock
from shadows.delivery import Delivery
from shadows.errors import BrokenKey, ShadowError
from shadows.events import Events, Watch
from shadows.execution import Execution, ExecutionState
from shadows.letters import DeadLetter, discard, list_letters, requeue
from shadows.protocol.batcher import Batcher
from shadows.protocol.connection import Address, Link, check_server, url_or_default
from shadows.protocol.cycle import Limits
from shadows.protocol.execution import Cancelled, Found, cancel, find
from shadows.protocol.keys import check_key, check_queue
from shadows.protocol.operator import ALL, clear, pause, purge, resume
from shadows.protocol.store import Store
from shadows.snapshot import Snapshot, WorkerInfo, list_workers, take_snapshot
from shadows.strike_list import Strikes
from shadows.strikes import Operator, Strike, check_parameter
from shadows.tasks.registry import Registry
from shadows.telemetry.meter import Meter
from shadows.view import View


class Shadow(Caller):
    """A named set of tasks on one Redis or Valkey, as its clients see it: `async with Shadow() as shadows: …`.

    Args:
        name: which shadow; everything of it stands under this name. Default "shadows".
        url: where the server is: redis://, rediss://, unix://, memory:// (an embedded server, gone with this process) or
            embedded:///DIR (one that is kept on disk); several are redis+cluster://HOST,HOST and
            redis+sentinel://HOST,HOST/NAME (rediss+… with TLS). Default: the environment's SHADOWS_URL, then
            redis://localhost:6379/0.
        heartbeat_interval: how often workers write what they say of themselves. Default 2 s.
        missed_heartbeats: how many of these may be missing before a worker counts as gone. Default 5.
        execution_ttl: how long the record of an ended execution (and its result) is kept. Default 15 min; 0 keeps none.
        max_ended: how many such records are kept at most. Default 100,000.
        max_dead: how many dead letters are kept at most, for 30 days. Default 10,000.
        durable: how many replicas must have a call before `add`, `replace` and their like answer: Redis' WAIT. Without so
            many within 5 s they raise NotReplicated. It makes the loss of an accepted call at a failover less likely, and
            not impossible: a replica that has it need not be the one that is promoted. Default 0.
        max_queue_length: how many tasks a queue may hold, ready or running, for this client to add one to it: beyond,
            calls that are to run at once raise QueueFull. What is scheduled, and what follows from runs, comes in whatever
            the length. Default: as many as there are.
        credential_provider: gives user name and password at each connection, in place of the URL: redis-py's
            CredentialProvider. It may be asked from several threads.
        clock: the source of time; only tests need another than the system's.

    Raises:
        InvalidName: a name or URL that cannot be used.
        ValueError: a limit or interval that makes no sense, or credentials from two places.
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
        durable: int = 0,
        max_queue_length: int | None = None,
        credential_provider: CredentialProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_duration("execution_ttl", execution_ttl)
        if execution_ttl < timedelta(0):
            raise ValueError(f"execution_ttl={execution_ttl!r}: nothing (0 keeps no records) or more")
        if max_ended < 1 or max_dead < 1:
            raise ValueError(f"max_ended={max_ended!r}, max_dead={max_dead!r}: at least 1 each")
        if durable < 0:
            raise ValueError(f"durable={durable!r}: a number of replicas, or 0 to wait for none")
        if max_queue_length is not None and max_queue_length < 1:
            raise ValueError(
                f"max_queue_length={max_queue_length!r}: at least 1, or leave it out for no limit"
            )
        address = Address(url_or_default(url), credential_provider, name=name)
        self.store = Store(name, address)
        self.name = name
        self.url = address.shown
        self.heartbeat_interval = heartbeat_interval
        self.missed_heartbeats = missed_heartbeats
        self.limits = Limits(execution_ttl // timedelta(milliseconds=1), max_ended, max_dead)
        self.clock: Clock = clock or SystemClock()
        self.tasks = Registry(name)
        self.meter = Meter(name)
        self._link = Link(address)
        self._events = Events(self.store, self.clock)
        self.strikes = Strikes(self.store, self._opened_link, self.clock.stamp)
        self._delivery = Delivery(
            self,
            self.store,
            self._check_open,
            self._opened_link,
            self.strikes,
            self.limits,
            self.clock,
            self.meter,
            durable,
        )
        self._durable = durable
        self._max_queue_length = max_queue_length
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
            self._link, sending = Link(self.store.address), Link(self.store.address)  # of this loop
            stack.push_async_callback(self._link.close)
            stack.push_async_callback(sending.close)
            self._events = Events(self.store, self.clock)
            stack.push_async_callback(self._events.close)
            await check_server(sending)
            await self.store.enroll(sending, (plan.queue for plan in self.plans()))
            await self.strikes.refresh(link=sending)
            self._batcher = batcher = Batcher(
                self.store,
                sending,
                self.clock.stamp,
                durable=self._durable,
                max_queue_length=self._max_queue_length,
                heard=self.strikes.heard,
            )
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

    @property
    def heartbeat_interval(self) -> timedelta:
        """How often workers write what they say of themselves; what is set here holds from the next time on.

        Raises:
            ValueError: set to nothing.
        """
        return self._heartbeat_interval

    @heartbeat_interval.setter
    def heartbeat_interval(self, interval: timedelta) -> None:
        check_duration("heartbeat_interval", interval)
        if interval <= timedelta(0):
            raise ValueError(f"heartbeat_interval={interval!r}: more than nothing")
        self._heartbeat_interval = interval

    @property
    def missed_heartbeats(self) -> int:
        """How many of these may be missing before a worker counts as gone.

        Raises:
            ValueError: set below 1.
        """
        return self._missed_heartbeats

    @missed_heartbeats.setter
    def missed_heartbeats(self, missed: int) -> None:
        if missed < 1:
            raise ValueError(f"missed_heartbeats={missed!r}: at least 1")
        self._missed_heartbeats = missed

    @property
    def strike_list(self) -> Strikes:
        """What is stricken, as this client last saw it."""
        return self.strikes

    async def strike(
        self,
        function: Callable[..., Any] | str | None = None,
        parameter: str | None = None,
        operator: str | Operator = "==",
        value: object = None,
    ) -> None:
        """Have executions not run, on all workers, from their next cycle on, until it is taken back.

        `strike(send)` strikes a task, `strike(None, "customer", "==", 7)` an argument's value in every task,
        `strike(send, "customer", "==", 7)` it in that task, and `strike()` everything. What is stricken is kept among the
        dead letters; the chain of a perpetual task goes on without its runs. Other clients know of it two seconds later
        at most.

        Args:
            function: the task, or its name; None or "" is every task.
            parameter: the parameter that is compared: as it was passed, or its default. None: whatever the arguments.
            operator: == != > >= < <= or between.
            value: what it is compared with, for `between` two values, both included. A member of an Enum is its value.
                What cannot be compared is not stricken.

        Raises:
            ValueError: an unknown operator, a value or operator without a parameter, one that cannot be compared so, or
                a parameter that the task does not have.
            TypeError: a value that cannot travel (EncodingError).
            ShadowError: there are too many strikes.
            ServerUnreachable: no answer; striking again is harmless.
        """
        self._check_open()
        await self.strikes.strike_all(self._strikes(function, parameter, operator, value))

    async def restore(
        self,
        function: Callable[..., Any] | str | None = None,
        parameter: str | None = None,
        operator: str | Operator = "==",
        value: object = None,
    ) -> None:
        """Take a strike back that was made with the same arguments; others that stand beside it do.

        What was turned away meanwhile stays among the dead letters: `requeue` has it run.

        Args and Raises: as `strike`.
        """
        self._check_open()
        await self.strikes.restore_all(self._strikes(function, parameter, operator, value))

    async def wait_for_strikes_loaded(self) -> None:
        """Return once every strike that was made so far is known to this client.

        Raises:
            ServerUnreachable: no answer.
        """
        self._check_open()
        await self.strikes.wait_for_strikes_loaded()

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
            broken = await self.store.diagnose(self._link)
            raise BrokenKey(f"the execution {key!r} is not cancelled: {broken}")
        if answer is not Cancelled.NONE:
            self.meter.cancelled()
        return answer is not Cancelled.NONE

    def abandon(self) -> None:
        """In a process that was forked off: leave the open connections to the parent, so that it can be opened here."""
        self._inherited = (
            self._loop,
            self._link,
            self._events,
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

    def watch(self, key: str) -> AbstractAsyncContextManager[Watch]:
        """The news of the execution with that key, while one waits for them."""
        self._check_open()
        return self._events.watch(key)

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

    def _strikes(
        self, function: Callable[..., Any] | str | None, parameter: str | None, operator: str, value: object
    ) -> list[Strike]:
        """The strikes of a task under all of its names."""
        if function is None or isinstance(function, str):
            return [Strike.of(function, parameter, operator, value)]
        names = self.names_of(function)
        for name in names:
            if plan := self.plan(name):
                check_parameter(name, plan.signature, plan.injected, parameter)
        return [Strike.of(name, parameter, operator, value) for name in names]

    def _opened_link(self) -> Link:
        return self._link

    def _check_open(self) -> Batcher:
        batcher, loop = self._batcher, self._loop
        if batcher is None or loop is None:
            raise ShadowError(f"{self!r} is not open: use it inside `async with`")
        if loop is not asyncio.get_running_loop():
            raise ShadowError(
                f"{self!r} was opened on another event loop: use SyncShadow from threads and other loops"
            )
        return batcher
