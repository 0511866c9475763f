"""What an embedded server's URL means."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from shadows.errors import InvalidName

DEFAULT_NAME = "default"


@dataclass(frozen=True, slots=True)
class Memory:
    """A server private to this process; the name tells several in one process apart."""

    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A server whose data is kept in a directory, given by its absolute path."""

    directory: str


type Place = Memory | Kept


def scheme(url: str) -> str:
    """The part before the first colon, in lower case."""
    return url.partition(":")[0].lower()


def parse(url: str) -> Place:
    """The place that a URL names; `InvalidName` says what is wrong with it and how to write it."""
    rest = url.partition("://")[2]
    match scheme(url):
        case "memory" if _NAME.fullmatch(rest) and "://" in url:
            return Memory(rest or DEFAULT_NAME)
        case "embedded" if _DIRECTORY.fullmatch(rest):
            return Kept(unquote(rest, errors="surrogateescape"))
        case "embedded":
            expected = (
                "embedded:///ABSOLUTE/DIRECTORY: three slashes, then the path, and no user, host, query or "
                "fragment (in the path, write `?` as %3F, `#` as %23 and `%` as %25)"
            )
        case _:
            expected = (
                "memory://NAME, the name made of letters, digits, `.`, `_` and `-` (none means `default`)"
            )
    raise InvalidName(f"{url!r} is not the URL of an embedded server; expected {expected}.")


_NAME = re.compile(r"[A-Za-z0-9._-]*")
# Some directory below the root, as `/` itself is nobody's to keep data in; and no NUL, which no path can hold.
_DIRECTORY = re.compile(r"/+(?!%00)[^/?#\0](?:(?!%00)[^?#\0])*")
