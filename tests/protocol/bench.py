"""The scripts on a real server, without an event loop: one socket, one request at a time.

The typed functions of `shadows.protocol` run here too: over this link they never have to wait for anything.
"""

import socket
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import hiredis
from redis.exceptions import NoScriptError, ResponseError

from shadows.protocol.connection import Address, Argument, Link
from shadows.protocol.cycle import Cycled, Limits, Settlement, Taken, cycle
from shadows.protocol.execution import Cancelled, Found, cancel, find
from shadows.protocol.lease import Reaped, reap
from shadows.protocol.outcomes import Outcome
from shadows.protocol.schedule import Answer, Item, schedule
from shadows.protocol.scripts import Script, load
from shadows.protocol.store import Store
from tests.support.servers import Server

NAMES = (
    "enroll", "schedule", "replace", "cycle", "acquire", "beat", "announce", "resign", "reap", "cancel", "find", "tidy",
    "progress", "strike", "letter",
)  # fmt: skip
LIMITS = Limits(execution_ttl_ms=60_000, max_ended=100, max_dead=100)
LEASE_MS = 1000
_NOTHING = object()


def now[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    raise RuntimeError("it waits for something")


class Wire:
    """A connection that sends any number of commands at once, and returns their replies, errors among them."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._reader = hiredis.Reader(replyError=_error, notEnoughData=_NOTHING)

    def many(self, commands: Sequence[Sequence[Argument]], *, text: bool = False) -> list[Any]:
        """The replies in order: strings as bytes, or as text."""
        self._reader.set_encoding("utf-8" if text else None)
        self._socket.sendall(b"".join(map(_packed, commands)))
        replies: list[Any] = []
        while len(replies) < len(commands):
            if (reply := self._reader.gets()) is not _NOTHING:
                replies.append(reply)
            elif data := self._socket.recv(65536):
                self._reader.feed(data)
            else:
                raise ConnectionResetError("the server closed the connection")
        return replies

    def one(self, *words: Argument, text: bool = False) -> Any:
        """One reply; raises it where it is an error."""
        reply = self.many([words], text=text)[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self._socket.close()


class DirectLink:
    """A `Link` over a wire; it runs `scripts` in the place of those that are asked for by the usual digests."""

    def __init__(self, wire: Wire, scripts: Mapping[str, Script]) -> None:
        self.wire = wire
        self._digests = {load(name).sha: script.sha for name, script in scripts.items()}

    async def request(self, *words: Argument, timeout: float | None = None) -> Any:
        if words[0] == b"EVALSHA":
            words = (words[0], self._digests.get(cast("bytes", words[1]), words[1]), *words[2:])
        return self.wire.one(*words)


class Bench:
    """One shadow on a server, at an instant of the test's own."""

    def __init__(self, server: Server, name: str, scripts: Mapping[str, Script] | None = None) -> None:
        self.scripts = scripts or {script: load(script) for script in NAMES}
        self.wire = Wire(server.socket)
        self.store = Store(name, Address(server.url))
        self.link = cast("Link", DirectLink(self.wire, self.scripts))
        self.instant = 1_000_000
        self.batch = 0
        self.wire.many([("SCRIPT", "LOAD", script.source) for script in self.scripts.values()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wire.close()

    @property
    def stamp(self) -> bytes:
        return str(self.instant).encode()

    def key(self, role: str) -> bytes:
        """The name of a fixed key, or of a queue's stream where it begins with `ready:`."""
        return self.store.keys.ready(role[6:]) if role.startswith("ready:") else self.store.keys[role]

    def ask(self, command: str, role: str, *words: Argument) -> Any:
        """One command on one of the shadow's keys; strings come as text."""
        return self.wire.one(command, self.key(role), *words, text=True)

    def raw(self, script: str, *arguments: Argument) -> Any:
        """A script as it is, with the keys that the store knows; strings come as text."""
        found = self.scripts[script]
        return self.wire.one(b"EVALSHA", found.sha, *self.store.head(found), *arguments, text=True)

    def enroll(self, *queues: str) -> None:
        now(self.store.enroll(self.link, queues))

    def schedule(self, *items: Item, remember: bool = True) -> list[Answer]:
        """Accept calls as the next batch of one producer."""
        self.batch += 1
        answers, _ = now(
            schedule(
                self.store, self.link, "producer", self.batch, items, remember=remember, stamp=self.stamp
            )
        )
        return answers

    def add(self, *keys: str, queue: str = "default", at: int = 0) -> None:
        """Accept a call `call-KEY` for each key."""
        answers = self.schedule(*[Item(key, queue, at, f"call-{key}".encode()) for key in keys])
        assert answers == [Answer.ACCEPTED] * len(keys)

    def lease(self, worker: str, length: int = LEASE_MS) -> list[Any]:
        """Take a lease."""
        return cast("list[Any]", self.raw("beat", self.instant, worker, length, 1))

    def cycle(
        self,
        worker: str = "w",
        settle: Iterable[tuple[Taken, Outcome]] = (),
        take: int = 0,
        queues: Sequence[str] = ("default",),
        limits: Limits = LIMITS,
        promote: int = 200,
        woken: bytes = b"",
    ) -> Cycled:
        settlements = [Settlement(taken.token, taken.key, outcome) for taken, outcome in settle]
        return now(
            cycle(
                self.store, self.link, worker, settle=settlements, take=take, queues=queues,
                limits=limits, promote=promote, woken=woken, stamp=self.stamp,
            )
        )  # fmt: skip

    def take(self, worker: str = "w", most: int = 10, queue: str = "default") -> list[Taken]:
        """Take what is ready, as a worker whose lease holds."""
        self.lease(worker)
        return self.cycle(worker, take=most, queues=[queue]).taken

    def reap(self, worker: str = "w", max_deliveries: int = 3, limits: Limits = LIMITS) -> Reaped:
        return now(reap(self.store, self.link, worker, max_deliveries, limits, stamp=self.stamp))

    def cancel(self, key: str, limits: Limits = LIMITS) -> Cancelled:
        return now(cancel(self.store, self.link, key, limits, stamp=self.stamp))

    def find(self, key: str) -> Found:
        return now(find(self.store, self.link, key))

    def dead(self) -> dict[str, str]:
        """The dead letters."""
        flat = self.ask("HGETALL", "dead")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @contextmanager
    def knowing(self, *queues: str) -> Generator[None]:
        """Within, the caller's list of queues is this one."""
        store, known = self.store, self.store.queues
        store._heads.clear()  # pyright: ignore[reportPrivateUsage]
        store._queues = queues  # pyright: ignore[reportPrivateUsage]
        try:
            yield
        finally:
            store._heads.clear()  # pyright: ignore[reportPrivateUsage]
            if store.queues == queues:
                store._queues = known  # pyright: ignore[reportPrivateUsage]

    @contextmanager
    def full(self) -> Generator[None]:
        """Within, the server has no memory left."""
        self.wire.one("CONFIG", "SET", "maxmemory", 1)
        try:
            yield
        finally:
            self.wire.one("CONFIG", "SET", "maxmemory", 0)

    def purge(self) -> None:
        """Delete every key of the shadow."""
        self.wire.one("DEL", *self.store.keys.every(self.store.queues))


def _error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)


def _packed(words: Sequence[Argument]) -> bytes:
    return cast("bytes", hiredis.pack_command(cast("Any", tuple(words))))  # pyright: ignore[reportUnknownMemberType]
