"""A node that answers by the test's own rule: what real servers do only at the wrong moment."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import hiredis

from tests.support.proxy import Authority
from tests.support.servers import LOOPBACK

type Answer = bytes | None


class FakeNode:
    """Listens on loopback. `answer` gets a command's words and gives the reply in RESP; None closes the connection. With an `authority` it speaks TLS."""

    def __init__(
        self, answer: Callable[[list[bytes]], Answer], *, authority: Authority | None = None
    ) -> None:
        self.answer = answer
        self._tls = authority and authority.server_context
        self.heard: list[bytes] = []
        """The names of the commands that were not for opening a connection, in order."""
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    async def _serve(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self.connections += 1
        reader = hiredis.Reader()
        try:
            while data := await incoming.read(65536):
                reader.feed(data)
                while isinstance(words := reader.gets(), list):
                    reply: Answer = b"+OK\r\n"
                    if words[0] != b"CLIENT":
                        self.heard.append(words[0])
                        reply = self.answer(words)
                    if reply is None:
                        return
                    outgoing.write(reply)
        except OSError:
            pass
        finally:
            outgoing.close()


def bulk(text: bytes) -> bytes:
    """A string as a reply."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def slots(*ranges: tuple[int, int, str | None, int]) -> bytes:
    """The reply to CLUSTER SLOTS: first, last, the owner's host and port."""
    rows = [
        b"*3\r\n:%d\r\n:%d\r\n*3\r\n%b:%d\r\n%b"
        % (first, last, b"$-1\r\n" if host is None else bulk(host.encode()), port, bulk(b"id"))
        for first, last, host, port in ranges
    ]
    return b"*%d\r\n%b" % (len(rows), b"".join(rows))
