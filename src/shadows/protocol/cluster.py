"""A cluster, as one shadow sees it: which node has the slot that all of its keys lie on.

    no connection     every node that is known is asked in turn (CLUSTER SLOTS), until one names the owner.
    MOVED             the slot has another owner: the same request goes there, and so does everything after it.
    ASK               the slot is being moved, and the keys of this request have been: it alone goes there.
    TRYAGAIN          some of its keys have been moved: it waits, for the time that it has.
    CLUSTERDOWN       the node has lost the others, or the slot its owner: the owner is sought anew.

None of these was carried out, so sending it again repeats nothing. What got no answer is never sent again here.
"""

import threading
from typing import Any, cast

from redis.crc import key_slot
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from shadows.errors import ServerUnsupported

from .nodes import Nodes, Place, shown
from .seeking import Turn, ask, is_readonly


class Cluster:
    """Finds the node that has the slot of one shadow's keys."""

    mode = "cluster"

    def __init__(self, nodes: Nodes, name: str, credentials: CredentialProvider | None) -> None:
        self._nodes = nodes
        self._credentials = credentials
        self.slot = key_slot(f"{{{name}}}".encode())
        self._guard = threading.Lock()
        self._known = list(nodes.places)
        self._told: Place | None = None

    def locate(self) -> str:
        """The URL of the owner, as the node that refused a request said, or any that answers."""
        with self._guard:
            told, self._told = self._told, None
            known = list(self._known)
        return self._nodes.url(told or self._owner(known))

    def turn(self, error: ResponseError, host: str) -> Turn | None:
        """Where a refused request goes; `host` is the node's that refused it."""
        if isinstance(error, AskError):
            place = cast("str", error.host) or host, error.port
            if not isinstance(error, MovedError):
                return Turn(ask=self._nodes.url(place))
            with self._guard:
                self._told = place
            return Turn(leave=True)
        if isinstance(error, TryAgainError):
            return Turn()
        return (
            Turn(leave=True, lost=True) if isinstance(error, ClusterDownError) or is_readonly(error) else None
        )

    def _owner(self, known: list[Place]) -> Place:
        tried: list[Place] = []
        silent: list[str] = []
        for place in known:
            tried.append(place)
            try:
                slots = ask(self._nodes.url(place), self._credentials, b"CLUSTER", b"SLOTS")
            except (AuthenticationError, NoPermissionError):
                raise
            except (OSError, RedisError) as error:
                if "cluster support disabled" in str(error):
                    raise ServerUnsupported(
                        f"{shown(place)} is no node of a cluster: write {self._nodes.scheme}:// in place of "
                        f"{self._nodes.scheme}+cluster://"
                    ) from error
                silent.append(f"{shown(place)}: {str(error).rstrip('.') or type(error).__name__}")
                continue
            owner, others = _read(slots, self.slot, place[0])
            with self._guard:  # who was asked goes last: no node whose news are old is asked for ever
                new = dict.fromkeys([*others, *self._nodes.places])
                self._known = [
                    *(one for one in new if one not in tried),
                    *(one for one in tried if one in new),
                ]
            if owner is not None:
                return owner
            silent.append(f"{shown(place)}: nobody has it")
        raise RedisConnectionError(f"no node says who has slot {self.slot}: {'; '.join(silent)}")


def _read(slots: list[Any], slot: int, host: str) -> tuple[Place | None, list[Place]]:
    """The owner of a slot, and all nodes, out of the reply to CLUSTER SLOTS by the node on `host`."""
    owner: Place | None = None
    places: list[Place] = []
    for first, last, *nodes in slots:
        several = [_place(node, host) for node in nodes]
        places += several
        if first <= slot <= last:
            owner = several[0]
    return owner, places


def _place(node: list[Any], host: str) -> Place:
    """A node; one that does not know its own name is where it was asked."""
    named = (node[0] or b"").decode()
    return (host if named in ("", "?") else named), int(node[1])
