"""StrikeList: the strikes of a shadow, as they stand on the server: followed, changed, and asked."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from shadows.duties import end
from shadows.errors import PayloadError, ShadowError
from shadows.protocol.connection import Address, Link, url_or_default
from shadows.protocol.store import Store
from shadows.protocol.strikes import MOST_STRIKES, Listed, TooMany, look, restore, strike
from shadows.strikes import Operator, Rules, Strike, arguments_of
from shadows.tasks.plan import Plan

logger = logging.getLogger("shadows.strikes")

FRESH = 2.0
"""Seconds for which a client goes by what it last saw."""
PATIENCE = 1.0
"""Seconds that a client waits for a look; then it goes by what it knows."""
EVERY = 0.5
"""Seconds between two looks of a list that stands alone."""


class Strikes:
    """What is stricken in one shadow, as it was last seen; iterating gives each `Strike`."""

    def __init__(self, store: Store, link: Callable[[], Link], stamp: Callable[[], bytes] = bytes) -> None:
        self._store = store
        self._link = link
        self._stamp = stamp
        self._rules = Rules()
        self._fresh_until = 0.0
        self._looking: asyncio.Future[None] | None = None
        self.version = 0
        """What the server called the state that was last seen; 0 where nothing ever was stricken."""
        self.some = False
        """Whether anything is stricken."""

    def __len__(self) -> int:
        return len(self._rules)

    def __iter__(self) -> Iterator[Strike]:
        return iter(self._rules)

    async def strike(
        self,
        function: str | None = None,
        parameter: str | None = None,
        operator: str | Operator = "==",
        value: object = None,
    ) -> None:
        """Strike a task, a parameter's values, or both; as `Shadow.strike`, by the task's name."""
        await self.strike_all([Strike.of(function, parameter, operator, value)])

    async def restore(
        self,
        function: str | None = None,
        parameter: str | None = None,
        operator: str | Operator = "==",
        value: object = None,
    ) -> None:
        """Take a strike back; as `Shadow.restore`, by the task's name."""
        await self.restore_all([Strike.of(function, parameter, operator, value)])

    async def strike_all(self, strikes: Sequence[Strike]) -> None:
        """Have strikes take effect, all at once.

        Raises:
            ShadowError: there are too many.
        """
        link, fields = self._link(), [one.field for one in strikes]
        try:
            self._take(
                await strike(self._store, link, fields, self.version, stamp=self._stamp(), most=MOST_STRIKES)
            )
        except TooMany:
            raise ShadowError(
                f"there are {MOST_STRIKES:,} strikes already, and that is as many as there may be: restore some, or "
                "strike whole ranges with the operators < <= > >= between"
            ) from None

    async def restore_all(self, strikes: Sequence[Strike]) -> None:
        """Take back these strikes, and those that are equal to them, as 1 and 1.0 are."""
        link = self._link()
        await self.refresh()
        equal = [known.field for known in self for one in strikes if known == one]
        fields = {*equal, *(one.field for one in strikes)}
        self._take(await restore(self._store, link, sorted(fields), self.version, stamp=self._stamp()))

    async def refresh(self, version: int | None = None, link: Link | None = None) -> None:
        """Learn what is stricken now, unless it is known up to that version.

        Raises:
            ServerUnreachable: no answer; what was known still holds.
        """
        if version is None or version != self.version:
            self._take(await look(self._store, link or self._link(), self.version))

    @property
    def old(self) -> bool:
        """Whether the last look is too long ago for a client to go by it."""
        return time.monotonic() > self._fresh_until

    def heard(self, version: int) -> None:
        """Take notice of the version that the server named beside another answer: a look for nothing."""
        self._fresh_until = time.monotonic() + FRESH if version == self.version else 0.0

    async def keep_fresh(self) -> None:
        """Look again, all who ask meanwhile together; where the server does not answer, what is known still holds."""
        loop = asyncio.get_running_loop()
        if self._looking is not None and self._looking.get_loop() is loop:  # not one that a fork left behind
            return await asyncio.shield(self._looking)
        self._looking = looking = loop.create_future()
        try:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self.refresh()
        finally:
            self._fresh_until = time.monotonic() + FRESH
            self._looking = None
            looking.set_result(None)
        return None

    async def wait_for_strikes_loaded(self) -> None:
        """Return once every strike that was made so far is known here.

        Raises:
            ServerUnreachable: no answer.
        """
        await self.refresh()

    def is_stricken(self, arguments: Mapping[str, Any], function: str = "") -> bool:
        """Whether a call with these arguments, by the names of their parameters, is stricken: for any task, or for one."""
        return self._rules.strike(function, lambda: arguments)

    def forbid(self, plan: Plan, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call of a task is stricken."""
        return self._rules.strike(
            plan.name, lambda: arguments_of(plan.signature, plan.injected, args, kwargs)
        )

    def _take(self, listed: Listed) -> None:
        self._fresh_until = time.monotonic() + FRESH
        if listed.strikes is None:
            return
        found: list[Strike] = []
        for field in listed.strikes:
            try:
                found.append(Strike.read(field))
            except PayloadError as error:
                logger.warning("strike cannot be read, it has no effect here error=%s", error)
        self._rules = Rules(found)
        self.some = bool(found)
        self.version = listed.version
        logger.info(
            "strikes changed shadow=%s version=%d strikes=%d",
            self._store.keys.name,
            listed.version,
            len(found),
        )


class StrikeList(Strikes):
    """The strikes of a shadow for code that runs no tasks: `async with StrikeList(name="orders") as strikes: …`.

    While it is open it follows what is stricken elsewhere, half a second behind at most; it may be opened again after it
    was closed.

    Args:
        url: where the server is; as of `Shadow`.
        name: which shadow's strikes. Default "shadows".
        credential_provider: as of `Shadow`.
    """

    def __init__(
        self,
        url: str | None = None,
        name: str = "shadows",
        *,
        credential_provider: CredentialProvider | None = None,
    ) -> None:
        address = Address(url_or_default(url), credential_provider, name=name)
        super().__init__(Store(name, address), self._opened)
        self.name = name
        self.url = address.shown
        self._own: Link | None = None
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<StrikeList of {self.name!r} on {self.url}>"

    async def __aenter__(self) -> Self:
        if self._own is not None:
            raise ShadowError(f"{self!r} is open already: open it once, and share it")
        async with AsyncExitStack() as stack:
            self._own = link = Link(self._store.address)
            stack.callback(self._forget)
            stack.push_async_callback(link.close)
            await self._store.enroll(link)
            await self.refresh()
            following = asyncio.create_task(self._follow(), name=f"shadows:{self.name}:strikes")
            stack.push_async_callback(end, following)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.refresh()
            except (RedisError, OSError) as error:
                logger.warning("strikes not seen shadow=%s error=%s", self.name, error)

    def _opened(self) -> Link:
        if self._own is None:
            raise ShadowError(f"{self!r} is not open: use it inside `async with`")
        return self._own

    def _forget(self) -> None:
        self._own = None
