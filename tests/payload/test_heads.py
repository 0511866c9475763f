"""A call's function, read from its first bytes."""

import pytest

from shadows.payload.call import Call, encode_call
from shadows.payload.heads import function_name


@pytest.mark.parametrize(
    "name", ["f", "greet", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 900, "grüße", ""]
)
def test_the_name_is_told_from_the_beginning_alone(name: str) -> None:
    for expires in (0, 5):
        data = encode_call(Call(name, b"y" * 5000, 123, expires_us=expires))
        assert function_name(data) == name
        assert function_name(data[:1024]) == name


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x01\x95", b"\x01\x95\xa5gree", b"\x01\x95\xc0", b"\x01\x95\xd9", b"\x01\x95\xda\x00", b"nonsense"]
)  # fmt: skip
def test_what_cannot_be_told_is_empty(data: bytes) -> None:
    assert function_name(data) == ""
