"""One start, when nothing newer has come for a while."""

from datetime import timedelta
from typing import ClassVar, overload

from shadows.protocol.acquire import Claim, Need

from .limits import Limit, window_ms


class Debounce(Limit["Debounce"]):
    """Waits until nothing newer has come for `settle`, then runs the newest; those before it end as cancelled.

        async def reindex(debounce: Debounce = Debounce(timedelta(seconds=5))) -> None: ...
        async def reindex(shop: int, debounce: Debounce = Debounce("shop", timedelta(seconds=5))) -> None: ...
        async def reindex(shop: Annotated[int, Debounce(timedelta(seconds=5))]) -> None: ...

    Retries of the run that started, and its redelivery after its worker died, do not wait again.

    Args:
        argument_name: the argument each of whose values settles by itself. Default: the function as a whole, or in
            `Annotated` the argument that is annotated.
        settle: for how long nothing newer must have come.
        scope: share it with all functions that name the same scope.

    Raises:
        ValueError: no time.
    """

    single = True
    again: ClassVar[bool] = False

    @overload
    def __init__(self, settle: timedelta, /, *, scope: str | None = None) -> None: ...
    @overload
    def __init__(self, *, settle: timedelta, scope: str | None = None) -> None: ...
    @overload
    def __init__(self, argument_name: str, settle: timedelta, *, scope: str | None = None) -> None: ...
    def __init__(
        self,
        argument_name: str | timedelta | None = None,
        settle: timedelta = timedelta(0),
        *,
        scope: str | None = None,
    ) -> None:
        if isinstance(argument_name, timedelta):
            settle, argument_name = argument_name, None
        super().__init__(argument_name, scope)
        self.settle = settle
        self._window_ms = window_ms("settle", settle)

    def claim(self, name: str) -> Claim:
        return Claim(Need.DEBOUNCE, name, window_ms=self._window_ms)
