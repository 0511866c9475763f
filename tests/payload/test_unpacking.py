"""Bytes from anywhere: a value of the closed set, or `PayloadError`, soon, and nothing else."""

import contextlib
import struct
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from shadows.errors import PayloadError
from shadows.payload.places import MAX_DEPTH
from shadows.payload.scalars import SCALARS
from shadows.payload.unpacking import FROZENSET, PAIRS, SET, TUPLE, unpack
from shadows.payload.values import decode_value, encode_value
from tests.payload.support import nested, values

encode = msgspec.msgpack.encode


def holding(code: int, items: list[object]) -> Ext:
    return Ext(code, encode(items))


codes = st.sampled_from(
    [TUPLE, SET, FROZENSET, PAIRS, *(scalar.code for scalar in SCALARS.values())]
) | st.integers(-128, 127)
crafted = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary()
    | st.builds(Ext, codes, st.binary(max_size=20)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 5) | st.text("ab"), inner, max_size=4)
        | st.builds(holding, codes, st.lists(inner, max_size=4))
    ),
)


def stays_within_its_error(data: bytes) -> None:
    with contextlib.suppress(PayloadError):
        decode_value(data)


class TestArbitraryBytes:
    @given(st.binary(max_size=200))
    def test_raise_nothing_else(self, data: bytes) -> None:
        stays_within_its_error(data)

    @given(crafted)
    def test_raise_nothing_else_if_they_are_crafted(self, value: object) -> None:
        stays_within_its_error(encode(value))

    @given(values, st.data())
    def test_raise_nothing_else_if_bits_are_flipped(self, value: object, data: st.DataObject) -> None:
        damaged = bytearray(encode_value(value))
        for _ in range(data.draw(st.integers(1, 3))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        stays_within_its_error(bytes(damaged))

    @given(values, st.data())
    def test_are_refused_if_truncated(self, value: object, data: st.DataObject) -> None:
        whole = encode_value(value)
        with pytest.raises(PayloadError, match=r"^the stored value is damaged: "):
            decode_value(whole[: data.draw(st.integers(0, len(whole) - 1))])

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x01\x01",
            b"\xa1\xff",
            b"\xdd\xff\xff\xff\xff",
            encode(Ext(99, b"")),
            encode(Ext(TUPLE, b"\x01")),
            encode(Ext(SET, encode([[]]))),
            encode(Ext(PAIRS, encode([1]))),
            encode(Ext(SCALARS[int].code + 5, b"123")),
            encode(Ext(15, struct.pack(">iii", 2**31 - 1, 0, 0))),
            encode(Ext(14, b"2024-01-01T00:00:00|0|../../etc/passwd")),
            encode(Ext(14, b"2024-01-01T00:00:00|0|No/Such_Zone")),
            encode(Ext(14, b"2024-01-01T00:00:00|7|")),
            encode(Ext(14, b"2024-01-01T00:00:00|0|@1e3")),
            encode(Ext(14, b"2024-01-01T00:00:00|0|@" + b"9" * 30)),
            encode(Ext(14, b"2024-01-01T00:00:00|0|@86400000000=day")),
            encode(Ext(16, b"short")),
            encode(Ext(17, b"no number")),
            encode(Ext(21, b"C:")),
        ],
    )
    def test_say_what_is_wrong(self, data: bytes) -> None:
        with pytest.raises(PayloadError, match=r"^the stored value is damaged: ."):
            decode_value(data)


class TestExtensionType:
    def test_of_a_later_version_is_named(self) -> None:
        with pytest.raises(PayloadError, match="no extension type 99 is known"):
            decode_value(encode(Ext(99, b"")))


class TestDepth:
    def test_is_bounded(self) -> None:
        with pytest.raises(PayloadError, match="nested more than 64 levels deep"):
            decode_value(encode(nested(MAX_DEPTH + 1)))

    def test_is_bounded_within_dicts_and_their_keys(self) -> None:
        key: object = 1
        for _ in range(40):
            key = Ext(TUPLE, encode([key]))
        value: object = Ext(PAIRS, encode([key, 1]))
        for _ in range(30):
            value = {"a": value}
        with pytest.raises(PayloadError, match="nested more than 64 levels deep"):
            decode_value(encode(value))

    def test_of_a_large_flat_value_is_no_matter(self) -> None:
        value = [["ä" * 100] for _ in range(100)]
        assert decode_value(encode(value)) == value
        assert decode_value(encode("ä" * 100)) == "ä" * 100

    def test_of_thousands_is_refused(self) -> None:
        for opener in (b"\x91", b"\x81\xa1a"):
            with pytest.raises(PayloadError):
                decode_value(opener * 200_000 + b"\x01")

    def test_of_thousands_of_extensions_is_refused(self) -> None:
        data = b"\x90"
        for _ in range(5_000):
            data = b"\x91\xc9" + struct.pack(">IB", len(data), TUPLE) + data
        with pytest.raises(PayloadError):
            decode_value(data)

    def test_limit_can_be_another(self) -> None:
        assert unpack(encode(nested(66)), 66) == nested(66)


class TestAbsurdSizes:
    @pytest.mark.parametrize(
        "data",
        [
            encode(Ext(SCALARS[int].code, b"\x7f" * 2**20)),
            encode(Ext(17, b"9" * 2**20)),
            encode(Ext(17, b"1E+999999999999999999")),
            encode({"x": [Ext(17, b"9" * 2**20)]}),
        ],
        ids=["int", "decimal", "exponent", "within"],
    )
    def test_do_not_hang(self, data: bytes) -> None:
        started = time.monotonic()
        decode_value(data)
        assert time.monotonic() - started < 20

    @pytest.mark.parametrize("code", [SET, FROZENSET, PAIRS])
    def test_of_keys_that_share_a_hash_are_refused(self, code: int) -> None:
        items = [Ext(16, (index * (2**61 - 1)).to_bytes(16)) for index in range(20_000)]
        with pytest.raises(PayloadError, match="too many of its keys share a hash"):
            decode_value(encode(Ext(code, encode(items))))

    def test_of_honest_sets_are_taken(self) -> None:
        value = set(range(10_000))
        assert decode_value(encode_value(value)) == value
