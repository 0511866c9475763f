"""Instants: exact to the microsecond, whatever the zone."""

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadows.clock import SystemClock, as_datetime, as_instant_us

BERLIN = ZoneInfo("Europe/Berlin")


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones() | st.just(UTC), allow_imaginary=False))
def test_an_instant_comes_back_to_the_microsecond(when: datetime) -> None:
    try:
        in_utc = when.astimezone(UTC)
    except OverflowError:
        return
    back = as_datetime(as_instant_us(when))
    assert back == in_utc
    assert back.tzinfo is UTC


class TestInstants:
    def test_the_epoch_is_zero(self) -> None:
        assert as_instant_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
        assert as_instant_us(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)) == -1

    def test_the_two_passes_of_an_hour_that_is_repeated_are_an_hour_apart(self) -> None:
        first = datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN)
        assert as_instant_us(first.replace(fold=1)) - as_instant_us(first) == 3_600_000_000

    def test_the_first_and_the_last_instant_are_held(self) -> None:
        for when in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
            assert as_datetime(as_instant_us(when)) == when

    def test_beyond_the_calendar_the_last_instant_is_shown(self) -> None:
        assert as_datetime(2**63) == datetime.max.replace(tzinfo=UTC)

    @pytest.mark.parametrize(
        "when",
        [
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        ],
    )
    def test_an_instant_that_utc_does_not_have_is_refused(self, when: datetime) -> None:
        with pytest.raises(ValueError, match="outside the years 1 to 9999"):
            as_instant_us(when)

    def test_a_naive_one_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(
            ValueError, match=r"has no timezone: use datetime\.now\(UTC\), or \.astimezone\(\)"
        ):
            as_instant_us(datetime(2030, 1, 1))  # noqa: DTZ001

    def test_a_zone_that_does_not_know_its_offset_is_none(self) -> None:
        class Nowhere(tzinfo):
            def utcoffset(self, when: datetime | None) -> None:
                return None

            dst = utcoffset

            def tzname(self, when: datetime | None) -> str:
                raise NotImplementedError

        with pytest.raises(ValueError, match="has no timezone"):
            as_instant_us(datetime(2030, 1, 1, tzinfo=Nowhere()))

    @pytest.mark.parametrize("when", ["tomorrow", 3, date(2030, 1, 1), timedelta(seconds=3)])
    def test_what_is_no_datetime_is_refused(self, when: Any) -> None:
        with pytest.raises(TypeError, match="is not an instant: give a datetime with a timezone"):
            as_instant_us(when)


class TestSystemClock:
    def test_it_is_the_machines(self) -> None:
        before = datetime.now(UTC)
        assert before - timedelta(milliseconds=1) <= as_datetime(SystemClock().now_us()) <= datetime.now(UTC)

    def test_scripts_take_the_servers(self) -> None:
        assert SystemClock().stamp() == b""

    async def test_it_calls_later_unless_called_off(self) -> None:
        called = asyncio.Event()
        clock = SystemClock()
        clock.call_later(0, pytest.fail)()
        clock.call_later(0, called.set)
        await asyncio.wait_for(called.wait(), 5)

    def test_nobody_moves_it(self) -> None:
        SystemClock().follow(lambda _: pytest.fail("it was told"))()
