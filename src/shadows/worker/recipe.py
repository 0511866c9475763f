"""What stands around the calls of one task on one worker: the task's own dependencies, and the worker's.

Worked out once for each task, so that a run only follows it. The worker's come first and are closed last. Of the worker's
behaviours those count whose kind the task does not have itself, and limits by an argument only where it has that.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn, TypeGuard

from uncalled_for import Dependency, FailedDependency, resolved_dependencies

from shadows.dependencies.behaviour import Asking, Behaviour, Decision
from shadows.dependencies.context import Run
from shadows.errors import TaskFailed
from shadows.protocol.acquire import Claim
from shadows.tasks.annotations import check_conflicts
from shadows.tasks.plan import Plan

type Call = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Calls the task with what is injected."""
SWALLOWED = object()
type Outer = Mapping[str, Dependency[Any]]
"""The worker's dependencies, by what they are called in messages."""


def outer_dependencies(given: Mapping[str, Any] | Sequence[Any] | None) -> Outer:
    """The worker's dependencies, checked.

    Raises:
        TypeError: one is not a dependency.
        InvalidTask: they contradict each other.
    """
    named = (
        given
        if isinstance(given, Mapping)
        else {f"dependencies[{index}]": one for index, one in enumerate(given or ())}
    )
    for name, one in named.items():
        if not isinstance(one, Dependency):
            raise TypeError(
                f"dependencies: {name!r} is {one!r}, which is no dependency: give Depends(function), Shared(factory), a "
                "behaviour such as Retry(attempts=3), or an instance of a class of yours that derives from Dependency"
            )
    check_conflicts("dependencies: a worker", list(named.items()))
    return named


class Recipe:
    """What stands around the calls of one task."""

    def __init__(self, plan: Plan, outer: Outer) -> None:
        self.plan = plan
        own = [one for _, one in plan.behaviours]
        counting = {name: one for name, one in outer.items() if not _stands_back(one, plan, own)}
        self._labels = {f"__outer_{number}": name for number, name in enumerate(counting)}
        self._stand_in = _stand_in(plan, dict(zip(self._labels, counting.values(), strict=True)))
        behaviours = [one for one in counting.values() if isinstance(one, Behaviour)] + own
        self._limiting = [one for one in behaviours if type(one).claims is not Behaviour.claims]
        self.claiming = bool(self._limiting)
        """Whether runs may come under limits."""

    def claims(self, asking: Callable[[], Asking]) -> list[Claim]:
        """The limits that a run comes under."""
        if not self.claiming:
            return []
        run = asking()
        return [claim for behaviour in self._limiting for claim in behaviour.claims(run)]

    async def around(self, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any], call: Call) -> object:
        """Enter everything, make the call with what is injected, by parameter, and answer its result.

        It is `SWALLOWED` where what was entered has swallowed the error of the call, or its cancellation.

        Raises:
            TaskFailed: a dependency failed; the message has its name.
        """
        plan = self.plan
        result: object = SWALLOWED
        async with resolved_dependencies(self._stand_in, plan.bound(args, kwargs)) as resolved:
            for parameter, value in resolved.items():
                if isinstance(value, FailedDependency):
                    outer = self._labels.get(parameter)
                    which = f"dependency {parameter!r}" if outer is None else f"worker's dependency {outer!r}"
                    _fail(f"the {which} of {plan.name}", value.error)
                _note(run, value)
            injected = {name: resolved[name] for name in plan.injected}
            if not plan.wrapping:
                return await call(injected)
            async with AsyncExitStack() as stack:
                values = {**plan.named(args, kwargs), **injected}
                for parameter, dependency in plan.wrapping:
                    bound = dependency.bind_to_parameter(parameter, values.get(parameter))
                    try:
                        _note(run, await stack.enter_async_context(bound))
                    except Exception as error:  # noqa: BLE001 - the user's own code
                        _fail(f"the dependency in the annotation of {parameter!r} of {plan.name}", error)
                result = await call(injected)
        return result


def _stands_back(outer: Dependency[Any], plan: Plan, own: Sequence[Behaviour[Any]]) -> bool:
    """Whether a worker's behaviour is of a kind that the task has itself, or says nothing to it."""
    if not isinstance(outer, Behaviour):
        return False
    try:
        outer.check(plan.offered)
    except ValueError:  # a limit by an argument that this task does not have
        return True
    kinds = {type(outer)} | {kind for kind in type(outer).__mro__ if getattr(kind, "single", False)}
    return any(isinstance(one, kind) for one in own for kind in kinds)


def _stand_in(plan: Plan, outer: Outer) -> Callable[..., Any]:
    """A function that asks for what the worker and the task ask for, the worker's first."""

    def stand_in() -> None: ...

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, kind, default=one) for name, one in outer.items()]
    parameters += [
        inspect.Parameter(name, kind, default=plan.injected.get(name, parameter.default))
        for name, parameter in plan.signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    stand_in.__qualname__ = plan.name
    vars(stand_in)["__signature__"] = inspect.Signature(parameters)
    return stand_in


def _note(run: Run, value: object) -> None:
    """Make a behaviour known to the run, also where its class enters it in a way of its own."""
    if _has_a_say(value) and not any(value is known for known in run.behaviours):
        run.behaviours.append(value)


def _has_a_say(value: object) -> TypeGuard[Behaviour[Any]]:
    return Behaviour in type(value).__mro__  # a fourth of what isinstance takes for an abstract class


def _fail(what: str, error: Exception) -> NoReturn:
    if isinstance(error, Decision):
        raise error
    name = type(error).__name__
    raise TaskFailed(f"{what} failed: {name}: {error}", type_name=name) from error
