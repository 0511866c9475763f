"""The msgpack extension types of single values: how each is written, and read again.

Codes are part of the wire: they are never given to another type. Classes are matched exactly, so a subclass, which
would come back as its base, is no match.
"""

import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final, NamedTuple
from uuid import UUID

from shadows.payload.instants import read_datetime, read_time, write_datetime, write_time

_DELTA: Final = struct.Struct(">iii")


class Scalar(NamedTuple):
    """The extension type of one class; both functions raise ValueError and its like for what they cannot take."""

    code: int
    write: Callable[[Any], bytes]
    read: Callable[[bytes], object]


def write_int(value: int) -> bytes:
    """An int of any size, as big-endian two's complement."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _read_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _write_text(value: object) -> bytes:
    return str(value).encode()


def _write_date(value: date) -> bytes:
    return value.isoformat().encode()


def _read_date(data: bytes) -> date:
    return date.fromisoformat(data.decode())


def _write_delta(value: timedelta) -> bytes:
    return _DELTA.pack(value.days, value.seconds, value.microseconds)


def _read_delta(data: bytes) -> timedelta:
    try:
        return timedelta(*_DELTA.unpack(data))
    except struct.error as error:
        raise ValueError(str(error)) from error


def _write_uuid(value: UUID) -> bytes:
    return value.bytes


def _read_uuid(data: bytes) -> UUID:
    return UUID(bytes=data)


def _reader(build: Callable[[str], object]) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        return build(data.decode())

    return read


SCALARS: Final[dict[type, Scalar]] = {
    int: Scalar(10, write_int, _read_int),
    bytearray: Scalar(11, bytes, bytearray),
    date: Scalar(12, _write_date, _read_date),
    time: Scalar(13, write_time, read_time),
    datetime: Scalar(14, write_datetime, read_datetime),
    timedelta: Scalar(15, _write_delta, _read_delta),
    UUID: Scalar(16, _write_uuid, _read_uuid),
    Decimal: Scalar(17, _write_text, _reader(Decimal)),
    PurePosixPath: Scalar(18, _write_text, _reader(PurePosixPath)),
    PureWindowsPath: Scalar(19, _write_text, _reader(PureWindowsPath)),
    PosixPath: Scalar(20, _write_text, _reader(PosixPath)),
    WindowsPath: Scalar(21, _write_text, _reader(WindowsPath)),
    IPv4Address: Scalar(22, _write_text, _reader(IPv4Address)),
    IPv6Address: Scalar(23, _write_text, _reader(IPv6Address)),
    IPv4Network: Scalar(24, _write_text, _reader(IPv4Network)),
    IPv6Network: Scalar(25, _write_text, _reader(IPv6Network)),
    IPv4Interface: Scalar(26, _write_text, _reader(IPv4Interface)),
    IPv6Interface: Scalar(27, _write_text, _reader(IPv6Interface)),
}
"""The classes of single values beside msgpack's own; `int` is for those of more than 64 bits."""

READERS: Final = {scalar.code: scalar.read for scalar in SCALARS.values()}
"""How the content of each extension type is read, by code."""
