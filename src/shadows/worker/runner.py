"""The runner: the life of one run, from the bytes that were taken to the outcome that is recorded.

    read the call → find its plan → decode its arguments → may it start? → run, with what stands around it → what follows?

Each step fills in the `Job`; one that ends it early raises `Over`. User code runs inside one fence: whatever it raises,
`SystemExit` and `RecursionError` included, is a failure of that task and of nothing else.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from redis.exceptions import RedisError

from shadows.calls import check_size
from shadows.dependencies.behaviour import Asking, Decision, Ending
from shadows.dependencies.context import Host, Run, current_run
from shadows.dependencies.hooks import Runtime, TaskOutcome
from shadows.errors import NotAccepted, PayloadError
from shadows.payload.call import Call, decode_call, encode_call
from shadows.payload.failures import describe_failure
from shadows.protocol.acquire import Admission
from shadows.protocol.blob import fresh_call, keeping, split_blob
from shadows.protocol.failures import Backoff
from shadows.protocol.outcomes import (
    Kind,
    Outcome,
    cancelled,
    completed,
    dead,
    expired,
    failed,
    release,
    succeeded_by,
)
from shadows.protocol.schedule import Item
from shadows.tasks.plan import Plan
from shadows.telemetry.logs import log_ended, log_started

from .gate import Gate
from .hooks import Hooks, reason_of, tell
from .job import Job, Over, Stop
from .lease import Lease
from .progress import ProgressBoard
from .quota import Quota
from .recipe import SWALLOWED, Outer, Recipe
from .records import Records
from .threads import Threads
from .unknown import Unknown

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["Job", "Runner", "Stop"]

logger = logging.getLogger("shadows.worker")

STRICKEN_PAUSE_MS = 1000
UNADMITTED_PAUSE_MS = 1000
LAST_PAUSE = 5.0
_CARRYING = (Kind.NEXT, Kind.RELEASE)
"""Outcomes whose data is a call, and takes the place of what is stored."""


class Runner:
    """Runs jobs, one coroutine each."""

    def __init__(
        self,
        worker: "Worker",
        *,
        lease: Lease,
        gate: Gate,
        board: ProgressBoard,
        threads: Threads,
        unknown: Unknown,
        outer: Outer,
        hooks: Hooks,
        fallback: Callable[..., Any] | None,
    ) -> None:
        self._worker = worker
        self._shadow = worker.shadow
        self._lease = lease
        self._gate = gate
        self.meter = worker.meter
        self._threads = threads
        self._unknown = unknown
        self._outer = outer
        self._hooks = hooks
        self._fallback = fallback
        self._fallbacks: dict[str, Plan] = {}
        self._recipes: dict[str, Recipe] = {}
        self._records = Records(worker)
        self._host = Host(worker.shadow, worker, self._records.running, board.report)
        self.quota: Quota | None = None

    async def run(self, job: Job) -> Outcome | None:
        """Run one job; None where there is nothing to record, as others run it now."""
        job.began = True
        try:
            self._read(job)
            self._find(job)
            self._decode(job)
            if job.call.expires_us:
                self._expire(job)
            strikes = self._shadow.strikes
            if strikes.some and strikes.forbid(job.plan, job.args, job.kwargs):
                raise Over(await self._turn_away(job))  # noqa: TRY301 - as the other steps do
            if job.plan.injects or self._outer:
                job.recipe = self._recipe(job.plan)
            if self.quota is not None or (job.recipe is not None and job.recipe.claiming):
                await self._admit(job)
            self._begin(job)
            outcome = await self._perform(job)
            if job.running is not None:
                job.running.ended(job.error, outcome)
            del job.run  # it knows the job: without the circle both are gone at once
        except Over as over:
            outcome = over.outcome
        if outcome is not None:
            if self._hooks.on_dead is not None and outcome.kind in (Kind.FAILED, Kind.DEAD):
                await tell("on_dead", self._hooks.on_dead, self._records.given_up(job), reason_of(outcome))
            if job.unique_ms:
                outcome = _keep_unique(outcome, job.unique_ms)
        return outcome

    def _read(self, job: Job) -> None:
        """From bytes to a call."""
        taken = job.taken
        if not taken.readable:
            raise Over(dead("undecodable"))
        try:
            data = fresh_call(taken.blob)
            if data is None:
                job.attempt, job.deliveries, job.unique_ms, data = split_blob(taken.blob)
            job.known = job.call = decode_call(data)
        except (ValueError, PayloadError) as error:
            logger.error("call cannot be read key=%s error=%s", taken.key, error)  # noqa: TRY400 - no traceback helps here
            raise Over(dead("undecodable")) from None

    def _find(self, job: Job) -> None:
        """From a name to a plan: the task's, or that of what stands in for unknown ones."""
        name = job.call.function
        plan = self._shadow.tasks.find(name)
        if plan is None and self._fallback is not None:
            plan = self._fallbacks.get(name)
            if plan is None:
                plan = self._fallbacks[name] = Plan(self._fallback, name, job.queue)
        if plan is None:
            raise Over(self._unknown.outcome(job.taken.key, job.call, self._now_us()))
        job.plan = plan

    def _decode(self, job: Job) -> None:
        """From bytes to arguments."""
        try:
            job.args, job.kwargs = job.plan.decode(job.call.arguments)
        except PayloadError as damage:
            logger.error(  # noqa: TRY400
                "arguments cannot be read task=%s key=%s error=%s", job.plan.name, job.taken.key, damage
            )
            raise Over(dead("undecodable", self._records.record(job, describe_failure(damage)))) from None

    def _expire(self, job: Job) -> None:
        """What was to be started by an instant that has passed is not started."""
        begun = job.attempt > 1 or job.deliveries > 0 or job.call.begun
        if not begun and self._now_us() >= job.call.expires_us:
            logger.warning("task expired task=%s key=%s", job.plan.name, job.taken.key)
            raise Over(expired(self._records.record(job, None)))

    async def _admit(self, job: Job) -> None:
        """May it start? Asked before anything of it is entered; what waits costs this worker nothing."""
        if job.recipe is not None:
            try:
                claims = job.recipe.claims(lambda: self._asking(job))
            except Exception as broken:  # noqa: BLE001 - a behaviour's own code, on arguments of any class
                raise Over(failed(self._records.record(job, describe_failure(broken)))) from None
            if claims:
                who = str(job.call.when_us)  # the same for all attempts of an execution
                admission = await self._gate.acquire(job.taken.token, job.taken.key, who, claims)
                if admission is Admission.UNKNOWN:
                    raise Over(release(self._now_us() // 1000 + UNADMITTED_PAUSE_MS))
                if admission is not Admission.GRANTED:
                    logger.debug("task not admitted key=%s admission=%s", job.taken.key, admission.name)
                    raise Over(None)
        if self.quota is not None and not self.quota.spend(job.plan.name, job.taken.key):
            raise Over(cancelled())

    def _begin(self, job: Job) -> None:
        """The run as its task and what is injected into it see it."""
        job.started_us = self._now_us()
        taken, call = job.taken, job.call
        job.run = Run(
            self._host, job, job.plan.name, taken.key, taken.token, job.attempt, call.when_us, job.started_us
        )
        current_run.set(job.run)

    async def _perform(self, job: Job) -> Outcome | None:
        """Make the call, with what stands around it, and see what follows."""
        plan, told, began = job.plan, logger.isEnabledFor(logging.INFO), 0.0
        if self.meter.on:
            job.running = self.meter.started(
                job.call, job.taken.token, job.taken.key, job.attempt, job.deliveries, job.started_us
            )
        if told:
            began = time.perf_counter()
            shown = plan.shown(job.args, job.kwargs)
            log_started(logger, plan.name, shown, job.taken.key, job.attempt, self._worker.name)
        if self._hooks.on_start is not None:
            await tell("on_start", self._hooks.on_start, job.run.execution)
        try:
            if job.stop is not None:  # while `on_start` was told
                raise asyncio.CancelledError(job.stop.value)  # noqa: TRY301 - as if the call had been reached
            if job.recipe is None and plan.is_async:
                self._check_lease(job)
                job.result = await plan.function(*job.args, **job.kwargs)
            else:
                job.result = await self._call(job)
        except BaseException as raised:  # noqa: BLE001 - the fence around user code
            job.error = raised
            if job.stop is Stop.SHUTDOWN and not isinstance(raised, asyncio.CancelledError | Decision):
                # What it makes of being cancelled for a shutdown is no failure of its own: others run it.
                job.error = asyncio.CancelledError(job.stop.value)
                job.error.__cause__ = raised
        if self._hooks.on_end is not None:
            outcome = TaskOutcome(self._duration(job), job.result, job.error)
            await tell("on_end", self._hooks.on_end, job.run.execution, outcome)
        if told:
            took = time.perf_counter() - began
            log_ended(logger, plan.name, job.taken.key, job.attempt, self._worker.name, took, job.error)
        run = job.run
        if (
            job.error is None
            and job.stop is None
            and not (run.behaviours or run.followers or run.next_run)
            and self.quota is None
        ):
            run.ended = True
            return self._plain(job)
        return await self._follow(job)

    async def _call(self, job: Job) -> object:
        """Make a call that has something around it, or runs in a thread."""
        plan = job.plan
        if job.recipe is None:
            self._check_lease(job)
            return await self._threads.run(
                plan.function, job.args, job.kwargs, lambda: self._check_lease(job)
            )

        async def call(injected: Mapping[str, Any]) -> object:
            function = plan.function
            if not plan.is_async:
                function = self._threads.called(function, lambda: self._check_lease(job))
            kwargs = {**job.kwargs, **injected}
            self._check_lease(job)
            for behaviour in job.run.behaviours:
                if isinstance(behaviour, Runtime):
                    return await behaviour.run(job.run.execution, function, tuple(job.args), kwargs)
            return await function(*job.args, **kwargs)

        result = await job.recipe.around(job.run, job.args, job.kwargs, call)
        if result is not SWALLOWED:
            return result
        if job.stop is not None:  # whoever swallowed that, it was cancelled
            raise asyncio.CancelledError(job.stop.value)
        return None

    def _check_lease(self, job: Job) -> None:
        """The last moment: a process that was stopped after it took the task wakes here, and others may be running it.

        A thread asks too: it may have been stopped, or the task have waited for it, after the loop had asked.
        """
        if job.stop is None and not self._lease.holds():
            job.stop = Stop.LAPSED
        if job.stop is not None:
            raise asyncio.CancelledError(job.stop.value)

    async def _follow(self, job: Job) -> Outcome | None:
        """What follows from how it ended."""
        if isinstance(job.error, asyncio.CancelledError) or job.stop is Stop.LAPSED:
            job.run.ended = True
            match job.stop:
                case Stop.LEASE_LOST:
                    return None
                case Stop.SHUTDOWN:
                    return _begun(job, release())
                case Stop.LAPSED:  # where it is still ours, it goes back; else this changes nothing
                    return release()
                case _:
                    return cancelled(self._records.record(job, None))
        outcome = None
        try:
            if job.error is not None or job.run.behaviours:
                outcome = await self._ask(job)
        except (Exception, SystemExit, KeyboardInterrupt) as broken:  # noqa: BLE001 - a behaviour's own code, and arguments it was given by the task
            job.error = broken
        job.run.ended = True
        if outcome is None or (job.run.next_run is not None and outcome.kind is Kind.NEXT):
            outcome = self._plain(job)
        if outcome.kind is Kind.RELEASE:
            outcome = _begun(job, outcome)
        if job.run.followers or job.run.next_run is not None:
            outcome = await self._with_followers(job, outcome)
        return outcome if self.quota is None else self.quota.cut(job.plan.name, job.taken.key, outcome)

    def _plain(self, job: Job) -> Outcome:
        if job.error is None:
            return completed(self._records.record(job, None, job.result))
        return failed(self._records.record(job, describe_failure(job.error)))

    async def _ask(self, job: Job) -> Outcome | None:
        """What the task itself, then its behaviours have to say."""
        if isinstance(job.error, Decision):
            return job.error.follow(self._ending(job))
        ending = self._ending(job)
        for behaviour in sorted(job.run.behaviours, key=lambda one: one.rank):
            outcome = await behaviour.follow(ending)
            if outcome is not None:
                return outcome
        return None

    async def _turn_away(self, job: Job) -> Outcome:
        """What follows where a run is stricken: a dead letter, or the next run of a chain that goes on without it."""
        logger.warning("stricken, not run task=%s key=%s", job.plan.name, job.taken.key)
        self.meter.stricken(job.plan.name, job.queue)
        # What is passed over counts, or a stricken chain would never end.
        if self.quota is not None and not self.quota.spend(job.plan.name, job.taken.key):
            return cancelled()
        ending = self._ending(job)
        for _, behaviour in job.plan.behaviours:
            outcome = await behaviour.pass_over(ending)
            if outcome is not None:
                # A chain without pauses would do nothing but turn in circles until it is restored.
                soonest_ms = ending.ended_us // 1000 + STRICKEN_PAUSE_MS
                outcome = replace(outcome, instant_ms=max(outcome.instant_ms, soonest_ms))
                return (
                    outcome if self.quota is None else self.quota.cut(job.plan.name, job.taken.key, outcome)
                )
        return dead("stricken", self._records.record(job, None))

    def _ending(self, job: Job) -> Ending:
        def next_run(at_us: int, args: tuple[Any, ...] | None, kwargs: dict[str, Any] | None) -> Outcome:
            call = job.call
            arguments = call.arguments if args is None else job.plan.encode(args, kwargs or {})
            follower = check_size(
                call.function, encode_call(Call(call.function, arguments, at_us, headers=call.headers))
            )
            return succeeded_by(follower, 0 if at_us <= ended_us else -(-at_us // 1000))

        ended_us = self._now_us()
        return Ending(
            job.taken.key,
            job.attempt,
            job.call.when_us,
            job.started_us or ended_us,
            ended_us,
            job.error,
            next_run,
            lambda: completed(self._records.record(job, None)),
            lambda: job.run.execution,
            job.result,
        )

    async def _with_followers(self, job: Job, outcome: Outcome) -> Outcome:
        """What the task has left to be scheduled: with its success, and under its own key with any end."""
        run = job.run
        followers: list[Item] = []
        if run.followers and job.error is None and outcome.kind in (Kind.COMPLETED, Kind.NEXT):
            followers += run.followers
        if run.next_run is not None and outcome.kind in (Kind.COMPLETED, Kind.FAILED):
            followers.append(run.next_run)
        if not followers:
            return outcome
        await self._enroll({item.queue for item in followers})

        def refused() -> Outcome:
            error = NotAccepted("what the task left to be scheduled was refused: the key of a queue is none")
            return failed(self._records.record(job, describe_failure(error)))

        return replace(outcome, followers=tuple(followers), refused=refused)

    async def _enroll(self, queues: set[str]) -> None:
        """Have the server know the queues: a server that is away is waited for, as the task has ended already."""
        backoff = Backoff(LAST_PAUSE)
        while missing := queues.difference(self._shadow.store.queues):
            try:
                await self._worker.enroll(missing)
            except (RedisError, OSError) as error:
                logger.warning("server does not answer error=%s", error)
                await asyncio.sleep(backoff.pause())

    def _recipe(self, plan: Plan) -> Recipe:
        recipe = self._recipes.get(plan.name)
        if recipe is None or recipe.plan is not plan:
            recipe = self._recipes[plan.name] = Recipe(plan, self._outer)
        return recipe

    def _asking(self, job: Job) -> Asking:
        arguments = job.plan.named(job.args, job.kwargs)
        return Asking(job.plan.name, job.taken.key, job.attempt, job.deliveries, arguments, job.call.begun)

    def _now_us(self) -> int:
        return self._shadow.clock.now_us() + self._lease.offset_us

    def _duration(self, job: Job) -> timedelta:
        return timedelta(microseconds=self._now_us() - job.started_us)


def _begun(job: Job, released: Outcome) -> Outcome:
    """What is handed back after its start: it was started in time, whenever it runs again."""
    return replace(released, data=encode_call(job.call._replace(begun=True)))


def _keep_unique(outcome: Outcome, ms: int) -> Outcome:
    """The key stays taken for as long after the end as was wished, and what runs next keeps the wish."""
    if outcome.kind in _CARRYING:
        return replace(outcome, data=keeping(outcome.data, ms)) if outcome.data else outcome
    if refused := outcome.refused:
        outcome = replace(outcome, refused=lambda: replace(refused(), instant_ms=ms))
    return outcome if outcome.kind is Kind.RETRY else replace(outcome, instant_ms=ms)
