"""`shadows demo`: a handful of real tasks on the embedded engine, shown while they run."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from shadows.dependencies import CurrentExecution, CurrentShadow, Perpetual, Retry
from shadows.execution import Execution
from shadows.shadow import Shadow
from shadows.worker import Worker


class Show:
    """The stage: what happens is written down with the time since the start."""

    def __init__(self, console: Console, speed: float) -> None:
        self._console = console
        self._start = time.monotonic()
        self._speed = speed

    def say(self, colour: str, who: str, what: str) -> None:
        """Write one line."""
        elapsed = time.monotonic() - self._start
        self._console.print(
            f"[dim]{elapsed:5.2f}s[/dim]  [{colour}]{who:<14}[/{colour}] {what}", highlight=False
        )

    def after(self, seconds: float) -> timedelta:
        """A duration of the play."""
        return timedelta(seconds=seconds / self._speed)


async def show(speed: float, console: Console | None = None) -> None:
    """Play the demo: `speed` times as fast as usual."""
    console = console or Console()
    stage = Show(console, speed)

    async def greet(name: str) -> str:
        stage.say("green", "greet", f"Hello, {name}!")
        return f"greeted {name}"

    async def call_webhook(url: str, retry: Retry = Retry(attempts=3, delay=stage.after(0.8))) -> str:
        if retry.attempt < 3:
            stage.say("red", "call_webhook", f"attempt {retry.attempt}: 503, trying again")
            raise ConnectionError(f"{url} answers 503")
        stage.say("green", "call_webhook", f"attempt {retry.attempt}: 200")
        return "delivered"

    def resize_image(pixels: int) -> int:
        stage.say("green", "resize_image", f"a plain def, in a thread: {pixels} pixels halved")
        return pixels // 2

    async def fetch_order(number: int, shadows: Shadow = CurrentShadow()) -> None:
        stage.say("green", "fetch_order", f"order {number} is here, adding bill_order")
        await shadows.add(bill_order)(number)

    async def bill_order(number: int, execution: Execution[None] = CurrentExecution()) -> None:
        stage.say("green", "bill_order", f"order {number} is billed (run by {execution.worker})")

    beats = 0

    async def heartbeat(perpetual: Perpetual = Perpetual(every=stage.after(1))) -> None:
        nonlocal beats
        beats += 1
        stage.say("magenta", "heartbeat", f"beat {beats} of 3{', the last' if beats == 3 else ''}")
        if beats == 3:
            perpetual.cancel()

    console.print("[bold]shadows[/bold] on an embedded engine: a real server, started for this demo\n")
    async with Shadow("demo", "memory://demo") as shadows:
        stage.say("cyan", "engine", "up")
        shadows.register(bill_order)
        later = datetime.now(UTC) + stage.after(2.5)
        added = [
            await shadows.add(greet)("Jane"),
            await shadows.add(greet, when=later)("John"),
            await shadows.add(call_webhook)("https://example.com/hook"),
            await shadows.add(resize_image)(640),
            await shadows.add(fetch_order)(42),
            await shadows.add(heartbeat, key="heartbeat")(),
        ]
        again = await shadows.add(heartbeat, key="heartbeat")()
        stage.say("cyan", "client", f"{len(added)} tasks added; a second 'heartbeat' is {again.disposition}")
        async with Worker(shadows, name="demo-worker", concurrency=5) as worker:
            stage.say("cyan", "worker", "up, runs until nothing is left")
            await worker.run_until_finished()
        stage.say("cyan", "worker", "nothing is left")
        console.print(await _summary(added))
    console.print("Next: [bold]shadows worker --help[/bold], and the README's first example.")


async def _summary(added: Sequence[Execution[Any]]) -> Table:
    table = Table("task", "key", "state", "attempts", title="What came of it", title_justify="left")
    for execution in added:
        await execution.sync()
        table.add_row(execution.function_name, execution.key[:12], execution.state, str(execution.attempt))
    return table
