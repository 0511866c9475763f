"""The record of an ended execution comes back as it was, and a result never spoils the outcome."""

import contextlib
import enum

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadows.errors import EncodingError, PayloadError
from shadows.payload.failures import MAX_TEXT, Failure
from shadows.payload.outcomes import Record, decode_record, encode_record, encode_result
from shadows.payload.typed import adapter_for
from shadows.payload.values import decode_value
from tests.payload.support import exactly, texts, values

ints = st.integers(-(2**63), 2**63 - 1)
blobs = st.none() | st.binary()
failures = st.builds(Failure, texts, texts, st.lists(texts).map(tuple), texts, blobs)
records = st.builds(Record, texts, texts, ints, ints, ints, blobs, st.none() | failures)


class Color(enum.Enum):
    RED = 1


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError


class TestRecord:
    @given(records)
    def test_comes_back_as_it_was(self, record: Record) -> None:
        assert decode_record(encode_record(record)) == record

    def test_of_a_later_writer_may_have_more_fields(self) -> None:
        data = msgspec.msgpack.encode(["f", "w", 1, 2, 3, None, ["T", "m", [], "tb", None, "more"], "more"])
        assert decode_record(b"\x01" + data) == Record("f", "w", 1, 2, 3, None, Failure("T", "m", (), "tb"))

    def test_with_text_that_has_no_encoding_is_refused(self) -> None:
        with pytest.raises(EncodingError, match=r"^the record of 'f' cannot travel"):
            encode_record(Record("f", "\ud800", 1, 2, 3, None, None))

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "the stored record is empty"),
            (b"\x09", "the stored record has wire version 9, newer"),
            (b"\x01\x90", "the stored record is damaged: Expected `array` of at least length 7"),
            (b"\x01\x95\xa1f\xa1w\x01\x02\x03", "at least length 7, got 5"),
        ],
    )
    def test_that_cannot_be_read_says_why(self, data: bytes, reason: str) -> None:
        with pytest.raises(PayloadError, match=reason):
            decode_record(data)

    @given(st.binary(max_size=100).map(lambda data: b"\x01" + data))
    def test_of_any_bytes_raises_nothing_else(self, data: bytes) -> None:
        with contextlib.suppress(PayloadError):
            decode_record(data)


class TestResult:
    @given(values)
    def test_of_the_closed_set_is_kept(self, value: object) -> None:
        data, kept = encode_result(value)
        assert kept
        assert exactly(decode_value(data)) == exactly(value)

    def test_of_an_annotated_class_is_kept(self) -> None:
        adapter = adapter_for(Color)
        assert adapter is not None
        data, kept = encode_result(Color.RED, adapter)
        assert kept
        assert adapter.lift(decode_value(data), "the result") is Color.RED

    @pytest.mark.parametrize("annotation", [None, Color])
    def test_of_another_class_is_kept_as_text(self, annotation: object) -> None:
        data, kept = encode_result(1j, adapter_for(annotation))
        assert not kept
        assert decode_value(data) == "1j"

    def test_without_a_repr_is_named(self) -> None:
        data, kept = encode_result(Mute())
        text = decode_value(data)
        assert not kept
        assert isinstance(text, str)
        assert text.startswith("<tests.payload.test_outcomes.Mute object at ")
        assert text.endswith("> (its repr fails)")

    def test_as_text_is_capped(self) -> None:
        data, kept = encode_result([1j] * 100_000)
        text = decode_value(data)
        assert not kept
        assert isinstance(text, str)
        assert len(text.encode()) <= MAX_TEXT
        assert "bytes left out" in text
