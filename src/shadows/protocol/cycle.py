"""A worker's cycle: the typed face of `cycle.lua`, and of the blocking read that an idle worker waits in."""

import asyncio
import enum
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from .connection import Link, Reply
from .failures import is_wrong_type
from .outcomes import Outcome
from .scripts import load
from .store import Store

MOST_ITEMS = 200
"""The most that one call settles, promotes or takes, so that a call costs the server a few milliseconds at most."""


class Verdict(enum.Enum):
    """What became of one outcome."""

    RECORDED = "O"
    STALE = "S"
    BAD = "B"


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A task that this worker now owns, for as long as its lease holds."""

    token: str
    key: str
    blob: bytes
    """Attempt, deliveries and call, or whatever else somebody put into the stream."""
    readable: bool = True
    """Whether the entry has the shape that we write."""


@dataclass(slots=True)  # not frozen, which takes three times as long to make
class Settlement:
    """An outcome on its way, with the token that it is for."""

    token: str
    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept of what ended."""

    execution_ttl_ms: int
    max_ended: int
    max_dead: int

    def arguments(self) -> tuple[int, int, int]:
        """What every script that records endings takes behind its first two arguments."""
        return self.execution_ttl_ms, self.max_ended, self.max_dead


@dataclass(frozen=True, slots=True)
class Cycled:
    """What a cycle answered."""

    verdicts: list[Verdict]
    taken: list[Taken]
    next_due_ms: int | None
    """How long until the next task is due; None where none is scheduled."""
    stops: list[str]
    """Tokens of running tasks to cancel."""
    leased: bool
    unfinished: int
    strikes: int = 0
    """The version of the strikes; 0 where there never were any."""
    paused: str = ""
    """The names of paused queues, each followed by a space; `*` is all."""


async def cycle(
    store: Store,
    link: Link,
    worker: str,
    *,
    settle: Sequence[Settlement],
    take: int,
    queues: Sequence[str],
    limits: Limits,
    promote: int = MOST_ITEMS,
    woken: bytes = b"",
    stamp: bytes = b"",
) -> Cycled:
    """Settle, promote and take, in one round trip; what is taken comes in the order of `queues`."""
    arguments: list[Any] = [
        stamp, worker, *limits.arguments(), take, promote, woken, len(settle),
    ]  # fmt: skip
    for item in settle:
        outcome = item.outcome
        arguments += (item.token, item.key, outcome.kind, outcome.instant_ms, outcome.data)
        if outcome.followers:
            arguments[8] += len(outcome.followers)
            for follower in outcome.followers:
                arguments += (b"", follower.key, follower.queue, follower.instant_ms, follower.body)
    _, letters, taken, due, stops, leased, unfinished, strikes, paused = await store.call(
        link, _SCRIPT, *arguments, *queues
    )
    return Cycled(
        [_VERDICTS[letter] for letter in letters],
        [
            _taken(place, entry)
            for queue, entries in zip(taken[::2], taken[1::2], strict=True)
            for place in [f"{queue.decode()}/"]
            for entry in entries
        ],
        None if due == b"" else int(due),
        [stop.decode(errors="replace") for stop in stops],
        leased == 1,
        unfinished,
        strikes,
        paused.decode(errors="replace"),
    )


@dataclass(frozen=True, slots=True)
class Heard:
    """What ended a blocking read: a task, or a word that something nearer is due."""

    taken: list[Taken]
    woken: bytes
    trouble: str = ""
    """Why it heard nothing: some of what it listens to is broken."""


async def listen(
    store: Store, link: Link, worker: str, queues: Sequence[str], block_ms: int, grace: float
) -> Heard:
    """Wait for one ready task a queue, or for a wake, `block_ms` at most; `grace` seconds more for the reply.

    Where the server lost the streams or their groups, they are made anew and nothing is answered.
    """
    streams = [store.keys["wake"], *map(store.keys.ready, queues)]
    try:
        reply: list[list[Reply]] | None = await link.request(
            b"XREADGROUP", b"GROUP", b"g", worker, b"COUNT", 1, b"BLOCK", block_ms, b"STREAMS", *streams,
            *[b">"] * len(streams), timeout=block_ms / 1000 + grace,
        )  # fmt: skip
    except ResponseError as error:
        if is_wrong_type(error):  # of one queue: the others are still looked at once a second
            trouble = await store.diagnose(link)
            await asyncio.sleep(block_ms / 1000)
            return Heard([], b"", str(trouble))
        if str(error).startswith(("NOGROUP", "UNBLOCKED")):
            await store.enroll(link, queues)
        else:
            raise
        return Heard([], b"")
    names = dict(zip(streams[1:], queues, strict=True))
    taken: list[Taken] = []
    woken = b""
    for stream, entries in reply or ():
        if stream in names:
            taken += [_taken(f"{names[stream]}/", entry) for entry in entries]
        else:
            woken = entries[-1][0]
    return Heard(taken, woken)


async def recover(
    store: Store, link: Link, worker: str, queues: Sequence[str], known: Container[str] = ()
) -> list[Taken]:
    """What the server holds as this worker's own, without the tokens `known`: what a lost reply may have carried.

    It is looked up rather than read again, which would begin anew for how long each has been running.
    """
    taken: list[Taken] = []
    for queue in queues:
        stream, start = store.keys.ready(queue), b"-"
        while True:
            try:
                pending: list[list[Reply]] = await link.request(
                    b"XPENDING", stream, b"g", start, b"+", MOST_ITEMS, worker
                )
            except ResponseError as error:
                if not str(error).startswith(("WRONGTYPE", "NOGROUP")):
                    raise
                break  # nothing of ours is in a queue that somebody broke or removed
            for number, *_ in pending:
                if f"{queue}/{number.decode()}" not in known:
                    found: list[list[Reply]] = await link.request(b"XRANGE", stream, number, number)
                    taken.append(_taken(f"{queue}/", found[0] if found else [number, None]))
            if len(pending) < MOST_ITEMS:
                break
            instant, _, count = pending[-1][0].partition(b"-")
            start = b"%b-%d" % (instant, int(count) + 1)
    return taken


def _taken(place: str, entry: list[Reply]) -> Taken:
    """An entry as a task; `place` is what its token begins with, QUEUE/."""
    number, fields = entry
    token = place + number.decode()
    if fields is not None and len(fields) == 4 and fields[0] == b"k" and fields[2] == b"c":
        try:
            return Taken(token, fields[1].decode(), fields[3])
        except UnicodeDecodeError:
            pass
    return Taken(token, "", b" ".join(fields or ()), readable=False)


_SCRIPT = load("cycle")
_VERDICTS = {ord(verdict.value): verdict for verdict in Verdict}
