"""The closed value codec: what goes in comes out equal and of exactly the same class, or is refused.

None, bool, int, float, str and bytes, lists, and dicts whose keys are such, are msgpack as it stands. All else is an
extension type: tuples, sets and other dicts hold their members as an array, single values see `scalars`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import msgspec
from msgspec.msgpack import Ext

from shadows.errors import EncodingError
from shadows.payload.places import KEY, MEMBER, Where, below, enter, kind_of, name_of, place
from shadows.payload.scalars import SCALARS, write_int
from shadows.payload.unpacking import FROZENSET, PAIRS, SET, TUPLE, crowded, unpack

ENCODE: Final = msgspec.msgpack.Encoder().encode

EASY: Final[frozenset[type]] = frozenset({type(None), bool, int, float, str, bytes})
"""Classes that msgpack takes as they stand, but for ints over 64 bits and texts with lone surrogates."""

CAREFUL: Final = EASY - {int, str}
"""Classes that msgpack takes as they stand without exception."""

UNENCODABLE: Final = (OverflowError, UnicodeEncodeError)
"""What the encoder raises for the exceptions to `EASY`; a second, careful walk wraps or refuses each of them."""


def encode_value(value: object, where: Where = "the value") -> bytes:
    """A value as bytes; `where` names it in the EncodingError for what the closed set does not carry."""
    try:
        return ENCODE(pack(value, where, EASY))
    except UNENCODABLE:
        return ENCODE(pack(value, where, CAREFUL))


def decode_value(data: bytes) -> object:
    """The value that `encode_value` wrote; PayloadError for any other bytes."""
    return unpack(data)


def carries(kind: type) -> bool:
    """Whether instances of exactly this class are in the closed set."""
    return kind in EASY or kind in _PACKERS


def pack(value: object, where: Where, plain: frozenset[type]) -> object:
    """A value as what `ENCODE` takes, where `plain` (`EASY` or `CAREFUL`) need no wrapping."""
    kind = type(value)
    if kind in plain:
        return value
    packer = _PACKERS.get(kind)
    if packer is None:
        raise _unsupported(value, where)
    return packer(value, where, plain)


def _pack_str(value: str, where: Where, _plain: frozenset[type]) -> object:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise EncodingError(
            f"{place(where)} is a text with a lone surrogate (character {error.start}), which has no encoding. "
            "Pass bytes, or a text without it."
        ) from error
    return value


def _pack_int(value: int, _where: Where, _plain: frozenset[type]) -> object:
    return value if -(2**63) <= value < 2**64 else Ext(SCALARS[int].code, write_int(value))


def _pack_scalar(value: object, where: Where, _plain: frozenset[type]) -> object:
    code, write, _ = SCALARS[type(value)]
    try:
        return Ext(code, write(value))
    except ValueError as error:
        raise EncodingError(f"{place(where)} is a {kind_of(value)} that cannot travel: {error}.") from error


def _pack_list(value: list[object], where: Where, plain: frozenset[type]) -> object:
    enter(where)
    if plain.issuperset(map(type, value)):
        return value
    return [
        item if type(item) in plain else pack(item, below(where, index), plain)
        for index, item in enumerate(value)
    ]


def _pack_tuple(value: tuple[object, ...], where: Where, plain: frozenset[type]) -> object:
    return Ext(TUPLE, ENCODE(_pack_list(cast("list[object]", value), where, plain)))


def _pack_set(value: set[object] | frozenset[object], where: Where, plain: frozenset[type]) -> object:
    enter(where)
    refuse_crowd(value, len(value), where)
    items = [pack(item, below(where, item, MEMBER), plain) for item in value]
    return Ext(SET if type(value) is set else FROZENSET, ENCODE(items))


def _pack_dict(value: dict[object, object], where: Where, plain: frozenset[type]) -> object:
    enter(where)
    if plain.issuperset(map(type, value)):
        if plain.issuperset(map(type, value.values())):
            return value
        return {
            key: item if type(item) in plain else pack(item, below(where, key), plain)
            for key, item in value.items()
        }
    refuse_crowd(value, len(value), where)
    pairs: list[object] = []
    for key, item in value.items():
        pairs.append(pack(key, below(where, key, KEY), plain))
        pairs.append(pack(item, below(where, key), plain))
    return Ext(PAIRS, ENCODE(pairs))


def refuse_crowd(keys: Iterable[object], count: int, where: Where) -> None:
    """Refuse keys that `unpack` would refuse."""
    if crowded(keys, count):
        raise EncodingError(
            f"{place(where)} has {count} keys or members of which most share a hash, which takes too long to read "
            "again. Pass a list."
        )


def _unsupported(value: object, where: Where) -> EncodingError:
    base = next((kind for kind in type(value).__mro__ if carries(kind)), None)
    hint = "" if base is None else f" (a subclass of {name_of(base)}, which would come back as a plain one)"
    return EncodingError(
        f"{place(where)} is a {kind_of(value)}{hint}, which the safe codec does not carry. Either annotate the "
        "parameter with a class that it rebuilds (an Enum, dataclass, NamedTuple, TypedDict, attrs, msgspec.Struct "
        "or pydantic class), or pass plain values (None, bool, int, float, str, bytes, list, tuple, dict, set, "
        "frozenset, dates and times, UUID, Decimal, Path)."
    )


type _Packer = Callable[[Any, Where, frozenset[type]], object]

_PACKERS: Final[Mapping[type, _Packer]] = {
    **dict.fromkeys(SCALARS, _pack_scalar),
    int: _pack_int,
    str: _pack_str,
    list: _pack_list,
    tuple: _pack_tuple,
    set: _pack_set,
    frozenset: _pack_set,
    dict: _pack_dict,
}
