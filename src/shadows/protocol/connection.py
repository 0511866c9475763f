"""Connections to the server: where it is, and one socket that carries one request at a time.

The client library's own resending is switched off: only our code knows what may be sent again.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable
from time import sleep
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shadows import embedded
from shadows.embedded.url import parse
from shadows.errors import EmbeddedUnavailable, InvalidName, ServerUnreachable, ServerUnsupported

from . import nodes
from .cluster import Cluster
from .seeking import Argument, Seeker, Turn, connect, packed, pauses
from .sentinel import Sentinels

type Reply = Any
"""What the server answered: bytes, integers and lists of these."""

DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis", "rediss", *nodes.CLUSTER, *nodes.SENTINEL, "unix", "memory", "embedded")
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
    """Where a shadow's server is: of several, the one that has the shadow of that name."""

    __slots__ = ("_seeker", "_url", "credentials", "shown")

    def __init__(
        self, url: str, credential_provider: CredentialProvider | None = None, *, name: str = ""
    ) -> None:
        self._url = check_url(url)
        self.shown = mask(self._url)
        """The URL without its password."""
        self.credentials = _Credentials.checked(credential_provider, self._url)
        self._seeker = _seeker(self._url, name, self.credentials)

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def locate(self) -> str:
        """The URL to connect to; blocks where `looks`: an embedded server is started first, one of several sought."""
        if self._seeker is not None:
            return self._seeker.locate()
        if embedded.is_embedded(self._url):
            return f"unix://{embedded.enter(self._url)}"
        return self._url

    @property
    def looks(self) -> bool:
        """Whether `locate` has to look, or to do more than that."""
        return self._seeker is not None or embedded.is_embedded(self._url)

    def turn(self, error: ResponseError, host: str) -> Turn | None:
        """What to do about a request that the server on `host` refused; None where it is the request's own matter.

        Raises:
            ServerUnsupported: a cluster, and the URL names one server.
        """
        if self._seeker is not None:
            return self._seeker.turn(error, host)
        if isinstance(error, MovedError):
            raise ServerUnsupported(
                f"{self.shown} is a node of a cluster, and another has this shadow: write redis+cluster:// (or rediss+cluster://)"
            ) from error
        return None

    def beside(self, url: str) -> "Address":
        """Another server that takes the same credentials."""
        other = Address(url)
        other.credentials = self.credentials
        return other


def _seeker(url: str, name: str, credentials: CredentialProvider | None) -> Seeker | None:
    if not nodes.is_several(url):
        return None
    several = nodes.parse(url)
    return Sentinels(several, credentials) if several.primary else Cluster(several, name, credentials)


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
        parts = urlsplit(nodes.parse(url).url(("", 0)) if nodes.is_several(url) else url)
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
            limit = timeout or self._timeout
            try:
                return await self._exchange(command, limit)
            except ResponseError as error:
                return await self._follow(command, limit, error)

    async def _exchange(self, command: tuple[Argument, ...], limit: float) -> Reply:
        connection = self._connection or await self._connect()
        try:
            async with asyncio.timeout(limit):
                await connection.send_packed_command([packed(command)], check_health=False)
                reply: Reply = await connection.read_response(
                    disable_decoding=True, disconnect_on_error=False
                )
                return reply
        except ResponseError:
            raise
        except (OSError, RedisError) as error:
            await self.close()
            raise ServerUnreachable(
                f"no reply from {self._address.shown}: {str(error) or type(error).__name__}"
            ) from error
        except BaseException:
            await self.close()  # the reply may still come, and must not be taken for the next one's
            raise

    async def _follow(self, command: tuple[Argument, ...], limit: float, error: ResponseError) -> Reply:
        """What was refused, and so not carried out, goes to where the data is, or waits until it has got there."""
        for pause in pauses(limit):
            turn = self._address.turn(error, getattr(self._connection, "host", ""))
            if turn is None:
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
            connection = self._connection or await self._connect()
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

    __slots__ = ("_address", "_connection", "_timeout")

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._connection: Any = None

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
            self._connection.send_packed_command([packed(command)], check_health=False)
            return self._connection.read_response(disable_decoding=True)
        except ResponseError:
            raise
        except BaseException:
            self.close()
            raise

    def _follow(self, command: tuple[Argument, ...], error: ResponseError) -> Reply:
        for pause in pauses(self._timeout):
            turn = self._address.turn(error, getattr(self._connection, "host", ""))
            if turn is None:
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
    return ServerUnreachable(
        f"{address.shown} cannot serve this shadow just now, and nothing was done: {error}"
    )


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
    if nodes.is_several(url):
        try:
            nodes.parse(url)
        except ValueError:
            syntax = nodes.SYNTAX[scheme.partition("+")[2]]
            raise InvalidName(
                f"url={mask(url)!r} cannot be read: write {scheme}://[user:password@]{syntax}"
            ) from None
        _check_options(url, OPTIONS | nodes.SENTINEL_OPTIONS if scheme in nodes.SENTINEL else OPTIONS)
    elif embedded.is_embedded(url):
        parse(url)
    else:
        _check_options(url, OPTIONS)
    return url


def _check_options(url: str, options: frozenset[str]) -> None:
    """What follows the `?`: the server's side of a connection may be chosen, ours (how it is read and timed) not."""
    for option, value in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if option not in options or (option == "db" and not value.isdecimal()):
            named = (
                option if value or option in options else "***"
            )  # what is no option may be part of a password
            raise InvalidName(
                f"url={mask(url)!r}: its option {named!r} cannot be used so: there are {', '.join(sorted(options))}"
            )


def mask(url: str) -> str:
    """The URL with its password left out, for people's eyes, also where it is written so that no part can be told."""
    scheme, separator, rest = url.partition("://")
    try:
        urlsplit("" if nodes.is_several(url) else url)
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


def is_passing(error: Exception) -> bool:
    """Whether the same request may well be answered in a moment: no answer came, or the server is busy or moving."""
    passing = ServerUnreachable | TryAgainError | ClusterDownError
    return isinstance(error, passing) or str(error).startswith("BUSY ")


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
