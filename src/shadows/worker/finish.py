"""When nothing is left to do: asked by `run_until_finished` after each cycle that left this worker nothing."""

from collections.abc import Callable

from shadows.errors import UnknownTasks
from shadows.protocol.connection import Link
from shadows.protocol.cycle import Cycled
from shadows.protocol.execution import standing, unfinished_tasks
from shadows.protocol.lease import announcements
from shadows.shadow import Shadow

from .automatic import Automatic
from .quota import Quota
from .unknown import Unknown


class Finish:
    """Looks whether everything has ended, on other workers too; the future runs of automatic chains do not count.

    Args:
        now_us: the present instant, by the server's clock as nearly as it is known.
    """

    def __init__(
        self,
        shadow: Shadow,
        link: Link,
        automatic: Automatic,
        unknown: Unknown,
        quota: Quota | None,
        now_us: Callable[[], int],
    ) -> None:
        self._shadow = shadow
        self._link = link
        self._automatic = automatic
        self._unknown = unknown
        self._quota = quota
        self._now_us = now_us

    async def reached(self, cycled: Cycled) -> bool:
        """Whether it is reached.

        Raises:
            UnknownTasks: all that is left is of functions that no living worker knows.
        """
        if not cycled.unfinished:
            return True
        resting = await self._automatic.resting(self._link, self._quota)
        unfinished = cycled.unfinished - resting
        if not unfinished:  # and nothing came while we looked
            return await unfinished_tasks(self._shadow.store, self._link) == resting
        met = self._unknown.keys
        if 0 < unfinished <= len(met):
            left = await standing(self._shadow.store, self._link, list(met))
            for key in met.keys() - left:
                self._unknown.met(key)
            if len(left) == unfinished and (missing := {met[key] for key in left} - await self._known()):
                raise UnknownTasks(missing)
        return False

    async def _known(self) -> set[str]:
        """The tasks that some living worker can run."""
        said = await announcements(self._shadow.store, self._link, self._now_us() // 1000)
        return {name for one in said.values() for name in one.tasks}
