"""Sentinels: asked for the primary, which has to say itself that it is one, and asked again when it is no more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shadows import Shadow
from shadows.errors import ServerUnreachable, ServerUnsupported
from shadows.protocol.connection import Address, Link, SyncLink
from tests.protocol.test_cluster import WAITED, add_in_time, followed, result_of, working
from tests.support.node import FakeNode, bulk
from tests.support.proxy import Authority
from tests.support.sentinel import PRIMARY, watched
from tests.support.servers import LOOPBACK
from tests.support.waiting import until

type Get = Callable[[], Awaitable[bytes]]


async def test_a_replica_takes_over_and_tasks_go_on(engine: str) -> None:
    runs: Counter[int] = Counter()
    going = asyncio.Event()

    async def count(n: int) -> int:
        runs[n] += 1
        if n == 0:
            await going.wait()
        return n

    with watched(engine) as servers:
        assert servers.named() == servers.primary.port
        async with Shadow("tasks", servers.url) as shadow:
            shadow.register(count)
            async with working(shadow):
                first = await shadow.add_many([shadow.call(count)(n) for n in range(20)])
                await until(lambda: len(runs) == 20)
                assert [await one.get_result(timeout=WAITED) for one in first[1:]] == list(range(1, 20))
                await until(lambda: followed(servers.primary))
                servers.primary.process.kill()
                late = asyncio.create_task(add_in_time(shadow, count, 20))
                await until(lambda: servers.named() == servers.replica.port, 20)
                going.set()  # it ran throughout, and its outcome finds the new primary
                assert await result_of(await late) == 20
                assert await result_of(first[0]) == 0
                more = await shadow.add_many([shadow.call(count)(n) for n in range(21, 40)])
                assert [await one.get_result(timeout=WAITED) for one in more] == list(range(21, 40))
            await shadow.purge()
    assert set(runs) == set(range(40))
    assert set(runs.values()) == {1}


async def test_servers_and_sentinels_may_want_passwords_of_their_own() -> None:
    with watched() as servers:
        servers.sentinels[0].call("ACL", "SETUSER", "default", "resetpass", ">guard")
        for one in (servers.primary, servers.replica):
            one.call("CONFIG", "SET", "requirepass", "right")
        place = f"{LOOPBACK}:{servers.sentinels[0].port}/{PRIMARY}"
        address = Address(f"redis+sentinel://:right@{place}/1?sentinel_password=guard", name="tasks")
        link = Link(address)
        assert await link.request("SET", "a", "b") == b"OK"
        assert b"db1:keys=1" in await link.request("INFO", "keyspace")
        await link.close()
        for url in (
            f"redis+sentinel://:right@{place}?sentinel_password=secret",
            f"redis+sentinel://:secret@{place}?sentinel_password=guard",
        ):
            with pytest.raises(ServerUnsupported, match="refuses these credentials") as caught:
                await Link(Address(url, name="tasks")).request("PING")
            assert "secret" not in str(caught.value)


# -- on servers that answer by rule


class Fakes:
    """A sentinel, and the server it names."""

    def __init__(self) -> None:
        self.sentinel = FakeNode(self._answer)
        self.server = FakeNode(lambda words: self.rules.get(words[0], b"+OK\r\n"))
        self.rules: dict[bytes, bytes] = {b"ROLE": b"*1\r\n" + bulk(b"master"), b"GET": bulk(b"here")}
        self.named: FakeNode | None = self.server

    @property
    def address(self) -> Address:
        sentinel = f"{LOOPBACK}:{self.sentinel.port}"
        return Address(f"redis+sentinel://{LOOPBACK}:1,{sentinel}/main", name="tasks")

    def _answer(self, words: list[bytes]) -> bytes:
        assert words == [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"main"]
        if self.named is None:
            return b"*-1\r\n"
        return b"*2\r\n" + bulk(LOOPBACK.encode()) + bulk(b"%d" % self.named.port)


@pytest.fixture
async def fakes() -> AsyncIterator[Fakes]:
    fakes = Fakes()
    async with fakes.sentinel, fakes.server:
        yield fakes


@pytest.fixture(params=["loop", "thread"])
async def get(request: pytest.FixtureRequest, fakes: Fakes) -> AsyncIterator[Get]:
    """Asks for one key by a link of the loop, or by a thread's."""
    if request.param == "loop":
        link = Link(fakes.address, timeout=1)
        yield lambda: link.request("GET", "{tasks}:x")
        await link.close()
    else:
        blocking = SyncLink(fakes.address, 1)
        yield lambda: asyncio.to_thread(blocking.request, "GET", "{tasks}:x")
        blocking.close()


async def test_the_first_sentinel_that_answers_is_believed(fakes: Fakes, get: Get) -> None:
    assert await get() == b"here"
    assert await get() == b"here"
    assert fakes.sentinel.heard == [b"SENTINEL"]
    assert fakes.server.heard == [b"ROLE", b"GET", b"GET"]


@pytest.mark.parametrize(
    "refusal",
    [
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    ],
)
async def test_a_primary_that_has_become_a_replica_is_left(fakes: Fakes, get: Get, refusal: bytes) -> None:
    assert await get() == b"here"
    fakes.rules[b"GET"] = refusal
    with pytest.raises(ServerUnreachable, match=r"redis\+sentinel://.* cannot serve this shadow just now"):
        await get()
    fakes.rules[b"GET"] = bulk(b"again")
    assert await get() == b"again"
    assert fakes.sentinel.heard == [b"SENTINEL", b"SENTINEL"]


async def test_what_the_sentinels_say_has_to_be_true(fakes: Fakes) -> None:
    fakes.rules[b"ROLE"] = b"*1\r\n" + bulk(b"slave")
    with pytest.raises(
        ServerUnreachable, match=rf"it names {LOOPBACK}:{fakes.server.port}, which is not the primary now"
    ):
        await Link(fakes.address).request("PING")


async def test_a_name_that_they_do_not_know_is_said(fakes: Fakes) -> None:
    fakes.named = None
    with pytest.raises(
        ServerUnreachable, match=r"no sentinel leads to the primary 'main': .*it knows no primary 'main'"
    ):
        await Link(fakes.address).request("PING")


async def test_tls_is_spoken_with_sentinels_and_servers(authority: Authority) -> None:
    fakes = Fakes()
    fakes.sentinel = FakeNode(fakes._answer, authority=authority)
    fakes.server._tls = authority.server_context
    async with fakes.sentinel, fakes.server:
        place = f"{LOOPBACK}:{fakes.sentinel.port}/main"
        link = Link(Address(f"rediss+sentinel://{place}?ssl_ca_certs={authority.ca_file}", name="tasks"))
        assert await link.request("GET", "{tasks}:x") == b"here"
        await link.close()
        assert fakes.server.heard == [b"ROLE", b"GET"]
        with pytest.raises(ServerUnreachable, match="no sentinel leads to the primary"):
            await Link(Address(f"redis+sentinel://{place}", name="tasks")).request("PING")
