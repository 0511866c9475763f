"""What a task's annotations and defaults say: types, what is injected, and what may be logged."""

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAliasType, get_args, get_origin, get_type_hints

from uncalled_for import (
    Dependency,
    get_annotation_dependencies,
    get_dependency_parameters,
    validate_dependencies,
)

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


def dependencies_of(
    function: Function, name: str, hints: Hints
) -> tuple[Mapping[str, Dependency[Any]], bool]:
    """The injected parameters, and whether there is anything to enter around a run (the same, or in `Annotated`).

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
        wrapping = get_annotation_dependencies(function)
        _check_single(
            name, [*injected.items(), *((at, one) for at, some in wrapping.items() for one in some)]
        )
        validate_dependencies(function)
    except InvalidTask:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"{name}: {error}") from error
    return injected, bool(injected or wrapping)


def logged_marks(hint: object) -> list[Logged]:
    """The mark `Logged` of an annotation: one, or none."""
    found = [Logged() if mark is Logged else mark for mark in _marks(hint)]
    return [mark for mark in found if isinstance(mark, Logged)][:1]


def _check_single(name: str, dependencies: list[tuple[str, Dependency[Any]]]) -> None:
    """uncalled-for refuses these too, without the names of the parameters."""
    counts = Counter(type(one) for _, one in dependencies if one.single)
    for kind, count in counts.items():
        if count > 1:
            where = ", ".join(repr(parameter) for parameter, one in dependencies if type(one) is kind)
            raise InvalidTask(f"{name}: a task has at most one {kind.__name__}, and {where} are: remove one")


def _marks(hint: object) -> Iterator[object]:
    while isinstance(hint, TypeAliasType):
        hint = hint.__value__
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        yield from _marks(inner)
        yield from marks


def _is_dependency(mark: object) -> bool:
    return isinstance(mark, Dependency) or (isinstance(mark, type) and issubclass(mark, Dependency))
