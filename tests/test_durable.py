"""What a client may ask beyond being accepted: replicas that have the call, and a queue that is not too long."""

from collections.abc import Iterator

import pytest
from redis import Redis

from shadows import Disposition, Execution, ExecutionState, NotReplicated, QueueFull, Shadow
from shadows.protocol import batcher
from shadows.telemetry.meter import listening
from tests.support.proxy import Proxy
from tests.support.servers import Server, free_port, running
from tests.support.waiting import until_sync


async def note(n: int) -> None: ...


@pytest.fixture(scope="module")
def primary() -> Iterator[Server]:
    """A server with one replica."""
    with (
        running("valkey", port=free_port()) as primary,
        running("valkey", "--replicaof", "127.0.0.1", str(primary.port), port=None),
    ):
        until_sync(lambda: b"state=online" in primary.call("INFO", "replication"), 30)
        with Redis.from_url(primary.tcp_url, single_connection_client=True) as client:
            client.set("something", 1)
            client.delete("something")
            client.wait(1, 30_000)  # it is online before it has acknowledged anything
        yield primary


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "REPLICAS_PATIENCE_MS", 200)


async def test_what_enough_replicas_have_is_accepted(primary: Server) -> None:
    async with Shadow("durable", primary.tcp_url, durable=1) as shadow:
        execution = await shadow.add(note)(1)
        assert execution.disposition is Disposition.SCHEDULED
        assert len(await shadow.add_many([shadow.call(note)(n) for n in range(3)])) == 3
        await shadow.purge()


async def test_what_too_few_replicas_have_is_accepted_and_said_so(primary: Server) -> None:
    async with Shadow("durable", primary.tcp_url, durable=2) as shadow:
        with pytest.raises(
            NotReplicated,
            match=r"'k' was accepted and will run, do not add it again; but 1 of durable=2 replicas",
        ) as caught:
            await shadow.add(note, key="k")(1)
        execution = caught.value.execution
        assert isinstance(execution, Execution)
        assert (execution.key, execution.disposition) == ("k", Disposition.SCHEDULED)
        assert (await execution.sync()).state is ExecutionState.QUEUED
        with pytest.raises(NotReplicated) as caught:
            await shadow.add(note, key="k")(1)
        assert caught.value.execution.disposition is Disposition.ALREADY_SCHEDULED
        await shadow.purge()


@pytest.mark.parametrize("listened_to", [True, False])
async def test_of_many_calls_too_all_are_accepted_and_counted(primary: Server, listened_to: bool) -> None:
    async with Shadow("durable", primary.tcp_url, durable=2) as shadow:
        tally = shadow.meter.counts.tally("note", "default")
        before = tally.added
        calls = [shadow.call(note)(n) for n in range(3)]

        async def add() -> None:
            with pytest.raises(NotReplicated) as caught:
                await shadow.add_many(calls)
            assert "at least 3 calls were accepted" in caught.value.__notes__[0]
            with pytest.raises(NotReplicated):
                await shadow.add(note)(1)

        if listened_to:
            with listening():
                await add()
        else:
            await add()
        assert tally.added - before == (4 if listened_to else 0)
        await shadow.purge()


async def test_a_reply_that_is_lost_while_waiting_for_replicas_makes_one_task(
    name: str, proxy: Proxy, server: Server
) -> None:
    async with Shadow(name, proxy.url, durable=1) as shadow:
        struck = proxy.drop_next_reply(lambda request: request.words[0] == b"WAIT")
        with pytest.raises(NotReplicated):
            await shadow.add(note)(1)
        assert struck.is_set()
    assert server.call("XLEN", f"{{{name}}}:ready:default") == 1


async def test_a_full_queue_refuses_what_is_to_run_at_once(name: str, url: str) -> None:
    async with Shadow(name, url, max_queue_length=2) as shadow, Shadow(name, url) as other:
        first = await shadow.add(note)(1)
        await shadow.add(note, key="k")(2)
        with pytest.raises(
            QueueFull, match=r"queue 'default' holds max_queue_length=2 tasks; the task 'x' was not accepted"
        ):
            await shadow.add(note, key="x")(3)
        assert (await shadow.get_execution("x")) is None
        assert (await shadow.add(note, key="k")(2)).disposition is Disposition.ALREADY_SCHEDULED
        await shadow.replace(note, None, "k")(4)
        await shadow.add(note, queue="mail")(5)
        await other.add(note)(6)
        await shadow.cancel(first.key)
        with pytest.raises(QueueFull):
            await shadow.add(note)(7)
        await shadow.cancel("k")
        await shadow.add(note)(8)


@pytest.mark.parametrize(
    ("options", "words"), [({"durable": -1}, "durable=-1: a number"), ({"max_queue_length": 0}, "at least 1")]
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Shadow("x", "memory://", **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
