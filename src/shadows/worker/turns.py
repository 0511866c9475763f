"""Whose turn it is: in which order a worker's cycles take from its queues, so that each gets its share.

The queue that leads is asked first, and may fill all free slots. Every queue leads again and again: with weights in as many
cycles of their sum as its weight says, evenly spread; without, the first leads in three of four, and the others in turn.
"""

from collections.abc import Mapping, Sequence


class Turns:
    """The order of the queues, cycle by cycle.

    Args:
        weights: how often each queue leads, against the others; None: in the order in which they are named.
    """

    def __init__(self, weights: Mapping[str, int] | None = None) -> None:
        self._weights = weights
        self._total = sum(weights.values()) if weights else 0
        self._credit = dict.fromkeys(weights or (), 0)
        self._turn = 0

    def order(self, names: Sequence[str], take: int) -> Sequence[str]:
        """The queues for the next cycle; one that takes nothing is nobody's turn."""
        if not take or len(names) < 2:
            return names
        if self._weights is not None:
            return self._weighted(self._weights)
        self._turn += 1
        if self._turn % 4:
            return names
        first = 1 + (self._turn // 4 - 1) % (len(names) - 1)
        return [*names[first:], *names[:first]]

    def _weighted(self, weights: Mapping[str, int]) -> list[str]:
        """Each earns its weight a turn, and who has most leads and pays for all: nobody waits longer than its share says."""
        credit = self._credit
        for name, weight in weights.items():
            credit[name] += weight
        order = sorted(weights, key=lambda name: -credit[name])
        credit[order[0]] -= self._total
        return order


def check_weights(queues: Mapping[str, int]) -> dict[str, int]:
    """The weights, if they can be some.

    Raises:
        ValueError: one is not a whole number of at least 1.
    """
    for name, weight in queues.items():
        if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
            raise ValueError(
                f"queues={{{name!r}: {weight!r}}}: a weight is a whole number, at least 1; leave the queue out to take "
                "nothing from it"
            )
    return dict(queues)
