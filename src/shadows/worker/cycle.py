"""The worker's cycle: one request settles what finished, promotes what is due and takes as much as there are free slots.

Its states, and what leads from one to the next:

    busy      a cycle is on its way. It took all it asked for → working; less → idle.
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
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from shadows.errors import ServerUnsupported
from shadows.protocol.connection import Link, is_passing
from shadows.protocol.cycle import (
    MOST_ITEMS,
    Cycled,
    Heard,
    Settlement,
    Taken,
    Verdict,
    cycle,
    listen,
    recover,
)
from shadows.protocol.outcomes import Outcome, release
from shadows.shadow import Shadow

from .lease import Lease
from .runner import Job, Runner, Stop

logger = logging.getLogger("shadows.worker")

BACKSTOP = 1.0
"""Seconds after which an idle worker looks, whatever it has heard: nothing waits longer for a lost word."""
READ_GRACE = 5.0
MOST_UNSETTLED = 10_000
"""Outcomes that may wait for the server; beyond, nothing is taken."""
FIRST_PAUSE = 0.05
_HEALING = ("NOGROUP", "UNBLOCKED")


class Loop:
    """Takes tasks, runs them and settles their outcomes, until told otherwise."""

    def __init__(
        self,
        shadow: Shadow,
        runner: Runner,
        lease: Lease,
        *,
        concurrency: int,
        queues: Sequence[str] | None,
        reconnection_delay: float,
        check_interval: float,
        resolution: float,
    ) -> None:
        self._shadow = shadow
        self._store = shadow.store
        self._runner = runner
        self._lease = lease
        self.concurrency = concurrency
        self._queues = queues
        self._reconnection_delay = reconnection_delay
        self._check_interval = check_interval
        self._resolution = resolution
        self._link = Link(shadow.store.address)
        self._ear = Link(shadow.store.address)
        self._jobs: dict[str, Job] = {}
        self._finished: deque[Settlement] = deque()
        self._heard: list[Taken] = []
        self._woken = b""
        self._listening: asyncio.Task[Heard] | None = None
        self._wanted = asyncio.Event()
        self._stopping = False
        self._turn = 0
        self._compared = time.monotonic()
        self._adrift = False
        self._deaf_until = 0.0

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
        self._heard.clear()
        if self._listening is not None:
            self._listening.cancel()
        self._wanted.set()

    def cancel_running(self, stop: Stop) -> None:
        """Cancel everything that runs."""
        for job in list(self._jobs.values()):
            job.cancel(stop)

    async def run(self, finished: Callable[[Cycled], Awaitable[bool]]) -> None:
        """Cycle until stopped and drained, or until `finished` says so of a cycle that left nothing here to do."""
        pause = FIRST_PAUSE
        while True:
            self._wanted.clear()
            try:
                if self._listening is None and time.monotonic() - self._compared > BACKSTOP * 5:
                    await self._compare()
                asked = self._free()
                cycled = await self._cycle(asked)
            except (RedisError, OSError) as error:
                if isinstance(error, ResponseError | ServerUnsupported) and not _heals(error):
                    raise
                logger.warning("server does not answer error=%s", error)
                self._adrift = True
                await self._wait(pause)
                pause = min(pause * 2, self._reconnection_delay)
                continue
            pause = FIRST_PAUSE
            if not (self._jobs or self._finished or self._heard):
                if self._stopping:
                    return
                if await finished(cycled):
                    return
            await self._rest(cycled, asked)

    async def close(self) -> None:
        """Hand back what has not ended, and close the sockets."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        self.cancel_running(Stop.SHUTDOWN)
        if self._jobs:
            await asyncio.wait([job.task for job in self._jobs.values()], timeout=BACKSTOP)
        try:
            await self._hand_back()
        except (RedisError, OSError) as error:
            logger.warning("tasks not handed back, others take them when the lease ends error=%s", error)
        await self._link.close()
        await self._ear.close()

    async def _hand_back(self) -> None:
        me = self._lease.incarnation
        settled = {settlement.token for settlement in self._finished}
        for taken in await recover(self._store, self._link, me, self._names()):
            if taken.token not in settled:
                self._finished.append(Settlement(taken.token, taken.key, release()))
        while self._finished:
            batch = [self._finished.popleft() for _ in range(min(len(self._finished), MOST_ITEMS))]
            await self._request(me, batch, 0)

    def _free(self) -> int:
        if self._listening is not None or self._stopping or self._adrift or not self._lease.holds():
            return 0
        if len(self._finished) > MOST_UNSETTLED:
            return 0
        return max(0, min(self.concurrency - len(self._jobs) - len(self._heard), MOST_ITEMS))

    async def _cycle(self, take: int) -> Cycled:
        settling = [self._finished[i] for i in range(min(len(self._finished), MOST_ITEMS))]
        heard, self._heard = self._heard, []
        me = self._lease.incarnation
        try:
            cycled = await self._request(me, settling, take)
        except BaseException:
            self._heard = heard
            raise
        for settlement, verdict in zip(settling, cycled.verdicts, strict=True):
            self._finished.popleft()
            if verdict is not Verdict.RECORDED:
                logger.warning(
                    "late outcome refused key=%s token=%s verdict=%s",
                    settlement.key,
                    settlement.token,
                    verdict.name,
                )
        if self._adrift:
            self._adrift = False
            await self._compare()
        starting = [taken for taken in (*heard, *cycled.taken) if taken.token not in self._jobs]
        if self._stopping or not (cycled.leased and self._lease.holds()):
            self._finished.extend(Settlement(taken.token, taken.key, release()) for taken in starting)
        elif me == self._lease.incarnation:  # else it was taken in a name that has been reaped: others run it
            for taken in starting:
                self._start(taken)
        for token in cycled.stops:
            if job := self._jobs.get(token):
                job.cancel(Stop.CANCELLED)
        return cycled

    async def _request(self, me: str, settling: Sequence[Settlement], take: int) -> Cycled:
        woken, self._woken = self._woken, b""
        return await cycle(
            self._store,
            self._link,
            me,
            settle=settling,
            take=take,
            queues=self._order(),
            limits=self._shadow.limits,
            woken=woken,
            stamp=self._shadow.clock.stamp(),
        )

    async def _compare(self) -> None:
        """Start what the server holds as ours and we do not: the reply that brought it was lost."""
        self._compared = time.monotonic()
        if self._stopping or not self._lease.holds():
            return
        settling = {settlement.token for settlement in self._finished}
        for taken in await recover(self._store, self._link, self._lease.incarnation, self._names()):
            if taken.token not in self._jobs and taken.token not in settling:
                self._start(taken)

    def _names(self) -> Sequence[str]:
        return self._queues if self._queues is not None else self._store.queues

    def _order(self) -> Sequence[str]:
        """The queues in order; every fourth cycle begins with another of them, so that none starves."""
        names = self._names()
        self._turn += 1
        if self._turn % 4 or len(names) < 2:
            return names
        first = self._turn // 4 % len(names)
        return [*names[first:], *names[:first]]

    def _start(self, taken: Taken) -> None:
        job = self._jobs[taken.token] = Job(taken)
        job.task = asyncio.create_task(self._runner.run(job))
        job.task.add_done_callback(lambda task: self._ended(job, task))

    def _ended(self, job: Job, task: asyncio.Task[Outcome | None]) -> None:
        taken = job.taken
        del self._jobs[taken.token]
        self._wanted.set()
        if not task.cancelled():
            outcome = task.result()
        elif job.stop is Stop.LEASE_LOST:
            return
        else:
            outcome = release()  # it had not begun
        if outcome is not None:
            self._finished.append(Settlement(taken.token, taken.key, outcome))

    async def _rest(self, cycled: Cycled, asked: int) -> None:
        """Wait until there is something to do: nothing is, if this cycle took all that it asked for and slots are free."""
        if self._finished or (asked and len(cycled.taken) >= asked and self._free()):
            return
        if not cycled.leased:
            await self._wait(FIRST_PAUSE)
            return
        if self._listening is None and self._free() > 0 and time.monotonic() >= self._deaf_until:
            self._listening = asyncio.create_task(self._listen())
            self._listening.add_done_callback(self._hear)
        due = cycled.next_due_ms
        if due is None:
            await self._wait(BACKSTOP if self._listening is None else None)
        else:
            alarm = self._shadow.clock.call_later(max(due / 1000, self._resolution), self._wanted.set)
            try:
                await self._wait(BACKSTOP if self._listening is None else None)
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

    async def _listen(self) -> Heard:
        return await listen(
            self._store, self._ear, self._lease.incarnation, self._names(), int(BACKSTOP * 1000), READ_GRACE
        )

    def _hear(self, listening: asyncio.Task[Heard]) -> None:
        """Take over what the blocking read brought."""
        self._listening = None
        self._wanted.set()
        if listening.cancelled():
            return
        if (error := listening.exception()) is not None:
            logger.warning("no word from the server error=%s", error)
            self._adrift = True  # what the read had been given is found by comparing
            self._deaf_until = time.monotonic() + BACKSTOP
            return
        heard = listening.result()
        self._heard += heard.taken
        self._woken = heard.woken


def _heals(error: Exception) -> bool:
    """Whether the server will answer otherwise in a moment, or once its streams are made anew."""
    return is_passing(error) or isinstance(error, ReadOnlyError) or str(error).startswith(_HEALING)
