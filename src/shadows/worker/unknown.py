"""Tasks that this worker does not know: given back with a growing delay, and named once with the remedy."""

import logging

from shadows.payload.call import Call, encode_call
from shadows.protocol.outcomes import Outcome, dead, release

logger = logging.getLogger("shadows.worker")

SHORTEST_US, LONGEST_US = 1_000_000, 60_000_000
GRACE_US = 3_600_000_000
"""For how long a task waits for a worker that knows it: a deploy's time. Then it is a dead letter."""

MOST_TOLD = 1_000
"""How many functions are named; more than that are nobody's, and the log is not to be filled with them."""
MOST_SHOWN = 200
"""Letters of a name that stand in the log."""
MOST_KEYS = 3_000
"""How many are remembered: others may have run them long since, and nobody tells us. One request asks for all."""


class Unknown:
    """The unknown tasks that one worker has met."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._keys: dict[str, str] = {}

    @property
    def keys(self) -> dict[str, str]:
        """The functions of the executions that were given back last, by their keys."""
        return self._keys

    def outcome(self, key: str, call: Call, now_us: int) -> Outcome:
        """What follows for a task of an unknown function: the delay is as long as it has been unknown so far."""
        if call.function not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(call.function)
            name = shown(call.function)
            logger.warning(
                "unknown task task=%s key=%s: it is kept for a worker that knows it; register it here with "
                "shadows.register(%s), or start workers with --tasks module:collection",
                name,
                shown(key),
                name,
            )
        since_us = min(
            call.unknown_since_us or now_us, now_us
        )  # (a clock ahead is not to make it wait for ever)
        age_us = max(0, now_us - since_us)
        self._keys.pop(key, None)
        if age_us >= GRACE_US:
            return dead("unknown")
        self._keys[key] = call.function
        if len(self._keys) > MOST_KEYS:
            del self._keys[next(iter(self._keys))]
        delay_us = min(max(age_us, SHORTEST_US), LONGEST_US)
        changed = call if call.unknown_since_us == since_us else call._replace(unknown_since_us=since_us)
        return release(-(-(now_us + delay_us) // 1000), encode_call(changed))

    def met(self, key: str) -> None:
        """Forget an execution that turned out otherwise."""
        self._keys.pop(key, None)


def shown(name: str) -> str:
    """A name that others wrote, as it may stand in a line of the log: of bounded length, and on that line."""
    short = name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…"
    return short if short.isprintable() else repr(short)
