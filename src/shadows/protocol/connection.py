"""Connections to the server: where it is, and one socket that carries one request at a time.

The client library's own resending is switched off: only our code knows what may be sent again.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool as SyncConnectionPool
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry as SyncRetry

from shadows import embedded
from shadows.embedded.url import parse
from shadows.errors import EmbeddedUnavailable, InvalidName, ServerUnreachable, ServerUnsupported

from .failures import needs_another_socket

type Argument = str | bytes | int
type Reply = Any
"""What the server answered: bytes, integers and lists of these."""

DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis", "rediss", "unix", "memory", "embedded")
OPTIONS = frozenset(
    [
        "db",
        "username",
        "password",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    ]
)
CONNECT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 10.0
OLDEST = (6, 0)


class Address:
    """Where a shadow's server is."""

    __slots__ = ("_url", "credentials", "shown")

    def __init__(self, url: str, credential_provider: CredentialProvider | None = None) -> None:
        self._url = check_url(url)
        self.shown = mask(self._url)
        """The URL without its password."""
        self.credentials = _Credentials.checked(credential_provider, self._url)

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def locate(self) -> str:
        """The URL to connect to; an embedded server is started first, where it does not run. Blocks."""
        if embedded.is_embedded(self._url):
            return f"unix://{embedded.enter(self._url)}"
        return self._url

    @property
    def embedded(self) -> bool:
        """Whether the server is one of our own."""
        return embedded.is_embedded(self._url)


class _Credentials(CredentialProvider):
    """A user's provider, of which every failure is one of the connection: it is tried again, as that is."""

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider

    @classmethod
    def checked(cls, provider: CredentialProvider | None, url: str) -> "_Credentials | None":
        """The provider, if it can be used with that URL.

        Raises:
            ValueError: the URL has credentials of its own, or names an embedded server, which has none.
        """
        if provider is None:
            return None
        if embedded.is_embedded(url):
            raise ValueError(
                f"credential_provider= with url={url!r}: an embedded server has no credentials, leave it out"
            )
        parts = urlsplit(url)
        if parts.username or parts.password or {"username", "password"} & dict(parse_qsl(parts.query)).keys():
            raise ValueError(
                f"credential_provider= with url={mask(url)!r}: the credentials come from one place, leave them out of the URL"
            )
        return cls(provider)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            return self._provider.get_credentials()
        except Exception as error:
            raise _no_credentials(error) from error

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        if type(self._provider).get_credentials_async is CredentialProvider.get_credentials_async:
            return await asyncio.to_thread(
                self.get_credentials
            )  # it has but this one, which may take its time
        try:
            return await self._provider.get_credentials_async()
        except Exception as error:
            raise _no_credentials(error) from error


def _no_credentials(error: Exception) -> RedisConnectionError:
    return RedisConnectionError(f"its credential_provider failed with {type(error).__name__}")


class Link:
    """One socket to the server, opened at the first request and again after any error. Not for two users at once."""

    __slots__ = ("_address", "_connection", "_lock", "_timeout")

    def __init__(self, address: Address, timeout: float = REQUEST_TIMEOUT) -> None:
        self._address = address
        self._timeout = timeout
        self._connection: Any = None
        self._lock = asyncio.Lock()

    async def request(self, *command: Argument, timeout: float | None = None) -> Reply:
        """Send one command and wait for its reply, `timeout` seconds at most.

        Raises:
            ServerUnreachable: no connection, or no reply in time: the command may or may not have been carried out.
            ResponseError: what the server answered, where that is an error.
        """
        async with self._lock:
            connection = self._connection or await self._connect()
            try:
                async with asyncio.timeout(timeout or self._timeout):
                    await connection.send_packed_command([_packed(command)], check_health=False)
                    reply: Reply = await connection.read_response(
                        disable_decoding=True, disconnect_on_error=False
                    )
                    return reply
            except ResponseError as error:
                if needs_another_socket(error):
                    await self.close()
                raise
            except (OSError, RedisError) as error:
                await self.close()
                raise ServerUnreachable(
                    f"no reply from {self._address.shown}: {str(error) or type(error).__name__}"
                ) from error
            except BaseException:
                await self.close()  # the reply may still come, and must not be taken for the next one's
                raise

    async def messages(self, channel: Argument, begun: Callable[[], None]) -> AsyncGenerator[bytes]:
        """What is published on a channel, for as long as the connection lasts; `begun` is called when it is subscribed.

        Raises:
            ServerUnreachable: no connection, or it was lost.
            ResponseError: the server refuses the subscription.
        """
        async with self._lock:
            connection = self._connection or await self._connect()
            try:
                await connection.send_packed_command([_packed((b"SUBSCRIBE", channel))], check_health=False)
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
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connect(self) -> Any:
        try:
            url = (
                await asyncio.to_thread(self._address.locate)
                if self._address.embedded
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
            except BaseException:
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
            if self._connection is None:
                pool: Any = SyncConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
                    self._address.locate(),
                    protocol=2,
                    retry=SyncRetry(NoBackoff(), 0),
                    socket_timeout=self._timeout,
                    socket_connect_timeout=self._timeout,
                    client_name="shadows-lease",
                    credential_provider=self._address.credentials,
                )
                self._connection = pool.make_connection()
                self._connection.connect()
                self.opened += 1
            self._connection.send_packed_command([_packed(command)], check_health=False)
            return self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            if needs_another_socket(error):
                self.close()
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def _packed(command: tuple[Argument, ...]) -> bytes:
    return cast("bytes", hiredis.pack_command(cast("Any", command)))  # pyright: ignore[reportUnknownMemberType]


def url_or_default(url: str | None) -> str:
    """The URL, else the environment's SHADOWS_URL, else a server on this machine."""
    return url or os.environ.get("SHADOWS_URL") or DEFAULT_URL


def check_url(url: str) -> str:
    """The URL, if it names a server that we can reach.

    Raises:
        InvalidName: another scheme, or a part that cannot be read.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in SCHEMES:
        raise InvalidName(
            f"url={mask(url)!r}: its scheme must be one of {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    if scheme in ("redis", "rediss"):
        try:
            parts = urlsplit(url)
            database = parts.path.strip("/")
            port = 6379 if parts.port is None else parts.port
            host = parts.hostname or ""
            sound = host.strip() == host != "" and port > 0 and (not database or database.isdecimal())
        except ValueError:
            sound = False
        if not sound:
            raise InvalidName(
                f"url={mask(url)!r} cannot be read: write {scheme}://[user:password@]host[:port][/database]"
            )
    if scheme == "unix" and not urlsplit(url).path.strip("/"):
        raise InvalidName(f"url={mask(url)!r} cannot be read: write unix:///path/of/the.socket[?db=0]")
    if embedded.is_embedded(url):
        parse(url)
    else:
        _check_options(url)
    return url


def _check_options(url: str) -> None:
    """What follows the `?`: the server's side of a connection may be chosen, ours (how it is read and timed) not."""
    for option, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if option not in OPTIONS or (option == "db" and not value.isdecimal()):
            named = (
                option if value or option in OPTIONS else "***"
            )  # what is no option may be part of a password
            raise InvalidName(
                f"url={mask(url)!r}: its option {named!r} cannot be used so: there are {', '.join(sorted(OPTIONS))}"
            )


def mask(url: str) -> str:
    """The URL with its password left out, for people's eyes, also where it is written so that no part can be told."""
    scheme, separator, rest = url.partition("://")
    try:
        urlsplit(url)
    except ValueError:
        return f"{scheme}://***" if separator else "***"
    if not separator:
        place = url.rpartition("@")[2].partition("?")[0]
        return ("***@" if "@" in url else "") + (place if _PLACE.fullmatch(place) else "***")
    login, at, place = rest.rpartition("@")
    if login.startswith("/"):  # a path with an @ in it
        login, at, place = "", "", rest
    user, colon, _ = login.partition(":")
    if not _SHOWABLE.fullmatch(user):
        user, colon = "***", ":"
    address, question, query = place.partition("?")
    options = "&".join(map(_masked, query.split("&"))) if question else ""
    return f"{scheme}://{user}{colon and ':***'}{at}{address}{question}{options}"


def _masked(option: str) -> str:
    """An option of a URL; its value only where that is known to be harmless."""
    name, equals, _ = option.partition("=")
    if equals and name in OPTIONS - {"password"}:
        return option
    return f"{name}=***" if equals else "***"


_PLACE = re.compile(r"[\w.:/-]*")
_SHOWABLE = re.compile(r"[\w.-]*")


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
