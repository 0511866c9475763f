"""Two processes: `shadows worker --tasks orders:all_tasks` in one terminal, `python orders.py` in another (both here).

Set SHADOWS_URL for both, for example to embedded:///tmp/orders, which needs no server.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from shadows import CurrentShadow, Logged, Retry, Shadow


@dataclass(frozen=True)
class Order:
    number: int
    lines: list[str]


async def accept(order: Order, shadows: Shadow = CurrentShadow()) -> None:
    """Chain: what comes next is added once this much is done."""
    await shadows.add(charge, key=f"charge-{order.number}")(order.number)


async def charge(
    number: Annotated[int, Logged], retry: Retry = Retry(attempts=3, delay=timedelta(seconds=1))
) -> str:
    """The first attempt fails, as such things do."""
    if retry.attempt == 1:
        raise ConnectionError("the bank does not answer")
    return f"receipt {number}"


all_tasks = [accept, charge]


async def main() -> None:
    async with Shadow() as shadows:
        await shadows.add(accept)(Order(42, ["book", "pen"]))
        while (charged := await shadows.get_execution("charge-42")) is None:
            await asyncio.sleep(0.1)
        print(await charged.get_result(timeout=timedelta(seconds=30)))


if __name__ == "__main__":
    asyncio.run(main())
