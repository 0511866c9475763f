"""Tasks that a worker does not know, as others may have written them."""

import logging

import pytest

from shadows.payload.call import Call, decode_call
from shadows.protocol.outcomes import Kind
from shadows.worker import unknown
from shadows.worker.unknown import GRACE_US, Unknown

NOW_US = 10**15


def test_a_task_unknown_since_an_instant_to_come_counts_as_met_just_now() -> None:
    ahead = Call("strange", b"", 0, unknown_since_us=NOW_US + 10**15)
    outcome = Unknown().outcome("k", ahead, NOW_US)
    assert decode_call(outcome.data).unknown_since_us == NOW_US
    again = Unknown().outcome("k", decode_call(outcome.data), NOW_US + GRACE_US)
    assert again.kind is Kind.DEAD


def test_a_name_is_told_once_and_a_thousand_names_at_most(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown, "MOST_TOLD", 3)
    met = Unknown()
    with caplog.at_level(logging.WARNING):
        for number in [0, 0, 1, 2, 3, 4]:
            met.outcome(f"k{number}", Call(f"strange{number}", b"", 0), NOW_US)
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [
        "strange0", "strange1", "strange2",
    ]  # fmt: skip


def test_no_name_makes_a_line_of_its_own_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Unknown().outcome("key\nlease lost", Call("x\nworker stopped" + "y" * 1000, b"", 0), NOW_US)
    (record,) = caplog.records
    assert len(record.getMessage().splitlines()) == 1
    assert len(record.getMessage()) < 1000
