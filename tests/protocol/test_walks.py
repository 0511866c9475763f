"""Whatever happens, in whatever order: the server holds what the model says."""

import pytest

from tests.protocol.walk import walks
from tests.support.servers import Server

CHUNK = 6


@pytest.mark.parametrize("first", range(0, 60, CHUNK))
def test_no_task_is_lost_or_doubled_on_a_random_walk(server: Server, first: int) -> None:
    assert walks(server, range(first, first + CHUNK), steps=60) > 0
