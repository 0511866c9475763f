"""What people write: URLs, durations, instants, sizes, names, keys and values; read, or refused in our own words."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shadows import Shadow, TaskCall
from shadows.cli.durations import parse_duration, parse_instant, parse_size
from shadows.cli.values import parse_named, parse_range, parse_value
from shadows.protocol.blob import split_blob
from shadows.protocol.connection import Address
from shadows.protocol.keys import MAX_KEY_BYTES, Keys, check_key, check_queue
from shadows.protocol.url import SCHEMES, check_url, mask

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors])
SECRET = "s3cr3tW0rd"


def address(url: str) -> Address:
    return Address(check_url(url), None, name="x")


def refusal(read: Callable[..., object], *given: object) -> str | None:
    """What it is refused with; None where it is not."""
    try:
        read(*given)
    except (ValueError, TypeError) as error:
        return str(error)
    return None


pieces = st.sampled_from([
    "redis", "unix", "memory", "embedded", "cluster", "+", "://", ":", "/", "//", "@", "?", "&", "=", ",", "#", "%", "[",
    "]", "[::1]", "localhost", "127.0.0.1", "6379", "0", "99999", "db", "password", "ssl_ca_certs", "%00", "%zz", "..",
    "\n", "\0", " ", "é", "\ud800", "٣",
])  # fmt: skip
written = st.lists(pieces | st.text(max_size=4), max_size=12).map("".join)
digits = st.text("0123456789٣²", max_size=30) | st.just("9" * 5000)
units = st.sampled_from(
    ["", "ms", "s", "m", "h", "d", "k", "g", "GiB", ":", "::", ".", "-", "+", "e9", " ", "_"]
)
measures = st.lists(digits | units, max_size=6).map("".join) | st.text(max_size=10)


@calm
@given(scheme=st.sampled_from(SCHEMES), rest=written)
@example("unix", "[")
@example("redis", "[")
@example("redis+cluster", "h?db=" + "9" * 5000)
def test_a_url_is_usable_or_refused_with_the_way_to_write_it(scheme: str, rest: str) -> None:
    for url in (f"{scheme}://{rest}", rest):
        mask(url)
        said = refusal(address, url)
        assert said is None or "url=" in said or "not the URL" in said


@calm
@given(scheme=st.sampled_from(SCHEMES), user=written, rest=written)
def test_a_password_in_a_url_is_never_shown(scheme: str, user: str, rest: str) -> None:
    if any(letter in user for letter in "@/?#"):  # then it is no user's name
        return
    url = f"{scheme}://{user}:{SECRET}@{rest}"
    assert SECRET not in mask(url)
    if scheme in ("memory", "embedded"):
        return
    assert SECRET not in (refusal(check_url, url) or "")


@calm
@given(text=measures)
@example("9" * 400)
@example("9" * 5000)
@example("9" * 5000 + ":00")
def test_a_duration_or_a_size_is_read_or_refused_by_name(text: str) -> None:
    said = refusal(parse_duration, text)
    assert "duration" in said if said else timedelta(0) <= parse_duration(text) <= timedelta(days=3650)
    said = refusal(parse_size, text)
    assert "is not a size" in said if said else parse_size(text) >= 1


@calm
@given(milliseconds=st.integers(0, 3650 * 86_400_000))
def test_a_duration_that_is_written_is_the_one_that_is_read(milliseconds: int) -> None:
    meant = timedelta(milliseconds=milliseconds)
    assert abs(parse_duration(f"{milliseconds}ms") - meant) < timedelta(milliseconds=1)


@calm
@given(text=measures | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(str))
@example("0001-01-01T00:00+14:00")
@example("9999-12-31T23:59-14:00")
def test_an_instant_is_aware_or_refused_by_name(text: str) -> None:
    said = refusal(parse_instant, text)
    assert "is not an instant" in said if said else parse_instant(text).utcoffset() is not None


kinds = st.sampled_from([
    "int:", "float:", "bool:", "none:", "bytes:", "json:", "Decimal:", "UUID:", "uuid.UUID:", "datetime:", "date:", "time:",
    "timedelta:", "Path:", "str:", "list:", "a.b:", "x=", ",", "[", "{", '"', "1e999", "NaN",
])  # fmt: skip


@calm
@given(text=st.lists(kinds | st.text(max_size=5) | digits, max_size=6).map("".join))
@example("json:" + "[" * 100_000)
@example("int:" + "9" * 5000)
@example("bytes:\ud800")
def test_a_value_is_read_or_refused(text: str) -> None:
    assert refusal(parse_value, text) != ""
    assert refusal(parse_range, text) != ""
    assert refusal(parse_named, [text]) != ""


names = st.text(max_size=200) | st.text("ab0._:@+-{}/* \n", max_size=140)


@calm
@given(name=names | st.none() | st.integers() | st.binary())
def test_a_name_is_part_of_a_key_or_refused(name: Any) -> None:
    for check in (check_queue, Keys):
        if (said := refusal(check, name)) is not None:
            assert repr(name) in said
        else:
            key = Keys("x").ready(name).decode()
            assert key == f"{{x}}:ready:{name}"
            assert name.isascii()
            assert not set(name) & set("{}*?[]/ \n\0")


@calm
@given(key=st.text(max_size=600) | st.text("\n\0\x7f\ud800a", max_size=5) | st.none() | st.binary())
@example("é" * 257)
def test_a_key_is_short_text_or_refused(key: Any) -> None:
    if refusal(check_key, key) is not None:
        return
    assert 0 < len(key.encode()) <= MAX_KEY_BYTES
    assert "\n" not in key
    assert "\0" not in key


whens = st.datetimes() | st.datetimes(timezones=st.timezones()) | st.dates() | st.integers() | st.text()


@calm
@given(when=whens, expires=whens | st.timedeltas() | st.none(), unique_for=st.timedeltas() | st.integers())
@example(datetime.max.replace(tzinfo=UTC), timedelta.max, timedelta.max)
@example(datetime.min.replace(tzinfo=UTC), timedelta.min, timedelta(1))
def test_a_call_has_an_instant_or_is_refused(when: Any, expires: Any, unique_for: Any) -> None:
    shadows = Shadow("words", "unix:///nowhere")
    shadows.register(noop)

    def call(**told: Any) -> TaskCall:
        return shadows.call(noop, **told)()

    for told in ({"when": when}, {"when": when, "expires": expires}, {"unique_for": unique_for}):
        said = refusal(partial(call, **told))
        assert said is None or "\n" not in said


async def noop() -> None: ...


@calm
@given(
    blob=st.binary(max_size=40)
    | st.lists(st.sampled_from([b"1", b"/", b"u", b"-", b"+", b"_", b" ", b"x"])).map(b"".join)
)
def test_a_blob_is_read_as_the_scripts_read_it(blob: bytes) -> None:
    try:
        parts = split_blob(blob)
    except ValueError:
        return
    assert blob.startswith((b"%d/%d/" % (parts.attempt, parts.deliveries), b"0", b"%d/0" % parts.attempt))
    assert min(parts[:3]) >= 0


@pytest.mark.parametrize(
    "head", [b"-1/0/", b"+1/0/", b"1_0/0/", b" 1/0/", b"1/0/u-3/", b"1/0/u+3/", b"1/0/u1_0/", "٣/0/".encode()]
)
def test_a_number_in_a_blob_is_digits_alone(head: bytes) -> None:
    with pytest.raises(ValueError, match="does not begin with numbers"):
        split_blob(head + b"call")
