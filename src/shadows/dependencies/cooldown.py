"""One start, and none for a while after it."""

from datetime import timedelta
from typing import ClassVar, overload

from shadows.protocol.acquire import Claim, Need

from .limits import Limit, window_ms


class Cooldown(Limit["Cooldown"]):
    """Lets the first run start, and ends as cancelled what would start within `window` after it.

        async def notify(cooldown: Cooldown = Cooldown(timedelta(minutes=5))) -> None: ...
        async def notify(user: int, cooldown: Cooldown = Cooldown("user", timedelta(minutes=5))) -> None: ...
        async def notify(user: Annotated[int, Cooldown(timedelta(minutes=5))]) -> None: ...

    Retries of the run that started, and its redelivery after its worker died, are not dropped.

    Args:
        argument_name: the argument each of whose values cools down by itself. Default: the function as a whole, or in
            `Annotated` the argument that is annotated.
        window: for how long after a start none follows.
        scope: share it with all functions that name the same scope.

    Raises:
        ValueError: no time.
    """

    again: ClassVar[bool] = False

    @overload
    def __init__(self, window: timedelta, /, *, scope: str | None = None) -> None: ...
    @overload
    def __init__(self, *, window: timedelta, scope: str | None = None) -> None: ...
    @overload
    def __init__(self, argument_name: str, window: timedelta, *, scope: str | None = None) -> None: ...
    def __init__(
        self,
        argument_name: str | timedelta | None = None,
        window: timedelta = timedelta(0),
        *,
        scope: str | None = None,
    ) -> None:
        if isinstance(argument_name, timedelta):
            window, argument_name = argument_name, None
        super().__init__(argument_name, scope)
        self.window = window
        self._window_ms = window_ms("window", window)

    def claim(self, name: str) -> Claim:
        return Claim(Need.COOLDOWN, name, window_ms=self._window_ms)
