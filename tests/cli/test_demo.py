"""The demo shows what it says."""

import io

from rich.console import Console

from shadows.cli.app import run
from shadows.cli.demo import show


async def test_the_demo_shows_each_kind_of_task_run() -> None:
    written = io.StringIO()
    await show(20, Console(file=written, width=120))
    text = written.getvalue()
    for words in (
        "Hello, Jane!",
        "Hello, John!",
        "attempt 3: 200",
        "in a thread",
        "order 42 is billed",
        "beat 3 of 3",
        "already_scheduled",
        "nothing is left",
    ):
        assert words in text
    assert "failed" not in text


def test_the_command_plays_it(capsys: object) -> None:
    assert run(["demo", "--speed", "20"]) == 0
