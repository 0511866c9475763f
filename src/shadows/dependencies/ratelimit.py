"""At most so many starts in any stretch of time."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import overload

from shadows.checks import at_least_one
from shadows.protocol.acquire import Claim, Need

from .behaviour import Asking
from .limits import Limit, window_ms


class RateLimit(Limit["RateLimit"]):
    """Lets at most `limit` runs start in any stretch of `per`, on all workers together; what is beyond waits its turn.

        async def call(rate: RateLimit = RateLimit(10, per=timedelta(seconds=1))) -> None: ...
        async def call(tenant: str, rate: RateLimit = RateLimit("tenant", 10, per=timedelta(seconds=1))) -> None: ...
        async def call(tenant: Annotated[str, RateLimit(10, per=timedelta(seconds=1))]) -> None: ...

    A retry is a start too, and waits where others are dropped. A task may have several with different `per`: ten a second, and a thousand an hour.

    Args:
        argument_name: the argument each of whose values has a rate of its own. Default: the function as a whole, or in
            `Annotated` the argument that is annotated.
        limit: how many starts.
        per: in what time.
        drop: end what is beyond as cancelled, instead of letting it wait. What has started once (and is retried, or runs
            again on another worker) waits nevertheless. Default False.
        scope: share it with all functions that name the same scope.

    Raises:
        ValueError: a limit below one, or no time.
    """

    @overload
    def __init__(
        self, limit: int, /, *, per: timedelta, drop: bool = False, scope: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, *, limit: int, per: timedelta, drop: bool = False, scope: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, argument_name: str, limit: int, *, per: timedelta, drop: bool = False, scope: str | None = None
    ) -> None: ...
    def __init__(
        self,
        argument_name: str | int | None = None,
        limit: int | None = None,
        *,
        per: timedelta,
        drop: bool = False,
        scope: str | None = None,
    ) -> None:
        if isinstance(argument_name, int):
            limit, argument_name = argument_name, None
        super().__init__(argument_name, scope)
        self.limit = at_least_one("limit", 0 if limit is None else limit)
        self.per = per
        self.drop = drop
        self._window_ms = window_ms("per", per)

    def identity(self) -> Hashable:
        return super().identity(), self._window_ms

    def claims(self, asking: Asking) -> Sequence[Claim]:
        claims = super().claims(asking)
        return [replace(claim, drop=False) for claim in claims] if asking.begun else claims

    def claim(self, name: str) -> Claim:
        # Windows of different lengths are different counts, so that a task may have several.
        return Claim(Need.RATE, f"{name}/{self._window_ms}ms", self.limit, self._window_ms, self.drop)
