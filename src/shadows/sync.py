"""SyncShadow: the client for code without a running event loop (Django, Flask, scripts, `def` tasks)."""

from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from datetime import datetime, timedelta
from typing import Any, overload

from shadows.background import Background
from shadows.calls import TaskCall
from shadows.execution import Execution
from shadows.letters import DeadLetter
from shadows.protocol.batcher import MOST_ITEMS
from shadows.snapshot import Snapshot, WorkerInfo
from shadows.strike_list import Strikes
from shadows.strikes import Operator
from shadows.sync_execution import SyncAdding, SyncExecution

__all__ = ["SyncExecution", "SyncShadow"]


class SyncShadow(Background):
    """The surface of `Shadow`, blocking: `with SyncShadow() as shadows: shadows.add(greet)("Jane")`.

    Takes what `Shadow` takes. It may also be made once and used without `with`: it opens at its first use and closes
    with the process.
    """

    @property
    def name(self) -> str:
        """Which shadow it is."""
        return self._shadow.name

    @property
    def url(self) -> str:
        """Where the server is, without a password."""
        return self._shadow.url

    @property
    def tasks(self) -> MutableMapping[str, Callable[..., Any]]:
        """The tasks that are known, by name."""
        return self._shadow.tasks

    @property
    def strike_list(self) -> Strikes:
        """What is stricken, as this client last saw it."""
        return self._shadow.strikes

    @property
    def heartbeat_interval(self) -> timedelta:
        """As `Shadow.heartbeat_interval`."""
        return self._shadow.heartbeat_interval

    @heartbeat_interval.setter
    def heartbeat_interval(self, interval: timedelta) -> None:
        self._shadow.heartbeat_interval = interval

    @property
    def missed_heartbeats(self) -> int:
        """As `Shadow.missed_heartbeats`."""
        return self._shadow.missed_heartbeats

    @missed_heartbeats.setter
    def missed_heartbeats(self, missed: int) -> None:
        self._shadow.missed_heartbeats = missed

    def register(
        self, function: Callable[..., Any], names: Iterable[str] | None = None, queue: str | None = None
    ) -> None:
        """Make a task known; as `Shadow.register`."""
        self._shadow.register(function, names, queue)

    def register_collection(self, path: str, queue: str | None = None) -> None:
        """Make the tasks of `module:member` known; as `Shadow.register_collection`."""
        self._shadow.register_collection(path, queue)

    @overload
    def add[**P, R](
        self,
        function: Callable[P, R],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> SyncAdding[P, R]: ...
    @overload
    def add(
        self,
        function: str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., SyncExecution[Any]]: ...
    def add(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., SyncExecution[Any]]:
        """Have a task run, now or later; as `Shadow.add`, and returns once the call is accepted."""
        return self._sending(
            self._shadow.add(function, when, key, queue=queue, unique_for=unique_for, expires=expires)
        )

    @overload
    def replace[**P, R](
        self,
        function: Callable[P, R],
        when: datetime | None,
        key: str,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> SyncAdding[P, R]: ...
    @overload
    def replace(
        self,
        function: str,
        when: datetime | None,
        key: str,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., SyncExecution[Any]]: ...
    def replace(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None,
        key: str,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., SyncExecution[Any]]:
        """Have a task run instead of what stands under the key; as `Shadow.replace`."""
        return self._sending(
            self._shadow.replace(function, when, key, queue=queue, unique_for=unique_for, expires=expires)
        )

    @overload
    def call[**P](
        self,
        function: Callable[P, Any],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[P, TaskCall]: ...
    @overload
    def call(
        self,
        function: str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., TaskCall]: ...
    def call(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., TaskCall]:
        """Make a call for `add_many` or `replace_many`; as `Shadow.call`. Nothing is sent."""
        return self._shadow.call(function, when, key, queue=queue, unique_for=unique_for, expires=expires)

    def add_many(
        self, calls: Iterable[TaskCall], *, chunk_size: int = MOST_ITEMS
    ) -> list[SyncExecution[Any]]:
        """Have many calls accepted; as `Shadow.add_many`."""
        return self._all(self.wait_for(self._shadow.add_many(list(calls), chunk_size=chunk_size)))

    def replace_many(
        self, calls: Iterable[TaskCall], *, chunk_size: int = MOST_ITEMS
    ) -> list[SyncExecution[Any]]:
        """Have many calls accepted instead of what stands under their keys; as `Shadow.replace_many`."""
        return self._all(self.wait_for(self._shadow.replace_many(list(calls), chunk_size=chunk_size)))

    def schedule(self, execution: Execution[Any]) -> SyncExecution[Any]:
        """Have an execution accepted that was made by hand; as `Shadow.schedule`."""
        return SyncExecution(self, self.wait_for(self._shadow.schedule(execution)))

    def cancel(self, key: str) -> bool:
        """Cancel an execution; as `Shadow.cancel`."""
        return self.wait_for(self._shadow.cancel(key))

    def get_execution(self, key: str) -> SyncExecution[Any] | None:
        """The execution with that key; as `Shadow.get_execution`."""
        found = self.wait_for(self._shadow.get_execution(key))
        return None if found is None else SyncExecution(self, found)

    def get_result(
        self, key: str, timeout: timedelta | float | None = None, deadline: datetime | None = None
    ) -> Any:
        """What the execution with that key returned; as `Execution.get_result`."""
        return self.wait_for(Execution[Any](self._shadow, key, "").get_result(timeout, deadline))

    def strike(
        self,
        function: Callable[..., Any] | str | None = None,
        parameter: str | None = None,
        operator: str | Operator = "==",
        value: object = None,
    ) -> None:
        """Have executions not run; as `Shadow.strike`."""
        self.wait_for(self._shadow.strike(function, parameter, operator, value))

    def restore(
        self,
        function: Callable[..., Any] | str | None = None,
        parameter: str | None = None,
        operator: str | Operator = "==",
        value: object = None,
    ) -> None:
        """Take a strike back; as `Shadow.restore`."""
        self.wait_for(self._shadow.restore(function, parameter, operator, value))

    def wait_for_strikes_loaded(self) -> None:
        """Return once every strike that was made so far is known; as `Shadow.wait_for_strikes_loaded`."""
        self.wait_for(self._shadow.wait_for_strikes_loaded())

    def pause(self, queue: str | None = None) -> None:
        """Have workers take nothing more from a queue; as `Shadow.pause`."""
        self.wait_for(self._shadow.pause(queue))

    def resume(self, queue: str | None = None) -> None:
        """Have workers take from a queue again; as `Shadow.resume`."""
        self.wait_for(self._shadow.resume(queue))

    def snapshot(self, *, limit: int = 1000) -> Snapshot:
        """What is scheduled, ready, running, waiting and dead; as `Shadow.snapshot`.

        Its executions are facts to read: `get_execution(key)` gives one that can be waited for.
        """
        return self.wait_for(self._shadow.snapshot(limit=limit))

    def workers(self) -> list[WorkerInfo]:
        """The living workers; as `Shadow.workers`."""
        return self.wait_for(self._shadow.workers())

    def task_workers(self, name: str) -> list[WorkerInfo]:
        """The living workers that can run the task of that name; as `Shadow.task_workers`."""
        return self.wait_for(self._shadow.task_workers(name))

    def clear(self) -> int:
        """Remove all that is scheduled, waiting or ready; as `Shadow.clear`."""
        return self.wait_for(self._shadow.clear())

    def purge(self) -> None:
        """Remove everything of this shadow from the server; as `Shadow.purge`."""
        self.wait_for(self._shadow.purge())

    def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """What failed for good, newest first; as `Shadow.dead_letters`."""
        return self.wait_for(self._shadow.dead_letters(limit=limit, before=before))

    def requeue(self, id: str) -> SyncExecution[Any]:  # noqa: A002 - what it is called
        """Run a dead letter's task again; as `Shadow.requeue`."""
        return SyncExecution(self, self.wait_for(self._shadow.requeue(id)))

    def discard(self, id: str) -> bool:  # noqa: A002 - what it is called
        """Throw a dead letter away; as `Shadow.discard`."""
        return self.wait_for(self._shadow.discard(id))

    def _sending(
        self, accept: Callable[..., Coroutine[Any, Any, Execution[Any]]]
    ) -> Callable[..., SyncExecution[Any]]:
        def send(*args: Any, **kwargs: Any) -> SyncExecution[Any]:
            async def run() -> Execution[Any]:
                return await accept(*args, **kwargs)

            return SyncExecution(self, self.wait_for(run()))

        return send

    def _all(self, executions: Iterable[Execution[Any]]) -> list[SyncExecution[Any]]:
        return [SyncExecution(self, execution) for execution in executions]
