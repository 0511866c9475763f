"""The gate: asks for what runs need before they may start, all that ask in one turn of the loop together."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shadows.duties import end
from shadows.protocol.acquire import MOST_ARGUMENTS, Admission, Asking, Claim, acquire
from shadows.protocol.connection import Link
from shadows.protocol.cycle import MOST_ITEMS
from shadows.protocol.failures import Backoff, Failure, classify
from shadows.shadow import Shadow

logger = logging.getLogger("shadows.worker")

LAST_PAUSE = 1.0


@dataclass(slots=True)
class _Waiting:
    asking: Asking
    answer: asyncio.Future[Admission]


class Gate:
    """Where runs under limits are admitted. Its owner closes it when nothing runs any more."""

    def __init__(self, shadow: Shadow, incarnation: Callable[[], str]) -> None:
        self._shadow = shadow
        self._incarnation = incarnation
        self._link = Link(shadow.store.address)
        self._queue: deque[_Waiting] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def acquire(self, token: str, key: str, who: str, claims: Sequence[Claim]) -> Admission:
        """Whether the run may start; what may not is set aside or ended by the time of the answer.

        While the server does not answer, this waits: whoever cancels the run ends that.
        """
        waiting = _Waiting(Asking(token, key, who, claims), asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await waiting.answer

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            await end(self._asking)
        await self._link.close()

    async def _ask(self) -> None:
        try:
            while batch := self._next():
                answers = await self._send([waiting.asking for waiting in batch])
                for waiting, answer in zip(batch, answers, strict=True):
                    if not waiting.answer.done():
                        waiting.answer.set_result(answer)
        finally:
            self._asking = None

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < MOST_ITEMS:
            size += self._queue[0].asking.size
            if batch and size > MOST_ARGUMENTS:
                break
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _send(self, asking: list[Asking]) -> list[Admission]:
        backoff = Backoff(LAST_PAUSE)
        while True:
            shadow = self._shadow
            try:
                return await acquire(
                    shadow.store,
                    self._link,
                    self._incarnation(),
                    asking,
                    shadow.limits,
                    stamp=shadow.clock.stamp(),
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                logger.warning("limits not asked for error=%s", error)
                if classify(error) not in (Failure.TRANSIENT, Failure.RELOAD):
                    return [Admission.UNKNOWN] * len(asking)
            await asyncio.sleep(backoff.pause())
