"""URLs that name several servers."""

import re
from pathlib import Path

import pytest

from shadows.errors import InvalidName, ServerUnreachable
from shadows.protocol.connection import Address, Link
from shadows.protocol.nodes import parse
from shadows.protocol.url import check_url, mask


def test_a_clusters_url_names_its_nodes() -> None:
    nodes = parse("rediss+cluster://user:p%40ss@one:7000,two,[::1]:7002?ssl_cert_reqs=none")
    assert nodes.places == (("one", 7000), ("two", 6379), ("::1", 7002))
    assert [nodes.url(place) for place in nodes.places] == [
        "rediss://user:p%40ss@one:7000/?ssl_cert_reqs=none",
        "rediss://user:p%40ss@two:6379/?ssl_cert_reqs=none",
        "rediss://user:p%40ss@[::1]:7002/?ssl_cert_reqs=none",
    ]


def test_a_sentinels_url_names_the_primary_and_what_is_for_the_sentinels_alone() -> None:
    nodes = parse(
        "rediss+sentinel://:data@one,two:7000/my%20main/2?sentinel_username=u&sentinel_password=a%2Fb&ssl_ca_certs=ca"
    )
    assert (nodes.primary, nodes.places) == ("my main", (("one", 26379), ("two", 7000)))
    assert nodes.url(("three", 6379)) == "rediss://:data@three:6379/2?ssl_ca_certs=ca"
    assert nodes.sentinel(("one", 26379)) == "rediss://u:a%2Fb@one:26379/?ssl_ca_certs=ca"
    plain = parse("redis+sentinel://one/main")
    assert plain.sentinel(plain.places[0]) == "redis://one:26379/"


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://one",
        "redis+cluster://one:7000,two:7001/0",
        "rediss+cluster://u:p@one,[::1]:7001?db=0",
        "redis+sentinel://one/main",
        "rediss+sentinel://:p@one,two:26380/main/3?sentinel_password=secret",
    ],
)
def test_what_can_be_read_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url
    assert Address(url, name="tasks").looks


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+cluster://", r"write redis\+cluster://\[user:password@\]host\[:port\]\[,host\[:port\]…\]$"),
        ("redis+cluster://one,,two", "cannot be read"),
        ("redis+cluster://one:0", "cannot be read"),
        ("redis+cluster://one:99999", "cannot be read"),
        ("redis+cluster://one,[::1", "cannot be read"),
        ("redis+cluster://one?db=1", "cannot be read"),
        ("redis+cluster://one/1", "cannot be read"),
        ("redis+cluster://one/zero", "cannot be read"),
        ("redis+cluster://one?sentinel_password=x", "option 'sentinel_password' cannot be used so"),
        ("redis+sentinel://one", r"/NAME_OF_THE_PRIMARY\[/database\]"),
        ("redis+sentinel://one/main/x", "cannot be read"),
        ("redis+sentinel://:p@one/main?socket_timeout=1", "option 'socket_timeout' cannot be used so"),
    ],
)
def test_what_cannot_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(InvalidName, match=why):
        Address(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+cluster://u:secret@one:1,[::1]:2", "redis+cluster://u:***@one:1,[::1]:2"),
        (
            "redis+sentinel://one/main?sentinel_username=secret&sentinel_password=secret",
            "redis+sentinel://one/main?sentinel_username=***&sentinel_password=***",
        ),
    ],
)
def test_nobody_is_shown_a_password(url: str, shown: str) -> None:
    assert mask(url) == shown
    assert repr(Address(url)) == f"Address({shown!r})"


@pytest.mark.parametrize(
    "url", ["redis+cluster://:secret@127.0.0.1:1,127.0.0.1:2", "redis+sentinel://:secret@127.0.0.1:1/main"]
)
async def test_where_nobody_answers_each_is_named(url: str) -> None:
    with pytest.raises(ServerUnreachable, match=r"127.0.0.1:1: .*[Rr]efused.*\. Start one there") as caught:
        await Link(Address(url, name="tasks")).request("PING")
    assert "secret" not in str(caught.value)


def test_the_guides_urls_can_be_used() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "cluster-and-sentinel.md").read_text()
    shown = re.findall(r"(?:SHADOWS_URL=|--url )(\S+)", guide)
    assert [Address(url).mode for url in shown] == ["cluster", "sentinel", "cluster", "cluster"]
