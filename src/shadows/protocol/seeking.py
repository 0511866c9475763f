"""Finding the server that has a shadow's data, where its URL names several: what `Cluster` and `Sentinels` share."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, cast

import hiredis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.credentials import CredentialProvider
from redis.exceptions import ReadOnlyError, ResponseError
from redis.retry import Retry

type Argument = str | bytes | int

PATIENCE = 2.0
"""Seconds that one server gets to say where the data is; then the next is asked."""
FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do about a request that was refused, and not carried out, since the data is elsewhere or on its way."""

    leave: bool = False
    """Close the connection: the next is made to wherever `locate` says by then."""
    ask: str | None = None
    """The URL of the server to send this one request to, behind ASKING."""
    lost: bool = False
    """Nobody can serve it just now."""


class Seeker(Protocol):
    """Knows where the data is. Used by several threads at once."""

    mode: str
    """cluster or sentinel"""

    def locate(self) -> str:
        """The URL of the server that has the data; blocks.

        Raises:
            RedisError: nobody says where it is.
        """
        ...

    def turn(self, error: ResponseError, host: str) -> Turn | None:
        """What to do about this refusal by the server on `host`; None where it is a matter of the request itself."""
        ...


def is_readonly(error: ResponseError) -> bool:
    """Whether a replica says that it takes no writes; a script's error, before Redis 7, has that in its midst."""
    return isinstance(error, ReadOnlyError) or "-READONLY " in str(error)


def pauses(limit: float) -> Iterator[float]:
    """The seconds to wait before each new attempt, until so many are over: none at first."""
    end = monotonic() + limit
    yield 0.0
    pause = FIRST_PAUSE
    while monotonic() + pause < end:
        yield pause
        pause = min(pause * 2, LAST_PAUSE)


def connect(url: str, timeout: float, credentials: CredentialProvider | None, name: str) -> Any:
    """A connection of the client library that blocks, and sends nothing a second time."""
    pool: Any = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        client_name=name,
        credential_provider=credentials,
    )
    connection = pool.make_connection()
    connection.connect()
    return connection


def ask(url: str, credentials: CredentialProvider | None, *command: Argument) -> Any:
    """One question to a server; blocks."""
    connection = connect(url, PATIENCE, credentials, "shadows-seeker")
    try:
        connection.send_packed_command([packed(command)], check_health=False)
        return connection.read_response(disable_decoding=True)
    finally:
        connection.disconnect()


def packed(command: tuple[Argument, ...]) -> bytes:
    """A command as it travels."""
    return cast("bytes", hiredis.pack_command(cast("Any", command)))  # pyright: ignore[reportUnknownMemberType]
