"""A server's URL: whether it can be used, and how it is shown to people."""

import os
import re
from urllib.parse import parse_qsl, urlsplit

from shadows import embedded
from shadows.embedded.url import parse
from shadows.errors import InvalidName

from . import nodes

DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis", "rediss", *nodes.CLUSTER, *nodes.SENTINEL, "unix", "memory", "embedded")
OPTIONS = frozenset(
    [
        "db",
        "username",
        "password",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    ]
)


def url_or_default(url: str | None) -> str:
    """The URL, else the environment's SHADOWS_URL, else a server on this machine."""
    return url or os.environ.get("SHADOWS_URL") or DEFAULT_URL


def check_url(url: object) -> str:
    """The URL, if it names a server that we can reach.

    Raises:
        InvalidName: no text, another scheme, or a part that cannot be read.
    """
    if not isinstance(url, str):
        # It is not shown: bytes may hold a password.
        raise InvalidName(f"url= is of type {type(url).__name__}: a URL is text, so give it as a str")
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in SCHEMES:
        raise InvalidName(
            f"url={mask(url)!r}: its scheme must be one of {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    if scheme in ("redis", "rediss"):
        try:
            parts = urlsplit(url)
            database = parts.path.strip("/")
            port = 6379 if parts.port is None else parts.port
            host = parts.hostname or ""
            sound = host.strip() == host != "" and port > 0 and (not database or database.isdecimal())
        except ValueError:
            sound = False
        if not sound:
            raise InvalidName(
                f"url={mask(url)!r} cannot be read: write {scheme}://[user:password@]host[:port][/database]"
            )
    if scheme == "unix" and not _unix_path(url).strip("/"):
        raise InvalidName(f"url={mask(url)!r} cannot be read: write unix:///path/of/the.socket[?db=0]")
    if nodes.is_several(url):
        try:
            nodes.parse(url)
        except ValueError:
            syntax = nodes.SYNTAX[scheme.partition("+")[2]]
            raise InvalidName(
                f"url={mask(url)!r} cannot be read: write {scheme}://[user:password@]{syntax}"
            ) from None
        _check_options(url, OPTIONS | nodes.SENTINEL_OPTIONS if scheme in nodes.SENTINEL else OPTIONS)
    elif embedded.is_embedded(url):
        parse(url)
    else:
        _check_options(url, OPTIONS)
    return url


def _unix_path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _check_options(url: str, options: frozenset[str]) -> None:
    """What follows the `?`: the server's side of a connection may be chosen, ours (how it is read and timed) not."""
    for option, value in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if option not in options or (option == "db" and not value.isdecimal()):
            named = (
                option if value or option in options else "***"
            )  # what is no option may be part of a password
            raise InvalidName(
                f"url={mask(url)!r}: its option {named!r} cannot be used so: there are {', '.join(sorted(options))}"
            )


def mask(url: str) -> str:
    """The URL with its password left out, for people's eyes, also where it is written so that no part can be told."""
    scheme, separator, rest = url.partition("://")
    try:
        urlsplit("" if nodes.is_several(url) else url)
    except ValueError:
        return f"{scheme}://***" if separator else "***"
    if not separator:
        place = url.rpartition("@")[2].partition("?")[0]
        return ("***@" if "@" in url else "") + (place if _PLACE.fullmatch(place) else "***")
    login, at, place = rest.rpartition("@")
    if login.startswith("/"):  # a path with an @ in it
        login, at, place = "", "", rest
    user, colon, _ = login.partition(":")
    if not _SHOWABLE.fullmatch(user):
        user, colon = "***", ":"
    address, question, query = place.partition("?")
    options = "&".join(map(_masked, query.split("&"))) if question else ""
    return f"{scheme}://{user}{colon and ':***'}{at}{address}{question}{options}"


def _masked(option: str) -> str:
    """An option of a URL; its value only where that is known to be harmless."""
    name, equals, _ = option.partition("=")
    if equals and name in OPTIONS - {"password"}:
        return option
    return f"{name}=***" if equals else "***"


_PLACE = re.compile(r"[\w.:/-]*")
_SHOWABLE = re.compile(r"[\w.-]*")
