"""The little HTTP server: what it answers, and that nobody can hurt it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from shadows.telemetry import http
from shadows.telemetry.http import Answer, HttpServer, Request
from tests.support.waiting import until
from tests.telemetry.asking import ask, send


async def hello(request: Request) -> Answer:
    return Answer(f"hello {request.headers.get('x-name', 'you')}".encode())


async def broken(_: Request) -> Answer:
    raise RuntimeError("a secret detail")


async def endless(_: Request) -> Answer:
    await asyncio.Event().wait()
    raise NotImplementedError


async def huge(_: Request) -> Answer:
    return Answer(b"x" * 50_000_000)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    routes = {"/": hello, "/broken": broken, "/endless": endless, "/huge": huge}
    async with HttpServer("127.0.0.1", 0, routes) as server:
        yield server


async def cut_off(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_route_answers_its_path_whatever_the_query(server: HttpServer) -> None:
    answer = await ask(server.port, "/?a=b", headers="X-Name: Jane\r\n")
    assert (answer.status, answer.body) == (200, "hello Jane")
    assert answer.headers["content-length"] == "10"
    assert answer.headers["connection"] == "close"


async def test_head_is_answered_without_a_body(server: HttpServer) -> None:
    answer = await ask(server.port, "/", method="HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "9", "")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9_000, 431),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500),
    ],
)
async def test_what_cannot_be_answered_gets_its_status(server: HttpServer, data: bytes, status: int) -> None:
    answer = await send(server.port, data)
    assert answer.status == status
    assert "secret" not in answer.body
    assert (await ask(server.port, "/")).status == 200


async def test_who_goes_away_is_forgotten(server: HttpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HT")
    await until(lambda: server._serving)
    writer.close()
    await until(lambda: not server._serving)
    assert await cut_off(reader)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET /endless HTTP/1.1\r\n\r\n"])
async def test_who_is_slow_is_cut_off(
    server: HttpServer, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    assert await cut_off(reader)
    writer.close()
    await until(lambda: not server._serving)


async def test_who_takes_no_answer_is_cut_off(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    writer.write(b"GET /huge HTTP/1.1\r\n\r\n")
    with suppress(ConnectionResetError):
        await reader.read(1)
    await until(lambda: not server._serving)
    writer.close()


async def test_only_so_many_are_served_at_once(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_AT_ONCE", 3)
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    await until(lambda: len(server._serving) == 3)
    refused, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert await cut_off(refused)
    writer.close()
    for _, one in idle:
        one.close()
    await until(lambda: not server._serving)
    assert (await ask(server.port, "/")).status == 200


async def test_leaving_ends_what_is_being_served() -> None:
    async with HttpServer("127.0.0.1", 0, {"/": endless}) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: server._serving)
    assert not server._serving
    writer.close()


async def test_a_port_that_is_taken_is_an_error_at_once(server: HttpServer) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with HttpServer("127.0.0.1", server.port, {}):
            raise NotImplementedError
