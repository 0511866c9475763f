"""The servers of a run behind sentinels: the primary is killed, and they promote its replica."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.sentinel import (
    PRIMARY,
    Watched,
    _sentinel,  # pyright: ignore[reportPrivateUsage] - what the tests start is what runs here
)
from tests.support.servers import Server
from tests.support.waiting import until_sync

from chaos.ground import Ground
from chaos.replicas import PATIENCE, following, follows, is_primary, kill_primary

SENTINELS, QUORUM = 3, 2


class Guarded:
    """A primary, its replica and three sentinels: `with Guarded("valkey", folder) as guarded: …`.

    Args:
        engine: which one, by the name that the tests know it by.
        folder: where the servers keep their files.
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self._engine = engine
        self._grounds = [Ground(engine, folder), Ground(engine, folder)]
        self._sentinels: list[Server] = []
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """With every sentinel in it."""
        one, other = self._grounds
        return Watched(one.server, other.server, self._sentinels).url

    def named(self, name: str) -> str:
        """What a shadow has to be called to be here: anything will do."""
        return name

    def kill_primary(self, lag: float) -> tuple[float, float]:
        """Kill the primary, of whose last seconds its replica hears nothing; answers when, and when that one had taken its place."""
        one, other = self._grounds
        dead, heir = (one, other) if is_primary(one.server) else (other, one)
        times = kill_primary(
            dead, heir, lag, lambda: any(_names(each, heir.port) for each in self._sentinels), following(heir)
        )
        self._settle(heir)
        return times

    def _settle(self, primary: Ground) -> None:
        """Until all sentinels agree, and would promote the other."""
        until_sync(
            lambda: all(_content(each, primary.port) for each in self._sentinels),
            PATIENCE,
            what="sentinels that agree",
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            primary, replica = self._grounds
            stack.enter_context(primary)
            stack.callback(replica.__exit__, None, None, None)
            replica.start(*following(primary))
            until_sync(lambda: follows(replica.server, primary.server), PATIENCE, what="a replica")
            for _ in range(SENTINELS):
                sentinel = stack.enter_context(_sentinel(self._engine, primary.port))
                sentinel.call("SENTINEL", "SET", PRIMARY, "quorum", QUORUM)
                self._sentinels.append(sentinel)
            self._settle(primary)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)


def _names(sentinel: Server, port: int) -> bool:
    """Whether it says that the primary is there."""
    return int(sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)[1]) == port


def _content(sentinel: Server, port: int) -> bool:
    """Whether it knows the primary, both other sentinels, and a replica that is well."""
    replicas = [
        dict(zip(row[::2], row[1::2], strict=True)) for row in sentinel.call("SENTINEL", "REPLICAS", PRIMARY)
    ]
    return (
        _names(sentinel, port)
        and len(sentinel.call("SENTINEL", "SENTINELS", PRIMARY)) == SENTINELS - 1
        and any((row[b"flags"], row[b"master-link-status"]) == (b"slave", b"ok") for row in replicas)
    )
