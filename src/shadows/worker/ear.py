"""The ear: the blocking read of an idle worker, out for one task of any queue or for a word that something nearer is due.

What it brings is kept until the next cycle takes it: it starts only after that cycle's answer. While a read is out
nothing else may take: there is one taker at a time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from shadows.duties import end
from shadows.protocol.connection import Link
from shadows.protocol.cycle import Heard, Taken, listen
from shadows.protocol.store import Store

logger = logging.getLogger("shadows.worker")

READ_GRACE = 5.0
DEAF = 1.0
"""Seconds without another read after one that failed."""


class Ear:
    """One worker's blocking read. Its owner closes it.

    Args:
        changed: called when a read has ended.
        failed: called first where it ended with an error: what it had been given is not known.
    """

    def __init__(self, store: Store, changed: Callable[[], None], failed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed
        self._failed = failed
        self.link = Link(store.address)
        self._read: asyncio.Task[Heard] | None = None
        self._deaf_until = 0.0
        self._trouble = ""
        self.heard: list[Taken] = []
        """What reads have brought, and no cycle has taken over yet."""
        self._name = ""
        """The incarnation that it was heard as: what was given to one that is gone, others have."""
        self.woken = b""
        """The entry of `wake` that a read has brought."""

    @property
    def listening(self) -> bool:
        """Whether a read is out."""
        return self._read is not None

    def listen(self, incarnation: str, queues: Sequence[str], block: float) -> None:
        """Send a read out for so many seconds, unless the last one failed a moment ago."""
        if self._read is None and time.monotonic() >= self._deaf_until:
            reading = listen(self._store, self.link, incarnation, queues, int(block * 1000), READ_GRACE)
            self._read = asyncio.create_task(reading)
            self._read.add_done_callback(partial(self._ended, incarnation))

    def forget(self) -> None:
        """Call the read off, and forget what it brought: others have it."""
        self.heard.clear()
        if self._read is not None:
            self._read.cancel()

    async def end(self) -> bool:
        """Call the read off; whether one was out, which may have been given something."""
        if self._read is None:
            return False
        await end(self._read)
        return True

    async def close(self) -> None:
        """Close the socket."""
        await self.link.close()

    def hear(self, incarnation: str, taken: Iterable[Taken]) -> None:
        """Keep what an incarnation was given, in place of what another was."""
        if incarnation != self._name:
            self.heard, self._name = [], incarnation
        self.heard += taken

    def take(self, incarnation: str) -> list[Taken]:
        """Hand over what was heard as that incarnation."""
        heard, self.heard = self.heard, []
        return heard if incarnation == self._name else []

    def take_word(self) -> bytes:
        """Hand over the entry of `wake`."""
        woken, self.woken = self.woken, b""
        return woken

    def _ended(self, incarnation: str, read: asyncio.Task[Heard]) -> None:
        self._read = None
        if not read.cancelled():
            if (error := read.exception()) is not None:
                logger.warning("no word from the server error=%s", error)
                self._failed()
                self._deaf_until = time.monotonic() + DEAF
            else:
                heard = read.result()
                self.hear(incarnation, heard.taken)
                self.woken = heard.woken
                if heard.trouble and heard.trouble != self._trouble:
                    logger.warning("shadow is broken error=%s", heard.trouble)
                self._trouble = heard.trouble
        self._changed()
