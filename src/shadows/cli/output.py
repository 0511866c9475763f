"""What commands write: lines and tables for people, JSON for programs.

What comes from the server was written by others: control characters are shown, not obeyed, and markup is text.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_OBEYED = (*range(32), 127, *range(128, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Control characters, and those that turn the direction of writing."""
_ESCAPES = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _OBEYED}
_NO_TERMINAL_WIDTH = 500
"""Columns of a table that no terminal shows: lines are not wrapped, so that they can be searched."""


def plain(text: object) -> str:
    """A text on one line, with its control characters shown."""
    return _encodable(str(text).translate(_ESCAPES))


def _encodable(text: str) -> str:
    """The text with what has no encoding escaped: it stands for bytes that were none of ours."""
    return text.encode(errors="backslashreplace").decode()


def say(text: object) -> None:
    """Write one line."""
    typer.echo(plain(text))


def write_json(value: object) -> None:
    """Write a value as one line of JSON: instants as ISO 8601 in UTC, durations as seconds."""
    typer.echo(_encodable(json.dumps(value, default=_as_json, ensure_ascii=False)))


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted(cast("Iterable[str]", value))
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return repr(value)


def console() -> "Console":
    """Where tables are written: as wide as the terminal, or as they need to be where there is none."""
    from rich.console import Console

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if wide else _NO_TERMINAL_WIDTH)


def table(
    *columns: str, rows: Iterable[Sequence[object]], right: Sequence[str] = (), whole: Sequence[str] = ()
) -> "Table":
    """A table; the columns named in `right` hold numbers, and those in `whole` are never broken into lines."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        drawn.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column in right or column in whole,
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    return drawn


def moment(when: datetime | None, now: datetime) -> str:
    """An instant as people say it: `in 3m 20s`, `12s ago`; further away than a day, with its date."""
    if when is None:
        return ""
    distance = when - now
    if abs(distance) >= timedelta(days=1):
        return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
    if abs(distance) < timedelta(seconds=1):
        return "now"
    return f"in {span(distance)}" if distance > timedelta(0) else f"{span(-distance)} ago"


def span(duration: timedelta | None) -> str:
    """A duration as people say it, in its two greatest units: `2h 5m`."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    left, parts = int(seconds), list[str]()
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        many, left = divmod(left, size)
        if many or parts:
            parts.append(f"{many}{unit}" if many else "")
    return " ".join(part for part in parts[:2] if part)


def number(many: int) -> str:
    """A number with its thousands apart."""
    return f"{many:,}"
