"""The servers of a run behind sentinels: the primary is killed, and they promote its replica."""

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.sentinel import (
    PRIMARY,
    Watched,
    watching,
)
from tests.support.servers import Server
from tests.support.waiting import until_sync

from chaos.ground import Ground
from chaos.replicas import PATIENCE, Fall, following, follows, is_primary, kill_primary

QUORUM = 2
_PATIENCE_MS = (1500, 1800, 2100)
"""For how long each sentinel hears nothing of a primary until it takes it for dead.

More than the second after which they connect anew to one that was just promoted, and cut them off as it was.
"""
_OPTIONS = ("--repl-diskless-sync-delay", "0")


class Guarded:
    """A primary, its replica and three sentinels: `with Guarded("valkey", folder) as guarded: …`.

    Args:
        engine: which one, by the name that the tests know it by.
        folder: where the servers keep their files.
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self._engine = engine
        self._folders = [folder / "server-0", folder / "server-1"]
        self._grounds = [Ground(engine, own, options=_OPTIONS) for own in self._folders]
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

    def kill_primary(self, lag: float) -> Fall:
        """Kill the primary, of whose last `lag` seconds its replica hears nothing; returns once that is mended."""
        one, other = self._grounds
        dead, heir = (one, other) if is_primary(one.server) else (other, one)
        fall = kill_primary(
            dead, heir, lag, lambda: any(_names(each, heir.port) for each in self._sentinels), following(heir)
        )
        # A second election, of one that came late to the first, may have led back; what was done meanwhile is lost, too.
        return fall if self._settled() is heir else fall._replace(promoted=time.time())

    def _settled(self) -> Ground:
        """The primary, once all sentinels agree who that is, and would promote the other."""
        one, other = self._grounds
        until_sync(lambda: self._agree(one) or self._agree(other), PATIENCE, what="sentinels that agree")
        return one if is_primary(one.server) else other

    def _agree(self, primary: Ground) -> bool:
        return is_primary(primary.server) and all(_content(each, primary.port) for each in self._sentinels)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for own in self._folders:
                own.mkdir()
            primary, replica = self._grounds
            stack.enter_context(primary)
            stack.callback(replica.__exit__, None, None, None)
            replica.start(*following(primary))
            until_sync(lambda: follows(replica.server, primary.server), PATIENCE, what="a replica")
            for patience in _PATIENCE_MS:
                sentinel = stack.enter_context(watching(self._engine, primary.port))
                sentinel.call("SENTINEL", "SET", PRIMARY, "quorum", QUORUM)
                # One after the other, or each would vote for itself, and nobody be elected.
                sentinel.call("SENTINEL", "SET", PRIMARY, "down-after-milliseconds", patience)
                self._sentinels.append(sentinel)
            self._settled()
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
        and len(sentinel.call("SENTINEL", "SENTINELS", PRIMARY)) == len(_PATIENCE_MS) - 1
        and any((row[b"flags"], row[b"master-link-status"]) == (b"slave", b"ok") for row in replicas)
    )
