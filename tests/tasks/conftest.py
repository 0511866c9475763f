"""Registries of shadows that no other test knows."""

import uuid
from collections.abc import Callable

import pytest

from shadows.tasks.registry import Registry


@pytest.fixture
def shadow_name() -> str:
    return f"registry-{uuid.uuid4().hex}"


@pytest.fixture
def another(shadow_name: str) -> Callable[[], Registry]:
    """Makes registries of the same shadow's name, as several `Shadow` objects in one process have."""
    return lambda: Registry(shadow_name)


@pytest.fixture
def registry(another: Callable[[], Registry]) -> Registry:
    return another()
