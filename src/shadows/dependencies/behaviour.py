"""What a behaviour is: a dependency that has a say in what follows from a run.

The runner asks all behaviours of a task the same question, in the order of their `rank`; the first that has an answer
decides. The answer is an outcome in the words of the protocol, recorded atomically with what follows from it.
"""

import abc
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from uncalled_for import Dependency

from shadows.protocol.outcomes import Outcome

from .context import present


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    key: str
    attempt: int
    started_us: int
    ended_us: int
    """By the server's clock, as nearly as the worker knows it."""
    error: BaseException | None
    next_run: Callable[[int, tuple[Any, ...] | None, dict[str, Any] | None], Outcome]
    """Makes the outcome "the same task again, at an instant in microseconds, with these arguments (None: the same)"."""


class Behaviour(Dependency["Behaviour"]):
    """The base of behaviours: each run gets a copy of its own, which knows the run.

    A kind of which a task may have only one sets `single`: on itself, as what is set here would hold for all kinds
    together.
    """

    rank: ClassVar[int]
    """Who is asked first: the lower."""

    async def __aenter__(self) -> Self:
        run = present(type(self).__name__)
        own = copy.copy(self)
        own.begin(run.attempt)
        run.behaviours.append(own)
        return own

    def begin(self, attempt: int) -> None:
        """Take notice of the run that begins."""

    @abc.abstractmethod
    def follow(self, ending: Ending) -> Outcome | None:
        """What follows; None leaves it to the next behaviour, and in the end to the plain success or failure."""
