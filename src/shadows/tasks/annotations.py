"""What a task's annotations and defaults say: types, what is injected, and what may be logged."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAliasType, get_args, get_origin, get_type_hints

from uncalled_for import Dependency, get_annotation_dependencies, get_dependency_parameters

from shadows.dependencies.behaviour import Behaviour
from shadows.errors import InvalidTask

from .function import Function, unwrap
from .logged import Logged

type Hints = Mapping[str, Any]


def hints_of(function: Function) -> Hints:
    """The annotations of a task, resolved; none where they cannot be."""
    try:
        return get_type_hints(unwrap(function), include_extras=True)
    except Exception:  # noqa: BLE001 - annotations are the user's code: without them the closed set of types still holds
        return {}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a task asks for."""

    injected: Mapping[str, Dependency[Any]]
    """By the parameters whose values they give."""
    wrapping: tuple[tuple[str, Dependency[Any]], ...]
    """What stands in the annotations of arguments, around the call."""

    def behaviours(self) -> list[tuple[str, Behaviour[Any]]]:
        """Those that have a say in a run, with the parameters where they stand; bound to these, in annotations."""
        bound = [
            (at, one.bind_to_parameter(at, None)) for at, one in self.wrapping if isinstance(one, Behaviour)
        ]
        return [(at, one) for at, one in (*self.injected.items(), *bound) if isinstance(one, Behaviour)]


def dependencies_of(function: Function, name: str, hints: Hints) -> Dependencies:
    """What a task asks for by its parameters' defaults and annotations.

    Raises:
        InvalidTask: they contradict each other, or stand where they would not be seen.
    """
    if not inspect.isroutine(function) and not hasattr(function, "__qualname__"):
        for parameter, hint in hints.items():
            if any(_is_dependency(mark) for mark in _marks(hint)):
                raise InvalidTask(
                    f"{name}: the dependency in the annotation of {parameter!r} is not seen through a partial or a "
                    "callable object: make it the parameter's default, or pass a function"
                )
    try:
        injected = get_dependency_parameters(function)
        wrapping = tuple(
            (at, one) for at, some in get_annotation_dependencies(function).items() for one in some
        )
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"{name}: {error}") from error
    check_conflicts(f"{name}: a task", [*injected.items(), *wrapping])
    return Dependencies(injected, wrapping)


def check_conflicts(who: str, dependencies: Sequence[tuple[str, Dependency[Any]]]) -> None:
    """See that of kinds of which there can be only one there is only one.

    Raises:
        InvalidTask: there are more; the message names where they stand.
    """
    kinds = {type(one): None for _, one in dependencies}  # the plainest message first
    kinds |= {base: None for kind in kinds for base in kind.__mro__}
    for kind in kinds:
        if not getattr(kind, "single", False):
            continue
        found = [(at, type(one)) for at, one in dependencies if isinstance(one, kind)]
        if len(found) > 1:
            where = ", ".join(repr(at) if of is kind else f"{at!r} ({of.__name__})" for at, of in found)
            raise InvalidTask(f"{who} has at most one {kind.__name__}, and {where} are: remove one")


def logged_marks(hint: object) -> list[Logged]:
    """The mark `Logged` of an annotation: one, or none."""
    found = [Logged() if mark is Logged else mark for mark in _marks(hint)]
    return [mark for mark in found if isinstance(mark, Logged)][:1]


def _marks(hint: object) -> Iterator[object]:
    while isinstance(hint, TypeAliasType):
        hint = hint.__value__
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        yield from _marks(inner)
        yield from marks


def _is_dependency(mark: object) -> bool:
    return isinstance(mark, Dependency) or (isinstance(mark, type) and issubclass(mark, Dependency))
