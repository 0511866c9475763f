"""Damaged entries among good ones, a few of them; `python -m tests.fuzz` does it with many."""

import pytest

from tests.fuzz.attack import attack


@pytest.mark.parametrize("seed", range(3))
async def test_damaged_tasks_become_dead_letters_and_their_neighbours_run(
    name: str, url: str, seed: int
) -> None:
    figures = await attack(name, url, entries=150, seed=seed)
    assert figures.sound, figures.lines()
