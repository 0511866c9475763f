"""Waiting for executions to change: one subscription a client, however many wait, and none where nobody does."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from redis.exceptions import RedisError

from shadows.clock import Clock
from shadows.duties import end
from shadows.protocol.connection import Link
from shadows.protocol.events import ATTENTION_MS, News, attend, listen_for_news
from shadows.protocol.failures import jittered
from shadows.protocol.store import Store

logger = logging.getLogger("shadows.client")

FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0
BEGIN_PATIENCE = 5.0
"""Seconds to wait for the subscription; whoever waits looks by himself now and then anyway."""
MOST_NEWS = 1000
"""How much is kept for one who does not come for it."""
AGES_MS = 10 * 365 * 24 * 3600 * 1000
"""For how long news are asked for on a clock that is moved by hand."""


class Watch:
    """The news of one execution, for one who waits."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[News | None] = asyncio.Queue()

    def tell(self, news: News | None) -> None:
        """Have something to tell; one who does not come for it has to look for himself in the end."""
        if self.news.qsize() >= MOST_NEWS:
            self.news, news = asyncio.Queue(), None
        self.news.put_nowait(news)

    async def next(self, patience: float) -> News | None:
        """What happened next; None where nothing did for so many seconds, or some of it may have been missed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                return await self.news.get()
        return None


class Events:
    """Hands the shadow's news to those who wait for them. Its owner closes it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ear = Link(store.address)
        self._mouth = Link(store.address)
        self._watches: dict[str, list[Watch]] = {}
        self._begun = asyncio.Event()
        """Set while nothing is missed."""
        self._tried = asyncio.Event()
        """Set once it is known whether anything will be heard: nobody waits again for what was refused."""
        self._duties: list[asyncio.Task[None]] = []
        self._attended = float("-inf")

    @asynccontextmanager
    async def watch(self, key: str) -> AsyncGenerator[Watch]:
        """Within, nothing that happens to the execution is missed, unless the server is away."""
        watch = Watch()
        self._watches.setdefault(key, []).append(watch)
        try:
            if not self._duties:
                self._duties = [asyncio.create_task(self._listen()), asyncio.create_task(self._renew())]
            with suppress(TimeoutError):
                async with asyncio.timeout(BEGIN_PATIENCE):
                    await self._tried.wait()
            await self._attend()
            yield watch
        finally:
            self._watches[key].remove(watch)
            if not self._watches[key]:
                del self._watches[key]

    async def close(self) -> None:
        """Listen no more."""
        await end(*self._duties)
        await self._ear.close()
        await self._mouth.close()

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async for news in listen_for_news(  # pragma: no branch - it ends with an error only
                    self._store, self._ear, self._heard_first
                ):
                    pause = FIRST_PAUSE
                    for one in news:
                        for watch in self._watches.get(one.key, ()):
                            watch.tell(one)
            except (RedisError, OSError) as error:
                logger.debug("no news from the server error=%s", error)
                self._begun.clear()
                self._tried.set()
            await asyncio.sleep(jittered(pause))
            pause = min(pause * 2, LAST_PAUSE)

    def _heard_first(self) -> None:
        """From here on nothing is missed; what was before, everybody has to look for."""
        self._begun.set()
        self._tried.set()
        for watches in self._watches.values():
            for watch in watches:
                watch.tell(None)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(ATTENTION_MS / 3000)
            await self._attend()

    async def _attend(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._watches or now - self._attended < ATTENTION_MS / 4000:
            return
        stamp = self._clock.stamp()
        try:
            await attend(self._store, self._mouth, stamp=stamp, span_ms=AGES_MS if stamp else ATTENTION_MS)
        except (RedisError, OSError) as error:
            logger.debug("news not asked for error=%s", error)
        else:
            self._attended = now
