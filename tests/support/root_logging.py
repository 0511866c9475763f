"""Keeps the root logger as it was, for tests of code that sets it up."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def kept_logging() -> Iterator[None]:
    """Put the root logger's handlers and level back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
