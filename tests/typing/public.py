"""How the public API is typed: every line here is right for pyright and mypy, or marked as an error that both see."""

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, assert_type

from shadows import (
    Agenda,
    CallArgument,
    CompletionHandler,
    ConcurrencyLimit,
    Cooldown,
    Cron,
    CurrentExecution,
    CurrentShadow,
    CurrentWorker,
    Debounce,
    Depends,
    Disposition,
    Execution,
    ExecutionState,
    ExponentialRetry,
    FailureHandler,
    Operator,
    Perpetual,
    Progress,
    RateLimit,
    Retry,
    RetryAfter,
    Runtime,
    Shadow,
    Shared,
    StrikeList,
    SyncExecution,
    SyncShadow,
    TaskArgument,
    TaskCall,
    TaskKey,
    TaskLogger,
    TaskOutcome,
    Timeout,
    Worker,
    current_execution,
)
from shadows.tasks import sleep, trace
from shadows.testing import assert_task_count


class Pool: ...


async def greet(name: str, *, loud: bool = False) -> str:
    return name


def add_up(a: int, b: int = 0) -> int:
    return a + b


def later(a: int) -> Awaitable[int]:
    return asyncio.sleep(0, a)


async def nothing() -> None: ...


async def perhaps() -> str | None: ...


async def anything(value: Any, *rest: int, **named: str) -> list[Any]:
    return [value]


def get_pool() -> Pool:
    return Pool()


def pool_of(name: str, other: Pool) -> Pool:
    return other


async def wait_for_pool() -> Pool:
    return Pool()


@contextmanager
def open_pool() -> Generator[Pool]:
    yield Pool()


@asynccontextmanager
async def connect_pool() -> AsyncGenerator[Pool]:
    yield Pool()


async def injected(
    name: str,
    shadows: Shadow = CurrentShadow(),
    worker: Worker = CurrentWorker(),
    execution: Execution[Any] = CurrentExecution(),
    key: str = TaskKey(),
    retry: Retry = Retry(attempts=3),
    perpetual: Perpetual = Perpetual(every=timedelta(hours=1)),
    a: Pool = Depends(get_pool),
    b: Pool = Depends(wait_for_pool),
    c: Pool = Depends(open_pool),
    d: Pool = Depends(connect_pool),
    e: Pool = Shared(connect_pool),
) -> int:
    return 1


async def behaving(
    name: str,
    size: Annotated[int, ConcurrencyLimit(2), RateLimit(5, per=timedelta(seconds=1))],
    exponential: ExponentialRetry = ExponentialRetry(attempts=5, jitter=0.1, on=(OSError, ValueError)),
    endless: Retry = Retry.forever(delay=timedelta(seconds=1)),
    growing: Retry = ExponentialRetry.forever(delay=timedelta(seconds=1), maximum_delay=timedelta(minutes=1)),
    cron: Cron = Cron("@daily", tz="Europe/Berlin"),
    timeout: Timeout = Timeout(timedelta(seconds=1)),
    one: ConcurrencyLimit = ConcurrencyLimit("size", 1, scope="api"),
    two: ConcurrencyLimit = ConcurrencyLimit(max_concurrent=3),
    rate: RateLimit = RateLimit("name", 5, per=timedelta(seconds=1), drop=True),
    cooldown: Cooldown = Cooldown("name", timedelta(seconds=1)),
    debounce: Debounce = Debounce(settle=timedelta(seconds=1), scope="api"),
    progress: Progress = Progress(),
    logger: "logging.LoggerAdapter[logging.Logger]" = TaskLogger(),
    argument: int = TaskArgument("size"),
    called: str = CallArgument("name"),
    bound: Pool = Depends(pool_of, name=CallArgument(), other=Depends(get_pool)),
    execution: Execution[Any] = CurrentExecution(),
) -> None:
    assert_type(execution.then(greet, key="k")("Jane", loud=True), str)
    assert_type(execution.then("greet", queue="mail")(1, whatever=2), str)
    execution.then(greet)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(timeout.remaining(), timedelta)
    assert_type(progress.current, int | None)
    assert_type(exponential.delay, timedelta)
    assert_type(cron.expression, str)
    assert_type(current_execution.get(), Execution[Any])
    if progress.total > 1:
        raise RetryAfter(timedelta(seconds=5))
    endless.after(timedelta(seconds=1))


class Traced(Runtime["Traced"]):
    async def run(
        self,
        execution: Execution[Any],
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        return await function(*args, **kwargs)


class Refund(FailureHandler["Refund"]):
    async def handle_failure(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
        return outcome.exception is not None


class Report(CompletionHandler["Report"]):
    async def on_complete(self, execution: Execution[Any], outcome: TaskOutcome) -> bool:
        return outcome.result is None


async def handled(
    traced: Traced = Traced(), refund: Refund = Refund(), report: Report = Report()
) -> None: ...


async def wrong_behaviours() -> None:
    ConcurrencyLimit("size", "two")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    RateLimit(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Cooldown(5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    Retry(on="ValueError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def workers(shadows: Shadow) -> None:
    async def started(execution: Execution[Any]) -> None: ...

    def ended(execution: Execution[Any], outcome: TaskOutcome) -> None: ...

    worker = Worker(
        shadows,
        dependencies=[Depends(get_pool), Retry(attempts=3)],
        fallback_task=greet,
        threads=4,
        schedule_automatic_tasks=False,
        on_start=started,
        on_end=ended,
    )
    assert_type(worker.concurrency, int)
    worker.concurrency = 5
    Worker(shadows, on_start=ended)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_dependency(
    n: int = Depends(get_pool),  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    key: int = TaskKey(),  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> None: ...


class Mailer:
    async def send(self, to: str) -> int:
        return 1

    def __call__(self, to: str) -> bytes:
        return b""


async def adding(shadows: Shadow, when: datetime) -> None:
    assert_type(await shadows.add(greet)("Jane", loud=True), Execution[str])
    assert_type(await shadows.add(greet, when)("Jane"), Execution[str])
    assert_type(await shadows.add(greet, when=when, key="k", queue="mail")("Jane"), Execution[str])
    assert_type(await shadows.add(add_up)(1, b=2), Execution[int])
    assert_type(await shadows.add(later)(1), Execution[int])
    assert_type(await shadows.add(nothing)(), Execution[None])
    assert_type(await shadows.add(perhaps)(), Execution[str | None])
    assert_type(await shadows.add(anything)(object(), 1, 2, x="y"), Execution[list[Any]])
    assert_type(await shadows.add(injected)("Jane"), Execution[int])
    assert_type(await shadows.add(Mailer().send)("Jane"), Execution[int])
    assert_type(await shadows.add(Mailer())("Jane"), Execution[bytes])
    assert_type(await shadows.add(functools.partial(greet, "Jane"))(), Execution[str])
    assert_type(await shadows.add("greet")(1, whatever=2), Execution[Any])
    unawaited = assert_type(shadows.add(greet)("Jane"), Coroutine[Any, Any, Execution[str]])
    await unawaited
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(shadows.add(greet)("Jane")), asyncio.Task[Execution[str]])

    shadows.add(greet)("Jane")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await shadows.add(greet)()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await shadows.add(greet)(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await shadows.add(greet)("Jane", quiet=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await shadows.add(greet)("Jane", True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    shadows.add(greet, when="tomorrow")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    shadows.add(greet, key=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    shadows.add(greet, None, "k", "mail")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    shadows.add(3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def replacing(shadows: Shadow, when: datetime) -> None:
    assert_type(await shadows.replace(greet, when, "k")("Jane", loud=True), Execution[str])
    assert_type(await shadows.replace(greet, None, key="k", queue="mail")("Jane"), Execution[str])
    assert_type(await shadows.replace(later, when, "k", unique_for=timedelta(hours=1))(1), Execution[int])
    assert_type(await shadows.replace(add_up, when, "k", expires=timedelta(hours=1))(1), Execution[int])
    assert_type(await shadows.replace("greet", when, "k")(1, whatever=2), Execution[Any])
    assert_type(await shadows.add(greet, unique_for=timedelta(1), expires=when)("Jane"), Execution[str])

    shadows.replace(greet)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    shadows.replace(greet, when)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    shadows.replace(greet, when, None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await shadows.replace(greet, when, "k")()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await shadows.replace(greet, when, "k")(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    shadows.add(greet, unique_for=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    shadows.add(greet, expires="tomorrow")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def many(shadows: Shadow, when: datetime) -> None:
    call = shadows.call(greet, when, "k", expires=when)("Jane", loud=True)
    assert_type(call, TaskCall)
    assert_type((call.key, call.when, call.function_name), tuple[str, datetime, str])
    assert_type(shadows.call("greet")(1, whatever=2), TaskCall)
    assert_type(shadows.call(injected)("Jane"), TaskCall)
    assert_type(await shadows.add_many([call]), list[Execution[Any]])
    assert_type(await shadows.add_many(shadows.call(add_up)(n) for n in range(3)), list[Execution[Any]])
    assert_type(await shadows.replace_many((call,), chunk_size=10), list[Execution[Any]])
    assert_type(await shadows.schedule(Execution[str](shadows, "k", "greet")), Execution[Any])

    shadows.call(greet)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    shadows.call(greet)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await shadows.add_many([greet])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await shadows.add_many(call)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def scattering(shadows: Shadow, agenda: Agenda, when: datetime) -> None:
    assert_type(agenda.add(greet, key="k")("Jane", loud=True), None)
    assert_type(agenda.add("greet")(1, whatever=2), None)
    assert_type(await agenda.scatter(shadows, over=timedelta(hours=1), start=when), list[Execution[Any]])

    agenda.add(greet)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await agenda.scatter(shadows, over=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def striking(shadows: Shadow) -> None:
    await shadows.strike(greet)
    await shadows.strike("greet", "name", Operator.NOT_EQUAL, "Jane")
    await shadows.restore(None, "n", "between", (1, 3))
    async with StrikeList(url="memory://", name="orders") as strikes:
        await strikes.strike(parameter="n", operator="<", value=3)
        assert_type(strikes.is_stricken({"n": 1}), bool)
        await strikes.strike(greet)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await shadows.strike(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def built_in(shadows: Shadow) -> None:
    assert_type(await shadows.add(trace)("it works"), Execution[None])
    assert_type(await shadows.add(sleep)(1.5), Execution[None])
    assert_type(await assert_task_count(shadows, trace, count=1), None)
    await shadows.add(trace)()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def executions(shadows: Shadow) -> None:
    execution = await shadows.add(greet)("Jane")
    assert_type(await execution.get_result(), str)
    assert_type(await execution.get_result(timeout=1.5), str)
    assert_type(await execution.get_result(timeout=timedelta(seconds=1)), str)
    assert_type(await execution.sync(), Execution[str])
    assert_type(execution.key, str)
    assert_type(execution.state, ExecutionState)
    assert_type(execution.disposition, Disposition | None)
    assert_type(execution.when, datetime | None)
    assert_type(await shadows.get_execution("k"), Execution[Any] | None)
    assert_type(await shadows.cancel("k"), bool)
    wrong: int = await execution.get_result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del wrong


def blocking(shadows: SyncShadow, when: datetime) -> None:
    execution = shadows.add(greet, when=when, key="k", queue="mail")("Jane", loud=True)
    assert_type(execution, SyncExecution[str])
    assert_type(execution.get_result(timeout=1), str)
    assert_type(execution.sync(), SyncExecution[str])
    assert_type(execution.completed_at, datetime | None)
    assert_type(shadows.add(add_up)(1), SyncExecution[int])
    assert_type(shadows.add(later)(1), SyncExecution[int])
    assert_type(shadows.add(injected)("Jane"), SyncExecution[int])
    assert_type(shadows.add(anything)(1), SyncExecution[list[Any]])
    assert_type(shadows.add("greet")(), SyncExecution[Any])
    assert_type(shadows.cancel("k"), bool)
    assert_type(shadows.get_execution("k"), SyncExecution[Any] | None)
    assert_type(shadows.replace(greet, when, "k")("Jane"), SyncExecution[str])
    assert_type(shadows.replace("greet", when, "k")(1), SyncExecution[Any])
    assert_type(shadows.call(greet)("Jane"), TaskCall)
    assert_type(shadows.add_many([shadows.call(greet)("Jane")]), list[SyncExecution[Any]])
    with SyncShadow("orders", "memory://") as opened:
        assert_type(opened, SyncShadow)

    shadows.add(greet)()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    shadows.add(greet)(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    shadows.add(3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
