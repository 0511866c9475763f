"""Whatever an operator does meanwhile: the server holds what the model says."""

import pytest

from tests.protocol import asking, walk, walk_operator
from tests.protocol.rest import come_to_rest
from tests.protocol.walker import Walk
from tests.support.servers import Server

CHUNK = 6


@pytest.mark.parametrize("first", range(0, 30, CHUNK))
def test_no_task_is_lost_or_doubled_on_a_walk_with_an_operator(server: Server, first: int) -> None:
    runs = 0
    for seed in range(first, first + CHUNK):
        actions = [act for act in walk.MIXTURES[seed % 3] if act.__module__ != asking.__name__]
        steps = Walk(server, seed)
        steps.run(60, [*actions, *walk_operator.ACTIONS], come_to_rest)
        runs += steps.runs
    assert runs > 0
