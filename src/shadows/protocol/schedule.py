"""Accepting calls: the typed face of `schedule.lua`, and of `replace.lua` where one takes another's place."""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .blob import keeping
from .connection import Argument, Link
from .scripts import load
from .store import Store

PRODUCER_MEMORY_MS = 3_600_000
"""How long a producer's last batch is remembered: a request that the network held back longer may count twice."""


REPLY_GRACE = 5.0


class Mode(enum.StrEnum):
    """What happens where the key is taken."""

    ADD = "add"
    REPLACE = "replace"
    RECLAIM = "reclaim"
    """It stays taken, unless nothing stands there any more: see `Found.lost`."""


class Answer(enum.Enum):
    """What became of one call."""

    ACCEPTED = "A"
    EXISTS = "E"
    BAD = "B"
    FULL = "F"


class Item(NamedTuple):
    """One call to accept."""

    key: str
    queue: str
    instant_ms: int
    """When to run it; 0 = at once."""
    call: bytes
    mode: Mode = Mode.ADD
    unique_ms: int = 0
    """For how long the key stays taken after its end."""

    @property
    def body(self) -> bytes:
        """The call as it is stored."""
        return keeping(self.call, self.unique_ms)


class LateBatch(Exception):
    """What is noted of this producer is not its own: a newer batch, or other answers."""


async def schedule(
    store: Store,
    link: Link,
    producer: str,
    batch: int,
    items: Sequence[Item],
    *,
    remember: bool,
    longest: int | None = None,
    stamp: bytes = b"",
) -> tuple[list[Answer], int]:
    """Accept up to 200 calls, each by itself; the same batch number again answers the same and changes nothing.

    Args:
        longest: how many tasks a queue may hold, ready or running; what comes beyond and is to run at once is FULL.

    Returns:
        What became of each, and the version of the strikes.

    Raises:
        LateBatch: nothing was done.
    """
    head = (
        stamp,
        producer,
        batch,
        PRODUCER_MEMORY_MS if remember else b"",
        b"" if longest is None else longest,
    )
    if any(mode is not _ADDS for _, _, _, _, mode, _ in items):
        reply = await store.call(link, _REPLACE, *head, *_each(items))
    else:
        reply = await store.call(link, _ADD, *head, *_runs(items))
    if reply[0] == b"LATE":
        raise LateBatch
    answers = [_ANSWERS[letter] for letter in reply[1]]
    if len(answers) != len(items):  # somebody else wrote what this batch was answered
        raise LateBatch
    try:
        return answers, int(reply[2])
    except ValueError:  # no version that was ever written
        return answers, 0


def _runs(items: Iterable[Item]) -> list[Argument]:
    """Calls to add, as `schedule.lua` takes them: those behind each other that go to one queue at one instant together."""
    words: list[Argument] = []
    bodies: list[bytes] = []
    of: tuple[str, int] | None = None
    count = 0
    for key, queue, instant_ms, call, _, unique_ms in items:
        if of is None or queue != of[0] or instant_ms != of[1]:
            words += bodies
            bodies = []
            of = queue, instant_ms
            words += (*of, 0)
            count = len(words) - 1
        words.append(key)
        bodies.append(keeping(call, unique_ms) if unique_ms else call)
        words[count] = len(bodies)
    words += bodies
    return words


def _each(items: Iterable[Item]) -> list[Argument]:
    """Calls as `replace.lua` takes them."""
    return [
        word for item in items for word in (item.mode.value, item.key, item.queue, item.instant_ms, item.body)
    ]


async def replicated(link: Link, replicas: int, patience_ms: int) -> int:
    """How many replicas have what was written before on this link: waits until these do, or so long."""
    reached: int = await link.request(
        b"WAIT", replicas, patience_ms, timeout=patience_ms / 1000 + REPLY_GRACE
    )
    return reached


_ADD, _REPLACE = load("schedule"), load("replace")
_ADDS = Mode.ADD
_ANSWERS = {ord(answer.value): answer for answer in Answer}
