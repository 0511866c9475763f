"""Background coroutines that belong to somebody: they end with their owner."""

import asyncio
from typing import Any


async def end(*duties: asyncio.Task[Any]) -> None:
    """Cancel them and see them end; what they ended with is nobody's concern any more."""
    for duty in duties:
        duty.cancel()
    if duties:
        await asyncio.wait(duties)
