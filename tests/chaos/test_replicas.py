"""Primaries that are killed: in a cluster, and behind sentinels."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos.cluster import Cluster
from chaos.sentinels import Guarded

from shadows import SyncShadow


async def note() -> None: ...


@pytest.mark.parametrize("servers", [Cluster, Guarded])
def test_what_a_replica_had_not_heard_of_is_gone_and_all_else_is_there(
    servers: Callable[[str, Path], Cluster | Guarded], tmp_path: Path
) -> None:
    with servers("valkey", tmp_path) as ground, SyncShadow(ground.named("s"), ground.url) as shadow:
        with SyncShadow(shadow.name, ground.url, durable=1) as sure:
            sure.add(note, key="kept")()
        falling = threading.Thread(target=ground.kill_primary, args=(0.5,))
        falling.start()
        n = 0
        while falling.is_alive():
            shadow.add(note, key=f"k{n}")()
            n += 1
        falling.join()
        there = [shadow.get_execution(f"k{number}") is not None for number in range(n)]
        assert shadow.get_execution("kept") is not None
        assert False in there
        assert there[-1]
