"""What a raw client may write where tasks are expected: entries, payloads and fields of maps, damaged at random.

Everything comes from one seeded source, so that a seed is all that a failure needs to be seen again.
"""

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from shadows.errors import PayloadError
from shadows.payload.call import Call, decode_arguments, decode_call, encode_arguments, encode_call
from shadows.protocol.blob import split_blob

_ENCODE: Final = msgspec.msgpack.encode
_HUGE: Final = 100_000


class Kind(enum.Enum):
    """What is damaged."""

    FIELDS = "entry fields"
    PAYLOAD = "payload"
    ARGUMENTS = "arguments"
    PARKED = "map fields"


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream entry to be added: its fields, as they are given to `XADD`."""

    kind: Kind
    fields: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Parked:
    """A task that waits for its instant: its field in `parked`, None where there is none."""

    key: bytes
    value: bytes | None
    instant: float
    kind: Kind = Kind.PARKED


type Damaged = Entry | Parked


class Vandal:
    """Damages what a task of this function looks like."""

    def __init__(self, seed: int, function: str) -> None:
        self.dice = random.Random(seed)
        self._function = function
        self._made = 0

    def next(self) -> Damaged:
        """Something that cannot be run as a task; each has a key of its own where it has one."""
        self._made += 1
        key = f"fuzzed-{self._made}".encode()
        match self.dice.choice(tuple(Kind)):
            case Kind.FIELDS:
                return Entry(Kind.FIELDS, self._fields(key))
            case Kind.PAYLOAD:
                return Entry(Kind.PAYLOAD, (b"k", key, b"c", self._unreadable(self._blob)))
            case Kind.ARGUMENTS:
                return Entry(Kind.ARGUMENTS, (b"k", key, b"c", self._bad_arguments()))
            case Kind.PARKED:
                return Parked(key, self._field(), self.dice.choice((0.0, -1e300, 0.5, 1.0)))

    def _fields(self, key: bytes) -> tuple[bytes, ...]:
        good = (b"k", key, b"c", b"1/0/" + self.call())
        shape = self.dice.randrange(8)
        if shape == 0:
            return good[:2]
        if shape == 1:
            return good[2:]
        if shape == 2:
            return (*good, self.noise(20), self.noise(20))
        if shape == 3:
            return (*good[2:], *good[:2])
        if shape == 4:
            return good + good
        if shape == 5:
            return (b"k", b"\xff" + self.noise(8), *good[2:])
        if shape == 6:
            return (b"k", key, b"C", b"x" * _HUGE)
        return tuple(self.noise(40) for _ in range(2 * self.dice.randint(1, 40)))

    def _field(self) -> bytes | None:
        shape = self.dice.randrange(5)
        if shape == 0:
            return None
        if shape == 1:
            return self.noise(60).replace(b"/", b"")
        if shape == 2:  # a queue that no queue can be called
            return bytes(self.dice.choice(b"~\0 {}*\xff-") for _ in range(3)) + b"/1/0/" + self.call()
        return b"default/" + self._unreadable(self._blob)

    def _unreadable(self, make: Callable[[], bytes]) -> bytes:
        while self._may_wait(blob := make()):
            pass
        return blob

    def _blob(self) -> bytes:
        shape = self.dice.randrange(6)
        if shape == 0:
            return self.noise(200)
        if shape == 1:
            return b"1/0/" + bytes([self.dice.randrange(2, 256)]) + self.call()[1:]
        if shape == 2:
            return b"1/0/" + self.call()[: self.dice.randrange(20)]
        if shape == 3:
            heads = (
                b"-1/0/",
                b"1/x/",
                b"9" * 5000 + b"/0/",
                b"1/0/u/",
                b"1/0/ux/",
                b"//",
                b"1",
                b"+1/0/",
                b"1/0/u-3/",
            )
            return self.dice.choice(heads) + self.call()
        if shape == 4:
            return b"1/0/\x01" + self.length() + self.noise(30)
        damaged = bytearray(b"1/0/" + self.call())
        for _ in range(self.dice.randint(1, 6)):
            damaged[self.dice.randrange(len(damaged))] = self.dice.randrange(256)
        return bytes(damaged)

    def _bad_arguments(self) -> bytes:
        while True:
            shape = self.dice.randrange(4)
            if shape == 0:
                data = self.noise(80)
            elif shape == 1:
                data = b"\x91" * self.dice.randint(40, 5000) + b"\xc0"
            elif shape == 2:
                data = self.length() + self.noise(10)
            else:
                data = _ENCODE(msgspec.msgpack.Ext(self.dice.randint(-128, 127), self.noise(20)))
            try:
                decode_arguments(data)
            except PayloadError:
                return b"1/0/" + self.call(arguments=data)

    def call(self, arguments: bytes | None = None) -> bytes:
        """A call that can be read, but for its arguments where they are given."""
        return encode_call(
            Call(self._function, encode_arguments((), {}) if arguments is None else arguments, 0)
        )

    def length(self) -> bytes:
        """The head of something that says it is huge."""
        return self.dice.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9")) + b"\x7f\xff\xff\xff"

    def noise(self, most: int) -> bytes:
        return self.dice.randbytes(self.dice.randint(0, most))

    def _may_wait(self, blob: bytes) -> bool:
        """Whether it is a task that may run, or that waits for a worker which knows its function."""
        try:
            call = decode_call(split_blob(blob).call)
            if call.function == self._function:
                decode_arguments(call.arguments)
        except (ValueError, PayloadError):
            return False
        return True
