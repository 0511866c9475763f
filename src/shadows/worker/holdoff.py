"""The hold-off: after the server was away nobody is judged dead for one lease's time, as the living could not renew.

It was away where beats failed for half a lease, where it runs anew (its run_id is another), or where its clock jumped. A
socket that was reset is no reason: a proxy that resets idle ones would stop all reaping.
"""

import logging
import time

from shadows.protocol.lease import ServerRun

logger = logging.getLogger("shadows.worker")


class HoldOff:
    """What one worker's beats say of its server. Told from the lease's thread, asked from the loop."""

    def __init__(self, worker: str, length: float) -> None:
        self._worker = worker
        self._length = length
        self._until = 0.0
        self._failing = False
        self._sent = 0.0
        self._now_ms = 0
        self._run_id = ""

    def remaining(self) -> float:
        """Seconds for which nobody may be judged; 0 where everybody may."""
        if self._failing:
            return self._length / 4
        return max(0.0, self._until - time.monotonic())

    def failed(self) -> None:
        """A beat failed."""
        self._failing = True

    def beaten(self, sent: float, now_ms: int) -> None:
        """A beat succeeded: when it was sent, by our monotonic clock, and when it came, by the server's."""
        if self._sent:
            gap = sent - self._sent
            jump = (now_ms - self._now_ms) / 1000 - gap
            if self._failing and gap > self._length / 2:
                self._hold(self._length, f"no beat succeeded for {gap:.1f} s")
            elif abs(jump) > self._length / 2:
                self._hold(self._length, f"its clock jumped by {jump:.1f} s")
        self._sent, self._now_ms, self._failing = sent, now_ms, False

    def connected(self, run: ServerRun) -> None:
        """The socket was opened anew: which run of the server is at its other end, and since when it runs."""
        if self._run_id and run.run_id != self._run_id:
            self._hold(self._length, "it runs anew")
        elif not self._run_id and run.uptime < self._length:
            self._hold(self._length - run.uptime, "it has just started")
        self._run_id = run.run_id

    def _hold(self, seconds: float, why: str) -> None:
        self._until = max(self._until, time.monotonic() + seconds)
        level = logging.WARNING if self._run_id else logging.INFO
        logger.log(
            level,
            "server was away, nobody is judged dead yet worker=%s why=%s seconds=%.1f",
            self._worker,
            why,
            seconds,
        )
