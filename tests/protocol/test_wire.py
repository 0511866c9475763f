"""What arrives on a socket, and what does not: each reply belongs to its request, or to nobody."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shadows.errors import ServerUnreachable
from shadows.protocol import wire as module
from shadows.protocol.connection import Address, Link
from shadows.protocol.wire import Wire
from tests.support.node import FakeNode
from tests.support.servers import LOOPBACK

LIMIT = 5.0


class Pipe(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.former = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        self.written: list[bytes] = []

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.former

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Whoever it is."""

    def write(self, data: Any) -> None:
        self.written.append(data)


def wire(pipe: Pipe, *, ended: bool = False) -> Wire:
    return Wire(pipe, ResponseError, ended=ended)


async def instant(loop: asyncio.AbstractEventLoop, at: float) -> None:
    """Return once the loop has called whatever was due before that instant."""
    reached = asyncio.Event()
    loop.call_at(at, reached.set)
    await reached.wait()


async def test_a_reply_may_come_in_pieces() -> None:
    pipe = Pipe()
    one = wire(pipe)
    reply = one.ask(b"request", LIMIT)
    for piece in (b"*2\r", b"\n$1\r\na\r\n:", b"5\r\n"):
        assert not reply.done()
        one.data_received(piece)
    assert await reply == [b"a", 5]
    assert pipe.written == [b"request"]
    one.close()


async def test_what_the_server_says_beyond_the_reply_is_not_the_next_ones() -> None:
    one = wire(Pipe())
    first = one.ask(b"", LIMIT)
    one.data_received(b"+OK\r\n+more\r\n")
    assert await first == b"OK"
    with pytest.raises(RedisConnectionError, match="more than it was asked for"):
        await one.ask(b"", LIMIT)
    one.close()


async def test_nor_is_what_it_says_to_nobody() -> None:
    pipe = Pipe()
    one = wire(pipe)
    one.data_received(b"+hello\r\n")
    with pytest.raises(RedisConnectionError, match="more than it was asked for"):
        await one.ask(b"request", LIMIT)
    assert pipe.written == []


async def test_a_reply_that_came_too_late_to_one_who_left_is_nobodys() -> None:
    one = wire(Pipe())
    left = one.ask(b"", LIMIT)
    left.cancel()
    one.data_received(b"+OK\r\n")
    assert left.cancelled()
    one.close()


async def test_where_the_connection_ends_the_one_who_waits_is_told_and_so_is_its_former_owner() -> None:
    pipe = Pipe()
    for error, said in ((None, "Connection closed by server."), (OSError("reset"), "reset")):
        one = wire(pipe)
        waiting = one.ask(b"", LIMIT)
        one.connection_lost(error)
        with pytest.raises(RedisConnectionError, match=said):
            await waiting
        with pytest.raises(RedisConnectionError, match=said):
            await one.ask(b"", LIMIT)
    assert pipe.written == [b"", b""]


async def test_one_who_has_left_is_not_told() -> None:
    one = wire(Pipe())
    left = one.ask(b"", LIMIT)
    left.cancel()
    one.connection_lost(None)
    assert left.cancelled()


async def test_a_connection_that_ended_before_it_was_taken_over_takes_no_request() -> None:
    pipe = Pipe()
    with pytest.raises(RedisConnectionError, match="closed by server"):
        await wire(pipe, ended=True).ask(b"request", LIMIT)
    assert pipe.written == []


async def test_closing_leaves_the_one_who_waits_his_deadline() -> None:
    one = wire(Pipe())
    waiting = one.ask(b"", 0.01)
    one.close()
    with pytest.raises(TimeoutError):
        await waiting
    one.close()


async def test_the_deadline_is_that_of_the_request_that_is_out() -> None:
    one = wire(Pipe())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    first = one.ask(b"", 0.01)
    one.data_received(b"+OK\r\n")
    assert await first == b"OK"
    second = one.ask(b"", LIMIT)  # the timer of the first goes off, and waits on
    await instant(loop, begun + 0.02)
    assert not second.done()
    one.data_received(b"+OK\r\n")
    assert await second == b"OK"
    third = one.ask(b"", 0.01)  # and that of the second is for later than this
    with pytest.raises(TimeoutError):
        await third
    one.close()


async def test_what_came_while_the_loop_was_blocked_is_read_before_the_deadline_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE", 60)
    one = wire(Pipe())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    reply = one.ask(b"", 0.01)
    await instant(loop, begun + 0.02)
    one.data_received(b"+OK\r\n")
    assert await reply == b"OK"
    one.close()


async def test_where_nobody_waits_the_deadline_passes_unnoticed() -> None:
    one = wire(Pipe())
    loop = asyncio.get_running_loop()
    for _ in range(2):
        begun = loop.time()
        reply = one.ask(b"", 0.01)
        one.data_received(b"+OK\r\n")
        await instant(loop, begun + 0.02)
        assert await reply == b"OK"


@pytest.mark.parametrize("words", [b"?nonsense\r\n", b"-LOADING the dataset\r\n", None])
async def test_after_what_is_no_answer_the_next_request_opens_another_connection(words: bytes | None) -> None:
    async with FakeNode(lambda _: words) as node:
        link = Link(Address(f"redis://{LOOPBACK}:{node.port}"))
        for _ in range(2):
            with pytest.raises(ServerUnreachable, match=f"no reply from redis://{LOOPBACK}"):
                await link.request("PING")
        assert node.connections == 2
        await link.close()
