"""`shadows pause` and `resume`: have workers take nothing more, and lose nothing."""

from typing import Annotated

import typer

from .asking import ask, shadow_at
from .options import Name, Url, UrlFile

Which = Annotated[
    str | None,
    typer.Argument(metavar="QUEUE", help="The queue.", show_default="all queues, those to come too"),
]


def pause(queue: Which = None, shadows: Name = "shadows", url: Url = None, url_file: UrlFile = None) -> None:
    """Have workers take nothing more from a queue, or from all, until it is resumed; what runs goes on."""
    from .output import say

    ask(shadow_at(shadows, url, url_file), lambda shadow: shadow.pause(queue))
    say(f"Paused {_shown(queue)} in the shadow {shadows!r}")


def resume(queue: Which = None, shadows: Name = "shadows", url: Url = None, url_file: UrlFile = None) -> None:
    """Have workers take from a queue again, or from all, whichever were paused."""
    from .output import say

    ask(shadow_at(shadows, url, url_file), lambda shadow: shadow.resume(queue))
    say(f"Resumed {_shown(queue)} in the shadow {shadows!r}")


def _shown(queue: str | None) -> str:
    return "all queues" if queue is None else f"the queue {queue!r}"
