"""A cluster: the node that has a shadow's slot is found, and followed wherever the slot goes."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from redis.credentials import UsernamePasswordCredentialProvider
from redis.exceptions import ResponseError

from shadows import Execution, ExecutionState, Retry, Shadow, Worker
from shadows.errors import ServerUnreachable, ServerUnsupported
from shadows.protocol.connection import Address, Link, SyncLink
from tests.support.cluster import Nodes, running_cluster, slot_of
from tests.support.node import FakeNode, bulk, slots
from tests.support.proxy import Authority
from tests.support.servers import LOOPBACK, Server
from tests.support.waiting import until

WAITED = timedelta(seconds=20)

type Get = Callable[[], Awaitable[bytes]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Three nodes, for all tests that leave each where it is."""
    with running_cluster(3) as nodes:
        yield nodes


@asynccontextmanager
async def working(shadow: Shadow, concurrency: int = 10) -> AsyncGenerator[Worker]:
    """A worker of the shadow that runs as long as the block."""
    async with Worker(shadow, concurrency=concurrency, redelivery_timeout=timedelta(seconds=2)) as worker:
        running = asyncio.create_task(worker.run_forever())
        try:
            yield worker
        finally:
            worker.stop()
            await running


# -- on real nodes


async def test_shadows_on_different_nodes_do_all_that_they_do_on_one_server(cluster: Nodes) -> None:
    names = cluster.names("all")
    assert len({cluster.owner(name).port for name in names}) == 3

    async def use(name: str) -> None:
        tries: list[int] = []

        async def double(n: int) -> int:
            return n * 2

        async def hesitant(retry: Retry = Retry(attempts=3)) -> int:
            tries.append(retry.attempt)
            if retry.attempt < 3:
                raise ValueError("not yet")
            return retry.attempt

        async with Shadow(name, cluster.url) as shadow:
            shadow.register(double)
            shadow.register(hesitant)
            later = await shadow.add(double, key="later", when=datetime.now(UTC) + timedelta(hours=1))(1)
            async with working(shadow):
                many = await shadow.add_many([shadow.call(double)(n) for n in range(50)])
                assert [await one.get_result(timeout=WAITED) for one in many] == [n * 2 for n in range(50)]
                soon = datetime.now(UTC) + timedelta(seconds=0.2)
                assert await (await shadow.add(double, when=soon)(4)).get_result(timeout=WAITED) == 8
                assert await (await shadow.add(hesitant)()).get_result(timeout=WAITED) == 3
                assert await shadow.cancel("later")
                await later.sync()
                assert later.state is ExecutionState.CANCELLED
            assert len(tries) == 3
            assert cluster.owner(name).call("CLUSTER", "COUNTKEYSINSLOT", slot_of(name)) > 0
            await shadow.purge()
            assert cluster.owner(name).call("CLUSTER", "COUNTKEYSINSLOT", slot_of(name)) == 0

    await asyncio.gather(*map(use, names))


async def test_news_reach_whoever_waits_by_way_of_any_node(cluster: Nodes) -> None:
    name = cluster.names("news")[1]
    gone = asyncio.Event()

    async def wait() -> None:
        await gone.wait()

    async with Shadow(name, cluster.url) as shadow:
        shadow.register(wait)
        async with working(shadow):
            execution = await shadow.add(wait)()
            seen: list[str] = []
            async with shadow.watch(execution.key) as watch:
                gone.set()

                async def heard() -> bool:
                    news = await watch.next(1)
                    seen.extend([] if news is None else [news.state])
                    return "completed" in seen

                await until(heard)
        await shadow.purge()


async def test_a_slot_is_moved_under_workers_and_clients_and_everything_runs_once(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running_cluster(3, engine=engine) as nodes:
        name = nodes.names("move")[0]
        source, target = nodes.primaries[0], nodes.primaries[2]
        runs: Counter[int] = Counter()
        added = 0
        moved = asyncio.Event()

        async def count(n: int) -> None:
            runs[n] += 1

        async def keep_adding(shadow: Shadow) -> None:
            nonlocal added
            while not moved.is_set():
                await shadow.add(count, key=f"n{added}")(added)
                added += 1

        with caplog.at_level(logging.WARNING, "shadows"):
            async with Shadow(name, nodes.url) as shadow, Shadow(name, nodes.url) as client:
                shadow.register(count)
                client.register(count)
                async with working(shadow, concurrency=4), working(shadow, concurrency=4):
                    adding = [asyncio.create_task(keep_adding(client))]
                    await until(lambda: sum(runs.values()) > 50)
                    nodes.begin_move(name, source, target)
                    before = added
                    keys = 0
                    for _ in nodes.move_keys(name, source, target):
                        keys += 1
                        await asyncio.sleep(0.05)  # the time that a big key takes
                    # The lease is renewed by its own, where it has got to, while scripts of many keys wait.
                    await until(lambda: nodes_renewed(target, name))
                    nodes.end_move(name, target)
                    await until(lambda: added > before + 50, 20)
                    moved.set()
                    await asyncio.gather(*adding)
                    await until(lambda: len(runs) == added, 20)
                assert nodes.owner(name) is target
                assert keys > 5
                assert set(runs) == set(range(added))
                assert set(runs.values()) == {1}
                await shadow.purge()
        assert not [line for line in caplog.messages if "lease" in line]


def nodes_renewed(target: Server, name: str) -> bool:
    """Whether a renewal was sent to the node that a slot moves to."""
    stats: bytes = target.call("INFO", "commandstats")
    return b"cmdstat_asking" in stats and b"cmdstat_eval:" in stats


async def test_a_replica_takes_over_and_tasks_go_on(engine: str) -> None:
    with running_cluster(3, 1, engine) as nodes:
        name = nodes.names("fail")[0]
        dying, heir = nodes.primaries[0], nodes.replicas[0]
        runs: Counter[int] = Counter()
        going = asyncio.Event()

        async def count(n: int) -> int:
            runs[n] += 1
            if n == 0:
                await going.wait()
            return n

        async with Shadow(name, nodes.url) as shadow:
            shadow.register(count)
            async with working(shadow):
                first = await shadow.add_many([shadow.call(count)(n) for n in range(20)])
                await until(lambda: len(runs) == 20)
                assert [await one.get_result(timeout=WAITED) for one in first[1:]] == list(range(1, 20))
                await until(lambda: followed(dying))
                dying.process.kill()
                late = asyncio.create_task(add_in_time(shadow, count, 20))
                await until(lambda: nodes.owner(name) is heir, 20)
                going.set()  # it ran throughout, and its outcome finds the new primary
                assert await result_of(await late) == 20
                assert await result_of(first[0]) == 0
                more = await shadow.add_many([shadow.call(count)(n) for n in range(21, 40)])
                assert [await one.get_result(timeout=WAITED) for one in more] == list(range(21, 40))
            assert set(runs) == set(range(40))
            assert set(runs.values()) == {1}
            await shadow.purge()


async def test_a_replica_is_made_the_primary_under_load_and_everything_runs_once(engine: str) -> None:
    with running_cluster(3, 1, engine) as nodes:
        name = nodes.names("swap")[0]
        heir = nodes.replicas[0]
        runs: Counter[int] = Counter()
        added = 0
        swapped = asyncio.Event()

        async def count(n: int) -> None:
            runs[n] += 1

        async with Shadow(name, nodes.url) as shadow, Shadow(name, nodes.url) as client:
            shadow.register(count)
            client.register(count)

            async def keep_adding() -> None:
                nonlocal added
                while not swapped.is_set():
                    await client.add(count, key=f"n{added}")(added)
                    added += 1

            async with working(shadow, concurrency=4):
                adding = asyncio.create_task(keep_adding())
                await until(lambda: sum(runs.values()) > 50)
                heir.call("CLUSTER", "FAILOVER")
                await until(lambda: nodes.owner(name) is heir, 20)
                before = added
                await until(lambda: added > before + 50, 20)
                swapped.set()
                await adding
                await until(lambda: len(runs) == added, 20)
            assert set(runs) == set(range(added))
            assert set(runs.values()) == {1}
            await shadow.purge()


def followed(primary: Server) -> bool:
    """Whether the replica has all that its primary has."""
    said: dict[bytes, bytes] = dict(
        line.split(b":", 1) for line in primary.call("INFO", "replication").splitlines() if b":" in line
    )
    return b"offset=" + said[b"master_repl_offset"] + b"," in said[b"slave0"] + b","


async def add_in_time(shadow: Shadow, function: Callable[[int], Awaitable[int]], n: int) -> Execution[int]:
    """Add a task while its node is away: the batcher sends it again until another answers."""
    return await shadow.add(function, key=f"n{n}")(n)


async def result_of(execution: Execution[int]) -> int:
    """The result; sockets that were idle while a server died are noticed at their next use."""

    async def asked() -> list[int]:
        with suppress(ServerUnreachable):
            return [await execution.get_result(timeout=WAITED)]
        return []

    return (await until(asked, 30))[0]


async def test_a_url_of_one_server_does_not_do_for_a_cluster(cluster: Nodes) -> None:
    first, second, _ = cluster.names("one")
    node = cluster.owner(first)
    link = Link(Address(node.tcp_url, name=second))
    with pytest.raises(
        ServerUnsupported, match=rf"{LOOPBACK}:{node.port}/0 is a node of a cluster.*redis\+cluster://"
    ):
        await link.request("GET", f"{{{second}}}:x")
    await link.close()


async def test_and_that_of_a_cluster_not_for_one_server(server: Server) -> None:
    url = f"redis+cluster://{LOOPBACK}:{server.port}"
    with pytest.raises(ServerUnsupported, match="is no node of a cluster: write redis:// in place of"):
        await Link(Address(url, name="tasks")).request("PING")


async def test_nodes_may_want_a_password() -> None:
    with running_cluster(1, 0) as nodes:
        node = nodes.servers[0]
        node.call("CONFIG", "SET", "requirepass", "right")
        place = f"{LOOPBACK}:{node.port}"
        link = Link(Address(f"redis+cluster://:right@{place}", name="tasks"))
        assert await link.request("PING") == b"PONG"
        await link.close()
        provided = Address(
            f"redis+cluster://[::1]:{node.port},{place}",
            UsernamePasswordCredentialProvider(password="right"),
            name="tasks",
        )
        link = Link(provided)
        assert await link.request("PING") == b"PONG"
        await link.close()
        with pytest.raises(ServerUnsupported, match=r"redis\+cluster://:\*\*\*@.* refuses these credentials"):
            await Link(Address(f"redis+cluster://:secret@{place}", name="tasks")).request("PING")


# -- on nodes that answer by rule


SLOT = slot_of("tasks")


class Fakes:
    """Two nodes, of which `rules` says what they answer to GET; both know that the first has every slot."""

    def __init__(self) -> None:
        self.first = FakeNode(lambda words: self._answer(0, words))
        self.second = FakeNode(lambda words: self._answer(1, words))
        self.rules: list[list[bytes]] = [[], []]
        self.map = b""

    @property
    def address(self) -> Address:
        return Address(f"redis+cluster://{LOOPBACK}:{self.first.port}", name="tasks")

    def _answer(self, node: int, words: list[bytes]) -> bytes | None:
        if words[0] == b"CLUSTER":
            return self.map or slots((0, 16383, LOOPBACK, self.first.port))
        if words[0] == b"GET":
            rules = self.rules[node]
            return rules.pop(0) if len(rules) > 1 else rules[0]
        return b"+OK\r\n"


@pytest.fixture
async def fakes() -> AsyncIterator[Fakes]:
    fakes = Fakes()
    async with fakes.first, fakes.second:
        yield fakes


@pytest.fixture(params=["loop", "thread"])
async def get(request: pytest.FixtureRequest, fakes: Fakes) -> AsyncIterator[Get]:
    """Asks for one key by a link of the loop, or by a thread's."""
    if request.param == "loop":
        link = Link(fakes.address, timeout=0.3)
        yield lambda: link.request("GET", "{tasks}:x")
        await link.close()
    else:
        blocking = SyncLink(fakes.address, 0.3)
        yield lambda: asyncio.to_thread(blocking.request, "GET", "{tasks}:x")
        blocking.close()


async def test_what_has_moved_is_sent_to_its_new_place_and_so_is_the_next(fakes: Fakes, get: Get) -> None:
    fakes.rules = [[b"-MOVED %d :%d\r\n" % (SLOT, fakes.second.port)], [bulk(b"here")]]
    assert await get() == b"here"
    assert await get() == b"here"
    assert fakes.first.heard.count(b"GET") == 1
    assert fakes.second.heard == [b"GET", b"GET"]


async def test_a_key_that_is_ahead_of_its_slot_is_asked_for_once_where_it_is(fakes: Fakes, get: Get) -> None:
    ask = b"-ASK %d %b:%d\r\n" % (SLOT, LOOPBACK.encode(), fakes.second.port)
    fakes.rules = [[ask, bulk(b"still here")], [bulk(b"there")]]
    assert await get() == b"there"
    assert fakes.second.heard == [b"ASKING", b"GET"]
    assert await get() == b"still here"
    assert fakes.first.heard.count(b"GET") == 2
    assert fakes.second.heard == [b"ASKING", b"GET"]


async def test_keys_that_are_torn_apart_are_waited_for(fakes: Fakes, get: Get) -> None:
    again = b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
    fakes.rules = [[again, again, again, bulk(b"whole")], []]
    assert await get() == b"whole"
    fakes.rules[0] = [again]
    with pytest.raises(ServerUnreachable, match="cannot serve this shadow just now: Multiple keys"):
        await get()


async def test_what_a_node_does_not_do_for_another_reason_is_said_as_it_is(fakes: Fakes, get: Get) -> None:
    fakes.rules = [[b"-WRONGTYPE of value\r\n"], []]
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await get()
    assert fakes.first.heard.count(b"GET") == 1


@pytest.mark.parametrize(
    "refusal",
    [
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-ERR Error running script: @user_script:1: -READONLY You can't write\r\n",
    ],
)
async def test_after_a_node_that_has_lost_its_part_the_owner_is_sought_anew(
    fakes: Fakes, get: Get, refusal: bytes
) -> None:
    fakes.rules = [[refusal], [bulk(b"here")]]
    with pytest.raises(ServerUnreachable, match="cannot serve this shadow just now"):
        await get()
    fakes.map = slots((0, 16383, LOOPBACK, fakes.second.port))
    assert await get() == b"here"


async def test_what_got_no_reply_is_not_sent_again(fakes: Fakes) -> None:
    link = Link(fakes.address)
    fakes.first.answer = lambda words: (
        None if words[0] == b"GET" else slots((0, 16383, None, fakes.first.port))
    )
    with pytest.raises(ServerUnreachable, match=r"no reply from redis\+cluster://"):
        await link.request("GET", "{tasks}:x")
    assert fakes.first.heard.count(b"GET") == 1


async def test_nodes_that_were_heard_of_are_asked_when_those_in_the_url_are_gone(fakes: Fakes) -> None:
    fakes.map = slots((0, 16383, "?", fakes.first.port), (16383, 16383, "", fakes.second.port))
    address = fakes.address
    assert await asyncio.to_thread(address.locate) == f"redis://{LOOPBACK}:{fakes.first.port}/"
    assert fakes.second.heard == []
    assert await asyncio.to_thread(address.locate) == f"redis://{LOOPBACK}:{fakes.first.port}/"
    assert fakes.second.heard == [b"CLUSTER"], "each in turn"


async def test_a_slot_that_nobody_has_is_said(fakes: Fakes) -> None:
    fakes.map = slots((0, 0, None, fakes.first.port))
    with pytest.raises(ServerUnreachable, match=rf"no node says who has slot {SLOT}: .*nobody has it"):
        await Link(fakes.address).request("GET", "{tasks}:x")


async def test_a_node_that_may_not_be_asked_says_so(fakes: Fakes) -> None:
    fakes.first.answer = lambda words: (
        b"-NOPERM User default has no permissions to run the 'cluster|slots' command\r\n"
    )
    with pytest.raises(ServerUnsupported, match=r"refuses these credentials.*cluster\|slots"):
        await Link(fakes.address).request("GET", "{tasks}:x")


async def test_tls_is_spoken_with_every_node(authority: Authority) -> None:
    def answer(words: list[bytes]) -> bytes:
        return slots((0, 16383, LOOPBACK, second.port)) if words[0] == b"CLUSTER" else bulk(b"here")

    first, second = FakeNode(answer, authority=authority), FakeNode(answer, authority=authority)
    async with first, second:
        url = f"rediss+cluster://{LOOPBACK}:{first.port}?ssl_ca_certs={authority.ca_file}"
        link = Link(Address(url, name="tasks"))
        assert await link.request("GET", "{tasks}:x") == b"here"
        await link.close()
        assert second.heard == [b"GET"]
        with pytest.raises(ServerUnreachable, match=f"{LOOPBACK}:{first.port}: "):
            await Link(Address(f"redis+cluster://{LOOPBACK}:{first.port}", name="tasks")).request("PING")
