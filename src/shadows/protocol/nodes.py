"""URLs that name several servers: the nodes of a cluster, or the sentinels that watch over a primary."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

CLUSTER = ("redis+cluster", "rediss+cluster")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
SENTINEL_OPTIONS = frozenset(["sentinel_username", "sentinel_password"])
SYNTAX = {
    "cluster": "host[:port][,host[:port]…]",
    "sentinel": "host[:port][,host[:port]…]/NAME_OF_THE_PRIMARY[/database][?sentinel_password=…]",
}

type Place = tuple[str, int]
"""A host and its port."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """What such a URL says."""

    scheme: str
    """Of the URL of one server: redis or rediss."""
    places: tuple[Place, ...]
    primary: str
    """The name under which sentinels know the primary; empty for a cluster."""
    _login: str
    _database: str
    _options: tuple[tuple[str, str], ...]

    def url(self, place: Place) -> str:
        """The URL of one server that holds data."""
        options = [(name, value) for name, value in self._options if name not in SENTINEL_OPTIONS]
        return self._url(self._login, place, self._database, options)

    def sentinel(self, place: Place) -> str:
        """The URL of one sentinel, which has a password of its own or none."""
        given = dict(self._options)
        user, password = given.get("sentinel_username", ""), given.get("sentinel_password", "")
        login = f"{quote(user, '')}:{quote(password, '')}@" if password else ""
        options = [(name, value) for name, value in self._options if name.startswith("ssl_")]
        return self._url(login, place, "", options)

    def _url(self, login: str, place: Place, database: str, options: list[tuple[str, str]]) -> str:
        query = f"?{urlencode(options)}" if options else ""
        return f"{self.scheme}://{login}{shown(place)}/{database}{query}"


def is_several(url: str) -> bool:
    """Whether the URL may name several servers."""
    return url.partition("://")[0] in (*CLUSTER, *SENTINEL)


def parse(url: str) -> Nodes:
    """What the URL of a cluster, or of sentinels, says.

    Raises:
        ValueError: it cannot be read.
    """
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    login, at, rest = rest.rpartition("@")
    hosts, _, path = rest.partition("/")
    sentinel = scheme in SENTINEL
    places = tuple(_place(host, 26379 if sentinel else 6379) for host in hosts.split(","))
    primary, _, database = path.partition("/") if sentinel else ("", "", path)
    options = parse_qsl(query, keep_blank_values=True)
    if sentinel and not primary:
        raise ValueError("sentinels are asked for a name")
    if database and not database.isdecimal():
        raise ValueError("a database is a number")
    if not sentinel and int(dict(options).get("db", database) or 0):
        raise ValueError("a cluster has but database 0")
    return Nodes(scheme.partition("+")[0], places, unquote(primary), login + at, database, tuple(options))


def _place(text: str, port: int) -> Place:
    parts = urlsplit(f"//{text}")
    host = parts.hostname or ""
    if host.strip() != host or not host or parts.port == 0 or parts.path or parts.username is not None:
        raise ValueError(f"{text!r} is no host")
    return host, parts.port or port


def shown(place: Place) -> str:
    """`host:port`, as it stands in a URL."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
