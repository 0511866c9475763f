"""Delivery: hands calls over to be accepted, but for those that are stricken, and says what became of each."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import batched, compress
from typing import Any

from redis.exceptions import ResponseError

from shadows.calls import Prepared
from shadows.clock import Clock
from shadows.dependencies.context import own_next_run
from shadows.errors import NotReplicated, ServerUnreachable
from shadows.execution import Disposition, Execution, ExecutionState, Source
from shadows.protocol.batcher import MOST_ITEMS, Batcher, Unreplicated, explained
from shadows.protocol.connection import Link
from shadows.protocol.cycle import Limits
from shadows.protocol.schedule import Answer, Mode
from shadows.protocol.store import Store
from shadows.protocol.strikes import turn_away
from shadows.strike_list import Strikes
from shadows.telemetry.meter import Meter, Telling

logger = logging.getLogger("shadows.client")

# Looking into an enum costs more than asking whether an answer is one of its members.
_ACCEPTED, _SCHEDULED, _QUEUED = Answer.ACCEPTED, ExecutionState.SCHEDULED, ExecutionState.QUEUED

type _Handed = tuple[Prepared, asyncio.Future[Answer] | None, Telling | None]
"""A call, what will say what became of it (None where it is stricken), and whom to tell (None: nobody listens)."""


class Delivery:
    """The way of calls from one client to its server.

    Args:
        opened: gives the batcher, and raises where the client is not open.
        link: gives the socket for all else.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        opened: Callable[[], Batcher],
        link: Callable[[], Link],
        strikes: Strikes,
        limits: Limits,
        clock: Clock,
        meter: Meter,
        durable: int,
    ) -> None:
        self._source = source
        self._store = store
        self._open = opened
        self._link = link
        self._strikes = strikes
        self._limits = limits
        self._clock = clock
        self._meter = meter
        self._durable = durable

    def accept(self, ready: Prepared) -> Coroutine[Any, Any, Execution[Any]]:
        """Have a call accepted; as `Caller.add`."""
        return self._tell(ready) if self._meter.awake() else self._accept(ready)

    async def _tell(self, ready: Prepared) -> Execution[Any]:
        """The same, for whoever listens."""
        telling = self._told_of(ready)
        with telling:
            try:
                execution = await self._accept(ready.bearing(telling.headers))
            except NotReplicated as accepted:
                self._tell_of(telling, ready, accepted.execution)
                raise
            self._tell_of(telling, ready, execution)
            return execution

    def _tell_of(self, telling: Telling, ready: Prepared, execution: Execution[Any]) -> None:
        telling.answered(ready.item.mode, scheduled=execution.disposition is Disposition.SCHEDULED)

    def _told_of(self, ready: Prepared) -> Telling:
        return self._meter.sending(ready.plan.name, ready.item.queue, ready.item.key)

    async def _accept(self, ready: Prepared) -> Execution[Any]:
        batcher = self._open()
        if self._strikes.old:
            await self._strikes.keep_fresh()
        if self._strikes.some and self._strikes.forbid(ready.plan, ready.args, ready.kwargs):
            await self._turn_away([ready])
            return self._struck(ready)
        if own_next_run(self._store.keys.name, self._store.address.shown, ready.item):
            return self._scheduled(ready)
        try:
            answer = await batcher.post(ready.item)
        except Unreplicated as lacking:
            raise await self._unreplicated(ready, lacking) from None
        return self._scheduled(ready) if answer is _ACCEPTED else await self._accepted(ready, answer)

    async def accept_many(
        self, calls: Iterable[Prepared], chunk_size: int, mode: Mode
    ) -> list[Execution[Any]]:
        """Have many calls accepted; as `Caller.add_many`."""
        if chunk_size < 1:
            raise ValueError(f"chunk_size={chunk_size!r}: how many calls to hand over at a time, at least 1")
        batcher = self._open()  # closing sends what it holds: its answers come to the end
        executions: list[Execution[Any]] = []
        handed: list[_Handed] = []
        try:
            for chunk in batched(calls, chunk_size):
                behind, handed = handed, await self._hand_over(batcher, [_in(mode, ready) for ready in chunk])
                await self._answer(behind, executions)
            await self._answer(handed, executions)
        except Exception as error:
            accepted = sum(execution.disposition is Disposition.SCHEDULED for execution in executions)
            error.add_note(
                f"at least {accepted} calls were accepted; handing all of them over again is harmless"
            )
            raise
        finally:
            for _, reply, telling in handed:  # what an error has left without an answer
                if reply is not None:
                    reply.cancel()
                if telling is not None:
                    telling.ended(None)
        return executions

    async def _hand_over(self, batcher: Batcher, chunk: Sequence[Prepared]) -> "list[_Handed]":
        """Give calls to the batcher, but for those that are stricken."""
        if self._strikes.old:
            await self._strikes.keep_fresh()
        awake, handed = self._meter.awake(), list[_Handed]()
        if not (self._strikes.some or awake):
            return [(ready, batcher.post(ready.item), None) for ready in chunk]
        stricken = [
            self._strikes.some and self._strikes.forbid(ready.plan, ready.args, ready.kwargs)
            for ready in chunk
        ]
        for some in batched(compress(chunk, stricken), MOST_ITEMS):
            await self._turn_away(some)
        for ready, struck in zip(chunk, stricken, strict=True):
            telling = self._told_of(ready) if awake and not struck else None
            sent = ready if telling is None else ready.bearing(telling.headers)
            handed.append((ready, None if struck else batcher.post(sent.item), telling))
        return handed

    async def _answer(self, handed: "Sequence[_Handed]", executions: list[Execution[Any]]) -> None:
        """Add what became of calls; the first error is raised once all have an answer."""
        errors: list[Exception] = []
        for ready, reply, telling in handed:
            if reply is None:
                executions.append(self._struck(ready))
                continue
            error: Exception | None = None
            try:
                try:
                    answer = await reply
                except Unreplicated as lacking:
                    raise await self._unreplicated(ready, lacking) from None
                scheduled = answer is _ACCEPTED
                executions.append(
                    self._scheduled(ready) if scheduled else await self._accepted(ready, answer)
                )
            except NotReplicated as lacking:
                error = lacking
                executions.append(lacking.execution)
            except Exception as refused:  # noqa: BLE001 - raised below, once all have an answer
                error = refused
            if error is not None:
                errors.append(error)
            if telling is not None:
                if error is None or isinstance(error, NotReplicated):
                    self._tell_of(telling, ready, executions[-1])
                telling.ended(error)
        if errors:
            raise errors[0]

    async def _unreplicated(self, ready: Prepared, lacking: Unreplicated) -> NotReplicated:
        execution = await self._accepted(ready, lacking.answer)
        return NotReplicated(execution, self._durable, lacking.reached)

    async def _accepted(self, ready: Prepared, answer: Answer) -> Execution[Any]:
        if answer is Answer.ACCEPTED:
            return self._scheduled(ready)
        found = await self._source.find(ready.item.key)
        if found.lost:
            if await self._reclaim(ready) is Answer.ACCEPTED:
                return self._scheduled(ready)
            found = await self._source.find(ready.item.key)
        standing = Execution[Any](
            self._source, ready.item.key, ready.plan.name, disposition=Disposition.ALREADY_SCHEDULED
        )
        standing.update(found)
        return standing

    async def _reclaim(self, ready: Prepared) -> Answer:
        """Take the place of what was removed by hand: else its key would stay taken, and nothing run."""
        try:
            return await self._open().post(ready.item._replace(mode=Mode.RECLAIM))
        except Unreplicated as lacking:
            raise NotReplicated(self._scheduled(ready), self._durable, lacking.reached) from None

    def _scheduled(self, ready: Prepared) -> Execution[Any]:
        later = ready.item.instant_ms and ready.due_us > self._clock.now_us()
        return ready.execution(self._source, Disposition.SCHEDULED, _SCHEDULED if later else _QUEUED)

    def _struck(self, ready: Prepared) -> Execution[Any]:
        return ready.execution(self._source, Disposition.STRUCK, ExecutionState.UNKNOWN)

    async def _turn_away(self, stricken: Sequence[Prepared]) -> None:
        """Keep stricken calls among the dead letters; sent again after an error, they are kept once."""
        for ready in stricken:
            logger.warning(
                "stricken, not scheduled: kept among the dead letters task=%s key=%s",
                ready.plan.name,
                ready.item.key,
            )
            self._meter.stricken(ready.plan.name, ready.item.queue)
        items = [ready.item for ready in stricken]
        try:
            await turn_away(
                self._store, self._link(), "stricken", items, self._limits, stamp=self._clock.stamp()
            )
        except (ServerUnreachable, ResponseError) as error:
            raise explained(error, items[0]) from error


def _in(mode: Mode, ready: Prepared) -> Prepared:
    return ready if ready.item.mode is mode else ready._replace(item=ready.item._replace(mode=mode))
