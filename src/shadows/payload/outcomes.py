"""The record of an execution that has ended: when, where, and with what result or failure."""

from typing import Final

import msgspec

from shadows.errors import EncodingError, PayloadError
from shadows.payload.adapter import Adapter
from shadows.payload.call import WIRE, body
from shadows.payload.failures import Failure, show
from shadows.payload.values import ENCODE, UNENCODABLE, encode_value

_MARK: Final = bytes([WIRE])
_NONE: Final = encode_value(None)


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An ended execution, in the order in which it travels; instants are microseconds since the epoch.

    `result` is what `encode_result` wrote, None where none is kept; `failure` is None where it succeeded.
    """

    function: str
    worker: str
    attempt: int
    started_us: int
    completed_us: int
    result: bytes | None
    failure: Failure | None


_DECODE: Final = msgspec.msgpack.Decoder(Record).decode


def encode_record(record: Record) -> bytes:
    """A record as bytes."""
    try:
        return _MARK + ENCODE(record)
    except UNENCODABLE as error:
        raise EncodingError(f"the record of {record.function!a} cannot travel: {error}") from error


def decode_record(data: bytes) -> Record:
    """The record that `encode_record` wrote; PayloadError says what is wrong with other bytes."""
    try:
        return _DECODE(body(data, "record"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"the stored record is damaged: {error}") from error


def encode_result(value: object, adapter: Adapter | None = None) -> tuple[bytes, bool]:
    """What a task returned as bytes and True; where the codec does not carry it, its repr as bytes and False.

    `adapter` is the one of the function's return annotation. Never raises anything.
    """
    if value is None and adapter is None:
        return _NONE, True
    try:
        lowered = value if adapter is None else adapter.lower(value, "the result")
        return encode_value(lowered, "the result"), True
    except BaseException:  # noqa: BLE001 - the code of the user's classes runs here, and the task itself has succeeded
        return encode_value(show(value)), False
