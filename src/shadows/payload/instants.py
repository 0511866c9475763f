"""Dates, times and their time zones as text.

A datetime or time is its ISO form; where its fold or its zone says more than an offset of whole seconds does, the form
has no offset, and `|fold|zone` follows. A zone is empty, an IANA key, or `@` and a fixed offset in microseconds, with
`=` and its name if it has been given one.
"""

import re
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_MICROSECOND: Final = timedelta(microseconds=1)
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+\-/]{0,99}")


def write_datetime(value: datetime) -> bytes:
    """A datetime as text; ValueError where its tzinfo is neither a fixed offset nor a ZoneInfo with a key."""
    return _write(value, value.tzinfo)


def write_time(value: time) -> bytes:
    """A time as text; ValueError as for `write_datetime`."""
    return _write(value, value.tzinfo)


def read_datetime(data: bytes) -> datetime:
    """The datetime that `write_datetime` wrote."""
    text, fold, zone = _split(data)
    value = datetime.fromisoformat(text)
    return value if fold is None else value.replace(fold=fold, tzinfo=_zone(zone))


def read_time(data: bytes) -> time:
    """The time that `write_time` wrote."""
    text, fold, zone = _split(data)
    value = time.fromisoformat(text)
    return value if fold is None else value.replace(fold=fold, tzinfo=_zone(zone))


def _write(value: datetime | time, zone: tzinfo | None) -> bytes:
    mark = ""
    if type(zone) is timezone:
        mark = _offset(zone) if value.fold or _is_special(zone) else ""
    elif type(zone) is ZoneInfo:
        mark = str(zone.key)
        if not _KEY.fullmatch(mark) or zone.key is None:  # pyright: ignore[reportUnnecessaryComparison] - from_file
            raise ValueError("its ZoneInfo has no IANA key by which the worker could find it")
    elif zone is not None:
        raise ValueError(
            f"its time zone is a {type(zone).__qualname__}; use datetime.timezone, or zoneinfo.ZoneInfo by key"
        )
    if not mark and not value.fold:
        return value.isoformat().encode()
    return f"{value.replace(tzinfo=None).isoformat()}|{value.fold}|{mark}".encode()


def _is_special(zone: timezone) -> bool:
    """Whether the ISO form would lose something of an offset: its name, or parts of a second."""
    offset = zone.utcoffset(None)
    return offset.microseconds != 0 or zone.tzname(None) != timezone(offset).tzname(None)


def _offset(zone: timezone) -> str:
    offset = zone.utcoffset(None)
    name = zone.tzname(None)
    given = "" if name == timezone(offset).tzname(None) else f"={name}"
    return f"@{offset // _MICROSECOND}{given}"


def _split(data: bytes) -> tuple[str, int | None, str]:
    text, bar, rest = data.decode().partition("|")
    if not bar:
        return text, None, ""
    fold, _, zone = rest.partition("|")
    return text, int(fold), zone


def _zone(mark: str) -> tzinfo | None:
    if not mark:
        return None
    if mark.startswith("@"):
        offset, named, name = mark[1:].partition("=")
        delta = timedelta(microseconds=int(offset))
        return timezone(delta, name) if named else timezone(delta)
    if not _KEY.fullmatch(mark):
        raise ValueError(f"{mark[:100]!r} is no time zone's key")
    return ZoneInfo(mark)
