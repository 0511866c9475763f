"""The watchdog: sees from another thread when the event loop is blocked, says where, and for how long it may be.

The lease's thread `look`s twice a second: it asks the loop for a sign and sees whether the last one came. While a loop is
blocked its lease goes on, so that what blocks it is not run twice; past `max_stall` it must not, or a process that hangs
would hold its tasks for ever. (`/livez` is answered by that very loop: while it is blocked, no probe succeeds.)
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

logger = logging.getLogger("shadows.worker")

LOOK_EVERY = 0.5
"""Seconds between two looks."""
STALL = 1.0
"""Seconds without a sign after which a loop counts as blocked."""
MOST_FRAMES = 30


class Watchdog:
    """Watches the loop that it is made in.

    Args:
        max_stall: for how many seconds the loop may be blocked before the lease is given up.
        stalled: called, from the thread that looks, once for each time that the loop is blocked.
    """

    def __init__(self, worker: str, max_stall: float, stalled: Callable[[], None]) -> None:
        self._worker = worker
        self._max_stall = max_stall
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._asked: float | None = None
        self._told = self._given_up = False

    def look(self) -> bool:
        """See how the loop is; False where it has been blocked for too long. Called from one other thread."""
        asked = self._asked
        if asked is None:
            self._recovered()
            self._asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._sign)
            except RuntimeError:  # the loop has ended without a word to us
                self._asked = None
            return True
        silence = time.monotonic() - asked
        if silence >= STALL and not self._told:
            self._told = True
            self._stalled()
            logger.warning(
                "event loop blocked worker=%s seconds=%.1f: use `await`, or a def task, which has a thread of its own. "
                "It is at\n%s",
                self._worker,
                silence,
                self._stack(),
            )
        if silence >= self._max_stall and not self._given_up:
            self._given_up = True
            logger.error(
                "event loop blocked for too long worker=%s seconds=%.1f max_stall=%g: its lease is not renewed any more, "
                "others will run its tasks",
                self._worker,
                silence,
                self._max_stall,
            )
        return not self._given_up

    def _sign(self) -> None:
        self._asked = None

    def _recovered(self) -> None:
        if self._told:
            logger.warning("event loop goes on worker=%s", self._worker)
        self._told = self._given_up = False

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no other way to see it
        return "".join(traceback.format_stack(frame, MOST_FRAMES)).rstrip()
