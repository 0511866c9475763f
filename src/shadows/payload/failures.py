"""An exception as plain text and values, and an exception again from those.

No class is looked up by an import path: what comes back is a builtin exception, one that the reader declared, or
`TaskFailed`.
"""

import builtins
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from shadows.errors import EncodingError, PayloadError, TaskFailed
from shadows.payload.values import decode_value, encode_value

MAX_TEXT: Final = 64 * 1024
"""The most bytes of UTF-8 that a message, a traceback, all notes together, or encoded args may take."""

_CUT: Final = "\n… {} bytes left out …\n"
_UNRAISABLE: Final = frozenset({"StopIteration", "StopAsyncIteration"})
_NONE_DECLARED: Final[Mapping[str, type[BaseException]]] = MappingProxyType({})


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An exception as it travels: `args` are its encoded args where the closed set carries them."""

    type_name: str
    message: str
    notes: tuple[str, ...] = ()
    traceback: str = ""
    args: bytes | None = None


def exception_name(kind: type[BaseException]) -> str:
    """The name under which exceptions of a class travel, and are declared to `revive`."""
    name = kind.__name__
    return name if getattr(builtins, name, None) is kind else f"{kind.__module__}.{kind.__qualname__}"


def describe_failure(error: BaseException) -> Failure:
    """An exception as a `Failure`, whatever it does when it is shown."""
    return Failure(
        type_name=_attempt(lambda: clip(exception_name(type(error))), "an exception without a name"),
        message=_attempt(lambda: _shown(error), "(its message cannot be shown)"),
        notes=_attempt(lambda: _notes(error), ()),
        traceback=_attempt(
            lambda: clip("".join(traceback.format_exception(error))), "(no traceback can be shown)"
        ),
        args=_attempt(lambda: _args(error), None),
    )


def revive(failure: Failure, declared: Mapping[str, type[BaseException]] = _NONE_DECLARED) -> Exception:
    """The exception to raise for a failure, with its notes and the remote traceback as notes.

    Its own class where that is in `declared`, by `exception_name`, or a builtin subclass of Exception; else
    `TaskFailed`, as also where its class cannot be built from its args nor from its message. StopIteration and
    StopAsyncIteration, which no coroutine can raise, are `TaskFailed` too.
    """
    kind = declared.get(failure.type_name) or _builtin(failure.type_name)
    if kind is not None and issubclass(kind, Exception):
        for args in _ways(failure):
            error = _attempt(partial(_build, kind, args, failure), None)
            if error is not None:
                return error
    error = TaskFailed(
        f"{failure.type_name}: {failure.message}",
        type_name=failure.type_name,
        remote_traceback=failure.traceback,
    )
    return _annotate(error, failure)


def clip(text: str) -> str:
    """A text that has an encoding, of at most `MAX_TEXT` bytes: its beginning and end are kept."""
    data = text.encode(errors="backslashreplace")
    if len(data) <= MAX_TEXT:
        return data.decode()
    cut = _CUT.format(len(data) - MAX_TEXT)
    room = MAX_TEXT - len(cut.encode())
    head, tail = data[: room // 4], data[len(data) - (room - room // 4) :]
    return f"{head.decode(errors='ignore')}{cut}{tail.decode(errors='ignore')}"


def show(value: object) -> str:
    """A value's repr, or its class where it has none."""
    return _attempt(lambda: clip(repr(value)), f"{object.__repr__(value)} (its repr fails)")


def _attempt[T](act: Callable[[], T], otherwise: T) -> T:
    try:
        return act()
    except BaseException:  # noqa: BLE001 - the code of the user's exception and value classes runs here
        return otherwise


def _shown(value: object) -> str:
    return clip(str(value))


def _notes(error: BaseException) -> tuple[str, ...]:
    notes: list[str] = []
    room = MAX_TEXT
    for note in cast("list[object]", getattr(error, "__notes__", ())):
        text = _attempt(partial(_shown, note), "(a note that cannot be shown)")
        room -= len(text.encode())
        if room < 0:
            break
        notes.append(text)
    return tuple(notes)


def _args(error: BaseException) -> bytes | None:
    args: tuple[object, ...] = error.args
    if isinstance(error, OSError) and error.filename is not None and len(args) == 2:
        # Its constructor takes the file's names out of args, without which its message differs.
        args = (
            (*args, error.filename)
            if error.filename2 is None
            else (*args, error.filename, None, error.filename2)
        )
    try:
        data = encode_value(args)
    except EncodingError:
        return None
    return data if len(data) <= MAX_TEXT else None


def _builtin(name: str) -> type[BaseException] | None:
    kind = getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, BaseException) or name in _UNRAISABLE:
        return None
    return kind


def _ways(failure: Failure) -> list[tuple[Any, ...]]:
    ways: list[tuple[Any, ...]] = [(failure.message,)]
    if failure.args is not None:
        try:
            args = decode_value(failure.args)
        except PayloadError:
            return ways
        if isinstance(args, tuple):
            ways.insert(0, tuple(cast("Iterable[Any]", args)))
    return ways


def _build(kind: type[Exception], args: tuple[Any, ...], failure: Failure) -> Exception | None:
    error = kind(*args)
    return _annotate(error, failure) if type(error) is kind else None


def _annotate(error: Exception, failure: Failure) -> Exception:
    for note in failure.notes:
        error.add_note(note)
    if failure.traceback:
        error.add_note(f"The traceback on the worker:\n{failure.traceback}")
    return error
