"""A bench for each test: one shadow on a server, with its default queue enrolled."""

from collections.abc import Iterator

import pytest

from tests.protocol.bench import Bench
from tests.support.servers import Server


@pytest.fixture
def bench(server: Server, name: str) -> Iterator[Bench]:
    with Bench(server, name) as bench:
        bench.enroll()
        yield bench
