"""Log output for the command line: for people with colours, plain, or as JSON lines."""

import enum
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


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
    """`2026-11-24 20:00:00.000 INFO shadows.worker: message`, in UTC, with control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_instant(record):%Y-%m-%d %H:%M:%S}.{record.msecs:03.0f} {record.levelname} {record.name}: {_text(record)}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class _Coloured(logging.Formatter):
    """The same, shorter and with colours: written by hand, as a line of a rich console costs most of a millisecond."""

    def format(self, record: logging.LogRecord) -> str:
        local = datetime.fromtimestamp(record.created).astimezone()
        line = (
            f"\x1b[2m{local:%H:%M:%S}.{record.msecs:03.0f}\x1b[0m "
            f"\x1b[{_COLOURS.get(record.levelno, 37)}m{record.levelname.lower():8}\x1b[0m {_text(record)}"
        )
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the exception's text where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _instant(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info is not None:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


_FORMATTERS: dict[LogFormat, type[logging.Formatter]] = {
    LogFormat.RICH: _Coloured,
    LogFormat.PLAIN: _Plain,
    LogFormat.JSON: _Json,
}
_COLOURS = {logging.DEBUG: 2, logging.INFO: 36, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 35}
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160))}


def _instant(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _text(record: logging.LogRecord) -> str:
    return record.getMessage().translate(_ESCAPES)
