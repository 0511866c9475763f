"""Writes how far running tasks have come: what changed in a tenth of a second travels together."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from redis.exceptions import RedisError

from shadows.progress import ProgressReport
from shadows.protocol.connection import Link
from shadows.protocol.duties import note_progress
from shadows.shadow import Shadow

logger = logging.getLogger("shadows.worker")

PAUSE = 0.1
MOST = 200


class ProgressBoard:
    """The reports of one worker's running tasks. Its owner closes it."""

    def __init__(self, shadow: Shadow, incarnation: Callable[[], str]) -> None:
        self._shadow = shadow
        self._incarnation = incarnation
        self._link = Link(shadow.store.address)
        self._changed: dict[str, tuple[str, ProgressReport | None]] = {}
        self._written: set[str] = set()
        self._writing: asyncio.Task[None] | None = None

    def report(self, token: str, key: str) -> ProgressReport:
        """The report of one run, which is written whenever it changes."""

        def changed() -> None:
            self._changed[token] = (key, report)
            self._written.add(token)
            self._write_soon()

        report = ProgressReport(_changed=changed)
        return report

    def ended(self, token: str, key: str) -> None:
        """Forget a run whose outcome is recorded."""
        if token in self._written:
            self._written.discard(token)
            self._changed[token] = (key, None)
            self._write_soon()

    async def close(self) -> None:
        """Write what is unwritten, and end."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self._link.close()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._changed:
                tokens = list(self._changed)[:MOST]
                changed = {token: self._changed.pop(token) for token in tokens}
                try:
                    await self._note(changed)
                except (RedisError, OSError):
                    self._changed = changed | self._changed  # with the next change
                    raise
                await asyncio.sleep(PAUSE)
        except (RedisError, OSError) as error:
            logger.warning("progress not written error=%s", error)
        finally:
            self._writing = None

    async def _note(self, changed: Mapping[str, tuple[str, ProgressReport | None]]) -> None:
        notes = [(token, key, report.words if report else "") for token, (key, report) in changed.items()]
        await note_progress(
            self._shadow.store, self._link, self._incarnation(), notes, stamp=self._shadow.clock.stamp()
        )
