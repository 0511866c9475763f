"""The roster: who contends, and by which command each is started."""

import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OURS = ("shadows", "shadows-off")
FLOOR = "floor"
SLOW = ("celery", "dramatiq", "huey", "rq")
"""Peers of a few hundred tasks a second, that are given fewer."""
SHARED = ("__init__", "apart", "working")
"""Modules among the peers that are no contenders."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One contender as it is named on the command line; `extra` follows the URL among its script's arguments."""

    name: str
    script: Path
    extra: tuple[str, ...] = ()

    @property
    def peer(self) -> bool:
        """Whether it is another library."""
        return self.script.parent.name == "peers"

    @property
    def slow(self) -> bool:
        """Whether it is to be given fewer tasks than other peers."""
        return self.name in SLOW

    def command(self, url: str) -> list[str]:
        """Peers are installed by their script's own metadata, in an environment of their own."""
        python = ["uv", "run", "--quiet", "--no-project", "--script"] if self.peer else [sys.executable]
        return [*python, str(self.script), url, *self.extra]


def roster() -> dict[str, Entrant]:
    """All of them by name: the floor, shadows with and without results, and every script among the peers."""
    ours = HERE / "contenders"
    entrants = [
        Entrant(FLOOR, ours / "floor.py"),
        Entrant("shadows", ours / "shadows.py"),
        Entrant("shadows-off", ours / "shadows.py", ("off",)),
    ]
    for script in sorted((HERE / "peers").glob("*.py")):
        if script.stem not in SHARED:
            entrants.append(Entrant(script.stem, script))
            if script.stem == "taskiq":
                entrants.append(Entrant("taskiq-list", script, ("list",)))
    return {entrant.name: entrant for entrant in entrants}
