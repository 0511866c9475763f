"""Bytes to values: untrusted msgpack, bounded in depth, to nothing but values of the closed set."""

from collections.abc import Callable, Iterable
from itertools import batched, chain
from typing import Any, Final, cast

import msgspec

from shadows.errors import PayloadError
from shadows.payload.places import MAX_DEPTH
from shadows.payload.scalars import READERS

TUPLE: Final = 1
SET: Final = 2
FROZENSET: Final = 3
PAIRS: Final = 4

_NESTED: Final = frozenset({list, tuple, dict, set, frozenset})
_OPENERS: Final = frozenset([*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)])
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _OPENERS)
_CROWD: Final = 256

FAULTS: Final = (
    msgspec.MsgspecError,
    ValueError,  # among them UnicodeDecodeError, and what the readers of extension types say
    TypeError,
    LookupError,  # among them ZoneInfoNotFoundError
    ArithmeticError,
    RecursionError,
    OSError,
    NotImplementedError,  # a WindowsPath elsewhere than on Windows
)
"""What bytes can raise while they are read."""


def unpack(data: bytes, limit: int = MAX_DEPTH) -> object:
    """The value that the bytes hold; PayloadError where they hold none, or one nested deeper than `limit`."""
    try:
        value: object = DECODE(data)
    except FAULTS as error:
        raise PayloadError(f"the stored value is damaged: {error or type(error).__name__}") from error
    bound(value, data, limit)
    return value


def bound(value: object, data: bytes, limit: int) -> None:
    """Refuse the value that the bytes hold where it is nested deeper than `limit`."""
    # Every container costs a byte that opens it: a value with few of those cannot be deep.
    if len(data) > limit and len(data.translate(None, _OTHERS)) > limit:
        _descend(value, limit)


def crowded(keys: Iterable[object], count: int) -> bool:
    """Whether so many of the keys share a hash that a dict or set of them takes minutes to build.

    Hashes of numbers and UUIDs are not salted, so that whoever writes to Redis could choose them.
    """
    return count > _CROWD and len({hash(key) for key in keys}) * 4 < count


def _descend(value: object, limit: int) -> None:
    level = [value] if type(value) in _NESTED else []
    for _ in range(limit):
        level = [inner for outer in level for inner in _members(outer) if type(inner) in _NESTED]
        if not level:
            return
    raise PayloadError(f"the stored value is nested more than {limit} levels deep")


def _members(outer: object) -> Iterable[object]:
    if isinstance(outer, dict):
        mapping = cast("dict[object, object]", outer)
        return chain(mapping, mapping.values())
    return cast("Iterable[object]", outer)


def _set(items: list[object]) -> set[object]:
    _refuse_crowd(items)
    return set(items)


def _frozenset(items: list[object]) -> frozenset[object]:
    _refuse_crowd(items)
    return frozenset(items)


def _dict(items: list[object]) -> dict[object, object]:
    keys = items[::2]
    _refuse_crowd(keys)
    return dict(cast("Iterable[tuple[object, object]]", batched(items, 2)))


def _refuse_crowd(keys: list[object]) -> None:
    if crowded(keys, len(keys)):
        raise ValueError("too many of its keys share a hash")


_CONTAINERS: Final[dict[int, Callable[[list[object]], object]]] = {
    TUPLE: tuple,
    SET: _set,
    FROZENSET: _frozenset,
    PAIRS: _dict,
}


def _extension(code: int, data: memoryview) -> object:
    build = _CONTAINERS.get(code)
    if build is None:
        read = READERS.get(code)
        if read is None:
            raise LookupError(f"no extension type {code} is known")
        return read(bytes(data))
    items: object = DECODE(data)
    if type(items) is not list:
        raise TypeError(f"extension type {code} holds no array")
    return build(cast("list[object]", items))


DECODE: Final = msgspec.msgpack.Decoder(ext_hook=_extension).decode
DECODE_ARGUMENTS: Final = msgspec.msgpack.Decoder(
    tuple[list[Any], dict[str, Any]], ext_hook=_extension
).decode
"""Positional arguments and named ones; what raises here may still be a value that `unpack` gives."""
