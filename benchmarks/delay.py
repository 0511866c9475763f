"""A TCP proxy that delivers everything later, both ways, as a network would: `python -m benchmarks.delay UPSTREAM`.

UPSTREAM is a Unix socket's path or HOST:PORT. It prints the port that it listens on, on loopback, and serves until its
stdin ends. A line on stdin is how many milliseconds later from then on, 0 at first; it is answered by an empty line. Each
chunk waits in a queue of its own direction, so that order holds whatever the timers do.
"""

import asyncio
import sys
from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Network:
    """What all connections share: the delay, in seconds."""

    delay: float = 0.0


class Direction(asyncio.Protocol):
    """Reads one side, and writes what came to the other side after the delay."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.waiting: deque[bytes] = deque()
        self.transport: asyncio.Transport | None = None
        self.other: Direction | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.waiting.append(data)
        asyncio.get_running_loop().call_later(self.network.delay, self.deliver)

    def deliver(self) -> None:
        """Pass the oldest chunk on."""
        data = self.waiting.popleft()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Client(Direction):
    """The side of a client: it connects to the server, and reads nothing before that is done."""

    def __init__(self, network: Network, upstream: str) -> None:
        super().__init__(network)
        self.upstream = upstream
        self.connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self.connecting = asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        """Open the other side."""
        loop = asyncio.get_running_loop()
        server = Direction(self.network)
        server.other, self.other = self, server
        if self.upstream.startswith("/"):
            await loop.create_unix_connection(lambda: server, self.upstream)
        else:
            host, _, port = self.upstream.rpartition(":")
            await loop.create_connection(lambda: server, host, int(port))
        assert self.transport is not None
        self.transport.resume_reading()


async def main() -> None:
    """Serve until stdin ends."""
    upstream, network = sys.argv[1], Network()
    server = await asyncio.get_running_loop().create_server(lambda: Client(network, upstream), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        network.delay = float(line) / 1000
        print(flush=True)


if __name__ == "__main__":
    asyncio.run(main())
