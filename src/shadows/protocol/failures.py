"""What an error of the server means for whoever asked, and how long to wait before asking again: said here once."""

import enum
import random
import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shadows.errors import BrokenKey, ServerUnsupported

FIRST_PAUSE = 0.05


class Failure(enum.Enum):
    """What to do about an error."""

    TRANSIENT = "no answer, or the server is starting, busy or moving: ask again in a moment"
    RELOAD = "the server lost a script, a stream or a group: it is made anew, ask again"
    REFUSED = "the server takes no writes (no memory, no disk, no replicas, a replica itself): ask again later, or give up"
    BROKEN = (
        "a key of the shadow holds something else: the same until somebody mends it, and then nothing is lost"
    )
    FATAL = "it will be the same the next time: credentials, permissions, a bug"


def classify(error: Exception) -> Failure:
    """What an error means; what is not known is fatal."""
    for failure, kinds in _KINDS:
        if isinstance(error, kinds):
            return failure
    found = _CODE.search(str(error))
    return _CODES[found[1]] if found else Failure.FATAL


def is_wrong_type(error: Exception) -> bool:
    """Whether a key is not of the type that a command works on; older servers say so within a script's error."""
    return not isinstance(error, BrokenKey) and "WRONGTYPE " in str(error)


def needs_another_socket(error: Exception) -> bool:
    """Whether the server at the other end is no longer the right one: another connection may lead to another."""
    return isinstance(error, ReadOnlyError | MovedError) or "READONLY " in str(error)


class Backoff:
    """Pauses between attempts: each about twice as long as the last, none of them quite like another worker's."""

    def __init__(self, longest: float, first: float = FIRST_PAUSE) -> None:
        self._first = first
        self._longest = max(longest, first)
        self._next = first

    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return jittered(pause)

    def reset(self) -> None:
        """It has succeeded."""
        self._next = self._first


def jittered(seconds: float) -> float:
    """About that long, at most: so that what failed together does not come back together."""
    return seconds * (1 - 0.5 * random.random())  # noqa: S311 - spreads load, guards nothing


# The first that fits: some refusals are connection errors to the client library.
_KINDS: tuple[tuple[Failure, tuple[type[Exception], ...]], ...] = (
    (Failure.FATAL, (ServerUnsupported, AuthenticationError, NoPermissionError)),
    (
        Failure.TRANSIENT,
        (OSError, RedisConnectionError, RedisTimeoutError, TryAgainError, ClusterDownError, AskError),
    ),
    (Failure.BROKEN, (BrokenKey,)),
    (Failure.RELOAD, (NoScriptError,)),
    (Failure.REFUSED, (OutOfMemoryError, ReadOnlyError)),
)
_CODES = {
    "BUSY": Failure.TRANSIENT,
    "LOADING": Failure.TRANSIENT,
    "TRYAGAIN": Failure.TRANSIENT,
    "CLUSTERDOWN": Failure.TRANSIENT,
    "MASTERDOWN": Failure.TRANSIENT,
    "NOSCRIPT": Failure.RELOAD,
    "NOGROUP": Failure.RELOAD,
    "UNBLOCKED": Failure.RELOAD,
    "MISCONF": Failure.REFUSED,
    "NOREPLICAS": Failure.REFUSED,
    "OOM": Failure.REFUSED,
    "READONLY": Failure.REFUSED,
    "WRONGTYPE": Failure.BROKEN,
}
_CODE = re.compile(rf"(?:^|-|: )({'|'.join(_CODES)}) ")
"""How a server names an error: within a longer text where a script met it and the server is older than Redis 7."""
