"""What a behaviour is: a dependency that has a say in a run.

The runner asks all behaviours of a task the same questions, whatever they are:

1. *May it start?* `claims`, before anything is entered: limits, in the words of the protocol.
2. *With what around it?* The behaviour is an async context manager; a `Runtime` also makes the call itself.
3. *What follows?* `follow`, in the order of their `rank`; the first that has an answer decides. The answer is an outcome,
   recorded atomically with what follows from it.
"""

import copy
import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uncalled_for import Dependency

from shadows.protocol.acquire import Claim
from shadows.protocol.outcomes import Outcome

from .context import Run, present

if TYPE_CHECKING:
    from shadows.execution import Execution


@dataclass(frozen=True, slots=True)
class Asking:
    """A run that asks to start."""

    task: str
    key: str
    attempt: int
    deliveries: int
    """How many workers were lost while they ran this attempt."""
    arguments: Mapping[str, Any]
    """Its arguments by the names of their parameters, defaults included; named ones that no parameter takes too."""
    handed_back: bool = False
    """Whether it was started, and handed back."""

    @property
    def begun(self) -> bool:
        """Whether a run of it was started before."""
        return self.attempt > 1 or self.deliveries > 0 or self.handed_back


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended; instants are microseconds since the epoch."""

    key: str
    attempt: int
    when_us: int
    """The instant that the run was for."""
    started_us: int
    ended_us: int
    """By the server's clock, as nearly as the worker knows it."""
    error: BaseException | None
    next_run: Callable[[int, tuple[Any, ...] | None, dict[str, Any] | None], Outcome]
    """Makes the outcome "the same task again, at an instant in microseconds, with these arguments (None: the same)"."""
    handled: Callable[[], Outcome]
    """Makes the outcome "dealt with": it counts as completed, without a result."""
    execution: Callable[[], "Execution[Any]"]
    result: object = None

    @property
    def duration(self) -> timedelta:
        """How long the run took."""
        return timedelta(microseconds=self.ended_us - self.started_us)


class Decision(Exception):
    """Raised by a task, or by what is injected into it, to say what follows; no behaviour is asked then."""

    def follow(self, ending: Ending) -> Outcome:
        """What follows."""
        raise NotImplementedError


class Behaviour[T](Dependency[T]):
    """The base of behaviours: each run gets a copy of its own, which knows the run.

    A kind of which a task may have only one sets `single`: on itself, as what is set here would hold for all kinds
    together. One that overrides `__aenter__` awaits that of its base, or returns a behaviour: what is not known to the
    run is not asked.
    """

    rank: ClassVar[int] = 50
    """Who is asked first: the lower."""

    async def __aenter__(self) -> T:
        run = present(type(self).__name__)
        own = copy.copy(self)
        own.begin(run)
        run.behaviours.append(own)
        return cast("T", own)

    def check(self, offered: inspect.Signature) -> None:
        """Refuse a task that this cannot be a part of; `offered` is its signature without what is injected.

        Raises:
            ValueError: it cannot; the message says why.
        """

    def identity(self) -> Hashable:
        """What it is about: two of one task that answer the same, and not None, contradict each other."""
        return None

    def starts_us(self, now_us: int) -> int | None:  # noqa: ARG002 - for those that override it
        """When workers are to start the task of their own accord; None: never."""
        return None

    def claims(self, asking: Asking) -> Sequence[Claim]:  # noqa: ARG002 - for those that override it
        """The limits that the run comes under."""
        return ()

    def begin(self, run: Run) -> None:
        """Take notice of the run that begins."""

    async def follow(self, ending: Ending) -> Outcome | None:  # noqa: ARG002 - for those that override it
        """What follows; None leaves it to the next behaviour, and in the end to the plain success or failure."""
        return None

    async def pass_over(self, ending: Ending) -> Outcome | None:  # noqa: ARG002 - for those that override it
        """What follows where the run was not made, as it is stricken; None: nothing."""
        return None
