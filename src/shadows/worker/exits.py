"""What a process ends with: the exit code of an error that a person can mend, and its one line."""

from redis.exceptions import RedisError

from shadows.errors import ShadowError

UNUSABLE = 2
"""What was given cannot be used."""
FAILED = 1
"""It was usable, and something failed."""


def exit_code_of(error: BaseException) -> int | None:
    """The exit code of an error whose message is all that a person needs; None where it is a bug, to be shown whole."""
    if isinstance(error, ValueError):  # InvalidName and InvalidTask among them
        return UNUSABLE
    if isinstance(error, ShadowError | RedisError | OSError):
        return FAILED
    return None


def one_line(message: object) -> str:
    """A message without its line breaks."""
    return " ".join(str(message).split())
