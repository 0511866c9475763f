"""A task's own arguments, for what is injected into it."""

from typing import Any, cast

from uncalled_for import Provider, current_frame


class Argument(Provider[Any]):
    """The value that a caller passed for one argument."""

    def __init__(self, name: str | None, *, optional: bool) -> None:
        self.name = name
        self._optional = optional

    def for_parameter(self, name: str) -> "Argument":
        return self if self.name is not None else Argument(name, optional=self._optional)

    async def __aenter__(self) -> Any:
        try:
            return await current_frame().resolve(cast("str", self.name), provided_only=True)
        except LookupError:
            if self._optional:
                return None
            raise KeyError(
                f"the call has no argument {self.name!r}: TaskArgument(…, optional=True) allows that"
            ) from None


def TaskArgument(name: str | None = None, optional: bool = False) -> Any:  # noqa: N802, FBT001, FBT002 - reads as a type; users write TaskArgument("x", True)
    """An argument that the task was called with: `def account(user_id: int = TaskArgument()) -> Account`.

    For functions that a task depends on. Only what the caller passed is seen; `CallArgument` also sees defaults, and what is
    injected beside it.

    Args:
        name: which argument. Default: that of the parameter where this stands.
        optional: None where there is no such argument. Default: the task fails.
    """
    return Argument(name, optional=optional)
