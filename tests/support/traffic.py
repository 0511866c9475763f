"""What the server was asked while something happened: requests, the commands that these led to, the bytes that came in.

`MONITOR` tells requests from the commands inside scripts; the bytes are the server's own count. Nothing is timed, so the
same work gives the same figures on a machine of any speed.
"""

import re
import socket
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.servers import Server

_LINE = re.compile(r'^\+[\d.]+ \[\d+ (?P<who>[^\]]*)\] "(?P<name>[^"]*)"')


@dataclass(slots=True)
class Traffic:
    """What came to the server; empty until the block of `watched` is left."""

    requests: int = 0
    """Commands that a client sent, but for those by which the client library introduces a new connection."""
    commands: int = 0
    """Requests, and the commands that scripts ran for them."""
    received: int = 0
    """Bytes of the requests as they stood on the wire."""
    names: Counter[str] = field(default_factory=Counter[str])
    """How often each command ran, inside scripts or not."""


@contextmanager
def watched(server: Server) -> Generator[Traffic]:
    """Count what is asked of the server within the block, by whomever."""
    traffic = Traffic()
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(str(server.socket))
        monitor.sendall(b"MONITOR\r\n")
        lines = monitor.makefile(encoding="utf-8", errors="replace")
        assert next(lines) == "+OK\n"
        before = _received(server)
        yield traffic
        traffic.received = _received(server) - before - _LOOK
        server.call("ECHO", "end")
        _count(traffic, lines)


def _count(traffic: Traffic, lines: Iterator[str]) -> None:
    for line in lines:
        match = _LINE.match(line)
        assert match, line
        name = match["name"].lower()
        if name == "echo":
            return
        if name in _ASIDE:
            continue
        traffic.commands += 1
        traffic.requests += match["who"] != "lua"
        traffic.names[name] += 1
    raise EOFError("the server closed the connection")


def _received(server: Server) -> int:
    said: str = server.call("INFO", "stats").decode()
    return int(re.findall(r"total_net_input_bytes:(\d+)", said)[0])


_ASIDE = {"info", "client"}
"""Our own looks, and what depends on the client library's version and the engine's."""
_LOOK = len(b"*2\r\n$4\r\nINFO\r\n$5\r\nstats\r\n")
"""Bytes that looking at the count adds to it."""
