"""Tasks that workers start by themselves: automatic perpetuals and crons, once in the whole fleet.

The key is the task's name, so however many workers start one, a single chain stands. A chain that was lost (the server lost
its data, somebody cleared it, its run ended in a dead letter) is begun anew; one that somebody cancelled, or that ended
itself, stays ended until a worker starts anew.
"""

import asyncio
import logging

from shadows.clock import as_datetime
from shadows.execution import ExecutionState
from shadows.protocol.connection import Link
from shadows.protocol.execution import Stand, scheduled
from shadows.shadow import Shadow
from shadows.tasks.plan import Plan

from .quota import Quota

logger = logging.getLogger("shadows.worker")

HEAL_EVERY = 60.0
"""Seconds between two looks whether all chains stand."""
_MEANT = (ExecutionState.CANCELLED, ExecutionState.COMPLETED)
"""A chain that ended so was ended on purpose."""


class Automatic:
    """The chains of the tasks that one shadow knows."""

    def __init__(self, shadow: Shadow, *, enabled: bool) -> None:
        self._shadow = shadow
        self._enabled = enabled
        self._ended: set[str] = set()

    async def start(self) -> None:
        """Begin every chain that does not stand."""
        self._ended.clear()
        if self._enabled and (plans := self._plans()):
            await asyncio.gather(*[self._begin(plan) for plan in plans])

    async def heal(self) -> None:
        """Begin lost chains anew, again and again."""
        while self._enabled:
            await asyncio.sleep(HEAL_EVERY)
            for plan in self._plans():
                try:
                    if await self._is_lost(plan.name):
                        await self._begin(plan)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                    logger.warning("chain not looked at task=%s error=%s", plan.name, error)

    async def resting(self, link: Link, quota: Quota | None) -> int:
        """How many chains wait for a later instant; without those whose runs are counted, which are to run out."""
        names = [
            plan.name for plan in self._plans() if quota is None or not quota.limits(plan.name, plan.name)
        ]
        return await scheduled(self._shadow.store, link, names)

    def _plans(self) -> list[Plan]:
        return [plan for plan in self._shadow.plans() if plan.automatic]

    async def _begin(self, plan: Plan) -> None:
        if self._shadow.strikes and self._shadow.strikes.forbid(plan, (), {}):
            return  # it would be turned away each time: once it is restored, it is begun
        now_us = self._shadow.clock.now_us()
        start_us = plan.starts_us(now_us)
        when = None if start_us is None or start_us <= now_us else as_datetime(start_us)
        try:
            await self._shadow.add(plan.name, when, plan.name)()
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker goes on, and it is tried again
            logger.warning("chain not begun task=%s error=%s", plan.name, error)

    async def _is_lost(self, name: str) -> bool:
        found = await self._shadow.find(name)
        if found.stand is Stand.ENDED and found.state in _MEANT:
            self._ended.add(name)  # its record goes after a while
            return False
        if found.stand not in (Stand.NONE, Stand.ENDED) and not found.lost:
            self._ended.discard(name)
            return False
        return name not in self._ended
