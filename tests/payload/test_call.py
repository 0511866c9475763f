"""What travels for a call: it comes back as it was, and what does not is refused with a reason."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadows.errors import EncodingError, PayloadError
from shadows.payload.call import (
    WIRE,
    Call,
    decode_arguments,
    decode_call,
    encode_arguments,
    encode_call,
    encode_first,
)
from shadows.payload.places import MAX_DEPTH
from tests.payload.support import exactly, nested, texts, values

instants = st.integers(-(2**63), 2**63 - 1)
headers = st.none() | st.dictionaries(texts, texts)
calls = st.builds(Call, texts, st.binary(), instants, instants, headers, instants, st.booleans())
encode = msgspec.msgpack.encode


class Odd(int):
    pass


class TestCall:
    @given(calls)
    def test_comes_back_as_it_was(self, call: Call) -> None:
        assert decode_call(encode_call(call)) == call

    @given(texts, st.binary(), instants, instants)
    def test_that_is_new_travels_as_any_other(
        self, function: str, arguments: bytes, when_us: int, expires_us: int
    ) -> None:
        call = Call(function, arguments, when_us, expires_us=expires_us)
        assert encode_first(function, arguments, when_us, expires_us) == encode_call(call)

    def test_begins_with_the_wire_version(self) -> None:
        assert encode_call(Call("f", b"", 0))[0] == WIRE == 1

    def test_of_a_later_writer_may_have_more_fields(self) -> None:
        assert decode_call(b"\x01" + encode(["f", b"x", 1, 2, None, 3, True, "more", {"and": 1}])) == Call(
            "f", b"x", 1, 2, expires_us=3, begun=True
        )

    def test_with_text_that_has_no_encoding_is_refused(self) -> None:
        with pytest.raises(EncodingError, match=r"^the call of '\\ud800' cannot travel"):
            encode_call(Call("\ud800", b"", 0))

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "the stored call is empty"),
            (b"\x02\x90", r"wire version 2, newer than this library reads \(up to 1\): update shadow-task"),
            (b"\x00\x90", "damaged: no wire version 0 exists"),
            (b"\x01", "the stored call is damaged: "),
            (b"\x01\x90", "at least length 5, got 0"),
            (b"\x01" + encode(["f", b"", 1, 1]), "at least length 5, got 4"),
            (b"\x01\x80", "Expected `array`, got `object`"),
            (b"\x01" + encode(["f", b"", 1, True, None]), r"Expected `int`, got `bool` - at `\$\[3\]`"),
            (b"\x01" + encode(["f", "text", 1, 1, None]), "Expected `bytes`, got `str`"),
            (b"\x01" + encode(["f", b"", 1, 1, {"a": 1}]), "Expected `str`, got `int`"),
            (b"\x01\x95\xa1\xff", "can't decode byte"),
            (encode_call(Call("f", b"x", 1))[:-1], "truncated"),
            (encode_call(Call("f", b"x", 1)) + b"\x01", "trailing"),
            (b"\x01\x96\xa0\xc4\x00\x00\x00\xc0" + b"\x91" * 200_000, "damaged"),
        ],
    )
    def test_that_cannot_be_read_says_why(self, data: bytes, reason: str) -> None:
        with pytest.raises(PayloadError, match=reason):
            decode_call(data)

    @given(st.binary(max_size=100).map(lambda data: b"\x01" + data) | st.binary(max_size=20))
    def test_of_any_bytes_raises_nothing_else(self, data: bytes) -> None:
        with contextlib.suppress(PayloadError):
            decode_call(data)


class TestArguments:
    @given(st.lists(values, max_size=3), st.dictionaries(texts, values, max_size=3))
    def test_come_back_as_they_were(self, args: list[object], kwargs: dict[str, object]) -> None:
        back = decode_arguments(encode_arguments(tuple(args), kwargs))
        assert exactly(back) == exactly((args, kwargs))

    def test_that_are_plain_cost_no_wrapping(self) -> None:
        args, kwargs = ("Jane", 1, None), dict[str, object](greeting="Howdy", x=1.5)
        assert encode_arguments(args, kwargs) == encode((args, kwargs))

    def test_may_be_as_deep_as_values(self) -> None:
        args, kwargs = decode_arguments(encode_arguments((nested(MAX_DEPTH),), {"x": nested(MAX_DEPTH)}))
        assert args == [nested(MAX_DEPTH)]
        assert kwargs == {"x": nested(MAX_DEPTH)}

    def test_may_hold_ints_of_any_size(self) -> None:
        assert decode_arguments(encode_arguments((2**64, "x"), {"y": 1})) == ([2**64, "x"], {"y": 1})

    @pytest.mark.parametrize(
        ("args", "kwargs", "named"),
        [
            ((1, Odd(2)), {}, "parameter 'second' is a "),
            ((1, 2, {"a": Odd(2)}), {}, r"positional argument 3, at \['a'\] is a "),
            ((), {"third": [Odd(2)]}, r"parameter 'third', at \[0\] is a "),
            (("\ud800",), {}, "parameter 'first' is a text with a lone surrogate"),
            ((), {"\ud800": 1}, "a parameter's name is a text with a lone surrogate"),
        ],
    )
    def test_that_are_not_carried_are_named(
        self, args: tuple[object, ...], kwargs: dict[str, object], named: str
    ) -> None:
        with pytest.raises(EncodingError, match=f"^{named}"):
            encode_arguments(args, kwargs, ("first", "second"))

    @pytest.mark.parametrize("value", [None, [], [[]], [[], {}, 1], [{}, []], [[], {1: 2}], [[], []]])
    def test_of_another_form_are_refused(self, value: object) -> None:
        with pytest.raises(PayloadError, match="the stored arguments are damaged: not a list"):
            decode_arguments(encode(value))

    @given(st.binary(max_size=100))
    def test_of_any_bytes_raise_nothing_else(self, data: bytes) -> None:
        with contextlib.suppress(PayloadError):
            decode_arguments(data)
