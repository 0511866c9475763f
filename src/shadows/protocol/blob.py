"""What stands for a task in a stream, or aside: its attempt, its deliveries, and what it calls.

`ATTEMPT/DELIVERIES/CALL`; in front of the call may stand `uMS/`, for how long its key stays taken after its end.
"""

from typing import NamedTuple


class Blob(NamedTuple):
    """A blob in its parts."""

    attempt: int
    deliveries: int
    """How many workers were lost while they ran this attempt."""
    unique_ms: int
    """For how long the key stays taken after the end; 0: it is free at once."""
    call: bytes


def split_blob(blob: bytes) -> Blob:
    """The parts of a blob.

    Raises:
        ValueError: it is not of that shape.
    """
    attempt, deliveries, call = blob.split(b"/", 2)
    unique = b"0"
    if call.startswith(b"u"):
        unique, _, call = call[1:].partition(b"/")
    if not (attempt.isdigit() and deliveries.isdigit() and unique.isdigit()):  # as the scripts read them
        raise ValueError(f"{blob[:40]!r} does not begin with numbers")
    return Blob(int(attempt), int(deliveries), int(unique), call)


def keeping(call: bytes, unique_ms: int) -> bytes:
    """A call as it is stored, with how long its key stays taken after its end."""
    return b"u%d/%b" % (unique_ms, call) if unique_ms else call


def fresh_call(blob: bytes) -> bytes | None:
    """The call of a first attempt whose key is free at its end, as nearly all are; None: there is more to be read."""
    return blob[4:] if blob.startswith(_FRESH) and not blob.startswith(_UNIQUE) else None


_FRESH = b"1/0/"
_UNIQUE = b"1/0/u"
