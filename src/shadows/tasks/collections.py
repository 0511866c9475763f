"""Loading tasks by name: `module:member`, where the member is a task or a collection of them."""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, cast

from shadows.errors import InvalidTask

from .function import Function, check_function


def load_collection(path: str) -> list[tuple[Function, list[str] | None]]:
    """The tasks that `module:member` holds, each with the names it is to have (None: its own).

    The working directory is importable. A mapping gives its keys as names.

    Raises:
        InvalidTask: it cannot be imported, or holds something that is not a task.
    """
    found = load_member(path)
    if isinstance(found, Mapping):
        return [
            (_checked(path, task), [str(name)])
            for name, task in cast("Mapping[object, object]", found).items()
        ]
    if not callable(found) and isinstance(found, Iterable) and not isinstance(found, str | bytes):
        return [(_checked(path, task), None) for task in cast("Iterable[object]", found)]
    return [(_checked(path, found), None)]


def load_member(path: str) -> Any:
    """What `module:member` is. The working directory is importable.

    Raises:
        InvalidTask: it cannot be imported.
    """
    module_name, colon, member = path.partition(":")
    if not (colon and module_name and member):
        raise InvalidTask(f"{path!r} does not name tasks: write module:member, as in myapp.tasks:all_tasks")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise InvalidTask(
            f"{path!r}: the module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for part in member.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise InvalidTask(
                f"{path!r}: {module_name!r} has no {part!r}: name a task or a list of tasks in it"
            ) from None
    return found


def _checked(path: str, task: object) -> Function:
    try:
        return check_function(task)
    except InvalidTask as error:
        raise InvalidTask(f"{path!r} holds something that is not a task: {error}") from error
