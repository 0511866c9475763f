"""Log output for the command line: for people with colours, plain, or as JSON lines.

The library's own lines are events with fields: `task ended task=%s key=%s duration=%.3fs`. As JSON these are fields too.
"""

import asyncio
import enum
import functools
import json
import logging
import math
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shadows.payload.failures import show


class LogFormat(enum.StrEnum):
    """How log lines are written."""

    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


def set_up_logging(level: str, log_format: LogFormat) -> None:
    """Send the logs of this process to standard error, from that level on.

    Raises:
        ValueError: no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no logging level {level!r}: use debug, info, warning, error or critical")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[log_format]())
    logging.basicConfig(level=number, handlers=[handler], force=True)


class _Plain(logging.Formatter):
    """`2026-11-24 20:00:00.000 INFO shadows.worker: message`, in UTC, with control characters escaped.

    What follows a line, as a traceback does, is indented: nothing that an exception says can pass for a line of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_instant(record):%Y-%m-%d %H:%M:%S}.{record.msecs:03.0f} {record.levelname} {_escaped(record.name)}: "
        return line + _escaped(record.getMessage()) + self._behind(record)

    def _behind(self, record: logging.LogRecord) -> str:
        lines = "\n".join(_behind(self, record).values()).split("\n")
        return "".join(f"\n    {_escaped(line)}" for line in lines if line)


class _Coloured(_Plain):
    """The same, shorter and with colours: written by hand, as a line of a rich console costs most of a millisecond."""

    def format(self, record: logging.LogRecord) -> str:
        local = datetime.fromtimestamp(record.created).astimezone()
        line = (
            f"\x1b[2m{local:%H:%M:%S}.{record.msecs:03.0f}\x1b[0m "
            f"\x1b[{_COLOURS.get(record.levelno, 37)}m{record.levelname.lower():8}\x1b[0m "
        )
        return line + _escaped(record.getMessage()) + self._behind(record)


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the event's fields, and the exception's text if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _instant(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {**_fields(record), **fields, **_behind(self, record)}
        return json.dumps(fields).replace("\x7f", "\\u007f")


_FORMATTERS: dict[LogFormat, type[logging.Formatter]] = {
    LogFormat.RICH: _Coloured,
    LogFormat.PLAIN: _Plain,
    LogFormat.JSON: _Json,
}
_COLOURS = {logging.DEBUG: 2, logging.INFO: 36, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 35}
_ESCAPES = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Control characters, other ends of lines, and what makes text be shown in another order than it has."""
_FIELD = re.compile(r"(?:(\w+)=|(\())?%[-+ #0]*\d*(?:\.\d+)?([a-zA-Z%])")
_COMMON = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = (str, int, bool, type(None))


def log_started(log: logging.Logger, task: str, arguments: str, key: str, attempt: int, worker: str) -> None:
    """The line that says that a run began."""
    log.info("task started task=%s(%s) key=%s attempt=%d worker=%s", task, arguments, key, attempt, worker)


def log_ended(
    log: logging.Logger,
    task: str,
    key: str,
    attempt: int,
    worker: str,
    seconds: float,
    error: BaseException | None,
) -> None:
    """The line that says that a run ended, and how."""
    line, fields = (
        "task ended task=%s key=%s attempt=%d worker=%s duration=%.3fs",
        (task, key, attempt, worker, seconds),
    )
    if error is None:
        log.info(f"{line} state=%s", *fields, "succeeded")
    else:
        state = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
        log.info(f"{line} state=%s error=%.200s", *fields, state, show(error))


def _instant(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _behind(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    """What belongs to a line and has lines of its own."""
    behind: dict[str, str] = {}
    if record.exc_info:
        behind["exception"] = formatter.formatException(record.exc_info)
    if record.stack_info:
        behind["stack"] = formatter.formatStack(record.stack_info)
    return behind


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What a line says by name: the fields of the library's own events, and whatever was logged as `extra`."""
    fields: dict[str, object] = {}
    if isinstance(record.args, tuple) and record.name.partition(".")[0] == "shadows":
        for name, value in zip(_named(record.msg), record.args, strict=False):
            if name:
                fields[name] = _valued(value, str)
    for name, value in vars(record).items():
        if name not in _COMMON:
            fields[name] = _valued(value, show)
    return fields


@functools.lru_cache(maxsize=1000)
def _named(message: str) -> tuple[str, ...]:
    """The name of each value that a message takes; nothing where it has none."""
    return tuple(
        name or ("arguments" if bracket else "")
        for name, bracket, kind in _FIELD.findall(message)
        if kind != "%"
    )


def _valued(value: object, say: Callable[[object], str]) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, _PLAIN) else say(value)
