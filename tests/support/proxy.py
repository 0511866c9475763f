"""A TCP proxy in front of a server, with faults at the test's command.

It reads both directions as RESP and passes whole requests and replies, so that a fault strikes one request and not
its neighbours, and a test can say what went over the wire. It lives on the loop that opened it: what blocks that
loop blocks the proxy too.
"""

import asyncio
import enum
import itertools
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import trustme

LOOPBACK = "127.0.0.1"

type Upstream = Path | tuple[str, int]
type Match = Callable[[Request], bool]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: the number of its connection (from 1), and its words."""

    connection: int
    words: tuple[bytes, ...]

    @property
    def command(self) -> str:
        """The first word, in capitals."""
        return self.words[0].decode("ascii", "replace").upper()


def anything(request: Request) -> bool:
    return True


def command(*names: str) -> Match:
    """Matches requests of these commands: `proxy.drop_next_reply(command("EVALSHA"))`."""
    wanted = {name.upper() for name in names}
    return lambda request: request.command in wanted


class Authority:
    """A certificate authority made for a test: `ca_file` is what clients must trust to talk to loopback."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = authority.issue_cert(LOOPBACK, "localhost")
        chain = folder / "server.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(chain))
        self.server_context.load_cert_chain(chain)


class _Kind(enum.Enum):
    DROP_REPLY = enum.auto()
    CUT_BEFORE = enum.auto()


@dataclass(frozen=True, slots=True)
class _Fault:
    kind: _Kind
    match: Match
    struck: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy:
    """Listens on loopback and passes on to `upstream`: a Unix socket's path, or host and port.

    With an `authority` it speaks TLS to its clients. The counters and the log may be read at any time;
    `upstream` may be set to another server for the connections to come, and `byte_by_byte` to pass both
    directions in pieces of one byte, and `latency` to a time in seconds by which each delivery to a client is late.
    """

    def __init__(self, upstream: Upstream, *, authority: Authority | None = None) -> None:
        self.upstream = upstream
        self.byte_by_byte = False
        self.latency = 0.0
        self.requests: list[Request] = []
        self.connections = 0
        self.replies = 0
        self.bytes_received = 0
        self.bytes_delivered = 0
        self._authority = authority
        self._numbers = itertools.count(1)
        self._faults: list[_Fault] = []
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._links: set[_Link] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        context = self._authority.server_context if self._authority else None
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0, ssl=context)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server = self._listening
        self._server = None
        server.close()
        self.cut_all()
        async with asyncio.timeout(10):
            await self._idle.wait()
            await server.wait_closed()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        if self._authority:
            return f"rediss://{LOOPBACK}:{self.port}/0?ssl_ca_certs={quote(str(self.ca_file))}"
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def ca_file(self) -> Path:
        """What a client must trust; only with an authority."""
        if not self._authority:
            raise RuntimeError("this proxy speaks no TLS: give it an authority")
        return self._authority.ca_file

    @property
    def open_connections(self) -> int:
        return len(self._links)

    @property
    def commands(self) -> list[str]:
        """What was asked since the start or the last `forget`, in order, the commands only."""
        return [request.command for request in self.requests]

    def forget(self) -> None:
        """Begin the log and the counters anew; faults and connections stay."""
        self.requests.clear()
        self.connections = self.replies = self.bytes_received = self.bytes_delivered = 0

    def drop_next_reply(self, match: Match = anything) -> asyncio.Event:
        """The next matching request is carried out, its reply swallowed, and its connection cut.

        What came before it on that connection is answered; what comes after it does not reach the server. The event
        is set as soon as that has happened; the server has answered by then.
        """
        return self._armed(_Kind.DROP_REPLY, match)

    def cut_before_next_request(self, match: Match = anything) -> asyncio.Event:
        """The next matching request never reaches the server: its connection is cut instead.

        What came before it on that connection is answered first. The event is set as soon as that has happened.
        """
        return self._armed(_Kind.CUT_BEFORE, match)

    def hang_replies(self) -> None:
        """From here on the server gets every request, and no client an answer, until `resume`."""
        self.flowing.clear()

    def resume(self) -> None:
        """Deliver what has been held back, in order, and all that follows."""
        self.flowing.set()

    def cut_all(self) -> None:
        """Cut every connection now; new ones are accepted."""
        for link in self._links:
            link.cut()

    def cut_idle(self, seconds: float) -> int:
        """Cut the connections over which nothing has passed for so long, in either direction; answers how many."""
        idle = [link for link in self._links if time.monotonic() - link.passed >= seconds]
        for link in idle:
            link.cut()
        return len(idle)

    @property
    def _listening(self) -> asyncio.Server:
        if self._server is None:
            raise RuntimeError("the proxy is not open: use it by `async with`")
        return self._server

    def _armed(self, kind: _Kind, match: Match) -> asyncio.Event:
        fault = _Fault(kind, match)
        self._faults.append(fault)
        return fault.struck

    def meet(self, request: Request) -> _Fault | None:
        """Log a request; the fault that it meets, which is spent by it."""
        self.requests.append(request)
        for fault in self._faults:
            if fault.match(request):
                self._faults.remove(fault)
                return fault
        return None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        link = _Link(self, next(self._numbers), reader, writer)
        self._links.add(link)
        self._idle.clear()
        try:
            if self._server is not None:
                await link.run()
        finally:
            await link.close()
            self._links.discard(link)
            if not self._links:
                self._idle.set()


class _Cut(Exception):
    """This connection is over, by a fault or because one side closed it."""


class _Link:
    """One client's connection and its own to the server.

    Open: both pumps run. Doomed, once a request met a fault (`fault` is set): requests are read and thrown away,
    replies delivered up to the fault. Cut: by the fault, by either side's end, or by `cut`.
    """

    def __init__(
        self, proxy: Proxy, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.proxy = proxy
        self.number = number
        self.reader = reader
        self.writer = writer
        self.upstream: asyncio.StreamWriter | None = None
        self.unanswered = 0
        self.fault: _Fault | None = None
        self.passed = time.monotonic()

    async def run(self) -> None:
        with suppress(OSError):
            source, self.upstream = await self._connect()
            try:
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pass_requests(self.upstream))
                    pumps.create_task(self._pass_replies(source))
            except* (_Cut, OSError):
                pass

    def cut(self) -> None:
        """Both sides at once, without sending what is still buffered."""
        for writer in self._writers():
            writer.transport.abort()

    async def close(self) -> None:
        self.cut()
        for writer in self._writers():
            with suppress(OSError):
                await writer.wait_closed()

    def _writers(self) -> list[asyncio.StreamWriter]:
        return [self.writer] if self.upstream is None else [self.writer, self.upstream]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        upstream = self.proxy.upstream
        if isinstance(upstream, Path):
            return await asyncio.open_unix_connection(upstream)
        host, port = upstream
        return await asyncio.open_connection(host, port)

    async def _pass_requests(self, upstream: asyncio.StreamWriter) -> None:
        frames = Frames()
        while data := await self.reader.read(65536):
            self.passed = time.monotonic()
            self.proxy.bytes_received += len(data)
            for frame in frames.feed(data):
                if self.fault is None:
                    await self._pass_request(frame, upstream)
        raise _Cut

    async def _pass_request(self, frame: bytes, upstream: asyncio.StreamWriter) -> None:
        self.fault = self.proxy.meet(Request(self.number, _words(frame)))
        if self.fault is None:
            self.unanswered += 1
        if self.fault is None or self.fault.kind is _Kind.DROP_REPLY:
            await self._send(frame, upstream)
        else:
            self._cut_if_due()

    async def _pass_replies(self, source: asyncio.StreamReader) -> None:
        frames = Frames()
        while data := await source.read(65536):
            self.passed = time.monotonic()
            if self.proxy.latency:
                await asyncio.sleep(self.proxy.latency)
            for frame in frames.feed(data):
                await self._pass_reply(frame)
        raise _Cut

    async def _pass_reply(self, frame: bytes) -> None:
        # A message that no request is waiting for belongs to a subscription.
        pushed = frame.startswith(b">")
        if not pushed and self.unanswered == 0 and self.fault and self.fault.kind is _Kind.DROP_REPLY:
            self._strike(self.fault)
        await self.proxy.flowing.wait()
        await self._send(frame, self.writer)
        self.proxy.bytes_delivered += len(frame)
        if not pushed:
            self.proxy.replies += 1
            self.unanswered = max(0, self.unanswered - 1)
            self._cut_if_due()

    def _cut_if_due(self) -> None:
        if self.fault and self.fault.kind is _Kind.CUT_BEFORE and self.unanswered == 0:
            self._strike(self.fault)

    def _strike(self, fault: _Fault) -> None:
        self.cut()
        fault.struck.set()
        raise _Cut

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        pieces = [data[at : at + 1] for at in range(len(data))] if self.proxy.byte_by_byte else [data]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if len(pieces) > 1:
                # Turns enough for a reader on this loop to take the byte before the next one comes.
                for _ in range(3):
                    await asyncio.sleep(0)


class Frames:
    """Cuts a stream of RESP 2 or 3 into whole requests or replies, however it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._passed = 0
        self._owed = 1

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete with `data`."""
        self._buffer += data
        frames: list[bytes] = []
        while self._step():
            if self._owed == 0:
                frames.append(bytes(self._buffer[: self._passed]))
                del self._buffer[: self._passed]
                self._passed = 0
                self._owed = 1
        return frames

    def _step(self) -> bool:
        """Pass over one element, and owe those that it announces; false where more bytes are needed."""
        end = self._buffer.find(b"\r\n", self._passed)
        if end < 0:
            return False
        after = end + 2
        announced = 0
        match chr(self._buffer[self._passed]):
            case "$" | "=" | "!":
                size = self._number(end)
                after += size + 2 if size >= 0 else 0
            case "*" | "~" | ">":
                announced = max(0, self._number(end))
            case "%":
                announced = 2 * self._number(end)
            case "|":
                # Attributes stand in front of the reply that they belong to.
                announced = 2 * self._number(end) + 1
            case _:
                pass
        if len(self._buffer) < after:
            return False
        self._passed = after
        self._owed += announced - 1
        return True

    def _number(self, end: int) -> int:
        return int(self._buffer[self._passed + 1 : end])


def _words(frame: bytes) -> tuple[bytes, ...]:
    """The words of a request, whether it came as an array of strings or as a line."""
    if not frame.startswith(b"*"):
        return tuple(frame.split())
    words: list[bytes] = []
    at = frame.index(b"\r\n") + 2
    while at < len(frame):
        end = frame.index(b"\r\n", at)
        size = int(frame[at + 1 : end])
        words.append(frame[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return tuple(words)
