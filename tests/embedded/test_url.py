"""What an embedded server's URL means."""

import pytest

from shadows.embedded import enter, is_embedded
from shadows.embedded.url import Kept, Memory, parse
from shadows.errors import EmbeddedUnavailable, InvalidName


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("memory://", Memory("default")),
        ("memory://a.b-c_1", Memory("a.b-c_1")),
        ("embedded:///var/lib/shadows", Kept("/var/lib/shadows")),
        ("embedded:///with%20space", Kept("/with space")),
    ],
)
def test_a_url_names_a_memory_or_a_directory(url: str, place: Memory | Kept) -> None:
    assert is_embedded(url)
    assert parse(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "memory:name",
        "memory://a/b",
        "memory://user@name",
        "memory://ü",
        "embedded://relative",
        "embedded:///",
        "embedded://",
        "embedded:///a?db=1",
        "embedded:///a#b",
        "embedded:///a%00b",
    ],
)
def test_a_malformed_url_is_refused_with_the_form_that_is_right(url: str) -> None:
    with pytest.raises(InvalidName, match=r"expected (memory|embedded)://"):
        enter(url)


def test_other_urls_are_not_ours() -> None:
    assert not is_embedded("redis://localhost")


def test_a_platform_without_unix_sockets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadows.embedded.POSIX", False)
    with pytest.raises(EmbeddedUnavailable, match="Linux and macOS only"):
        enter("memory://")
