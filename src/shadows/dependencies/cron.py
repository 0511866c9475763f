"""Running a task at the instants that a cron expression names."""

from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shadows.clock import as_datetime, as_instant_us

from .behaviour import Ending
from .perpetual import Perpetual

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Cron(Perpetual):
    """Runs a task at the instants that an expression names: `async def report(cron: Cron = Cron("0 9 * * MON"))`.

    Workers start it by themselves; of all workers together exactly one runs it at each instant, as the runs are one chain
    under one key, the task's name. An instant that passes while a run lasts, or while no worker lives, is skipped; the run
    that was due when the last worker left is made up for once.

    Where clocks are changed it is as in Vixie cron: what is to happen at a certain hour happens once, also where that hour
    comes twice (the first time counts) or not at all (then right after the gap); what happens every so many minutes or hours
    (minute or hour begins with `*`), or has a field of seconds, goes by the time that really passes.

    Args:
        expression: five fields (minute, hour, day of month, month, day of week), six with seconds in front, or @yearly,
            @annually, @monthly, @weekly, @daily, @midnight, @hourly.
        automatic: False: the chain begins when somebody adds the task. Default True.
        tz: the timezone of the expression, or its name, as "Europe/Paris". Default UTC.

    Attributes:
        expression: as fields, also where it was given as a word.

    Raises:
        ValueError: an expression that cannot be read or names no instant, or a timezone that does not exist.
    """

    def __init__(self, expression: str, automatic: bool = True, tz: tzinfo | str = UTC) -> None:  # noqa: FBT001, FBT002 - users write Cron(expression, False)
        super().__init__(automatic=automatic)
        self.expression = _NICKNAMES.get(expression.strip().lower(), expression)
        self.tz = _zone(tz)
        self.next_us(as_instant_us(datetime(2000, 1, 1, tzinfo=UTC)))

    def next_us(self, after_us: int) -> int:
        """The first instant after another one, both in microseconds since the epoch.

        Raises:
            ValueError: the expression cannot be read, or names no instant.
        """
        from cronsim import CronSim, CronSimError

        try:
            instants = CronSim(self.expression, as_datetime(after_us).astimezone(self.tz))
            for instant in instants:
                found_us = as_instant_us(instant)
                if found_us > after_us:  # where an hour comes twice, it also names what has been
                    return found_us
        except (CronSimError, OverflowError) as error:
            reason = f"{error}"
        else:
            reason = "it names no instant"
        raise ValueError(
            f"Cron({self.expression!r}): {reason}; write minute, hour, day of month, month and day of week, as '0 9 * * MON', "
            f"with seconds in front if need be, or one of {', '.join(_NICKNAMES)}"
        )

    def starts_us(self, now_us: int) -> int | None:
        return self.next_us(now_us) if self.automatic else None

    def _regular_us(self, ending: Ending) -> int:
        # The server's clock started this run: ours, which may be behind, must not name its instant again.
        return self.next_us(max(ending.ended_us, ending.when_us))


def _zone(tz: tzinfo | str) -> tzinfo:
    if not isinstance(tz, str):
        return tz
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"tz={tz!r}: no such timezone ({error}); write one as 'Europe/Paris'") from None
