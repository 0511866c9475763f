"""Values as people write them on a command line: `42` is text, `int:42` a number, `uuid.UUID:…` a UUID.

The types are a closed list: nothing is imported by a name that somebody typed.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from .durations import parse_duration


def _bool(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError("true or false")
    return words[text.lower()]


def _none(text: str) -> None:
    if text:
        raise ValueError("nothing behind the colon")


def _path(text: str) -> Any:
    from pathlib import Path

    return Path(text)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _bool,
    "None": _none,
    "none": _none,
    "bytes": str.encode,
    "json": json.loads,
    "decimal.Decimal": Decimal,
    "uuid.UUID": uuid.UUID,
    "datetime.datetime": datetime.fromisoformat,
    "datetime.date": date.fromisoformat,
    "datetime.time": time.fromisoformat,
    "datetime.timedelta": parse_duration,
    "pathlib.Path": _path,
}
_SHORT = {name.rpartition(".")[2]: name for name in _READERS if "." in name}
_TYPED = re.compile(r"([A-Za-z_][\w.]*):(.*)", re.DOTALL)
# What looks like a type and is none that can be given here; all other words before a colon are part of a text.
_MEANT = {
    "list",
    "tuple",
    "dict",
    "set",
    "frozenset",
    "complex",
    "object",
    "bytearray",
    "integer",
    "number",
    "string",
    "boolean",
}


def parse_value(text: str) -> Any:
    """The value that the text means: of the type before its first colon, else the text itself.

    Raises:
        ValueError: a type that is not known here, or a text that is none of it.
    """
    found = _TYPED.fullmatch(text)
    if found is None:
        return text
    kind, rest = found[1], found[2]
    reader = _READERS.get(_SHORT.get(kind, kind))
    if reader is None:
        if kind in _MEANT or _is_dotted(kind):
            raise ValueError(
                f"{text!r}: {kind!r} is none of the types {', '.join(_READERS)}; where it is part of a text, write "
                f"str:{text}"
            )
        return text
    try:
        return reader(rest)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise ValueError(f"{text!r} is no {kind}: {str(error) or 'it cannot be read'}") from None


def _is_dotted(kind: str) -> bool:
    """Whether it is written as a class in a module is: `uuid.uuid4`, `myapp.models.Order`."""
    return "." in kind and all(part.isidentifier() for part in kind.split("."))


def parse_range(text: str) -> tuple[Any, Any]:
    """The two values that `LEAST,GREATEST` means, as `int:1,int:10`.

    Raises:
        ValueError: they are not two, or one cannot be read.
    """
    least, comma, greatest = text.partition(",")
    if not (comma and least and greatest):
        raise ValueError(f"{text!r}: between takes two values with a comma, as int:1,int:10")
    return parse_value(least), parse_value(greatest)


def parse_named(texts: Sequence[str]) -> dict[str, Any]:
    """The arguments that `NAME=VALUE` texts mean.

    Raises:
        ValueError: one has no name, one is given twice, or a value cannot be read.
    """
    named: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()):
            raise ValueError(f"--kw {text!r}: write name=value, as in --kw limit=int:10")
        if name in named:
            raise ValueError(f"--kw {text!r}: {name} is given twice")
        named[name] = parse_value(value)
    return named
