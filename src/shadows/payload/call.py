"""What travels for one call of a task: the wire version, then the call's fields as a msgpack array.

A reader ignores elements beyond those it knows, so a later version can add some without breaking running workers.
"""

from typing import Any, Final, NamedTuple

import msgspec

from shadows.errors import EncodingError, PayloadError
from shadows.payload.places import MAX_DEPTH
from shadows.payload.unpacking import DECODE_ARGUMENTS, FAULTS, bound, unpack
from shadows.payload.values import CAREFUL, EASY, ENCODE, UNENCODABLE, pack

WIRE: Final = 1
"""The wire version that this library writes, and the newest that it reads."""

_MARK: Final = bytes([WIRE])
_MAX_DEPTH: Final = MAX_DEPTH + 2
"""Of all arguments together: those of a list, in a pair."""


class Call(NamedTuple):
    """One call of a task.

    `when_us` is the instant it is due, `unknown_since_us` the one since which no worker has known its function (0:
    none has missed it), `expires_us` the one from which on it is not started any more (0: it never expires), all in
    microseconds since the epoch; `arguments` is what `encode_arguments` wrote; `begun` says that a run of it was started,
    and handed back.
    """

    function: str
    arguments: bytes
    when_us: int
    unknown_since_us: int = 0
    headers: dict[str, str] | None = None
    expires_us: int = 0
    begun: bool = False


_OFTEN: Final = Call._fields.index("expires_us")
_EXPIRES: Final = Call._fields.index("begun")
"""How many fields travel: those at the end are left out where they say nothing."""


class _CallFields(msgspec.Struct, array_like=True, gc=False):
    function: str
    arguments: bytes
    when_us: int
    unknown_since_us: int
    headers: dict[str, str] | None
    expires_us: int = 0
    begun: bool = False


_DECODE: Final = msgspec.msgpack.Decoder(_CallFields).decode
_DECODE_USUAL: Final = msgspec.msgpack.Decoder(Call).decode
_USUAL: Final = frozenset(_MARK + bytes([0x90 + count]) for count in range(_OFTEN, len(Call._fields) + 1))
"""What calls begin with that have just the fields that are known here: these are read into a `Call` at once."""


def encode_call(call: Call) -> bytes:
    """A call as bytes."""
    return _encode(call if call.begun else call[:_EXPIRES] if call.expires_us else call[:_OFTEN])


def encode_first(function: str, arguments: bytes, when_us: int, expires_us: int = 0) -> bytes:
    """`encode_call` of a call that no worker has met, and that bears no headers: as most are when they are added."""
    if expires_us:
        return _encode((function, arguments, when_us, 0, None, expires_us))
    return _encode((function, arguments, when_us, 0, None))


def _encode(fields: tuple[object, ...]) -> bytes:
    try:
        return _MARK + ENCODE(fields)
    except UNENCODABLE as error:
        raise EncodingError(f"the call of {fields[0]!a} cannot travel: {error}") from error


def decode_call(data: bytes) -> Call:
    """The call that `encode_call` wrote; PayloadError says what is wrong with other bytes."""
    try:
        if data[:2] in _USUAL:
            return _DECODE_USUAL(data[1:])
        fields = _DECODE(body(data, "call"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"the stored call is damaged: {error}") from error
    return Call(
        fields.function,
        fields.arguments,
        fields.when_us,
        fields.unknown_since_us,
        fields.headers,
        fields.expires_us,
        fields.begun,
    )


def body(data: bytes, what: str) -> bytes:
    """What follows the wire version; PayloadError unless it is one that this library reads."""
    if not data:
        raise PayloadError(f"the stored {what} is empty")
    if data[0] > WIRE:
        raise PayloadError(
            f"the stored {what} has wire version {data[0]}, newer than this library reads (up to {WIRE}): "
            "update shadow-task here"
        )
    if data[0] < WIRE:
        raise PayloadError(f"the stored {what} is damaged: no wire version {data[0]} exists")
    return data[1:]


def encode_arguments(
    args: tuple[object, ...], kwargs: dict[str, object], names: tuple[str, ...] = ()
) -> bytes:
    """A call's arguments as bytes; EncodingError names the one that the closed set does not carry.

    `names` are those of the positional parameters, for the message.
    """
    try:
        for value in args:
            if type(value) not in EASY:
                return ENCODE(_pack(args, kwargs, names, EASY))
        for value in kwargs.values():
            if type(value) not in EASY:
                return ENCODE(_pack(args, kwargs, names, EASY))
        return ENCODE((args, kwargs))
    except UNENCODABLE:
        return ENCODE(_pack(args, kwargs, names, CAREFUL))


def _pack(
    args: tuple[object, ...], kwargs: dict[str, object], names: tuple[str, ...], plain: frozenset[type]
) -> object:
    positional = [pack(value, _positional(index, names), plain) for index, value in enumerate(args)]
    named = {
        pack(name, "a parameter's name", plain): pack(value, f"parameter {name!r}", plain)
        for name, value in kwargs.items()
    }
    return positional, named


def _positional(index: int, names: tuple[str, ...]) -> str:
    return f"parameter {names[index]!r}" if index < len(names) else f"positional argument {index + 1}"


def decode_arguments(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that `encode_arguments` wrote; PayloadError for other bytes."""
    try:
        both = DECODE_ARGUMENTS(data)
    except FAULTS:
        unpack(data, _MAX_DEPTH)
        raise PayloadError(
            "the stored arguments are damaged: not a list of arguments and a dict of named ones"
        ) from None
    args, kwargs = both
    for value in (*args, *kwargs.values()):
        if type(value) not in EASY:
            bound(both, data, _MAX_DEPTH)
            break
    return both
