"""The runner: the life of one run, from the bytes that were taken to the outcome that is recorded.

    read the call → find its plan → resolve what is injected → run → what follows?

User code runs inside one fence: whatever it raises, `SystemExit` and `RecursionError` included, is a failure of that
task and of nothing else.
"""

import asyncio
import contextvars
import copy
import enum
import functools
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from uncalled_for import FailedDependency, resolved_dependencies

from shadows.clock import as_datetime
from shadows.dependencies.behaviour import Behaviour, Ending
from shadows.dependencies.context import Run, current_run
from shadows.errors import PayloadError, TaskFailed
from shadows.execution import Execution, ExecutionState
from shadows.payload.call import Call, decode_call, encode_call
from shadows.payload.failures import Failure, describe_failure
from shadows.payload.outcomes import Record, encode_record, encode_result
from shadows.protocol.cycle import Taken
from shadows.protocol.execution import split_blob
from shadows.protocol.outcomes import Outcome, cancelled, completed, dead, failed, release, succeeded_by
from shadows.tasks.plan import Plan
from shadows.telemetry.logs import log_ended, log_started

from .gate import Gate
from .progress import ProgressBoard
from .quota import Quota
from .unknown import Unknown

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("shadows.worker")

STRICKEN_PAUSE_MS = 1000
MAX_RESULT_BYTES = 1024 * 1024
"""A larger result is not kept: the task has succeeded, and `get_result` says that there is none."""


class Stop(enum.Enum):
    """Why a running task was cancelled; without a reason it was the task itself."""

    CANCELLED = "somebody cancelled the execution"
    LEASE_LOST = "the worker's lease was lost"
    SHUTDOWN = "the worker is stopping"


class Job:
    """One run: what was taken, and what became of it."""

    __slots__ = ("attempt", "began", "call", "deliveries", "stop", "taken", "task")

    task: asyncio.Task[Outcome | None]

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.stop: Stop | None = None
        self.began = False
        self.attempt = 1
        self.deliveries = 0
        self.call: Call | None = None

    def cancel(self, stop: Stop) -> None:
        """Cancel the run, for a reason that stays."""
        if self.stop is None or (self.stop is Stop.CANCELLED and stop is not Stop.CANCELLED):
            self.stop = stop
            self.task.cancel(stop.value)


class Runner:
    """Runs jobs, one coroutine each."""

    def __init__(
        self,
        worker: "Worker",
        threads: ThreadPoolExecutor,
        unknown: Unknown,
        gate: Gate,
        board: ProgressBoard,
    ) -> None:
        self._worker = worker
        self._shadow = worker.shadow
        self._threads = threads
        self.meter = worker.meter
        self._unknown = unknown
        self._gate = gate
        self._board = board
        self._records = worker.shadow.limits.execution_ttl_ms > 0
        self.quota: Quota | None = None

    async def run(self, job: Job) -> Outcome | None:
        """Run one job; None where there is nothing to record, as others run it now."""
        job.began = True
        taken = job.taken
        if not taken.readable:
            return dead("undecodable")
        try:
            job.attempt, job.deliveries, data = split_blob(taken.blob)
            call = job.call = decode_call(data)
        except (ValueError, PayloadError) as error:
            logger.error("call cannot be read key=%s error=%s", taken.key, error)  # noqa: TRY400 - no traceback helps here
            return dead("undecodable")
        plan = self._shadow.plan(call.function)
        if plan is None:
            return self._unknown.outcome(taken.key, call, self._worker.now_us())
        if self.quota is not None and not self.quota.spend(call.function, taken.key):
            return cancelled()
        return await self._perform(job, plan, call)

    async def _perform(self, job: Job, plan: Plan, call: Call) -> Outcome | None:
        key = job.taken.key
        started_us, began = self._worker.now_us(), time.perf_counter()
        run = Run(
            self._shadow,
            self._worker,
            key,
            job.attempt,
            started_us,
            lambda: self._describe(job, call, started_us),
        )
        current_run.set(run)
        result: object = None
        error: BaseException | None = None
        try:
            args, kwargs = plan.decode(call.arguments)
        except PayloadError as damage:
            logger.error("arguments cannot be read task=%s key=%s error=%s", plan.name, key, damage)  # noqa: TRY400
            return dead("undecodable", self._record(plan, job, run, describe_failure(damage)))
        if self._shadow.strikes and self._shadow.strikes.forbid(plan, args, kwargs):
            return self._turn_away(job, plan, call, run)
        meter = self.meter
        running = (
            meter.started(call, job.taken.token, key, job.attempt, job.deliveries, started_us)
            if meter.on
            else None
        )
        if logger.isEnabledFor(logging.INFO):
            log_started(logger, plan.name, plan.shown(args, kwargs), key, job.attempt, self._worker.name)
        try:
            if plan.injects:
                result = await self._run_injected(plan, args, kwargs)
            elif plan.is_async:
                result = await plan.function(*args, **kwargs)
            else:
                result = await self._run_in_thread(plan.function, args, kwargs)
        except BaseException as raised:  # noqa: BLE001 - the fence around user code
            error = raised
        if logger.isEnabledFor(logging.INFO):
            log_ended(
                logger, plan.name, key, job.attempt, self._worker.name, time.perf_counter() - began, error
            )
        outcome = self._follow(job, plan, call, run, result, error)
        if running is not None:
            running.ended(error, outcome)
        return outcome

    def _turn_away(self, job: Job, plan: Plan, call: Call, run: Run) -> Outcome:
        """What follows where a run is stricken: a dead letter, or the next run of a chain that goes on without it."""
        logger.warning("stricken, not run task=%s key=%s", plan.name, job.taken.key)
        self.meter.stricken(plan.name, job.taken.token.partition("/")[0])
        for behaviour in plan.injected.values():
            if isinstance(behaviour, Behaviour):
                run.behaviours.append(own := copy.copy(behaviour))
                own.begin(job.attempt)
        outcome = self._ask(job, plan, call, run, None)
        if outcome is None:
            return dead("stricken", self._record(plan, job, run, None))
        # A chain without pauses would do nothing but turn in circles until it is restored.
        soonest_ms = self._worker.now_us() // 1000 + STRICKEN_PAUSE_MS
        outcome = replace(outcome, instant_ms=max(outcome.instant_ms, soonest_ms))
        return outcome if self.quota is None else self.quota.cut(plan.name, job.taken.key, outcome)

    def _follow(
        self, job: Job, plan: Plan, call: Call, run: Run, result: object, error: BaseException | None
    ) -> Outcome | None:
        if isinstance(error, asyncio.CancelledError):
            match job.stop:
                case Stop.LEASE_LOST:
                    return None
                case Stop.SHUTDOWN:
                    return release()
                case _:
                    return cancelled(self._record(plan, job, run, None))
        try:
            outcome = self._ask(job, plan, call, run, error)
        except Exception as broken:  # noqa: BLE001 - a behaviour's own code, and arguments it was given by the task
            outcome, error = None, broken
        if outcome is None:
            if error is None:
                return completed(self._record(plan, job, run, None, result))
            return failed(self._record(plan, job, run, describe_failure(error)))
        return outcome if self.quota is None else self.quota.cut(plan.name, job.taken.key, outcome)

    def _ask(self, job: Job, plan: Plan, call: Call, run: Run, error: BaseException | None) -> Outcome | None:
        if not run.behaviours:
            return None

        def next_run(at_us: int, args: tuple[Any, ...] | None, kwargs: dict[str, Any] | None) -> Outcome:
            arguments = call.arguments if args is None else plan.encode(args, kwargs or {})
            follower = encode_call(Call(plan.name, arguments, at_us, headers=call.headers))
            return succeeded_by(follower, 0 if at_us <= ending.ended_us else -(-at_us // 1000))

        ending = Ending(job.taken.key, job.attempt, run.started_us, self._worker.now_us(), error, next_run)
        for behaviour in sorted(run.behaviours, key=lambda one: one.rank):
            outcome = behaviour.follow(ending)
            if outcome is not None:
                return outcome
        return None

    async def _run_injected(self, plan: Plan, args: Sequence[Any], kwargs: dict[str, Any]) -> object:
        async with resolved_dependencies(plan.function, plan.bound(args, kwargs)) as resolved:
            for value in resolved.values():
                if isinstance(value, FailedDependency):
                    raise TaskFailed(
                        f"the dependency {value.parameter!r} of {plan.name} failed: "
                        f"{type(value.error).__name__}: {value.error}",
                        type_name=type(value.error).__name__,
                    ) from value.error
            own = {
                name: value
                for name, value in resolved.items()
                if name in plan.injected and name not in kwargs
            }
            if plan.is_async:
                return await plan.function(*args, **kwargs, **own)
            return await self._run_in_thread(plan.function, args, {**kwargs, **own})

    async def _run_in_thread(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> object:
        context = contextvars.copy_context()
        call = functools.partial(context.run, function, *args, **kwargs)
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        wish: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                if error.args and error.args[0] != Stop.CANCELLED.value:
                    raise  # the process ends, or others run it: nobody waits for the thread
                wish = error  # a thread cannot be stopped: its slot is kept until it returns
        if wish is not None:
            raise wish
        result: object = future.result()
        if inspect.isawaitable(result):  # a def that hands on a coroutine, as decorators do
            return await result
        return result

    def _record(
        self, plan: Plan, job: Job, run: Run, failure: Failure | None, result: object = None
    ) -> bytes:
        if not self._records and failure is None:
            return b""
        encoded, carried = encode_result(result, plan.result_adapter)
        carried = carried and len(encoded) <= MAX_RESULT_BYTES
        if not carried:
            logger.warning(
                "result cannot travel task=%s key=%s type=%s bytes=%d",
                plan.name,
                job.taken.key,
                type(result).__name__,
                len(encoded),
            )
        return encode_record(
            Record(
                plan.name,
                self._worker.name,
                job.attempt,
                run.started_us,
                self._worker.now_us(),
                encoded if carried else None,
                failure,
            )
        )

    def _describe(self, job: Job, call: Call, started_us: int) -> Execution[Any]:
        plan = self._shadow.plan(call.function)
        args, kwargs = plan.decode(call.arguments) if plan is not None else ((), {})
        execution = Execution[Any](
            self._shadow,
            job.taken.key,
            call.function,
            args=args,
            kwargs=kwargs,
            queue=job.taken.token.partition("/")[0],
            when=as_datetime(call.when_us),
            state=ExecutionState.RUNNING,
            attempt=job.attempt,
            worker=self._worker.name,
        )
        execution.started_at = as_datetime(started_us)
        return execution
