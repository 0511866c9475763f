"""The servers of a run in a cluster: a shadow's slot moves, and its node changes places with a replica, or is killed."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.cluster import OPTIONS, Nodes
from tests.support.waiting import until_sync

from chaos.ground import Ground
from chaos.replicas import PATIENCE, Fall, follows, kill_primary

_PRIMARIES = 3


class Cluster:
    """Three nodes, and a replica of the first: `with Cluster("valkey", folder) as cluster: …`.

    Args:
        engine: which one, by the name that the tests know it by.
        folder: where the nodes keep what they know of each other.
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self._folders = [folder / f"node-{number}" for number in range(_PRIMARIES + 1)]
        self._grounds = [Ground(engine, own, options=OPTIONS) for own in self._folders]
        self._stack = ExitStack()
        self._name = ""
        self._url = ""

    @property
    def nodes(self) -> Nodes:
        """The servers, as they run now."""
        return Nodes([ground.server for ground in self._grounds], _PRIMARIES)

    @property
    def url(self) -> str:
        """With every node in it."""
        return self._url

    def named(self, name: str) -> str:
        """A name for a shadow on the node that has a replica."""
        self._name = self.nodes.names(name)[0]
        return self._name

    def fail_over(self) -> None:
        """Have the replica of the shadow's node take its place; returns once it has, and the old node follows it.

        This is the coordinated one: the old node stops to answer until the replica has all that was acknowledged.
        """
        old, new = (ground.server for ground in self._pair())
        until_sync(lambda: follows(new, old), PATIENCE, what="a replica to fail over to")
        new.call("CLUSTER", "FAILOVER")
        until_sync(lambda: follows(old, new), PATIENCE, what="a failover")

    def kill_primary(self, lag: float) -> Fall:
        """Kill the shadow's node, of whose last `lag` seconds its replica hears nothing; returns once that is mended."""
        dead, heir = self._pair()
        return kill_primary(
            dead, heir, lag, lambda: b"cluster_state:ok" in heir.server.call("CLUSTER", "INFO")
        )

    def move_away_and_back(self, pick: int) -> None:
        """Move the shadow's slot to the other node that a number chooses, key by key, and back again."""
        nodes = self.nodes
        home = nodes.owner(self._name)
        others = nodes.primaries[1:]
        other = others[pick % len(others)]
        for source, target in ((home, other), (other, home)):
            nodes.begin_move(self._name, source, target)
            for _ in nodes.move_keys(self._name, source, target):
                pass
            for server in (target, *{source, *others} - {target}):
                nodes.give(self._name, server, target)

    def _pair(self) -> tuple[Ground, Ground]:
        """The shadow's node, and its replica."""
        owner = self.nodes.owner(self._name)
        one, other = self._grounds[0], self._grounds[-1]
        return (one, other) if one.server is owner else (other, one)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for own, ground in zip(self._folders, self._grounds, strict=True):
                own.mkdir()
                stack.enter_context(ground)
            self.nodes.form()
            self._url = self.nodes.url
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
