"""What an adapter is: the way of one annotation's values into the closed set and back."""

from typing import Protocol, TypeGuard

from shadows.errors import EncodingError, PayloadError
from shadows.payload.places import INDEX, Where, below, kind_of, place


class Adapter(Protocol):
    """Lowers values of an annotation to what the closed value codec carries, and lifts them again."""

    def accepts(self, value: object) -> bool:
        """Whether the value is of exactly the class that this is for; its content is not looked at."""
        ...

    def lower(self, value: object, where: Where) -> object:
        """The value in terms of the closed set; EncodingError where it does not fit the annotation."""
        ...

    def lift(self, value: object, where: Where) -> object:
        """The value again from what `lower` made of it; PayloadError where it is nothing of the kind."""
        ...


def lower(adapter: Adapter | None, value: object, where: Where, key: object, form: str = INDEX) -> object:
    """What stands at a key below `where`, lowered; as it is where its annotation needs no adapter."""
    return value if adapter is None else adapter.lower(value, below(where, key, form))


def lift(adapter: Adapter | None, value: object, where: Where, key: object, form: str = INDEX) -> object:
    """What stands at a key below `where`, lifted; as it is where its annotation needs no adapter."""
    return value if adapter is None else adapter.lift(value, below(where, key, form))


def misfit(where: Where, expected: str, given: object) -> EncodingError:
    """The error for a value that is not of the annotated class."""
    return EncodingError(
        f"{place(where)} is annotated as {expected} and was given a {kind_of(given)}. Pass exactly that class (an "
        "instance of a subclass would come back as its base), or annotate the parameter with a union of all classes "
        "that it takes."
    )


def unreadable(where: Where, expected: str, stored: object) -> PayloadError:
    """The error for a stored value that cannot be one of the annotated class."""
    return PayloadError(f"{place(where)} is annotated as {expected} and is stored as a {kind_of(stored)}")


def is_list(stored: object) -> TypeGuard[list[object]]:
    """Whether a stored value is a list."""
    return type(stored) is list


def is_dict(stored: object) -> TypeGuard[dict[object, object]]:
    """Whether a stored value is a dict."""
    return type(stored) is dict
