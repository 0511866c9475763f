"""`shadows clear`: remove what is pending."""

from typing import Annotated

import typer

from .asking import ask, confirm, shadow_at
from .options import Name, Url, UrlFile


def clear(
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
) -> None:
    """Remove all that is scheduled, ready or waiting; what runs goes on.

    Asks first where a person sits at the terminal. Dead letters, strikes and pauses stay.
    """
    from .output import say

    shadow = shadow_at(shadows, url, url_file)
    confirm(f"Remove everything that is pending in the shadow {shadows!r} on {shadow.url}?", yes=yes)
    say(f"Cleared {ask(shadow, lambda shadow: shadow.clear())} tasks from the shadow {shadows!r}")
