"""Calls that are scattered over a span of time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shadows import Agenda, Disposition, InvalidName, InvalidTask, Shadow
from shadows.testing import ControlledClock, assert_no_tasks, assert_task_count

START = datetime(2100, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def greet(name: str, *, loud: bool = False) -> None: ...


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


def agenda_of(many: int) -> Agenda:
    agenda = Agenda()
    for number in range(many):
        agenda.add(greet)(str(number))
    return agenda


class TestCollecting:
    def test_it_holds_calls_in_order(self) -> None:
        agenda = Agenda()
        assert len(agenda) == 0
        agenda.add(greet)("Jane")
        agenda.add("other", key="k")(1, loud=True)
        assert len(agenda) == 2
        assert list(agenda) == [(greet, ("Jane",), {}, None), ("other", (1,), {"loud": True}, "k")]

    def test_it_can_be_cleared(self) -> None:
        agenda = agenda_of(3)
        agenda.clear()
        assert (len(agenda), list(agenda)) == (0, [])

    def test_a_key_that_cannot_be_used_is_refused(self) -> None:
        with pytest.raises(InvalidName):
            Agenda().add(greet, key="")


class TestScattering:
    @pytest.mark.parametrize(
        ("many", "minutes"),
        [(0, []), (1, [30]), (2, [0, 60]), (3, [0, 30, 60]), (5, [0, 15, 30, 45, 60])],
    )
    async def test_calls_are_spread_from_start_to_end(
        self, shadows: Shadow, many: int, minutes: list[int]
    ) -> None:
        executions = await agenda_of(many).scatter(shadows, HOUR, START)
        assert [execution.when for execution in executions] == [START + timedelta(minutes=m) for m in minutes]
        assert [execution.args for execution in executions] == [(str(n),) for n in range(many)]
        await assert_task_count(shadows, count=many)

    async def test_a_span_that_cannot_be_divided_ends_where_it_should(self, shadows: Shadow) -> None:
        executions = await agenda_of(8).scatter(shadows, over=timedelta(seconds=1), start=START)
        whens = [execution.when for execution in executions]
        assert (whens[0], whens[-1]) == (START, START + timedelta(seconds=1))
        assert whens[1] == START + timedelta(microseconds=142_857)

    async def test_it_begins_now_unless_told(self, name: str, url: str) -> None:
        clock = ControlledClock(START)
        async with Shadow(name, url, clock=clock) as shadows:
            executions = await agenda_of(2).scatter(shadows, over=HOUR)
        assert [execution.when for execution in executions] == [START, START + HOUR]

    async def test_jitter_moves_instants_within_the_span(self, shadows: Shadow) -> None:
        plain = await agenda_of(50).scatter(shadows, HOUR, START)
        moved = await agenda_of(50).scatter(shadows, HOUR, START, jitter=timedelta(minutes=5))
        apart = []
        for one, other in zip(plain, moved, strict=True):
            assert one.when is not None
            assert other.when is not None
            assert START <= other.when <= START + HOUR
            apart.append(abs(one.when - other.when))
        assert timedelta(minutes=2) < max(apart) <= timedelta(minutes=5)

    async def test_it_can_be_scattered_again(self, shadows: Shadow) -> None:
        agenda = agenda_of(2)
        agenda.add(greet, key="k")("once")
        await agenda.scatter(shadows, HOUR, START)
        again = await agenda.scatter(shadows, HOUR, START + HOUR)
        assert [execution.disposition for execution in again] == [
            Disposition.SCHEDULED, Disposition.SCHEDULED, Disposition.ALREADY_SCHEDULED,
        ]  # fmt: skip
        assert again[2].when == START + HOUR
        await assert_task_count(shadows, count=5)

    async def test_tasks_are_registered_by_it(self, shadows: Shadow) -> None:
        await agenda_of(1).scatter(shadows, HOUR, START)
        assert shadows.tasks["greet"] is greet

    @pytest.mark.parametrize(
        ("function", "args", "kind"),
        [
            ("nothing", (), KeyError),
            (lambda: None, (), InvalidTask),
            (greet, (), TypeError),
            (greet, (object(),), TypeError),
        ],
    )
    async def test_where_one_cannot_be_called_none_is_scheduled(
        self, shadows: Shadow, function: Any, args: Any, kind: type[Exception]
    ) -> None:
        agenda = agenda_of(2)
        agenda.add(function)(*args)
        with pytest.raises(kind):
            await agenda.scatter(shadows, HOUR, START)
        await assert_no_tasks(shadows)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"over": timedelta(0)}, "over=.*more than nothing"),
            ({"over": -HOUR}, "over="),
            ({"over": HOUR, "jitter": -HOUR}, "jitter=.*nothing or more"),
            ({"over": HOUR, "start": datetime(2030, 1, 1)}, "has no timezone"),  # noqa: DTZ001
        ],
    )
    async def test_a_span_that_makes_no_sense_is_refused(
        self, shadows: Shadow, arguments: Any, reason: str
    ) -> None:
        for agenda in (Agenda(), agenda_of(2)):
            with pytest.raises(ValueError, match=reason):
                await agenda.scatter(shadows, **arguments)
