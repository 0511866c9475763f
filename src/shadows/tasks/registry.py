"""What a shadow knows: tasks by name.

A shadow's own registrations come first. Behind them stands what this process added or registered under the same
shadow's name, so that a script which adds tasks and runs a worker needs no ceremony. Last come the built-in tasks, whose
names anybody may take.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from functools import cache
from typing import Any

from shadows.errors import InvalidTask
from shadows.protocol.keys import DEFAULT_QUEUE, check_queue

from .builtin import standard_tasks
from .function import Function, check_function, name_of, same
from .plan import Plan

_process: dict[str, dict[str, Plan]] = {}


@cache
def built_in() -> Mapping[str, Plan]:
    """The plans of the built-in tasks."""
    return {task.__name__: Plan(task, task.__name__, DEFAULT_QUEUE) for task in standard_tasks}


class Registry(MutableMapping[str, Callable[..., Any]]):
    """The tasks of one shadow, by name. As a mapping it holds their functions."""

    def __init__(self, shadow: str) -> None:
        self._own: dict[str, Plan] = {}
        self._added: dict[str, Plan] = {}
        self._known = _process.setdefault(shadow, {})
        self._quick: dict[int, Plan] = {}

    def register(
        self, function: object, names: Iterable[str] | None = None, queue: str | None = None
    ) -> list[Plan]:
        """Make a task known under its name, or under others; its executions go to `queue` unless told otherwise.

        Raises:
            InvalidTask: it cannot be a task, or another function has the name.
        """
        checked = check_function(function)
        chosen = [name_of(checked)] if names is None else [names] if isinstance(names, str) else list(names)
        if not chosen:
            raise InvalidTask(f"names=[] leaves {checked!r} without a name: give one or leave `names` out")
        plans: list[Plan] = []
        for name in chosen:
            standing = self._own.get(_checked(name))
            if standing is not None and not same(standing.function, checked):
                raise _clash(name, standing.function, checked)
            plans.append(Plan(checked, name, check_queue(queue or DEFAULT_QUEUE)))
        self._quick.clear()
        for plan in plans:
            self._own[plan.name] = self._known[plan.name] = plan
            self._added.pop(plan.name, None)
        return plans

    def add(self, function: Function) -> Plan:
        """The plan of a function that is being added; it becomes known, if it is not.

        Raises:
            InvalidTask: it cannot be a task, or another function has the name.
        """
        quick = self._quick.get(id(function))
        if quick is not None and quick.function is function:
            return quick
        plan = self._learn(function)
        if plan.function is function:  # else it is an object of the moment, as a method is
            self._quick[id(function)] = plan
        return plan

    def _learn(self, function: Function) -> Plan:
        checked = check_function(function)
        for plans in (self._own, self._added, self._known, built_in()):
            for plan in list(plans.values()):
                if plan.function is checked or plan.function == checked:
                    return plan
        name = _checked(name_of(checked))
        standing = self._find_own(name)
        if standing is not None:
            if not same(standing.function, checked):
                raise _clash(name, standing.function, checked)
            self._quick.clear()  # what is replaced may be collected
        plan = Plan(checked, name, standing.queue if standing else DEFAULT_QUEUE)
        if name in self._own:
            self._own[name] = plan
        self._added[name] = self._known[name] = plan
        return plan

    def find(self, name: str) -> Plan | None:
        """The plan of the task with that name; None where it is not known."""
        return self._find_own(name) or built_in().get(name)

    def _find_own(self, name: str) -> Plan | None:
        return self._own.get(name) or self._added.get(name) or self._known.get(name)

    def __getitem__(self, name: str) -> Function:
        plan = self.find(name)
        if plan is None:
            raise KeyError(name)
        return plan.function

    def __setitem__(self, name: str, function: Function) -> None:
        self.register(function, names=[name])

    def __delitem__(self, name: str) -> None:
        if self._find_own(name) is None:
            raise KeyError(name)
        self._quick.clear()
        for plans in (self._own, self._added, self._known):
            plans.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self._added, **self._own, **built_in()})

    def __len__(self) -> int:
        return len({**self._known, **self._added, **self._own, **built_in()})


def _checked(name: str) -> str:
    if not isinstance(name, str) or not name or not name.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
        raise InvalidTask(f"the name {name!r} cannot be a task's: give it printable text, with names=['…']")
    return name


def _clash(name: str, standing: Function, given: Function) -> InvalidTask:
    return InvalidTask(
        f"two tasks are called {name!r}: {_place(standing)} and {_place(given)}. Give one of them another name with "
        "register(function, names=['…'])"
    )


def _place(function: Function) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
