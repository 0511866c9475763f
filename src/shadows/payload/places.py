"""Where a value stands within what is sent, written out only when a message needs it."""

from typing import Final, NamedTuple

from shadows.errors import EncodingError

MAX_DEPTH: Final = 64
"""How many containers may stand within one another."""

type Where = str | Step
"""A root's name such as "parameter 'user'", or a step below another place."""

INDEX: Final = "[{}]"
ATTRIBUTE: Final = ".{}"
KEY: Final = "[the key {}]"
MEMBER: Final = "{{{}}}"


class Step(NamedTuple):
    """One step down from `parent`: an index, a key, an attribute or a member of a set."""

    parent: Where
    form: str
    key: object
    depth: int


def below(where: Where, key: object, form: str = INDEX) -> Step:
    """The place one step down."""
    return Step(where, form, key, depth_of(where) + 1)


def depth_of(where: Where) -> int:
    """How many steps below its root a place is."""
    return 0 if isinstance(where, str) else where.depth


def enter(where: Where) -> None:
    """Refuse a container that stands deeper than `MAX_DEPTH`; one that holds itself always does."""
    if depth_of(where) >= MAX_DEPTH:
        raise EncodingError(
            f"{root_of(where)} is nested more than {MAX_DEPTH} levels deep, or holds itself. Pass a flatter value, "
            "or an id by which the task can find it."
        )


def root_of(where: Where) -> str:
    """The name of the root above a place."""
    while not isinstance(where, str):
        where = where.parent
    return where


def place(where: Where) -> str:
    """A place in words: its root, and the path below it."""
    steps: list[str] = []
    while not isinstance(where, str):
        shown = str(where.key) if where.form == ATTRIBUTE else shorten(where.key)
        steps.append(where.form.format(shown))
        where = where.parent
    return f"{where}, at {''.join(reversed(steps))}" if steps else where


def shorten(key: object) -> str:
    """A key's repr, short enough for a message."""
    try:
        text = repr(key)
    except ValueError:  # an int of more digits than Python shows
        return "…"
    return text if len(text) <= 100 else f"{text[:99]}…"


def kind_of(value: object) -> str:
    """The name of a value's class, with its module unless it is a builtin."""
    return name_of(type(value))


def name_of(kind: type) -> str:
    """The name of a class, with its module unless it is a builtin."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
