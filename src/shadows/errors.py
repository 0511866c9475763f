"""Every error that shadows raises of its own, in one small hierarchy under `ShadowError`."""

from collections.abc import Iterable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError


class ShadowError(Exception):
    """The base of all errors of this library."""


class InvalidName(ShadowError, ValueError):
    """A shadow's name, a queue's name, a key or a URL that cannot be used; the message says why and how to mend it."""


class InvalidTask(ShadowError, ValueError, TypeError):
    """Something that cannot be a task, cannot be imported, or bears a name that another task has."""


class EncodingError(ShadowError, TypeError):
    """A value that the safe codec does not carry; the message names where it stands and the ways out."""


class PayloadError(ShadowError):
    """Stored bytes that cannot be read: damaged, of a newer wire version, or not of the annotated type."""


class ServerUnreachable(ShadowError, RedisConnectionError):
    """No answer from the server, within the time allowed; what was sent may or may not have been carried out."""


class ServerUnsupported(ShadowError, RedisError):
    """The server cannot be used: too old (below Redis 6.0), a setting that loses data, or a newer wire version."""


class EmbeddedUnavailable(ShadowError, RedisConnectionError):
    """No embedded server can be started here; the message says what to install."""


class Overloaded(ShadowError):
    """The server refuses writes (out of memory, not persisting, no replicas); nothing was accepted."""


class BrokenKey(ShadowError, ResponseError):
    """Something else has written to a key of the shadow; the message names it and the remedy. Workers wait for that."""


class NotAccepted(ShadowError):
    """A call that the server could not take: its queue's key holds something that is not a stream."""


class QueueFull(ShadowError):
    """The queue holds as many tasks as `max_queue_length` allows; nothing was accepted: add it again later."""


class NotReplicated(ShadowError):
    """The call was accepted and will run, but fewer replicas than `durable` have it yet: do not add it again.

    It is lost only if the server fails before they have it. `execution` is the accepted one; adding it again with its key
    changes nothing, and waits for the replicas anew.
    """

    def __init__(self, execution: Any, replicas: int, reached: int) -> None:
        self.execution = execution
        super().__init__(
            f"the task {execution.key!r} was accepted and will run, do not add it again; but {reached} of durable={replicas} "
            "replicas have it yet"
        )


class NotRequeued(ShadowError):
    """A dead letter that cannot be run again, or is no more; the message says why. Nothing was changed."""


class TaskFailed(ShadowError):
    """A task's exception whose own class is neither a builtin nor declared here.

    `type_name` is the class's name as the worker saw it; `remote_traceback` the text of its traceback.
    """

    def __init__(self, message: str, *, type_name: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name
        self.remote_traceback = remote_traceback


class ExecutionCancelled(ShadowError):
    """The execution whose result was asked for was cancelled."""


class ResultUnavailable(ShadowError):
    """The execution ended, and what it returned is no longer (or never was) kept: see `execution_ttl`."""


class UnknownTasks(ShadowError):
    """What is left to do names functions that no living worker knows; `names` holds them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        listed = ", ".join(repr(name) for name in self.names)
        super().__init__(
            f"nothing is left to do but tasks that no living worker knows: {listed}. "
            "Register them (`shadows.register(function)`, or `shadows worker --tasks module:collection`) and run "
            "a worker again; they are kept."
        )


class LeaseLost(ShadowError):
    """The worker's lease lapsed, so its running tasks were cancelled: another worker runs them."""
