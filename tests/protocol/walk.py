"""Seeded random walks over the real scripts, compared with the model after every step.

    uv run python -m tests.protocol.walk --walks 1000 --seed 0 --steps 60 --engine redis-7

A walk's time is its own. Of three, one keeps to what is common, and one also loses things by hand. Where one fails, its seed and its last steps are
in the message.
"""

import argparse
import sys
import time
from collections.abc import Mapping

from shadows.protocol.scripts import Script
from tests.protocol import asking, faults
from tests.protocol.rest import come_to_rest
from tests.protocol.walker import Action, Walk
from tests.support.servers import ENGINES, Server, running

COMMON: list[Action] = [
    *[Walk.schedule] * 11, *[Walk.cycle] * 20, *[Walk.cancel] * 3, *[Walk.beat] * 6, *[Walk.reap] * 4, *[Walk.tick] * 2,
    Walk.kill, Walk.jump, *[asking.acquire] * 10, *[asking.rush] * 5, *[asking.proceed] * 10, *[asking.tidy] * 2, *[asking.listen] * 2,
]  # fmt: skip
RARE: list[Action] = [
    *[Walk.find] * 2, *[Walk.zombie] * 4, *[Walk.ghost] * 2, *[Walk.recover] * 2, Walk.resign, Walk.hear, Walk.late_request,
    *[asking.zombie] * 2, asking.progress, asking.pause, asking.strike,
    *[faults.broken_stream] * 3, *[faults.full_server] * 2, faults.new_queue, faults.old_list,
]  # fmt: skip
LOSSES: list[Action] = [
    *[faults.lost_field] * 4, *[faults.lost_limit] * 4, *[faults.lost_entry] * 2, faults.lost_group, *[faults.litter] * 2,
    faults.lost_everything,
]  # fmt: skip
MIXTURES = ([*COMMON, *RARE], COMMON, [*COMMON, *RARE, *LOSSES])


def walks(server: Server, seeds: range, steps: int, scripts: Mapping[str, Script] | None = None) -> int:
    """Walk once for each seed; how many tasks were taken."""
    runs = 0
    for seed in seeds:
        walk = Walk(server, seed, scripts)
        walk.run(steps, MIXTURES[seed % 3], come_to_rest)
        runs += walk.runs
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description="Random walks over the protocol's scripts.")
    parser.add_argument("--walks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--engine", choices=ENGINES, default="valkey")
    told = parser.parse_args()
    began = time.monotonic()
    with running(told.engine) as server:
        runs = walks(server, range(told.seed, told.seed + told.walks), told.steps)
        sys.stdout.write(
            f"{told.walks} walks x {told.steps} steps, {runs} tasks run, {time.monotonic() - began:.0f} s, "
            f"{server.name} {server.version}\n"
        )


if __name__ == "__main__":
    main()
