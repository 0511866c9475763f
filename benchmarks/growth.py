"""Growth: what work costs beside so many pending tasks, and what it takes to have them, to look at them and to clear them."""

from benchmarks.meter import Figures, counters
from benchmarks.roster import OURS, Entrant
from benchmarks.stage import Stage
from benchmarks.workload import Play, Workload

OFTEN = 10_000
"""Up to so many pending tasks it is played in every round, beyond that once: to have a million of them takes its time."""

GROWTH = "growth, "
FILLS = {"ready": "fill", "scheduled": "fill_later", "dead": "fill_dead"}
"""What stands there, and the operation that puts it there."""
CHANGES = {"ready": (), "scheduled": ("replace", "cancel"), "dead": ("requeue", "discard")}
"""What is done to some of it, each by itself."""
LISTS = {"ready": "snapshot", "scheduled": "snapshot", "dead": "dead ls"}
"""The command of the command line that shows it."""


def growths(pending: tuple[int, ...]) -> list[Workload]:
    """All of them, the fewest tasks first."""
    few = max(1, min(pending) // 2)
    return [
        Workload(
            f"{GROWTH}{what}, {count:,} pending",
            frozenset({"snapshot"}),
            growth(what, count, few),
            OURS[:1],
            None if count <= OFTEN else 1,
            cast="growth",
        )
        for what in FILLS
        for count in pending
    ]


def growth(what: str, pending: int, few: int) -> Play:
    """Beside so many tasks: add others and run them, change some, look at all from within and from the command line.

    What is done to some costs processor time, of client or worker and server together: other work does not lengthen it.
    """

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child = stage.child(entrant, 1)
        stage.fresh(child)
        with stage.redis as redis:
            empty = counters(redis)["kept"]
            filled = child.ask(FILLS[what], n=pending)
            # Most dead letters are copies: how fast they came tells nothing.
            rate = {} if what == "dead" else {"fill_rate": pending / filled["seconds"]}
            figures: Figures = rate | {
                "server_mb": (counters(redis)["kept"] - empty) / 1e6,
                "rss_mb": filled["rss"] / 1e6,
            }
        for do, n in (("add_one", 5 * few), ("drain", 5 * few), *((do, few) for do in CHANGES[what])):
            spent = stage.measured(child, do, n)
            figures[f"{do.removesuffix('_one')}_us"] = spent["cpu_us"] + spent["redis_cpu_us"]
        for name, do, kind in (
            ("snapshot_ms", "snapshot", ""),
            ("cli_ms", "command", LISTS[what]),
        ):
            figures[name] = min(1e3 * child.ask(do, kind=kind)["seconds"] for _ in range(3))
        figures["clear_s"] = child.ask("clear", n=pending)["seconds"]
        return figures

    return play
