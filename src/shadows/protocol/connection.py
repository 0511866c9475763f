"""Connections to the server: one socket that carries one request at a time.

The client library's own resending is switched off: only our code knows what may be sent again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from time import sleep
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shadows.errors import EmbeddedUnavailable, ServerUnreachable, ServerUnsupported

from .address import Address
from .failures import needs_another_socket
from .seeking import Argument, connect, packed, pauses
from .url import url_or_default
from .wire import Wire, take_over

__all__ = ["Address", "Argument", "Link", "Reply", "SyncLink", "check_server", "url_or_default"]

type Reply = Any
"""What the server answered: bytes, integers and lists of these."""

CONNECT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 10.0
OLDEST = (6, 0)


class Link:
    """One socket to the server, opened at the first request and again after any error. Not for two users at once."""

    __slots__ = ("_address", "_connection", "_lock", "_timeout", "_wire")

    def __init__(self, address: Address, timeout: float = REQUEST_TIMEOUT) -> None:
        self._address = address
        self._timeout = timeout
        self._connection: Any = None
        self._wire: Wire | None = None
        self._lock = asyncio.Lock()

    async def request(self, *command: Argument, timeout: float | None = None) -> Reply:
        """Send one command and wait for its reply, `timeout` seconds at most.

        Raises:
            ServerUnreachable: no connection, or no reply in time: the command may or may not have been carried out.
            ResponseError: what the server answered, where that is an error.
        """
        async with self._lock:
            limit = timeout or self._timeout
            try:
                return await self._exchange(command, limit)
            except ResponseError as error:
                return await self._follow(command, limit, error)

    async def _exchange(self, command: tuple[Argument, ...], limit: float) -> Reply:
        wire = self._wire
        if wire is None:
            wire = self._wire = take_over(await self._connect())
        try:
            reply: Reply = await wire.ask(packed(command), limit)
        except (OSError, RedisError) as error:
            await self.close()
            raise self._no_reply(error) from error
        except BaseException:
            await self.close()  # the reply may still come, and must not be taken for the next one's
            raise
        if isinstance(reply, Exception):
            if isinstance(reply, ResponseError):
                raise reply
            await self.close()
            raise self._no_reply(reply) from reply
        return reply

    def _no_reply(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(f"no reply from {self._address.shown}: {str(error) or type(error).__name__}")

    async def _follow(self, command: tuple[Argument, ...], limit: float, error: ResponseError) -> Reply:
        """What was refused, and so not carried out, goes to where the data is, or waits until it has got there."""
        for pause in pauses(limit):
            turn = self._address.turn(error, getattr(self._connection, "host", ""))
            if turn is None:
                if needs_another_socket(error):
                    await self.close()
                raise error
            if turn.leave:
                await self.close()
            if turn.lost:
                break
            await asyncio.sleep(pause)
            try:
                if turn.ask is None:
                    return await self._exchange(command, limit)
                return await self._exchange_beside(turn.ask, command, limit)
            except ResponseError as another:
                error = another
        raise _nobody(self._address, error) from error

    async def _exchange_beside(self, url: str, command: tuple[Argument, ...], limit: float) -> Reply:
        other = Link(self._address.beside(url), limit)
        try:
            await other._exchange((b"ASKING",), limit)
            return await other._exchange(command, limit)
        finally:
            await other.close()

    async def messages(self, channel: Argument, begun: Callable[[], None]) -> AsyncGenerator[bytes]:
        """What is published on a channel, for as long as the connection lasts; `begun` is called when it is subscribed.

        Raises:
            ServerUnreachable: no connection, or it was lost.
            ResponseError: the server refuses the subscription.
        """
        async with self._lock:
            await self.close()  # what is subscribed is read by other means
            connection = await self._connect()
            try:
                await connection.send_packed_command([packed((b"SUBSCRIBE", channel))], check_health=False)
                while True:
                    kind, _, content = await connection.read_response(
                        disable_decoding=True, disconnect_on_error=False
                    )
                    if kind == b"message":
                        yield content
                    else:
                        begun()
            except ResponseError:
                raise
            except (OSError, RedisError) as error:
                raise ServerUnreachable(
                    f"no news from {self._address.shown}: {str(error) or type(error).__name__}"
                ) from error
            finally:
                await self.close()

    async def close(self) -> None:
        """Close the socket; the next request opens another."""
        connection, self._connection = self._connection, None
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connect(self) -> Any:
        try:
            url = (
                await asyncio.to_thread(self._address.locate)
                if self._address.looks
                else self._address.locate()
            )
            pool: Any = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,
                socket_connect_timeout=CONNECT_TIMEOUT,
                client_name="shadows",
                credential_provider=self._address.credentials,
            )
            connection = pool.make_connection()
            try:
                async with asyncio.timeout(min(CONNECT_TIMEOUT, self._timeout)):  # its first words included
                    await connection.connect()
            except BaseException:  # whoever gave up, the socket is not to stay half open
                await connection.disconnect(nowait=True)
                raise
        except EmbeddedUnavailable:
            raise
        except (OSError, RedisConnectionError, RedisTimeoutError, NoPermissionError) as error:
            if any(
                isinstance(one, AuthenticationError | NoPermissionError) for one in (error, error.__cause__)
            ):
                raise ServerUnsupported(
                    f"{self._address.shown} refuses these credentials: {error}"
                ) from error
            raise ServerUnreachable(
                f"no Redis or Valkey answers at {self._address.shown} ({str(error).rstrip('.') or 'no word in time'}). Start one there, set SHADOWS_URL or url= "
                "to another, or use memory:// for an embedded one"
            ) from error
        self._connection = connection
        return connection


class SyncLink:
    """The same for a thread that shares no loop: one socket, one request at a time."""

    __slots__ = ("_address", "_connection", "_timeout", "opened")

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._connection: Any = None
        self.opened = 0
        """How often a socket was opened."""

    def request(self, *command: Argument) -> Reply:
        """Send one command and wait for its reply.

        Raises:
            RedisError: no connection, no reply in time, or an error as the reply.
        """
        try:
            return self._exchange(command)
        except ResponseError as error:
            return self._follow(command, error)

    def _exchange(self, command: tuple[Argument, ...]) -> Reply:
        try:
            if self._connection is None:
                self._connection = connect(
                    self._address.locate(), self._timeout, self._address.credentials, "shadows-lease"
                )
                self.opened += 1
            self._connection.send_packed_command([packed(command)], check_health=False)
            return self._connection.read_response(disable_decoding=True)
        except ResponseError:
            raise
        except BaseException:  # as of Link: the reply may still come
            self.close()
            raise

    def _follow(self, command: tuple[Argument, ...], error: ResponseError) -> Reply:
        for pause in pauses(self._timeout):
            turn = self._address.turn(error, getattr(self._connection, "host", ""))
            if turn is None:
                if needs_another_socket(error):
                    self.close()
                raise error
            if turn.leave:
                self.close()
            if turn.lost:
                break
            sleep(pause)
            try:
                if turn.ask is None:
                    return self._exchange(command)
                return self._exchange_beside(turn.ask, command)
            except ResponseError as another:
                error = another
        raise _nobody(self._address, error) from error

    def _exchange_beside(self, url: str, command: tuple[Argument, ...]) -> Reply:
        other = SyncLink(self._address.beside(url), self._timeout)
        try:
            other._exchange((b"ASKING",))
            return other._exchange(command)
        finally:
            other.close()

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def _nobody(address: Address, error: ResponseError) -> ServerUnreachable:
    return ServerUnreachable(f"{address.shown} cannot serve this shadow just now: {error}")


async def check_server(link: Link) -> None:
    """Refuse a server that cannot keep what it is given.

    Raises:
        ServerUnsupported: older than Redis 6.0, or set to evict keys without a TTL when its memory is full.
    """
    said: list[bytes] = [await link.request("INFO", section) for section in ("server", "memory")]
    lines = b"\r\n".join(said).decode().splitlines()
    facts = {name: value for name, _, value in (line.partition(":") for line in lines)}
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise ServerUnsupported(
            f"this server is Redis {version}, shadows needs 6.0 or newer (or any Valkey): upgrade it"
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        raise ServerUnsupported(
            f"this server evicts any key when its memory is full (maxmemory-policy {policy}), so tasks would be lost: "
            "set it to noeviction (or a volatile-* policy)"
        )
