"""The scripts on a real server, without an event loop: one socket, one request at a time.

The typed functions of `shadows.protocol` run here too: over this link they never have to wait for anything.
"""

import socket
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import hiredis
from redis.exceptions import NoScriptError, ResponseError

from shadows.protocol.acquire import Admission, Asking, Claim, acquire
from shadows.protocol.connection import Address, Argument, Link
from shadows.protocol.cycle import Cycled, Limits, Settlement, Taken, cycle
from shadows.protocol.duties import note_progress, tidy
from shadows.protocol.execution import Cancelled, Found, cancel, find
from shadows.protocol.lease import Reaped, reap
from shadows.protocol.outcomes import Outcome
from shadows.protocol.schedule import Answer, Item, schedule
from shadows.protocol.scripts import Script, load
from shadows.protocol.store import Store
from tests.support.servers import Server

NAMES = (
    "enroll", "schedule", "replace", "cycle", "acquire", "beat", "announce", "resign", "reap", "cancel", "find", "tidy",
    "progress", "strike", "letter", "attend", "depth",
    "look", "crew", "clear", "purge", "pause", "letters", "requeue", "discard", "types",
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
        self._socket.sendall(b"".join(map(_packed, commands)))
        return self.read(len(commands), text=text)

    def read(self, count: int, *, text: bool = False) -> list[Any]:
        """The next replies."""
        self._reader.set_encoding("utf-8" if text else None)
        replies: list[Any] = []
        while len(replies) < count:
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
        self.server = server
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

    def acquire(self, task: Taken, *claims: Claim, worker: str = "w", who: str = "") -> Admission:
        """Ask whether a taken task may start, as the execution `who` of its key (its call, unless told)."""
        (admission,) = self.acquire_many((task, claims, who), worker=worker)
        return admission

    def acquire_many(
        self, *asking: tuple[Taken, Sequence[Claim], str], worker: str = "w", limits: Limits = LIMITS
    ) -> list[Admission]:
        """Ask for several in one request."""
        wishes = [
            Asking(task.token, task.key, who or task.blob.decode(), claims) for task, claims, who in asking
        ]
        return now(acquire(self.store, self.link, worker, wishes, limits, stamp=self.stamp))

    def tidy(self, behind: bytes = b"") -> bytes:
        return now(tidy(self.store, self.link, "w", behind, stamp=self.stamp))

    def progress(self, *notes: tuple[str, str, str]) -> None:
        now(note_progress(self.store, self.link, "w", notes, stamp=self.stamp))

    def reap(self, worker: str = "w", max_deliveries: int = 3, limits: Limits = LIMITS) -> Reaped:
        return now(reap(self.store, self.link, worker, max_deliveries, limits, stamp=self.stamp))

    def cancel(self, key: str, limits: Limits = LIMITS) -> Cancelled:
        return now(cancel(self.store, self.link, key, limits, stamp=self.stamp))

    def find(self, key: str) -> Found:
        return now(find(self.store, self.link, key))

    def dead(self) -> dict[str, str]:
        """The dead letters."""
        return self.hash("dead")

    def hash(self, role: str) -> dict[str, str]:
        """All that a hash holds."""
        flat = self.ask("HGETALL", role)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def scores(self, role: str) -> dict[str, float]:
        """All that a sorted set holds."""
        flat = self.ask("ZRANGE", role, 0, -1, "WITHSCORES")
        return {member: float(score) for member, score in zip(flat[::2], flat[1::2], strict=True)}

    @contextmanager
    def listening(self, length: int = 1000) -> Generator[Callable[[], list[str]]]:
        """Within, somebody listens for that long; the call gives the messages that came since the last one."""
        self.ask("HSET", "meta", "listening", self.instant + length)
        with ear(self.server, self.key("queues")[:-6] + b"events") as heard:
            yield heard

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


@contextmanager
def ear(server: Server, channel: bytes) -> Generator[Callable[[], list[str]]]:
    """Listens on a channel; the call gives the messages that came since the last one."""
    wire = Wire(server.socket)
    wire.one("SUBSCRIBE", channel)

    def heard() -> list[str]:
        messages: list[str] = []
        reply = wire.one("PING", text=True)
        while reply[0] == "message":  # what was published before the question comes before its answer
            messages.append(reply[2])
            (reply,) = wire.read(1, text=True)
        return messages

    try:
        yield heard
    finally:
        wire.close()


def _error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)


def _packed(words: Sequence[Argument]) -> bytes:
    return cast("bytes", hiredis.pack_command(cast("Any", tuple(words))))  # pyright: ignore[reportUnknownMemberType]
