"""A small HTTP server for machines that ask: a few fixed paths, GET and HEAD, one answer a connection.

It stands beside work that matters more. So a request has a few seconds and a few kilobytes, only so many are served at
once, and whatever one of them does is its own trouble.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

logger = logging.getLogger("shadows.telemetry")

MOST_BYTES = 8192
MOST_AT_ONCE = 64
PATIENCE = 5.0
"""Seconds for a request to arrive, and again for its answer to be made and taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: the path without its query, and the headers by their lower-case names."""

    path: str
    headers: Mapping[str, str]


type Route = Callable[[Request], Awaitable[Answer]]


class HttpServer:
    """Serves routes by their paths, within `async with`.

    Raises:
        OSError: the address cannot be listened on.
    """

    _server: asyncio.Server

    def __init__(self, host: str, port: int, routes: Mapping[str, Route]) -> None:
        self._host = host
        self._asked_port = port
        self._routes = dict(routes)
        self._serving: set[asyncio.Task[None]] = set()
        self.port = port
        """The port that is listened on, also where 0 left the choice to the system."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self._host, self._asked_port, limit=MOST_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= MOST_AT_ONCE:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # TimeoutError among the first
                async with asyncio.timeout(PATIENCE):
                    try:
                        head = await reader.readuntil(b"\r\n\r\n")
                    except asyncio.LimitOverrunError:
                        head = b""
                async with asyncio.timeout(PATIENCE):
                    writer.write(await self._answer(head))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()  # nothing but what somebody does not take is left

    async def _answer(self, head: bytes) -> bytes:
        line, _, rest = head.decode("latin-1").partition("\r\n")
        asked = _LINE.fullmatch(line)
        if not head:
            return _packed(_said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        if asked is None:
            return _packed(_said(HTTPStatus.BAD_REQUEST))
        if asked["method"] not in ("GET", "HEAD"):
            return _packed(_said(HTTPStatus.METHOD_NOT_ALLOWED))
        path = asked["path"].partition("?")[0]
        route = self._routes.get(path)
        if route is None:
            return _packed(_said(HTTPStatus.NOT_FOUND))
        pairs = (header.partition(":") for header in rest.split("\r\n"))
        request = Request(path, {name.strip().lower(): value.strip() for name, _, value in pairs})
        try:
            answer = await route(request)
        except Exception as error:  # noqa: BLE001 - who asks gets no details, the log has them
            logger.warning("request not answered path=%s error=%s", path, error)
            answer = _said(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _packed(answer, body=asked["method"] == "GET")


_LINE = re.compile(r"(?P<method>[A-Z]{1,20}) (?P<path>/[!-~]*) HTTP/1\.[01]")


def _said(status: HTTPStatus) -> Answer:
    return Answer(f"{status.phrase.lower()}\n".encode(), status=status)


def _packed(answer: Answer, *, body: bool = True) -> bytes:
    allow = "Allow: GET, HEAD\r\n" if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (answer.body if body else b"")
