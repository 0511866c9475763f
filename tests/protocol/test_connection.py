"""Where the server is, and sockets that carry one request at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    RedisError,
    ResponseError,
)

from shadows import embedded
from shadows.errors import EmbeddedUnavailable, InvalidName, ServerUnreachable, ServerUnsupported
from shadows.protocol.connection import (
    Address,
    Link,
    SyncLink,
    check_server,
)
from shadows.protocol.url import check_url, mask
from tests.support.node import FakeNode
from tests.support.proxy import Proxy, command
from tests.support.servers import LOOPBACK, Server, free_port, running
from tests.support.waiting import until


@pytest.fixture
async def link(proxy: Proxy) -> AsyncIterator[Link]:
    """Through the proxy."""
    link = Link(Address(proxy.url), timeout=5)
    yield link
    await link.close()


# -- addresses


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6380/2",
        "redis://user:pass@host/",
        "rediss://:pass@[::1]:6379/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "memory://",
        "memory://tests",
        "embedded:///var/lib/shadows",
    ],
)
def test_an_address_that_can_be_reached_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "its scheme must be one of redis://, .*redis.sentinel://, .*embedded://"),
        ("localhost:6379", "its scheme"),
        ("http://localhost", "its scheme"),
        ("redis://", r"cannot be read: write redis://\[user:password@\]host"),
        ("redis://localhost:port", "cannot be read"),
        ("redis://localhost:99999", "cannot be read"),
        ("redis://localhost/zero", "cannot be read"),
        ("redis://[::1", "cannot be read"),
        ("rediss://:secret@", "cannot be read: write rediss://"),
        ("unix://", r"write unix:///path/of/the\.socket"),
        ("memory://a b", "is not the URL of an embedded server"),
        ("embedded://relative", "three slashes"),
    ],
)
def test_any_other_address_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(InvalidName, match=why):
        Address(url)


@pytest.mark.parametrize("url", [5, b"redis://:secret@localhost", ["redis://localhost"]])
def test_what_is_no_text_is_no_address_and_is_not_shown(url: object) -> None:
    with pytest.raises(InvalidName, match=r"url= is of type .*give it as a str") as caught:
        Address(url)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/1", "redis://localhost:6379/1"),
        ("redis://user@host", "redis://user@host"),
        ("redis://:secret@host:1/1", "redis://:***@host:1/1"),
        ("redis://user:secret@host?db=1", "redis://user:***@host?db=1"),
        ("redis://host?pasword=secret&db=1", "redis://host?pasword=***&db=1"),
        ("redis://host?passw%6Frd=secret", "redis://host?passw%6Frd=***"),
        ("redis://host?secret", "redis://host?***"),
        ("redis://:se/cret@host/1", "redis://:***@host/1"),
        ("redis://user:12/secret@host", "redis://user:***@host"),
        ("redis://:se#cret@host", "redis://:***@host"),
        ("redis://:se?cret@host", "redis://:***@host"),
        ("redis://se/cret@host", "redis://***:***@host"),
        ("unix://:se/cret@/s.sock", "unix://:***@/s.sock"),
        ("unix:///run/redis@1.sock", "unix:///run/redis@1.sock"),
        ("redis:/:secret@host", "***@host"),
        (":secret@host?db=1", "***@host"),
        ("//[secret", "***"),
        ("localhost:6379", "localhost:6379"),
        ("redis://:se@cret@host", "redis://:***@host"),
        ("unix:///s.sock?password=secret&db=1", "unix:///s.sock?password=***&db=1"),
        ("redis://:secret@[::1", "redis://***"),
    ],
)
def test_nobody_is_shown_a_password(url: str, shown: str) -> None:
    assert mask(url) == shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    "url",
    ["http://:secret@host", "redis://:secret@[::1", "redis://u:secret@host:port", "unix://?password=secret"],
)
def test_an_error_about_an_address_holds_no_password(url: str) -> None:
    with pytest.raises(InvalidName) as caught:
        Address(url)
    assert "secret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_an_address_says_where_and_not_with_what() -> None:
    address = Address("redis://:secret@host")
    assert repr(address) == "Address('redis://:***@host')"
    assert address.locate() == "redis://:secret@host"
    assert not address.looks


def test_an_embedded_server_is_started_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(url: str) -> str:
        return f"/tmp/{url[9:]}.sock"

    monkeypatch.setattr(embedded, "enter", enter)
    address = Address("memory://tests")
    assert address.looks
    assert address.locate() == "unix:///tmp/tests.sock"


# -- requests


async def test_a_reply_comes_as_bytes_and_integers(link: Link) -> None:
    assert await link.request("ECHO", b"\xff") == b"\xff"
    assert await link.request("DEL", "nothing") == 0
    assert await link.request("GET", "nothing") is None


async def test_one_socket_carries_one_request_after_the_other(link: Link, proxy: Proxy) -> None:
    numbers = [b"%d" % number for number in range(20)]
    assert await asyncio.gather(*[link.request("ECHO", number) for number in numbers]) == numbers
    assert proxy.connections == 1


async def test_an_error_as_the_reply_leaves_the_socket_in_use(link: Link, proxy: Proxy) -> None:
    with pytest.raises(ResponseError, match="unknown command"):
        await link.request("NONSENSE")
    assert await link.request("ECHO", "a") == b"a"
    assert proxy.connections == 1


async def test_after_a_broken_connection_the_next_request_opens_another(link: Link, proxy: Proxy) -> None:
    struck = proxy.drop_next_reply(command("INCR"))
    with pytest.raises(ServerUnreachable, match=f"no reply from redis://127.0.0.1:{proxy.port}"):
        await link.request("INCR", "n")
    assert struck.is_set()
    assert await link.request("GET", "n") == b"1", "it was carried out, and not sent again"
    assert proxy.commands.count("INCR") == 1
    await link.request("DEL", "n")


async def test_a_late_reply_is_never_taken_for_the_next_ones(link: Link, proxy: Proxy) -> None:
    await link.request("PING")
    proxy.hang_replies()
    with pytest.raises(ServerUnreachable, match=r"no reply from .*TimeoutError"):
        await link.request("ECHO", "late", timeout=0.05)
    proxy.resume()
    assert await link.request("ECHO", "next") == b"next"
    assert proxy.connections == 2


async def test_nor_is_that_of_a_request_whose_caller_was_cancelled(link: Link, proxy: Proxy) -> None:
    await link.request("PING")
    proxy.hang_replies()
    request = asyncio.create_task(link.request("ECHO", "late"))
    await until(lambda: "ECHO" in proxy.commands)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    proxy.resume()
    assert await link.request("ECHO", "next") == b"next"
    assert proxy.connections == 2


async def test_a_link_can_be_closed_at_any_time(link: Link) -> None:
    await link.close()
    await link.request("PING")
    await link.close()
    await link.close()
    assert await link.request("PING") == b"PONG"


async def test_where_nobody_answers_the_error_says_what_to_do() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}"
    with pytest.raises(
        ServerUnreachable, match=r"no Redis or Valkey answers at redis://:\*\*\*@127.*memory://"
    ) as caught:
        await Link(Address(url)).request("PING")
    assert "secret" not in str(caught.value)


async def test_wrong_credentials_are_told_without_the_password(server: Server) -> None:
    with running(server.name, "--requirepass", "right") as guarded:
        address = f"redis://:secret@127.0.0.1:{guarded.port}"
        for url in (address, guarded.tcp_url):
            with pytest.raises(ServerUnsupported, match="refuses these credentials") as caught:
                await Link(Address(url)).request("PING")
            assert "secret" not in str(caught.value)
        link = Link(Address(f"redis://:right@127.0.0.1:{guarded.port}"))
        assert await link.request("PING") == b"PONG"
        await link.close()
        with pytest.raises(RedisError):
            SyncLink(Address(address), 5).request("PING")


async def test_an_embedded_server_that_cannot_be_had_says_so_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> str:
        raise EmbeddedUnavailable("install it")

    monkeypatch.setattr(embedded, "enter", refuse)
    with pytest.raises(EmbeddedUnavailable, match="install it"):
        await Link(Address("memory://")).request("PING")


async def test_an_embedded_server_is_not_started_on_the_loop(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def enter(url: str) -> str:
        threads.append(threading.get_ident())
        return str(server.socket)

    monkeypatch.setattr(embedded, "enter", enter)
    link = Link(Address("memory://"))
    assert await link.request("PING") == b"PONG"
    await link.close()
    assert threads != [threading.get_ident()]


async def test_tls_is_spoken_where_the_address_says_so(tls_proxy: Proxy) -> None:
    link = Link(Address(tls_proxy.url))
    assert await link.request("ECHO", "a") == b"a"
    await link.close()
    with pytest.raises(ServerUnreachable, match="no Redis or Valkey answers"):
        await Link(Address(f"rediss://127.0.0.1:{tls_proxy.port}")).request("PING")


async def test_no_request_waits_longer_than_its_time(server: Server) -> None:
    link = Link(Address(server.tcp_url), timeout=0.05)
    with pytest.raises(ServerUnreachable):
        await link.request("BLPOP", "nothing", 5)
    assert await link.request("BLPOP", "nothing", b"0.1", timeout=5) is None
    await link.close()


# -- for a thread


def test_a_thread_has_a_link_of_its_own(server: Server) -> None:
    link = SyncLink(Address(server.url), 5)
    assert link.request("ECHO", "a") == b"a"
    with pytest.raises(ResponseError, match="unknown command"):
        link.request("NONSENSE")
    assert link.request("ECHO", "b") == b"b"
    link.close()
    link.close()


def test_a_threads_link_is_opened_anew_after_a_reply_that_did_not_come(server: Server) -> None:
    link = SyncLink(Address(server.url), 0.05)
    with pytest.raises(RedisError):
        link.request("BLPOP", "nothing", 5)
    assert link.request("ECHO", "next") == b"next"
    link.close()


def test_a_thread_is_told_where_nobody_answers() -> None:
    with pytest.raises(RedisConnectionError):
        SyncLink(Address(f"redis://127.0.0.1:{free_port()}"), 1).request("PING")


# -- servers


async def test_a_server_that_keeps_what_it_is_given_is_taken(link: Link) -> None:
    await check_server(link)
    await link.request("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    try:
        await check_server(link)
    finally:
        await link.request("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_server_that_evicts_any_key_is_refused(link: Link) -> None:
    await link.request("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(
            ServerUnsupported, match=r"allkeys-lru\), so tasks would be lost: set it to noeviction"
        ):
            await check_server(link)
    finally:
        await link.request("CONFIG", "SET", "maxmemory-policy", "noeviction")


@pytest.mark.parametrize(("version", "taken"), [("5.0.14", False), ("6.0.0", True), ("10.1.0", True)])
async def test_a_server_that_is_too_old_is_refused(
    link: Link, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool
) -> None:
    async def answer(self: Link, *words: object) -> bytes:
        return f"# Server\r\nredis_version:{version}\r\n".encode()

    monkeypatch.setattr(Link, "request", answer)
    if taken:
        await check_server(link)
    else:
        with pytest.raises(ServerUnsupported, match=r"Redis 5\.0\.14, shadows needs 6\.0 or newer"):
            await check_server(link)


class Answering:
    """A server that answers every PING with the same words."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self.met = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        while request := await reader.read(1000):
            commands = request.split(b"*")[1:]  # the connection's own first words among them
            writer.writelines(self._words if b"PING" in one else b"+OK\r\n" for one in commands)
        writer.close()


@pytest.mark.parametrize(
    ("words", "sockets"),
    [(b"-READONLY You can't write\r\n", 2), (b"-WRONGTYPE x\r\n", 1)],
)
async def test_a_server_that_is_the_wrong_one_is_asked_through_another_socket(
    words: bytes, sockets: int
) -> None:
    answering = Answering(words)
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    address = Address(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    link, thread = Link(address), SyncLink(address, 5)
    for _ in range(2):
        with pytest.raises(ResponseError):
            await link.request("PING")
    assert answering.met == sockets
    for _ in range(2):
        with pytest.raises(ResponseError):
            await asyncio.to_thread(thread.request, "PING")
    assert (answering.met, thread.opened) == (2 * sockets, sockets)
    await link.close()
    thread.close()
    server.close()


async def test_a_server_that_takes_a_connection_and_says_nothing_is_unreachable() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()
        await writer.wait_closed()
        left.set()

    left = asyncio.Event()
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(Address(f"redis://127.0.0.1:{port}"), timeout=0.05)
    with pytest.raises(ServerUnreachable, match="no word in time"):
        await link.request("PING")
    await left.wait()
    server.close()
    await server.wait_closed()


async def test_a_subscription_that_is_refused_is_said_as_it_is() -> None:
    async with FakeNode(lambda words: b"-NOPERM no access to the channel\r\n") as node:
        link = Link(Address(f"redis://{LOOPBACK}:{node.port}"))
        with pytest.raises(ResponseError, match="no access to the channel"):
            await anext(link.messages("news", lambda: None))
        assert node.heard == [b"SUBSCRIBE"]
