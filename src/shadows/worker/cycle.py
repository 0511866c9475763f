"""The worker's cycle: one request settles what finished, promotes what is due and takes as much as there are free slots.

Its states, and what leads from one to the next:

    busy      a cycle is on its way. It took all it asked for → working; less → idle.
    halved    runs end at once: with half of a load ended, the next cycle is sent, and the rest starts while it is on its
              way, so that worker and server work at the same time.
    working   all slots are taken, or a read is out already: wait for a run to end, a due instant, or a second.
    idle      slots are free and nothing was ready: a blocking read is out for one entry, or for a word that something
              nearer is due. While it is out, cycles settle and promote but do not take: there is one taker at a time. What
              it brings starts only after the cycle that follows, so that the lease holds for it too.
    adrift    the server does not answer: outcomes wait in their buffer, nothing is started. The first cycle after it
              takes nothing; then what the server holds as ours is compared with what we run.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from redis.exceptions import RedisError

from shadows.protocol.connection import Link
from shadows.protocol.cycle import (
    MOST_ITEMS,
    Cycled,
    Settlement,
    Taken,
    Verdict,
    cycle,
    recover,
)
from shadows.protocol.failures import FIRST_PAUSE, Backoff, Failure, classify
from shadows.protocol.outcomes import Outcome, cancelled, failed, release, started
from shadows.shadow import Shadow

from .ear import Ear
from .halves import Halves
from .lease import Lease
from .progress import ProgressBoard
from .runner import Job, Runner, Stop
from .suspects import Suspects
from .turns import Turns

logger = logging.getLogger("shadows.worker")

BACKSTOP = 1.0
"""Seconds after which an idle worker looks, whatever it has heard: nothing waits longer for a lost word."""
MOST_UNSETTLED = 10_000
"""Outcomes that may wait for the server; beyond, nothing is taken."""
MOST_BYTES = 4 * 1024 * 1024
PATIENCE = 5.0
"""Seconds that a task may take to end after being cancelled for a shutdown; then it is left behind."""


class Loop:
    """Takes tasks, runs them and settles their outcomes, until told otherwise."""

    def __init__(
        self,
        shadow: Shadow,
        runner: Runner,
        lease: Lease,
        board: ProgressBoard,
        *,
        concurrency: int,
        queues: Sequence[str] | None,
        turns: Turns,
        reconnection_delay: float,
        check_interval: float,
        resolution: float,
    ) -> None:
        self._shadow = shadow
        self._store = shadow.store
        self._runner = runner
        self._lease = lease
        self._board = board
        self.concurrency = concurrency
        self._queues = queues
        self._turns = turns
        self._reconnection_delay = reconnection_delay
        self._check_interval = check_interval
        self._resolution = resolution
        self._link = Link(shadow.store.address)
        self._wanted = asyncio.Event()
        self._ear = Ear(shadow.store, self._wanted.set, self._hard_of_hearing)
        self._jobs: dict[str, Job] = {}
        self._finished: deque[Settlement] = deque()
        self._halves = Halves(self._start, self._finished)
        self._suspects = Suspects()
        self._paused: frozenset[str] = frozenset()
        self._stopping = False
        self._compared = time.monotonic()
        self.cycled_at = 0.0
        """When a cycle last succeeded, by the monotonic clock."""
        self._adrift = False
        self._patience_ends: float | None = None
        self._runs_left: int | None = None
        self._spent: Callable[[], None] | None = None

    def limit(self, runs: int, spent: Callable[[], None]) -> None:
        """Start so many runs more, and call `spent` with the last of them."""
        self._runs_left, self._spent = runs, spent

    def _slots(self) -> int:
        """How many runs may be started."""
        slots = max(0, self.concurrency - len(self._jobs))
        return slots if self._runs_left is None else min(slots, self._runs_left)

    def stop(self) -> None:
        """Take nothing more; `run` returns when what runs has ended."""
        self._stopping = True
        self._wanted.set()

    def lease_lost(self) -> None:
        """Others have this worker's tasks: cancel them, and forget what was read in the old name."""
        logger.warning(
            "lease lost worker=%s: its running tasks are cancelled, others run them", self._lease.incarnation
        )
        for job in list(self._jobs.values()):
            job.cancel(Stop.LEASE_LOST)
        self._ear.forget()
        self._halves.forget()
        self._wanted.set()

    def cancel_running(self, stop: Stop) -> None:
        """Cancel everything that runs."""
        if stop is Stop.SHUTDOWN and (self._jobs or self._finished):
            self._patience_ends = time.monotonic() + PATIENCE
        for job in list(self._jobs.values()):
            job.cancel(stop)

    @property
    def stopping(self) -> bool:
        """Whether nothing more is taken."""
        return self._stopping

    async def run(self, finished: Callable[[Cycled], Awaitable[bool]]) -> None:
        """Cycle until stopped and drained, or until `finished` says so of a cycle that left nothing here to do."""
        backoff = Backoff(self._reconnection_delay)
        self._patience_ends = None
        while True:
            self._wanted.clear()
            try:
                if self._must_compare():
                    await self._compare()
                asked = self._free()
                cycled = await self._cycle(asked)
                resting = not (self._jobs or self._finished or self._ear.heard)
                done = resting and (self._stopping or await finished(cycled))
            except (RedisError, OSError) as error:
                failure = classify(error)
                if failure is Failure.FATAL:
                    raise
                if failure is Failure.BROKEN:  # what has ended keeps its outcome until the key is mended
                    logger.warning("shadow is broken error=%s", error)
                else:
                    logger.warning("server does not answer error=%s", error)
                    # A replica that takes the server's place may never have given it to us: comparing finds what is ours.
                    self._ear.heard.clear()
                    self._halves.forget()
                self._runner.meter.disrupted()
                self._adrift = True
                await self._link.close()
                if self._stopping and (self._given_up() or not (self._jobs or self._finished)):
                    return await self._end_listening()
                await self._wait(backoff.pause())
                continue
            backoff.reset()
            if self._stopping and self._given_up():
                return await self._end_listening()
            if done:
                return await self._end_listening()
            await self._rest(cycled, asked)

    async def end(self) -> None:
        """Cancel what still runs and see it end, for a second at most; the next run begins as the first did."""
        self._stopping = False
        self.cancel_running(Stop.SHUTDOWN)
        if running := [job.task for job in self._jobs.values() if job.task is not None]:
            await asyncio.wait(running, timeout=BACKSTOP)

    async def close(self) -> None:
        """Hand back what has not ended, and close the sockets."""
        await self.end()
        self._jobs.clear()
        await self._end_listening()
        await self._hand_back()
        await self._link.close()
        await self._ear.close()

    async def _end_listening(self) -> None:
        """Call the blocking read off; what it was given meanwhile goes back."""
        if await self._ear.end():
            await self._hand_back()

    async def _hand_back(self) -> None:
        me = self._lease.incarnation
        self._halves.forget()
        try:
            for taken in await recover(self._store, self._link, me, self._names(), self._known()):
                self._finished.append(Settlement(taken.token, taken.key, release()))
            self._ear.heard.clear()
            while self._finished:
                batch = self._next_batch()
                await self._request(me, batch, 0)
                for _ in batch:
                    self._finished.popleft()
        except (RedisError, OSError) as error:
            logger.warning("tasks not handed back, others take them when the lease ends error=%s", error)

    def _given_up(self) -> bool:
        """Whether what still runs has had its time after being cancelled for the shutdown: it will not listen."""
        return self._patience_ends is not None and time.monotonic() > self._patience_ends

    def _next_batch(self) -> list[Settlement]:
        """The outcomes to send next: as many as a call may settle, and no more bytes than a request should carry."""
        batch: list[Settlement] = []
        size = rows = 0
        for settlement in self._finished:
            outcome = settlement.outcome
            rows += 1
            size += len(outcome.data)
            if outcome.followers:
                rows += len(outcome.followers)
                size += sum(len(follower.call) for follower in outcome.followers)
            if batch and (size > MOST_BYTES or rows > MOST_ITEMS):
                break
            batch.append(settlement)
        return batch

    def _free(self) -> int:
        if self._ear.listening or self._stopping or self._adrift or not self._lease.holds():
            return 0
        if len(self._finished) > MOST_UNSETTLED:
            return 0
        return max(0, min(self._slots() - len(self._halves.left) - len(self._ear.heard), MOST_ITEMS))

    async def _cycle(self, take: int) -> Cycled:
        settling = self._next_batch()
        me, again = self._lease.incarnation, self._adrift
        heard = self._ear.take(me)
        try:
            told = [Settlement(taken.token, taken.key, started()) for taken in heard if taken.readable]
            cycled = await self._asked(self._request(me, [*settling, *told], take))
        except BaseException:  # also where this is cancelled: what was heard of is not to be forgotten
            if me == self._lease.incarnation:
                self._ear.heard[:0] = heard
            raise
        self.cycled_at = time.monotonic()
        if cycled.strikes != self._shadow.strikes.version:  # where this fails, the reply counts as lost
            await self._shadow.strikes.refresh(cycled.strikes)
        for settlement, verdict in zip(settling, cycled.verdicts, strict=False):
            self._finished.popleft()
            self._board.ended(settlement.token, settlement.key)
            if verdict is Verdict.BAD and settlement.outcome.refused is not None:
                self._finished.append(replace(settlement, outcome=settlement.outcome.refused()))
            elif (
                verdict is not Verdict.RECORDED and not again
            ):  # sent again it proves nothing: the first may have counted
                logger.warning(
                    "late outcome refused key=%s token=%s verdict=%s",
                    settlement.key,
                    settlement.token,
                    verdict.name,
                )
        if self._adrift:
            self._adrift = False
            self._compared = 0.0
            self._wanted.set()
        self._paused = frozenset(cycled.paused.split())
        starting = [*(taken for taken in heard if not self._pauses(taken)), *cycled.taken]
        self._finished.extend(_given_back(taken for taken in heard if self._pauses(taken)))
        if self._stopping or not (cycled.leased and self._lease.holds()):
            self._finished.extend(_given_back(starting))
        elif me == self._lease.incarnation:  # else it was taken in a name that has been reaped: others run it
            free = self._slots()
            parted = self._suspects.part(starting[:free], self._jobs, self._finished, self._now_ms)
            self._ear.hear(
                me, parted.held
            )  # as what a read brings, it starts after a cycle: that takes the others back
            self._finished.extend(parted.back)
            self._halves.start(me, parted.start, min(self.concurrency, MOST_ITEMS))
            # A blocking read gives one entry a queue, which may be more than there are slots: the rest goes back.
            self._finished.extend(_given_back(starting[free:]))
        for token in cycled.stops:
            if job := self._jobs.get(token):
                job.cancel(Stop.CANCELLED)
        return cycled

    async def _asked(self, request: Coroutine[Any, Any, Cycled]) -> Cycled:
        """A cycle's answer; what was left to start does so once the request is on its way, so that neither side waits."""
        began = time.monotonic()
        if not self._halves.left:
            cycled = await request
        else:
            asking = _begin(request)
            starting = asyncio.get_running_loop().call_soon(
                self._start_left
            )  # by then the socket is written to
            try:
                cycled = await asking
            finally:
                starting.cancel()
        self._halves.answer_took = time.monotonic() - began
        return cycled

    def _start_left(self) -> None:
        left = self._halves.take_left(self._lease.incarnation)
        if self._stopping or not self._lease.holds():
            self._finished.extend(_given_back(left))
        else:
            self._halves.start_left(left)

    def _now_ms(self) -> int:
        return (self._shadow.clock.now_us() + self._lease.offset_us) // 1000

    async def _request(self, me: str, settling: Sequence[Settlement], take: int) -> Cycled:
        return await cycle(
            self._store,
            self._link,
            me,
            settle=settling,
            take=take,
            queues=self._order(take),
            limits=self._shadow.limits,
            woken=self._ear.take_word(),
            stamp=self._shadow.clock.stamp(),
        )

    def _must_compare(self) -> bool:
        """Only while nothing is on its way to us: what a read has brought, or may yet bring, would start twice."""
        quiet = not self._ear.listening and not self._ear.heard and not self._stopping and self._lease.holds()
        return quiet and time.monotonic() - self._compared > BACKSTOP * 5

    async def _compare(self) -> None:
        """Hear of what the server holds as ours and we do not: the reply that brought it was lost."""
        me = self._lease.incarnation
        held = await recover(self._store, self._link, me, self._names(), self._known())
        self._compared = time.monotonic()
        self._ear.hear(me, held)

    def _known(self) -> set[str]:
        """The tokens of what runs, or has ended and is to be settled."""
        waiting = {taken.token for taken in self._halves.left}
        return self._jobs.keys() | waiting | {settlement.token for settlement in self._finished}

    def _pauses(self, taken: Taken) -> bool:
        return bool(self._paused) and not self._paused.isdisjoint((taken.token.partition("/")[0], "*"))

    def _names(self) -> Sequence[str]:
        return self._queues if self._queues is not None else self._store.queues

    def _order(self, take: int) -> Sequence[str]:
        return self._turns.order(self._names(), take)

    def _start(self, taken: Taken) -> None:
        job = self._jobs[taken.token] = Job(taken)
        task = _begin(self._runner.run(job))
        if task.done():
            self._ended(job, task)
        else:
            job.goes_on(task)
            task.add_done_callback(lambda task: self._ended(job, task))
        if self._runs_left is not None and self._spent is not None:
            self._runs_left -= 1
            if self._runs_left == 0:
                self._spent()

    def _ended(self, job: Job, task: asyncio.Task[Outcome | None]) -> None:
        taken = job.taken
        if self._jobs.pop(taken.token, None) is None:
            return  # left behind: it was handed back already
        self._wanted.set()
        job.task = None  # its context knows the job: without the circle all of it is gone at once
        if not task.cancelled():
            error = task.exception()
            outcome = task.result() if error is None else failed()
            if error is not None:
                logger.error("task failed outside its own code key=%s", taken.key, exc_info=error)
        elif job.stop is Stop.LEASE_LOST:
            return
        else:  # before it began, or in its very last step
            outcome = cancelled() if job.began and job.stop is not Stop.SHUTDOWN else release()
        if outcome is not None:
            self._finished.append(Settlement(taken.token, taken.key, outcome))

    async def _rest(self, cycled: Cycled, asked: int) -> None:
        """Wait until there is something to do: nothing is, if this cycle took all that it asked for and slots are free."""
        if self._finished or (asked and len(cycled.taken) >= asked and self._free()):
            return
        if not cycled.leased:
            if self._lease.holds():  # as far as the beats know: the next may be far away
                self._lease.renew()
            await self._wait(FIRST_PAUSE)
            return
        if not self._ear.listening and self._free() > 0:
            names = [name for name in self._names() if name not in self._paused and "*" not in self._paused]
            self._ear.listen(self._lease.incarnation, names, BACKSTOP)
        due = cycled.next_due_ms
        if due is None:
            await self._wait(None if self._ear.listening else BACKSTOP)
        else:
            alarm = self._shadow.clock.call_later(max(due / 1000, self._resolution), self._wanted.set)
            try:
                await self._wait(None if self._ear.listening else BACKSTOP)
            finally:
                alarm()

    async def _wait(self, seconds: float | None) -> None:
        if self._check_interval and not self._finished:
            await asyncio.sleep(self._check_interval)
        if seconds is None:
            await self._wanted.wait()
            return
        backstop = asyncio.get_running_loop().call_later(seconds, self._wanted.set)
        try:
            await self._wanted.wait()
        finally:
            backstop.cancel()

    def _hard_of_hearing(self) -> None:
        """A read failed: what it had been given is found by comparing."""
        self._runner.meter.disrupted()
        self._adrift = True


def _begin[T](run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A run's task. Its first step is taken here and now: a run that never waits has ended without a turn of the loop.

    Only a loop with a task factory of its own makes it as it makes all others.
    """
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is not None:
        return loop.create_task(run)
    return asyncio.Task(run, loop=loop, eager_start=True)


def _given_back(several: Iterable[Taken]) -> Iterator[Settlement]:
    return (Settlement(taken.token, taken.key, release()) for taken in several)
