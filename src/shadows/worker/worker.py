"""Worker: runs a shadow's tasks, at least once each."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError
from uncalled_for import SharedContext

from shadows.checks import at_least_one, check_duration
from shadows.duties import end
from shadows.errors import ShadowError
from shadows.protocol.connection import Link
from shadows.protocol.cycle import Cycled
from shadows.protocol.keys import DEFAULT_QUEUE, check_name, check_queue
from shadows.protocol.lease import drop
from shadows.shadow import Shadow
from shadows.tasks.collections import load_member
from shadows.tasks.function import check_function
from shadows.tasks.plan import Plan
from shadows.telemetry import serve
from shadows.telemetry.endpoints import LOOPBACK
from shadows.telemetry.meter import Meter

from .automatic import Automatic
from .cycle import Loop
from .finish import Finish
from .gate import Gate
from .herald import Herald
from .hooks import Hooks, OnDead, OnEnd, OnStart
from .job import Stop
from .lease import Lease
from .progress import ProgressBoard
from .quota import Quota
from .reaper import Reaper
from .recipe import outer_dependencies
from .runner import Runner
from .threads import Threads
from .turns import Turns, check_weights
from .unknown import Unknown
from .watchdog import Watchdog

logger = logging.getLogger("shadows.worker")

SHORTEST_LEASE = timedelta(milliseconds=200)
SHORTEST_STALL = timedelta(seconds=1)
LONGEST = timedelta(days=3650)
LEAST_PATIENCE = 3.0
"""Seconds: an idle worker's cycles may be a second apart, however short its lease."""
MOST_THREADS = 1000
"""As many threads as there are `def` tasks at once are started, up to here, where no other number is given."""

type Around = Callable[["Worker"], AbstractAsyncContextManager[None]]
"""What is entered around a worker while it runs."""


class Worker:
    """Runs the tasks of a shadow: `async with Worker(shadows) as worker: await worker.run_forever()`.

    Args:
        shadows: the shadow, open.
        name: what the worker is called in logs and listings. Default: host and process, with something random.
        concurrency: how many tasks it runs at once. Default 10.
        redelivery_timeout: the length of its lease: its tasks are run by others when it has been silent for so long. A
            task may run for much longer. Default 30 s, at least 200 ms.
        reconnection_delay: the longest pause between attempts to reach a server that does not answer. Default 5 s.
        minimum_check_interval: the least time between two looks for work. Default: none.
        scheduling_resolution: the least time between two looks for what is due. Default: none.
        schedule_automatic_tasks: start automatic perpetuals and crons, and begin them anew where they were lost. Default
            True.
        queues: the queues it takes from: a list of names, in this order and none starving; or a mapping of names to
            weights, `{"critical": 3, "default": 1}`: each is served first in its share of the cycles. Default: all.
        fallback_task: run in place of tasks that are not known here, with their arguments; or its `module:member`.
            Default: such tasks are kept for a worker that knows them.
        dependencies: what stands around every task: dependencies by name, a list of them, or a `module:member` that holds
            them. Each run enters them before the task's own, and leaves them after. Behaviours among them hold for all
            tasks that have none of their kind.
        threads: how many threads `def` tasks have. Default: as many as run at once.
        on_start, on_end, on_dead: functions, sync or async, that are told when a run starts (with its execution), when it
            has ended (with its execution and a TaskOutcome), and when this worker gives an execution up (with it and the
            reason). What they raise is logged.
        max_deliveries: how many workers may die of one task before it becomes a dead letter. Default 5.
        max_stall: for how long a task may block the event loop before the worker gives its lease up, so that others run
            its tasks: a process that hangs must not hold them for ever. Default 10 min, at least 1 s.
        grace: how long running tasks may go on after `stop`, before they are handed to other workers. Default 25 s.

    Raises:
        ValueError: a number or duration that makes no sense, or dependencies that contradict each other.
        TypeError: a dependency that is none.
        InvalidName: a name or queue that cannot be used.
        InvalidTask: a fallback task that cannot be one, or a `module:member` that cannot be loaded.
    """

    def __init__(
        self,
        shadows: Shadow,
        name: str | None = None,
        concurrency: int = 10,
        redelivery_timeout: timedelta = timedelta(seconds=30),
        reconnection_delay: timedelta = timedelta(seconds=5),
        minimum_check_interval: timedelta | None = None,
        scheduling_resolution: timedelta | None = None,
        schedule_automatic_tasks: bool = True,  # noqa: FBT001, FBT002 - the order that users know
        queues: Sequence[str] | Mapping[str, int] | None = None,
        fallback_task: Callable[..., Any] | str | None = None,
        dependencies: Mapping[str, Any] | Sequence[Any] | str | None = None,
        threads: int | None = None,
        on_start: OnStart | None = None,
        on_end: OnEnd | None = None,
        on_dead: OnDead | None = None,
        max_deliveries: int = 5,
        grace: timedelta = timedelta(seconds=25),
        max_stall: timedelta = timedelta(minutes=10),
    ) -> None:
        minimum_check_interval = minimum_check_interval or timedelta(0)
        scheduling_resolution = scheduling_resolution or timedelta(0)
        if threads is not None:
            at_least_one("threads", threads)
        at_least_one("max_deliveries", max_deliveries)
        _check_durations(
            redelivery_timeout=redelivery_timeout,
            reconnection_delay=reconnection_delay,
            minimum_check_interval=minimum_check_interval,
            scheduling_resolution=scheduling_resolution,
            grace=grace,
            max_stall=max_stall,
        )
        if queues is not None and (not queues or isinstance(queues, str)):
            raise ValueError(f"queues={queues!r}: a list of at least one name, or leave it out for all")
        self.shadow = shadows
        self.name = check_name(name) if name is not None else worker_name()
        self.meter = Meter(shadows.name, self.name)
        self._concurrency = at_least_one("concurrency", concurrency)
        self.dependencies = outer_dependencies(
            load_member(dependencies) if isinstance(dependencies, str) and dependencies else dependencies
        )
        self.fallback_task = _checked_fallback(fallback_task)
        self._threads = threads
        self._hooks = Hooks(on_start, on_end, on_dead)
        self._automatic = Automatic(shadows, enabled=schedule_automatic_tasks)
        self.queues = None if queues is None else tuple(map(check_queue, queues))
        self._turns = Turns(check_weights(queues) if isinstance(queues, Mapping) else None)
        self.redelivery_timeout = redelivery_timeout
        self._reconnection_delay = reconnection_delay
        self._check_interval = minimum_check_interval
        self._resolution = scheduling_resolution
        self._max_deliveries = max_deliveries
        self._grace = grace
        self._max_stall = max_stall
        self._unknown = Unknown()
        self._link = Link(shadows.store.address)
        self._lease: Lease | None = None
        self._runner: Runner | None = None
        self._loop: Loop | None = None
        self._herald: Herald | None = None
        self._grace_over: asyncio.TimerHandle | None = None
        self._running = False
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Worker {self.name!r} of {self.shadow!r}>"

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ShadowError(f"{self!r} is open already")
        seconds = self.redelivery_timeout.total_seconds()
        self.meter.awake()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._link.close)
            await self.shadow.store.enroll(
                self._link, [*(self.queues or ()), *(plan.queue for plan in self.shadow.plans())]
            )
            reaper = Reaper(
                self.shadow,
                self._link,
                self._max_deliveries,
                seconds,
                lambda: lease.hold_off(),  # noqa: PLW0108 - the lease comes after it
            )
            self._lease = lease = Lease(
                self.shadow.store,
                self.name,
                seconds,
                self.shadow.clock,
                lambda: loop.lease_lost(),  # noqa: PLW0108 - the loop comes after the lease
                reaper.expired,
                Watchdog(self.name, self._max_stall.total_seconds(), self.meter.stalled),
            )
            threads = Threads(self._threads or max(self.concurrency, MOST_THREADS), self.name)
            stack.callback(threads.close)
            gate = Gate(self.shadow, lambda: lease.incarnation)
            stack.push_async_callback(gate.close)
            board = ProgressBoard(self.shadow, lambda: lease.incarnation)
            stack.push_async_callback(board.close)
            self._runner = Runner(
                self,
                lease=lease,
                gate=gate,
                board=board,
                threads=threads,
                unknown=self._unknown,
                outer=self.dependencies,
                hooks=self._hooks,
                fallback=self.fallback_task,
            )
            self._loop = loop = Loop(
                self.shadow,
                self._runner,
                lease,
                board,
                concurrency=self.concurrency,
                queues=self.queues,
                turns=self._turns,
                reconnection_delay=self._reconnection_delay.total_seconds(),
                check_interval=self._check_interval.total_seconds(),
                resolution=self._resolution.total_seconds(),
            )
            await lease.start()
            stack.push_async_callback(self._leave, lease, reaper)
            stack.push_async_callback(loop.close)
            herald = self._herald = Herald(
                self.shadow, self._link, lease, self.name, self.concurrency, self.queues
            )
            await herald.announce()
            for duty in (reaper.run(), herald.run()):
                stack.push_async_callback(end, asyncio.create_task(duty, name=f"shadows:{self.name}"))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._stack.aclose()
        finally:
            self._lease = self._runner = self._loop = self._herald = self._grace_over = None

    @property
    def concurrency(self) -> int:
        """How many tasks it runs at once; what is set here holds at once, and ends nothing that runs.

        Raises:
            ValueError: set to less than 1.
        """
        return self._concurrency

    @concurrency.setter
    def concurrency(self, concurrency: int) -> None:
        self._concurrency = at_least_one("concurrency", concurrency)
        if self._loop is not None and self._herald is not None:
            self._loop.concurrency = self._herald.concurrency = concurrency

    async def run_forever(self) -> None:
        """Run tasks until `stop` is called, or this call is cancelled."""

        async def never(_: Cycled) -> bool:
            return False

        await self._run(never)

    async def run_until_finished(self) -> None:
        """Run tasks until nothing is scheduled, ready or running any more, on other workers either.

        Raises:
            UnknownTasks: what is left is of functions that no living worker knows; it is kept.
        """
        await self._run(self._finish().reached)

    async def run_at_most(self, runs: Mapping[str, int]) -> None:
        """Run until finished, but the named tasks (or keys) only so often, retries counted; what is beyond is cancelled.

        Args:
            runs: how often each may run: by the name of the task (over all its keys), or by key.

        Raises:
            UnknownTasks, ValueError: as `run_until_finished`; a negative number.
        """
        runner = self._opened()[1]
        runner.quota = Quota(dict(runs))
        try:
            await self.run_until_finished()
        finally:
            runner.quota = None

    def stop(self) -> None:
        """Take nothing more and let running tasks finish, within `grace`; then they are handed to other workers.

        Called again, the grace is over at once.
        """
        loop = self._opened()[0]
        if self._grace_over is None:
            self._grace_over = asyncio.get_running_loop().call_later(
                self._grace.total_seconds(), loop.cancel_running, Stop.SHUTDOWN
            )
            loop.stop()
        else:
            loop.cancel_running(Stop.SHUTDOWN)

    def retire(self) -> None:
        """Take nothing more and let running tasks finish, however long they take; `stop` may follow."""
        self._opened()[0].stop()

    def stop_after(self, runs: int, then: Callable[[], None]) -> None:
        """Start so many runs more, then call `then` and `retire`."""
        loop = self._opened()[0]

        def spent() -> None:
            then()
            loop.stop()

        loop.limit(runs, spent)

    @property
    def leased(self) -> bool:
        """Whether it may start tasks: its last successful beat is younger than its lease."""
        return self._lease is not None and self._lease.holds()

    def trouble(self) -> str | None:
        """Why it takes no tasks at present; None where it does: its lease is held, and its cycle has lately succeeded."""
        loop, lease = self._loop, self._lease
        if loop is None or lease is None or not self._running:
            return "the worker does not run"
        if loop.stopping:
            return "the worker is stopping"
        if not lease.holds():
            return "the lease is not held"
        silence = time.monotonic() - loop.cycled_at
        longest = max(self.redelivery_timeout.total_seconds(), LEAST_PATIENCE)
        return "no cycle has succeeded within the lease" if silence > longest else None

    async def enroll(self, queues: Iterable[str]) -> None:
        """Have the server know queues.

        Raises:
            RedisError: it does not answer.
        """
        await self.shadow.store.enroll(self._link, queues)

    def now_us(self) -> int:
        """The present instant in microseconds, by the server's clock as nearly as it is known here."""
        return self.shadow.clock.now_us() + (self._lease.offset_us if self._lease else 0)

    @classmethod
    async def run(
        cls,
        *,
        shadows_name: str = "shadows",
        url: str | None = None,
        tasks: Sequence[str] = (),
        until_finished: bool = False,
        around: Around | None = None,
        healthcheck_port: int | None = None,
        metrics_port: int | None = None,
        bind: str = LOOPBACK,
        **options: object,
    ) -> None:
        """Open a shadow and a worker and run it, as the command line does: SIGTERM and SIGINT stop it gracefully.

        Args:
            shadows_name, url: as of `Shadow`.
            tasks: collections to register, each `module:member`.
            until_finished: end when nothing is left to do, instead of going on.
            around: entered with the worker while it runs, after the signal handlers are set.
            healthcheck_port, metrics_port, bind: as of `shadows.telemetry.serve`.
            options: as of `Worker`.

        Raises:
            InvalidTask, InvalidName, ValueError: what was given cannot be used.
            ServerUnreachable: no server answers.
            OSError: a port cannot be listened on.
        """
        shadow = Shadow(shadows_name, url)
        for path in tasks:
            shadow.register_collection(path)
        worker = cls(shadow, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - checked there
        serving = serve(
            shadow, worker, healthcheck_port=healthcheck_port, metrics_port=metrics_port, bind=bind
        )
        async with shadow, worker, serving:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, worker.stop)
            logger.info(
                "worker started worker=%s shadow=%s tasks=%d", worker.name, shadow.name, len(shadow.tasks)
            )
            try:
                async with around(worker) if around else nullcontext():
                    await (worker.run_until_finished() if until_finished else worker.run_forever())
            finally:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
                logger.info("worker stopped worker=%s", worker.name)

    async def _run(self, finished: Callable[[Cycled], Awaitable[bool]]) -> None:
        loop = self._opened()[0]
        if self._running:
            raise ShadowError(f"{self!r} is running already: one run at a time, or another worker")
        self._running = True
        try:
            await self._automatic.start()
            async with SharedContext(), AsyncExitStack() as stack:
                stack.push_async_callback(loop.end)  # before what tasks share is closed
                healing = asyncio.create_task(self._automatic.heal(), name=f"shadows:{self.name}:automatic")
                stack.push_async_callback(end, healing)
                await loop.run(finished)
        finally:
            self._running = False
            if self._grace_over is not None:
                self._grace_over.cancel()
                self._grace_over = None

    def _finish(self) -> Finish:
        quota = self._opened()[1].quota
        return Finish(self.shadow, self._link, self._automatic, self._unknown, quota, self.now_us)

    def _opened(self) -> tuple[Loop, Runner]:
        if self._loop is None or self._runner is None:
            raise ShadowError(f"{self!r} is not open: use it inside `async with`")
        return self._loop, self._runner

    async def _leave(self, lease: Lease, reaper: Reaper) -> None:
        await lease.stop()
        try:
            await drop(self.shadow.store, self._link, lease.incarnation)
            await reaper.reap(lease.incarnation)
        except RedisError as error:
            logger.warning("lease not given back, it will run out worker=%s error=%s", self.name, error)


def worker_name() -> str:
    """What a worker is called that was given no name."""
    return f"{_host()}-{os.getpid()}-{secrets.token_hex(2)}"


def _check_durations(**durations: timedelta) -> None:
    least = {"redelivery_timeout": SHORTEST_LEASE, "max_stall": SHORTEST_STALL}
    for parameter, duration in durations.items():
        check_duration(parameter, duration)
        if not timedelta(0) <= duration <= LONGEST:
            raise ValueError(f"{parameter}={duration!r}: a duration is not negative, and ten years at most")
        if duration < (shortest := least.get(parameter, duration)):
            raise ValueError(
                f"{parameter} is {duration.total_seconds():g} s: at least {shortest.total_seconds():g} s"
            )


def _checked_fallback(given: Callable[..., Any] | str | None) -> Callable[..., Any] | None:
    if given is None or given == "":
        return None
    function = check_function(load_member(given) if isinstance(given, str) else given)
    Plan(function, "fallback_task", DEFAULT_QUEUE)  # what it asks for is checked here
    return function


def _host() -> str:
    return (
        "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in socket.gethostname())[:64]
        or "host"
    )
