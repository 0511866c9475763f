"""The closed set: what it carries comes out as it went in, and all else is refused by name."""

import enum
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from shadows.errors import EncodingError, ShadowError
from shadows.payload.places import MAX_DEPTH
from shadows.payload.values import carries, decode_value, encode_value
from tests.payload.support import exactly, nested, values


class Level(enum.IntEnum):
    HIGH = 3


BAD = Level.HIGH


class Name(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


class Zone(tzinfo):
    def utcoffset(self, _when: datetime | None, /) -> None:
        raise NotImplementedError

    dst = utcoffset

    def tzname(self, _when: datetime | None, /) -> None:
        raise NotImplementedError


@dataclass
class Address:
    city: str


class TestWhatIsCarried:
    @given(values)
    def test_comes_out_equal_and_of_the_same_classes(self, value: object) -> None:
        assert exactly(decode_value(encode_value(value))) == exactly(value)

    @pytest.mark.parametrize(
        "value",
        [
            2**63,
            2**64 - 1,
            2**64,
            -(2**63),
            -(2**63) - 1,
            10**5000,
            -0.0,
            float("inf"),
            float("nan"),
            [1, 2**70],
            {"big": 2**70, 2**80: "key"},
            {True: 1, None: 2, 3: 3, 1.5: 4, b"x": 5},
            {(1, date(2024, 1, 1)): {"a"}},
            {frozenset({1, (2, 3)})},
            bytearray(b"x"),
            Decimal("-0"),
            Decimal("1E+999999"),
            Decimal("NaN123"),
            Decimal("sNaN"),
            datetime.max,  # noqa: DTZ901
            datetime(2024, 10, 27, 2, 30, fold=1),  # noqa: DTZ001
            datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET | =1")),
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "")),
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(microseconds=-1))),
            time(1, 2, 3, 4, tzinfo=UTC, fold=1),
            time(1, tzinfo=timezone(timedelta(hours=-1, seconds=1))),
            timedelta.min,
            UUID(int=5),
            Path("/tmp/x"),
            IPv4Network("10.0.0.0/8"),
            IPv6Network("fe80::/10"),
            IPv4Interface("10.0.0.1/8"),
            IPv6Interface("fe80::1%eth0/10"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_holds_at_the_edges(self, value: object) -> None:
        assert exactly_safe(decode_value(encode_value(value))) == exactly_safe(value)

    def test_the_instant_of_a_zone_is_kept_by_its_key(self) -> None:
        value = decode_value(encode_value(datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))))
        assert isinstance(value, datetime)
        assert value.tzinfo is ZoneInfo("Europe/Berlin")

    def test_reaches_as_deep_as_the_limit(self) -> None:
        assert decode_value(encode_value(nested(MAX_DEPTH))) == nested(MAX_DEPTH)

    def test_is_exactly_the_closed_set(self) -> None:
        assert carries(int)
        assert not carries(Level)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (Address("Rome"), "is a tests.payload.test_values.Address, which the safe codec does not carry"),
            (Level.HIGH, "Level (a subclass of int, which would come back as a plain one)"),
            (Name("x"), "Name (a subclass of str,"),
            (Point(1), "Point (a subclass of tuple,"),
            (OrderedDict[str, int](), "OrderedDict (a subclass of dict,"),
            (defaultdict[str, int](), "defaultdict (a subclass of dict,"),
            (object(), "is a object, which"),
            (1j, "is a complex, which"),
        ],
        ids=lambda value: f"{value!r:.20}",
    )
    def test_is_named_with_the_two_ways_out(self, value: object, shown: str) -> None:
        with pytest.raises(EncodingError) as caught:
            encode_value(value, "parameter 'user'")
        message = str(caught.value)
        assert message.startswith("parameter 'user' is a ")
        assert shown in message
        assert "Either annotate the parameter with a class that it rebuilds (an Enum, dataclass" in message
        assert "or pass plain values (None, bool, int" in message

    def test_is_a_type_error_of_this_library(self) -> None:
        assert issubclass(EncodingError, TypeError)
        assert issubclass(EncodingError, ShadowError)

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ({"address": [BAD]}, "['address'][0]"),
            ((1, {2: BAD}), "[1][2]"),
            ({BAD: 1}, "[the key "),
            ({BAD}, "{"),
            ({(1, 2): frozenset({BAD})}, "[(1, 2)]{"),
            ({"x" * 500: BAD}, "['" + "x" * 98 + "…]"),
            ({10**5000: BAD}, "[…]"),
        ],
        ids=["dict and list", "tuple", "key", "set", "tuple key", "long key", "huge key"],
    )
    def test_is_found_within_containers(self, value: object, path: str) -> None:
        with pytest.raises(EncodingError) as caught:
            encode_value(value, "parameter 'user'")
        assert str(caught.value).startswith(f"parameter 'user', at {path}")

    def test_text_with_a_lone_surrogate(self) -> None:
        with pytest.raises(
            EncodingError, match=r"^the value, at \['a'\] is a text with a lone surrogate \(character 2\)"
        ):
            encode_value({"a": "ok\ud800"})

    def test_path_with_a_lone_surrogate(self) -> None:
        with pytest.raises(EncodingError, match="that cannot travel: 'utf-8' codec can't encode"):
            encode_value(Path("\udcff"))

    @pytest.mark.parametrize("kind", [datetime, time])
    def test_time_zone_of_another_class(self, kind: type[datetime] | type[time]) -> None:
        value = datetime(2024, 1, 1, tzinfo=Zone()) if kind is datetime else time(1, tzinfo=Zone())
        with pytest.raises(
            EncodingError, match=r"its time zone is a Zone; use datetime\.timezone, or zoneinfo"
        ):
            encode_value(value)

    def test_time_zone_without_a_key(self) -> None:
        with open(_zone_file(), "rb") as file:
            zone = ZoneInfo.from_file(file)
        with pytest.raises(EncodingError, match="its ZoneInfo has no IANA key"):
            encode_value(time(1, tzinfo=zone))

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda: nested(MAX_DEPTH + 1),
            lambda: ({"a": nested(MAX_DEPTH - 1)},),
            lambda: [[], nested(MAX_DEPTH)],
        ],
    )
    def test_what_is_too_deep(self, wrap: Callable[[], object]) -> None:
        with pytest.raises(
            EncodingError, match=r"^the value is nested more than 64 levels deep, or holds itself\. Pass"
        ):
            encode_value(wrap())

    def test_what_holds_itself(self) -> None:
        loop: list[object] = []
        loop.append({"again": loop})
        with pytest.raises(EncodingError, match="or holds itself"):
            encode_value(loop)

    def test_keys_of_which_most_share_a_hash(self) -> None:
        crowd = {index * (2**61 - 1) for index in range(300)}
        for value in (crowd, dict.fromkeys(crowd)):
            with pytest.raises(EncodingError, match="has 300 keys or members of which most share a hash"):
                encode_value(value)


def exactly_safe(value: object) -> object:
    return hex(value) if isinstance(value, int) and value > 10**4000 else exactly(value)


def _zone_file() -> str:
    import importlib.resources
    import zoneinfo

    for folder in zoneinfo.TZPATH:
        if (Path(folder) / "Europe/Berlin").exists():
            return str(Path(folder) / "Europe/Berlin")
    return str(importlib.resources.files("tzdata.zoneinfo.Europe") / "Berlin")
