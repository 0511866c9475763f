"""At most so many runs at once, in the whole fleet."""

from typing import overload

from shadows.checks import at_least_one
from shadows.protocol.acquire import Claim, Need

from .limits import Limit


class ConcurrencyLimit(Limit["ConcurrencyLimit"]):
    """Never lets more than `max_concurrent` runs go on at once, on all workers together.

    What has to wait costs nothing, holds no slot of a worker, and starts in order when one ends; when a worker dies, what it
    held is free again.

        async def export(limit: ConcurrencyLimit = ConcurrencyLimit(max_concurrent=3)) -> None: ...
        async def charge(customer: int, limit: ConcurrencyLimit = ConcurrencyLimit("customer", 1)) -> None: ...
        async def charge(customer: Annotated[int, ConcurrencyLimit(1)]) -> None: ...

    A limit spans queues; a run to which a slot is handed waits for a worker that takes from its queue, and keeps the slot.

    Args:
        argument_name: the argument each of whose values has slots of its own. Default: the function as a whole, or in
            `Annotated` the argument that is annotated.
        max_concurrent: how many. Default 1.
        scope: share it with all functions that name the same scope.

    Raises:
        ValueError: fewer than one.
    """

    @overload
    def __init__(self, max_concurrent: int = 1, /, *, scope: str | None = None) -> None: ...
    @overload
    def __init__(self, argument_name: str, max_concurrent: int = 1, scope: str | None = None) -> None: ...
    @overload
    def __init__(self, *, max_concurrent: int = 1, scope: str | None = None) -> None: ...
    def __init__(
        self, argument_name: str | int | None = None, max_concurrent: int = 1, scope: str | None = None
    ) -> None:
        if isinstance(argument_name, int):
            max_concurrent, argument_name = argument_name, None
        super().__init__(argument_name, scope)
        self.max_concurrent = at_least_one("max_concurrent", max_concurrent)

    def claim(self, name: str) -> Claim:
        return Claim(Need.PERMIT, name, self.max_concurrent)
