"""Whatever stands in the place of a key of the shadow: an error that names it and the remedy, and nothing half done."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from shadows import NotAccepted, Shadow, ShadowError, Worker
from shadows.protocol.keys import FIXED, Keys
from tests.fuzz.operations import OPERATIONS, failure, furnish
from tests.fuzz.survey import ONCE, Bystanders
from tests.fuzz.types import MADE, Ground
from tests.support.waiting import until

ROLES = [*FIXED, "ready:default"]


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        await furnish(shadows)
        yield shadows


@pytest.fixture
def ground(name: str, redis: Redis) -> Ground:
    return Ground(redis, name)


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


@pytest.mark.parametrize("kind", ["string", "hash", "stream"])
@pytest.mark.parametrize("role", ROLES)
async def test_a_worker_loses_nothing_and_runs_nothing_twice_while_a_key_is_broken(
    name: str, url: str, redis: Redis, caplog: pytest.LogCaptureFixture, role: str, kind: str
) -> None:
    ground = Ground(redis, name)
    if kind == Keys(name).type_of((ground.prefix + role).encode()):
        return
    async with Shadow(name, url) as shadows:
        tasks = Bystanders(shadows)
        await tasks.add()
        async with Worker(shadows, reconnection_delay=timedelta(milliseconds=50)) as worker:
            working = asyncio.create_task(worker.run_until_finished())
            await until(tasks.begun)
            present = await ground.swap(role, kind)
            tasks.gate.set()
            await until(lambda: f"{ground.prefix}{role}'" in caplog.text or working.done())
            await ground.swap_back(role, present=present)
            await working
        if (
            role == "ready:default"
        ):  # outcomes of its tasks are refused alone, so that other queues go on: they run again
            assert all(tasks.runs[key] >= most for key, most in ONCE.items())
        else:
            assert tasks.runs == ONCE
        assert {(letter.key, letter.reason) for letter in await shadows.dead_letters()} == {
            ("failing", "failed"),
            ("retrying", "failed"),
        }
        for left in ("live", "due", "parked", "held", "waiting", "controls"):
            assert not await redis.exists(ground.prefix + left), left
        assert not await redis.xlen(ground.prefix + "ready:default")


def wrong_types(ground: Ground, role: str) -> list[str]:
    right = Keys(ground.name).type_of((ground.prefix + role).encode())
    return [kind for kind in MADE if kind != right]
