"""The annotations of a class, resolved one by one, so that one that cannot be resolved spoils no other."""

import inspect
import sys
import typing
from contextlib import suppress
from types import SimpleNamespace
from typing import Any


def hints_of(kind: type) -> dict[str, object]:
    """Each annotated name of a class and its bases; without those whose annotation names what does not exist."""
    hints: dict[str, object] = {}
    for base in reversed(kind.__mro__):
        try:
            annotations = inspect.get_annotations(base)
        except NameError:  # Python 3.14 evaluates them when asked
            continue
        scope = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        local = {base.__name__: base, **{parameter.__name__: parameter for parameter in base.__type_params__}}
        for name, annotation in annotations.items():
            hints.pop(name, None)
            single: Any = SimpleNamespace(__annotations__={name: annotation})
            with suppress(Exception):  # an annotation is any expression of the user's
                hints.update(typing.get_type_hints(single, scope, local, include_extras=True))
    return hints
