"""Keys with odd contents: a few damages of each; `python -m tests.fuzz --contents` does them all."""

import random

import pytest
from redis.asyncio import Redis

from shadows import Shadow
from tests.fuzz.contents import ROLES, Contents
from tests.fuzz.operations import furnish
from tests.fuzz.survey import ask_everything, run_meanwhile
from tests.fuzz.types import Ground


@pytest.mark.parametrize("role", ROLES)
async def test_clients_succeed_or_are_told_in_our_words(name: str, url: str, redis: Redis, role: str) -> None:
    async with Shadow(name, url) as shadows:
        await furnish(shadows)
        contents, dice = Contents(redis, name, role), random.Random(1)
        damages = dice.sample(await contents.instead(), 8)
        assert not await ask_everything(shadows, Ground(redis, name), [contents.beside(dice), *damages])


@pytest.mark.parametrize("seed", [1, None])
@pytest.mark.parametrize("role", ROLES)
async def test_a_worker_goes_on_and_loses_or_doubles_nothing(
    name: str, url: str, redis: Redis, role: str, seed: int | None
) -> None:
    assert not await run_meanwhile(redis, name, url, role, seed, nth=ROLES.index(role) * 7)
