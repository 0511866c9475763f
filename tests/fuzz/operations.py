"""Everything that a client does, on a shadow that holds something of everything."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from shadows import Shadow, Worker
from shadows.protocol.depth import depth

LATER = timedelta(hours=1)


async def note(number: int = 0) -> int:
    """The task of these tests."""
    return number


async def fail() -> None:
    """The task that becomes a dead letter."""
    raise ValueError


async def furnish(shadows: Shadow) -> None:
    """Put something of everything there: ended, dead, ready and scheduled tasks, a kept key, a strike and a pause."""
    shadows.register(note)
    shadows.register(fail)
    await shadows.add(note, key="ended")()
    await shadows.add(note, key="kept", unique_for=LATER)()
    await shadows.add(fail, key="dead")()
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    await shadows.add(note, key="ready")()
    await shadows.add(note, datetime.now(UTC) + LATER, key="scheduled")()
    await shadows.strike("another")
    await shadows.pause("mail")


type Operation = Callable[[Shadow], Awaitable[object]]


async def opened(shadows: Shadow) -> None:
    async with Shadow(shadows.name, shadows.url):
        pass


async def requeue(shadows: Shadow) -> None:
    for letter in await shadows.dead_letters():
        await shadows.requeue(letter.id)


async def discard(shadows: Shadow) -> None:
    for letter in await shadows.dead_letters():
        await shadows.discard(letter.id)


OPERATIONS: dict[str, Operation] = {
    "open": opened,
    "add": lambda shadows: shadows.add(note, key="new")(),
    "add again": lambda shadows: shadows.add(note, key="ready")(),
    "add for later": lambda shadows: shadows.add(note, datetime.now(UTC) + LATER, key="new")(),
    "add both": lambda shadows: shadows.add_many(
        [shadows.call(note, key="new")(), shadows.call(note, datetime.now(UTC) + LATER, key="newer")()]
    ),
    "replace ready": lambda shadows: shadows.replace(note, None, "ready")(),
    "replace scheduled": lambda shadows: shadows.replace(note, datetime.now(UTC) + LATER, "scheduled")(),
    "cancel ready": lambda shadows: shadows.cancel("ready"),
    "cancel scheduled": lambda shadows: shadows.cancel("scheduled"),
    "cancel none": lambda shadows: shadows.cancel("none"),
    "look at ready": lambda shadows: shadows.get_execution("ready"),
    "look at scheduled": lambda shadows: shadows.get_execution("scheduled"),
    "look at ended": lambda shadows: shadows.get_execution("ended"),
    "snapshot": lambda shadows: shadows.snapshot(),
    "workers": lambda shadows: shadows.workers(),
    "depth": lambda shadows: depth(shadows.store, shadows._link),
    "dead letters": lambda shadows: shadows.dead_letters(),
    "requeue": requeue,
    "discard": discard,
    "strike": lambda shadows: shadows.strike("fail"),
    "restore": lambda shadows: shadows.restore("another"),
    "strikes": lambda shadows: shadows.wait_for_strikes_loaded(),
    "pause": lambda shadows: shadows.pause("slow"),
    "resume": lambda shadows: shadows.resume(),
    "clear": lambda shadows: shadows.clear(),
    "purge": lambda shadows: shadows.purge(),
}


async def failure(operation: Awaitable[object]) -> Exception | None:
    try:
        await operation
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        return error
    return None
