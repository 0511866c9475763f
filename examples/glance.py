"""The README's first example in one file: add two tasks, run them. `SHADOWS_URL=memory:// python glance.py`."""

import asyncio
from datetime import UTC, datetime, timedelta

from shadows import Shadow, Worker


async def greet(name: str, greeting: str = "Hello") -> None:
    print(f"{greeting}, {name} at {datetime.now(UTC)}!")


async def main() -> None:
    async with Shadow() as shadows:
        await shadows.add(greet)("Jane")
        soon = datetime.now(UTC) + timedelta(seconds=3)
        await shadows.add(greet, when=soon)("John", greeting="Howdy")
        async with Worker(shadows) as worker:
            await worker.run_until_finished()


if __name__ == "__main__":
    asyncio.run(main())
