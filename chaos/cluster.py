"""The servers of a run in a cluster: a shadow's slot moves, and its node changes places with a replica."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from tests.support.cluster import Nodes, running_cluster
from tests.support.servers import Server
from tests.support.waiting import until_sync

_PATIENCE = 20.0
"""Seconds that a failover may take."""


class Cluster:
    """Three nodes, and a replica of the first: `with Cluster("valkey") as cluster: …`.

    Failovers are the coordinated ones: the old node stops to answer until the replica has all that was acknowledged.
    """

    def __init__(self, engine: str) -> None:
        self._life: AbstractContextManager[Nodes] = running_cluster(primaries=3, replicas=1, engine=engine)
        self._nodes: Nodes | None = None
        self._name = ""

    @property
    def nodes(self) -> Nodes:
        """The servers."""
        if self._nodes is None:
            raise RuntimeError("no cluster runs: use it by `with`")
        return self._nodes

    @property
    def url(self) -> str:
        return self.nodes.url

    def named(self, name: str) -> str:
        """A name for a shadow on the node that has a replica."""
        self._name = self.nodes.names(name)[0]
        return self._name

    def fail_over(self) -> None:
        """Have the replica of the shadow's node take its place; returns once it has, and the old node follows it."""
        pair = [self.nodes.servers[0], *self.nodes.replicas]
        old = self.nodes.owner(self._name)
        new = next(server for server in pair if server is not old)
        until_sync(lambda: _follows(new, old), _PATIENCE, what="a replica to fail over to")
        new.call("CLUSTER", "FAILOVER")
        until_sync(lambda: _follows(old, new), _PATIENCE, what="a failover")

    def move_away_and_back(self, pick: int) -> None:
        """Move the shadow's slot to the other node that a number chooses, key by key, and back again."""
        home = self.nodes.owner(self._name)
        others = self.nodes.primaries[1:]
        other = others[pick % len(others)]
        for source, target in ((home, other), (other, home)):
            self.nodes.begin_move(self._name, source, target)
            for _ in self.nodes.move_keys(self._name, source, target):
                pass
            for server in (target, *{source, *others} - {target}):
                self.nodes.give(self._name, server, target)

    def __enter__(self) -> Self:
        self._nodes = self._life.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._life.__exit__(kind, error, traceback)


def _follows(replica: Server, primary: Server) -> bool:
    """Whether it replicates that one, and is up to date."""
    role, *facts = replica.call("ROLE")
    return (role, *facts[1:3]) == (b"slave", primary.port, b"connected")
