"""The fixed set of keys that a shadow is, and the names that may become part of them."""

import os
import re
import unicodedata
from collections.abc import Iterable

from shadows.errors import InvalidName

FIXED = (
    "meta", "queues", "wake", "due", "parked", "live", "permits", "held", "waiting", "windows", "leases", "workers",
    "controls", "strikes", "ended", "ended:at", "dead", "dead:at", "producers", "progress",
)  # fmt: skip
"""All keys but the queues' streams, in the order in which every script takes those that it needs."""

_TYPES = {
    "set": ("queues",),
    "stream": ("wake",),
    "zset": ("due", "waiting", "windows", "leases", "controls", "ended:at", "dead:at"),
}
TYPES = {role: kind for kind, roles in _TYPES.items() for role in roles}
"""What a key is, as the server calls it, where it is not a hash or a queue's stream."""

DEFAULT_QUEUE = "default"
MAX_NAME = 128
MAX_KEY_BYTES = 512

_KEY_BYTES = 16
_DRAWN = 128
_drawn: list[str] = []
if hasattr(os, "register_at_fork"):  # pragma: no branch - there is none on Windows
    os.register_at_fork(after_in_child=_drawn.clear)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*")


class Keys:
    """The names of one shadow's keys: all carry one hash tag, so they live on one slot of a cluster."""

    __slots__ = ("_fixed", "_prefix", "name")

    def __init__(self, name: str) -> None:
        self.name = check_name(name)
        self._prefix = f"{{{name}}}:"
        self._fixed = {role: (self._prefix + role).encode() for role in FIXED}

    def __getitem__(self, role: str) -> bytes:
        return self._fixed[role]

    @property
    def events(self) -> bytes:
        """The pub/sub channel of news; no key."""
        return f"{self._prefix}events".encode()

    def ready(self, queue: str) -> bytes:
        """The stream of one queue."""
        return f"{self._prefix}ready:{queue}".encode()

    def type_of(self, key: bytes) -> str:
        """What one of the shadow's keys is to be, in the server's word for it."""
        role = key[len(self._prefix) :].decode()
        return "stream" if role.startswith("ready:") else TYPES.get(role, "hash")

    def every(self, queues: Iterable[str]) -> list[bytes]:
        """All keys that the shadow may have."""
        return [*self._fixed.values(), *map(self.ready, queues)]


def check_name(name: str) -> str:
    """The shadow's name, if it can be part of a key's name.

    Raises:
        InvalidName: for anything but 1 to 128 letters, digits and `. _ : @ + -`, beginning with a letter or digit.
    """
    return _check("name", "a shadow's name", name)


def check_queue(queue: str) -> str:
    """The queue's name, under the same rule as `check_name`.

    Raises:
        InvalidName: where it is broken.
    """
    return _check("queue", "a queue's name", queue)


def random_key() -> str:
    """A key that nobody else has: 128 random bits.

    The system is asked for many at once, as asking costs more than the bits; a process that is forked off asks anew.
    """
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            bits = os.urandom(_DRAWN * _KEY_BYTES).hex()
            _drawn.extend(bits[i : i + 2 * _KEY_BYTES] for i in range(0, len(bits), 2 * _KEY_BYTES))


def check_key(key: str) -> str:
    """The execution's key, if it can be one: text of 1 to 512 bytes without control characters.

    Raises:
        InvalidName: where it cannot.
    """
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
        raise InvalidName(f"key={key!r}: a key is text, so give it as a str")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidName(f"key={key!r} is not valid Unicode: remove the lone surrogates") from None
    if not 0 < size <= MAX_KEY_BYTES:
        raise InvalidName(
            f"key={key[:40]!r}{'…' if len(key) > 40 else ''} has {size} bytes, a key has 1 to {MAX_KEY_BYTES}: "
            "shorten it, or use a hash of it"
        )
    if not key.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in key):
        raise InvalidName(f"key={key!r} holds control characters: remove or replace them")
    return key


def _check(parameter: str, what: str, value: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or not _NAME.fullmatch(value):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
        raise InvalidName(
            f"{parameter}={value!r}: {what} is 1 to {MAX_NAME} letters, digits and . _ : @ + - and begins with a "
            "letter or digit"
        )
    return value
