"""What stands for a task: written and read in one place."""

import pytest

from shadows.protocol.blob import Blob, fresh_call, keeping, split_blob


def test_a_blob_is_an_attempt_deliveries_and_a_call() -> None:
    assert split_blob(b"3/1/call/with/strokes") == Blob(3, 1, 0, b"call/with/strokes")


def test_for_how_long_a_key_stays_taken_stands_before_the_call() -> None:
    assert keeping(b"call/u", 0) == b"call/u"
    assert split_blob(b"3/1/" + keeping(b"call/u", 50)) == Blob(3, 1, 50, b"call/u")


@pytest.mark.parametrize("blob", [b"", b"1/2", b"x/0/c", b"1/x/c", b"1/0/ux/c", b"1/0/u/c"])
def test_anything_else_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r"does not begin with numbers|not enough values"):
        split_blob(blob)


def test_of_a_first_attempt_has_its_call_at_once() -> None:
    assert fresh_call(b"1/0/call/with/strokes") == b"call/with/strokes"


@pytest.mark.parametrize("blob", [b"2/0/call", b"1/1/call", b"1/0/u50/call", b"11/0/call", b"1/0", b""])
def test_of_which_there_is_more_to_say_is_left_to_be_split(blob: bytes) -> None:
    assert fresh_call(blob) is None
