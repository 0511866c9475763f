"""The lease: a thread of its own renews it, so that a task which blocks the event loop does not lose it.

Its life:
- `start` takes the lease for a fresh incarnation, before the first read.
- A quarter of its length later, and so on, the thread renews it; on any error it tries again sooner. A worker may start
  tasks only while `holds()`: its last successful beat is younger than the lease, by the process's own monotonic clock.
- A beat that answers LOST means that others have (begun to) take its tasks: the loop is told, and a new incarnation
  begins, with a name that nobody used before. It holds only once the loop has heard of it: what was taken in the old name
  may not be started in the new one's.
- A loop that has been blocked for longer than `max_stall` gives its lease up: the thread renews it no more, until the
  loop goes on.
- `stop` ends the thread; what the lease still covers may be reaped once it has run out.
"""

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable

from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shadows.clock import Clock
from shadows.protocol.connection import SyncLink
from shadows.protocol.failures import jittered
from shadows.protocol.lease import beat, server_run
from shadows.protocol.store import Store

from .holdoff import HoldOff
from .watchdog import LOOK_EVERY, Watchdog

logger = logging.getLogger("shadows.worker")

PATIENCE = 5.0
"""Seconds that a worker that starts asks for its lease, should a slow server or machine let single requests time out."""
CLOCKS_AGREE_US = 100_000
"""Clocks that are less than this apart count as one: the round trip itself is a part of what is seen."""


class Lease:
    """One worker's lease, renewed from a thread."""

    def __init__(
        self,
        store: Store,
        name: str,
        length: float,
        clock: Clock,
        lost: Callable[[], None],
        expired: Callable[[list[str]], None],
        watchdog: Watchdog,
    ) -> None:
        self._store = store
        self._name = name
        self._length = length
        self._clock = clock
        self._lost = lost
        self._expired = expired
        self._watchdog = watchdog
        self._link = SyncLink(store.address, max(length / 4, 0.25))
        self._ending = False
        self._nudged = threading.Event()
        self._beating = threading.Lock()
        self._last = 0.0
        self._latest_ms = 0
        self._opened = 0
        self._hold_off = HoldOff(name, length)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._renew, name=f"shadows-lease-{name}", daemon=True)
        self._unfollow: Callable[[], None] = lambda: None
        self.offset_us = 0
        """How far the server's clock is ahead of ours, where that is worth a correction."""
        self.incarnation = self._fresh()
        """Who the server knows this worker as; changes when the lease is lost."""
        self._heard = self.incarnation

    async def start(self) -> None:
        """Take the lease, and keep it from now on.

        Raises:
            RedisError: the server does not answer, nor does it within `PATIENCE` where a short lease asked for haste.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                await asyncio.to_thread(self._beat, first=True)
                break
            except RedisTimeoutError:
                if time.monotonic() > deadline:
                    raise
        self._unfollow = self._clock.follow(self._renew_at)
        self._thread.start()

    async def stop(self) -> None:
        """Renew no more."""
        self._unfollow()
        self._ending = True
        self._nudged.set()
        await asyncio.to_thread(self._thread.join)
        self._link.close()

    def holds(self) -> bool:
        """Whether tasks may be started: the last beat is younger than the lease, and the loop knows in whose name it was."""
        return time.monotonic() - self._last < self._length and self._heard == self.incarnation

    def renew(self) -> None:
        """Renew it at once: the server says that it does not hold, as where it lost its data."""
        self._nudged.set()

    def hold_off(self) -> float:
        """Seconds for which nobody may be judged dead, as the server was away; 0 where everybody may."""
        return self._hold_off.remaining()

    def _renew(self) -> None:
        due = time.monotonic() + self._length / 4
        while True:
            nudged = self._nudged.wait(min(LOOK_EVERY, max(0.0, due - time.monotonic())))
            if self._ending:
                return
            self._nudged.clear()
            responds = self._watchdog.look()
            if not nudged and time.monotonic() < due:
                continue
            pause = self._length / 4
            if responds:
                try:
                    self._beat()
                except Exception as error:  # noqa: BLE001 - whatever it is, the lease must go on
                    self._hold_off.failed()
                    logger.warning("lease not renewed worker=%s error=%s", self._name, error)
                    pause = jittered(self._length / 16)
            due = time.monotonic() + pause

    def _renew_at(self, instant_ms: int) -> None:
        self._beat(stamp=str(instant_ms).encode())

    def _beat(self, *, first: bool = False, stamp: bytes | None = None) -> None:
        with self._beating:
            sent = time.monotonic()
            at = self._clock.stamp() if stamp is None else stamp
            if at:  # a clock that is moved by hand renews before it moves: no other beat may fall behind that
                self._latest_ms = max(self._latest_ms, int(at))
                at = str(self._latest_ms).encode()
            answer = beat(
                self._store.keys,
                self._link,
                self.incarnation,
                int(self._length * 1000),
                first=first,
                stamp=at,
            )
            if not at:  # a clock that is moved by hand jumps, and nothing is away then
                self._hold_off.beaten(sent, answer.now_ms)
                self._see_server()
            apart_us = answer.now_ms * 1000 - self._clock.now_us()
            # What follows a clock that is moved by hand agrees with it, also while it is being moved.
            self.offset_us = apart_us if abs(apart_us) > CLOCKS_AGREE_US and not at else 0
            if answer.held:
                self._last = sent
            else:
                self._last = 0.0
                self.incarnation = fresh = self._fresh()
                self._tell(lambda: self._hear(fresh))
        if not answer.held:
            self._beat(first=True)
        elif answer.expired:
            self._tell(lambda: self._expired(answer.expired))

    def _see_server(self) -> None:
        """Where the socket is another one, the server may be another run of it."""
        if self._opened != self._link.opened:
            with contextlib.suppress(
                ResponseError
            ):  # it may not be asked, and the beats themselves are left to judge by
                self._hold_off.connected(server_run(self._link))
            self._opened = self._link.opened

    def _hear(self, incarnation: str) -> None:
        self._lost()
        self._heard = incarnation

    def _tell(self, news: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended without a word to us
            self._loop.call_soon_threadsafe(news)

    def _fresh(self) -> str:
        return f"{self._name}#{secrets.token_hex(6)}"
