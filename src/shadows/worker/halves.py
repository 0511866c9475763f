"""Halves: of runs that end at once one half starts while the outcomes of the other are on their way to the server.

So worker and server work at the same time. Where the server is far away, so that the way is what takes long, loads start whole:
halves would wait twice as often.
"""

import math
import time
from collections.abc import Callable, Sized

from shadows.protocol.cycle import Taken

LEAST = 16
"""Runs that end at once, of which so many are half of a load: below, a cycle of its own costs more than it saves."""
FAR = 4
"""The server is far away where its answer takes so many times as long as half a load's runs."""


class Halves:
    """What one worker has taken, and starts at once or when the next request is on its way.

    Args:
        start: starts a run.
        ended: the outcomes that wait to be sent.
    """

    def __init__(self, start: Callable[[Taken], None], ended: Sized) -> None:
        self._start = start
        self._ended = ended
        self._name = ""
        """The incarnation that what is left was taken as."""
        self._run_took = math.inf
        """Seconds that one of the last runs took until it waited or ended."""
        self.answer_took = 0.0
        """Seconds from the last request to its answer."""
        self.left: list[Taken] = []
        """What is to start while the next request is on its way."""

    def start(self, incarnation: str, several: list[Taken], load: int) -> None:
        """Start these until half of a load has ended, and leave the rest, if it is worth it."""
        half = max(LEAST, load // 2)
        whole = self.answer_took > FAR * half * self._run_took
        place, began = 0, time.monotonic()
        while place < len(several) and (whole or len(self._ended) < half):
            self._start(several[place])
            place += 1
        self.left, self._name = several[place:], incarnation
        self._took(began, place)

    def take_left(self, incarnation: str) -> list[Taken]:
        """Hand over what was left to that incarnation; what was to another, others run."""
        left, self.left = self.left, []
        return left if self._name == incarnation else []

    def start_left(self, left: list[Taken]) -> None:
        """Start what was left and handed over."""
        began = time.monotonic()
        for taken in left:
            self._start(taken)
        self._took(began, len(left))

    def forget(self) -> None:
        """Start nothing of what was left: who holds it is to be asked."""
        self.left = []

    def _took(self, began: float, runs: int) -> None:
        if runs >= LEAST:  # of fewer it is too much by chance
            self._run_took = (time.monotonic() - began) / runs
