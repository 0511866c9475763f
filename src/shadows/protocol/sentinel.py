"""Sentinels: asked in turn for the primary that goes by a name, whenever there is no connection.

What a sentinel says may be old, so the server it names has to say itself that it is the primary (ROLE). Where it becomes a
replica while we are connected, it refuses writes (READONLY): the connection is closed, and the sentinels are asked again.
"""

import threading

from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from .nodes import Nodes, Place, shown
from .seeking import Turn, ask, is_readonly


class Sentinels:
    """Finds the primary."""

    mode = "sentinel"

    def __init__(self, nodes: Nodes, credentials: CredentialProvider | None) -> None:
        self._nodes = nodes
        self._credentials = credentials
        self._guard = threading.Lock()
        self._order = list(nodes.places)

    def locate(self) -> str:
        """The URL of the primary, by the first sentinel whose word proves true."""
        with self._guard:
            order = list(self._order)
        said: list[str] = []
        for sentinel in order:
            try:
                found = self._primary(sentinel)
            except (AuthenticationError, NoPermissionError):
                raise
            except (OSError, RedisError) as error:
                said.append(f"{shown(sentinel)}: {str(error).rstrip('.') or type(error).__name__}")
                continue
            with self._guard:
                self._order = [sentinel, *(one for one in self._nodes.places if one != sentinel)]
            return found
        raise RedisConnectionError(
            f"no sentinel leads to the primary {self._nodes.primary!r}: {'; '.join(said)}"
        )

    def turn(self, error: ResponseError, host: str) -> Turn | None:  # noqa: ARG002 - wherever it is
        """A replica's refusal ends the connection."""
        return (
            Turn(leave=True, lost=True) if is_readonly(error) or isinstance(error, ClusterDownError) else None
        )

    def _primary(self, sentinel: Place) -> str:
        name = self._nodes.primary
        found = ask(self._nodes.sentinel(sentinel), None, b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name)
        if found is None:
            raise RedisConnectionError(f"it knows no primary {name!r}")
        place = found[0].decode(), int(found[1])
        url = self._nodes.url(place)
        role: bytes = ask(url, self._credentials, b"ROLE")[0]
        if role != b"master":
            raise RedisConnectionError(f"it names {shown(place)}, which is not the primary now")
        return url
