"""Running at the instants that a cron expression names, where clocks are changed too."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shadows import Cron, Execution, ExecutionState, InvalidTask, Perpetual, Retry, Shadow, Worker
from shadows.clock import as_datetime, as_instant_us
from shadows.testing import ControlledClock
from tests.dependencies.conftest import START, ending, has, running, scheduled_at
from tests.support.waiting import until


def instants(cron: Cron, start: datetime, count: int) -> list[str]:
    """The next ones after an instant, as that timezone's clocks show them."""
    found: list[str] = []
    at_us = as_instant_us(start)
    for _ in range(count):
        at_us = cron.next_us(at_us)
        found.append(as_datetime(at_us).astimezone(cron.tz).strftime("%m-%d %H:%M:%S%z"))
    return found


class TestInstants:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("*/15 * * * *", ["01-01 12:15:00", "01-01 12:30:00", "01-01 12:45:00", "01-01 13:00:00"]),
            ("0 9 * * MON", ["01-07 09:00:00", "01-14 09:00:00"]),
            ("*/20 0 13 * * *", ["01-01 13:00:00", "01-01 13:00:20", "01-01 13:00:40", "01-02 13:00:00"]),
            ("@hourly", ["01-01 13:00:00", "01-01 14:00:00"]),
            ("@daily", ["01-02 00:00:00", "01-03 00:00:00"]),
            ("@midnight", ["01-02 00:00:00"]),
            ("@weekly", ["01-06 00:00:00", "01-13 00:00:00"]),
            ("@monthly", ["02-01 00:00:00", "03-01 00:00:00"]),
            ("@yearly", ["01-01 00:00:00"]),
            ("@annually", ["01-01 00:00:00"]),
            (" @Daily ", ["01-02 00:00:00"]),
        ],
    )
    def test_five_and_six_fields_and_words(self, expression: str, expected: list[str]) -> None:
        found = instants(Cron(expression), START, len(expected))
        assert found == [f"{instant}+0000" for instant in expected]

    def test_an_instant_itself_is_not_after_itself(self) -> None:
        cron = Cron("*/5 * * * * *")
        start = as_instant_us(START)
        assert cron.next_us(start) == start + 5_000_000
        assert cron.next_us(start - 1) == start

    def test_the_word_is_shown_as_fields(self) -> None:
        assert Cron("@daily").expression == "0 0 * * *"
        assert Cron("1 2 * * *").expression == "1 2 * * *"

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("", "Wrong number of fields"),
            ("* * * *", "Wrong number of fields"),
            ("61 * * * *", "Bad minute"),
            ("@reboot", "or one of @yearly"),
            ("0 0 30 2 *", "Bad day-of-month"),
            ("0 0 */29 * MON#2", "it names no instant"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, expression: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            Cron(expression)

    def test_what_names_no_instant_any_more_is_refused(self) -> None:
        last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        with pytest.raises(ValueError, match="Cron"):
            Cron("@daily").next_us(as_instant_us(last))

    def test_a_timezone_may_be_named(self) -> None:
        assert instants(Cron("0 9 * * *", tz="Asia/Tokyo"), START, 1) == ["01-02 09:00:00+0900"]
        for wrong in ("Mars/Olympus", "", "../etc/passwd"):
            with pytest.raises(ValueError, match="no such timezone"):
                Cron("0 9 * * *", tz=wrong)


class TestClockChanges:
    """2030: New York changes on 10 March and 3 November at 2:00, Berlin on 31 March (2:00) and 27 October (3:00), Lord Howe
    by half an hour on 6 October and 7 April (2:00)."""

    @pytest.mark.parametrize(
        ("zone", "expression", "start", "expected"),
        [
            # an hour that does not come: right after the gap, once
            (
                "America/New_York",
                "30 2 * * *",
                "2030-03-09T12:00",
                ["03-10 03:00:00-0400", "03-11 02:30:00-0400"],
            ),
            (
                "Europe/Berlin",
                "30 2 * * *",
                "2030-03-30T12:00",
                ["03-31 03:00:00+0200", "04-01 02:30:00+0200"],
            ),
            (
                "Australia/Lord_Howe",
                "15 2 * * *",
                "2030-10-05T12:00",
                ["10-06 02:30:00+1100", "10-07 02:15:00+1100"],
            ),
            # an hour that comes twice: the first time, once
            (
                "America/New_York",
                "30 1 * * *",
                "2030-11-02T12:00",
                ["11-03 01:30:00-0400", "11-04 01:30:00-0500"],
            ),
            (
                "Europe/Berlin",
                "30 2 * * *",
                "2030-10-26T12:00",
                ["10-27 02:30:00+0200", "10-28 02:30:00+0100"],
            ),
            (
                "Australia/Lord_Howe",
                "45 1 * * *",
                "2030-04-06T12:00",
                ["04-07 01:45:00+1100", "04-08 01:45:00+1030"],
            ),
            # every so often: by the time that really passes
            (
                "America/New_York",
                "0 * * * *",
                "2030-03-10T01:30",
                ["03-10 03:00:00-0400", "03-10 04:00:00-0400"],
            ),
            (
                "Europe/Berlin",
                "*/30 * * * *",
                "2030-10-27T01:45",
                [
                    "10-27 02:00:00+0200",
                    "10-27 02:30:00+0200",
                    "10-27 02:00:00+0100",
                    "10-27 02:30:00+0100",
                    "10-27 03:00:00+0100",
                ],
            ),
            (
                "Australia/Lord_Howe",
                "*/15 * * * *",
                "2030-04-07T01:40",
                ["04-07 01:45:00+1100", "04-07 01:30:00+1030", "04-07 01:45:00+1030", "04-07 02:00:00+1030"],
            ),
        ],
    )
    def test_as_vixie_cron(self, zone: str, expression: str, start: str, expected: list[str]) -> None:
        cron = Cron(expression, tz=ZoneInfo(zone))
        begin = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
        assert instants(cron, begin, len(expected)) == expected

    def test_in_the_second_of_two_equal_hours_what_happened_in_the_first_is_past(self) -> None:
        zone = ZoneInfo("America/New_York")
        second = datetime(2030, 11, 3, 1, 10, tzinfo=zone, fold=1)
        assert instants(Cron("30 1 * * *", tz=zone), second, 1) == ["11-04 01:30:00-0500"]

    @pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
    @pytest.mark.parametrize("expression", ["30 1 * * *", "30 2 * * *", "15 2,3 * * *"])
    def test_from_wherever_it_is_asked_the_instants_are_the_same(self, zone: str, expression: str) -> None:
        cron = Cron(expression, tz=zone)
        us = as_instant_us(datetime(2030, 1, 1, tzinfo=UTC))
        end = as_instant_us(datetime(2030, 12, 31, tzinfo=UTC))
        chain: list[int] = []
        while us < end:
            us = cron.next_us(us)
            chain.append(us)
        for earlier, later in pairwise(chain):
            assert later > earlier
            for between in (earlier + 1, (earlier + later) // 2, later - 1):
                assert cron.next_us(between) == later

    async def test_in_the_hour_that_comes_twice_it_runs_once(self, name: str, url: str) -> None:
        zone = ZoneInfo("Europe/Berlin")
        clock = ControlledClock(datetime(2030, 10, 27, 1, 0, tzinfo=zone))
        runs: list[str] = []

        async def report(cron: Cron = Cron("30 2 * * *", tz="Europe/Berlin")) -> None:
            runs.append(clock.now.astimezone(zone).strftime("%d %H:%M%z"))

        async with Shadow(name, url, clock=clock) as timed:
            timed.register(report)
            async with Worker(timed) as worker, running(worker):
                execution = await until(lambda: timed.get_execution("report"))
                for due in ("27 02:30+0200", "28 02:30+0100"):
                    await until(partial(due_at, execution, zone, due))
                    assert execution is not None
                    while clock.now < (execution.when or START):
                        await clock.advance(minutes=30)
                    await until(partial(runs.__contains__, due))
            await timed.cancel("report")
        assert runs == ["27 02:30+0200", "28 02:30+0100"]


class TestRuns:
    async def test_workers_start_it_and_each_instant_is_run_exactly_once_by_the_fleet(
        self, name: str, url: str, clock: ControlledClock
    ) -> None:
        runs: list[datetime] = []

        async def tick(cron: Cron = Cron("*/5 * * * *")) -> None:
            runs.append(clock.now)

        async with Shadow(name, url, clock=clock) as one, Shadow(name, url, clock=clock) as two:
            for shadows in (one, two):
                shadows.register(tick)
            async with Worker(one) as a, Worker(two) as b, Worker(two) as c:  # noqa: SIM117 - one idea a line
                async with running(a), running(b), running(c):
                    execution = await until(lambda: one.get_execution("tick"))
                    for n in range(1, 7):
                        due = START + timedelta(minutes=5 * n)
                        await until(partial(scheduled_at, execution, due))
                        await clock.advance(minutes=5)
                        await until(partial(has, runs, n))
                    await until(lambda: scheduled_at(execution, START + timedelta(minutes=35)))
            await one.cancel("tick")
        assert runs == [START + timedelta(minutes=5 * n) for n in range(1, 7)]

    async def test_what_passes_while_nobody_runs_is_made_up_for_once(
        self, timed: Shadow, clock: ControlledClock
    ) -> None:
        runs: list[datetime] = []

        async def tick(cron: Cron = Cron("@hourly")) -> None:
            runs.append(clock.now)

        timed.register(tick)
        async with Worker(timed) as worker:
            await worker.run_until_finished()
        execution = await timed.get_execution("tick")
        assert execution is not None
        assert execution.when == START + timedelta(hours=1)
        await clock.advance(hours=3, minutes=20)
        async with Worker(timed) as worker, running(worker):
            await until(lambda: scheduled_at(execution, START + timedelta(hours=4)))
        assert runs == [START + timedelta(hours=3, minutes=20)]
        await timed.cancel("tick")

    async def test_a_clock_that_is_behind_the_servers_names_no_instant_twice(self) -> None:
        asked: list[int] = []

        def next_run(at_us: int, *_: object) -> Any:
            asked.append(at_us)
            return "next"

        hour = 3_600_000_000
        cron = Cron("@hourly")
        await cron.follow(ending(1, None, hour - 50_000, when_us=hour, next_run=next_run))
        assert asked == [2 * hour]

    async def test_a_wish_for_another_instant_counts_this_once(self) -> None:
        asked: list[int] = []
        cron = Cron("@hourly")
        cron.after(timedelta(seconds=1))
        await cron.follow(ending(1, None, 0, next_run=lambda at_us, *_: asked.append(at_us)))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert asked == [1_000_000]

    async def test_by_hand_it_begins_when_it_is_added_and_retries_come_first(
        self, shadows: Shadow, worker: Worker
    ) -> None:
        runs: list[int] = []

        async def task(
            cron: Cron = Cron("@yearly", automatic=False), retry: Retry = Retry(attempts=2)
        ) -> None:
            runs.append(retry.attempt)
            if len(runs) == 2:
                cron.cancel()
            raise ValueError

        execution = await shadows.add(task)()
        await worker.run_until_finished()
        assert runs == [1, 2]
        assert (await execution.sync()).state is ExecutionState.FAILED

    def test_it_cannot_need_arguments_when_workers_start_it(self, shadows: Shadow) -> None:
        async def task(n: int, cron: Cron = Cron("@daily")) -> None: ...

        with pytest.raises(
            InvalidTask, match=r"the parameter 'cron': workers start it by themselves.*'n' a default"
        ):
            shadows.register(task)

        async def fine(
            n: int, *rest: int, cron: Cron = Cron("@daily", automatic=False), **more: int
        ) -> None: ...

        shadows.register(fine)

    def test_it_does_not_go_with_a_perpetual(self, shadows: Shadow) -> None:
        async def task(cron: Cron = Cron("@daily"), again: Perpetual = Perpetual()) -> None: ...

        with pytest.raises(ValueError, match=r"at most one Perpetual, and 'cron' \(Cron\), 'again' are"):
            shadows.register(task)


async def due_at(execution: Execution[Any] | None, zone: ZoneInfo, when: str) -> bool:
    assert execution is not None
    await execution.sync()
    return execution.when is not None and execution.when.astimezone(zone).strftime("%d %H:%M%z") == when
