"""Whatever stands in the place of a key of the shadow: an error that names it and the remedy, and nothing half done."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from shadows import NotAccepted, Shadow, ShadowError, Worker
from shadows.protocol.depth import depth
from shadows.protocol.keys import FIXED, Keys
from tests.fuzz.types import MADE, Ground

ROLES = [*FIXED, "ready:default"]
LATER = timedelta(hours=1)


async def note(number: int = 0) -> int:
    """The task of these tests."""
    return number


async def fail() -> None:
    """The task that becomes a dead letter."""
    raise ValueError


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    """With something of everything: ended, dead, ready and scheduled tasks, a strike and a pause."""
    async with Shadow(name, url) as shadows:
        shadows.register(note)
        shadows.register(fail)
        await shadows.add(note, key="ended")()
        await shadows.add(fail, key="dead")()
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        await shadows.add(note, key="ready")()
        await shadows.add(note, datetime.now(UTC) + LATER, key="scheduled")()
        await shadows.strike("another")
        await shadows.pause("mail")
        yield shadows


@pytest.fixture
def ground(name: str, redis: Redis) -> Ground:
    return Ground(redis, name)


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


@pytest.mark.parametrize("role", ROLES)
async def test_an_operation_succeeds_or_names_the_broken_key_and_leaves_all_as_it_was(
    shadows: Shadow, ground: Ground, role: str
) -> None:
    whole, complaints = await ground.save(), list[str]()
    for kind in wrong_types(ground, role):
        for name, operation in OPERATIONS.items():
            await ground.load(whole)
            key = await ground.spoil(role, kind)
            before = await ground.save()
            error = await failure(operation(shadows))
            if error is None:
                continue
            if not isinstance(error, ShadowError) or key.decode() not in str(error):
                complaints.append(f"{name}, {kind}: {error!r}")
            changed = {key.decode().removeprefix(ground.prefix) for key in await ground.differences(before)}
            if isinstance(
                error, NotAccepted
            ):  # the others of its batch were, and what was answered is remembered
                changed -= {"producers"} | ({"live", "ready:default"} if name == "add both" else set())
            if changed:
                complaints.append(f"{name}, {kind}: refused, and yet changed {changed}")
    await ground.load(whole)
    assert not complaints


def wrong_types(ground: Ground, role: str) -> list[str]:
    right = Keys(ground.name).type_of((ground.prefix + role).encode())
    return [kind for kind in MADE if kind != right]


async def failure(operation: Awaitable[object]) -> Exception | None:
    try:
        await operation
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        return error
    return None
