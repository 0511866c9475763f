"""Seeded random walks over the real scripts, compared with the model after every step.

    uv run python -m tests.protocol.walk --walks 1000 --seed 0 --steps 60 --engine redis-7

A walk's time is its own. Every third one also loses things by hand. Where one fails, its seed and its last steps are
in the message.
"""

import argparse
import sys
import time
from collections.abc import Mapping

from shadows.protocol.scripts import Script
from tests.protocol import faults
from tests.protocol.walker import Action, Walk
from tests.support.servers import ENGINES, Server, running

ACTIONS: list[Action] = [
    *[Walk.schedule] * 11, *[Walk.cycle] * 20, *[Walk.cancel] * 3, *[Walk.find] * 2, *[Walk.beat] * 6,
    *[Walk.reap] * 4, *[Walk.zombie] * 4, *[Walk.ghost] * 2, *[Walk.recover] * 2, *[Walk.tick] * 2,
    Walk.kill, Walk.resign, Walk.jump, Walk.hear, Walk.late_request,
    *[faults.broken_stream] * 3, *[faults.full_server] * 2, faults.new_queue, faults.old_list,
]  # fmt: skip
LOSSY: list[Action] = [
    *ACTIONS, *[faults.lost_field] * 5, *[faults.lost_entry] * 2, faults.lost_group, *[faults.litter] * 2, faults.lost_everything,
]  # fmt: skip


def walks(server: Server, seeds: range, steps: int, scripts: Mapping[str, Script] | None = None) -> int:
    """Walk once for each seed; how many tasks were taken."""
    runs = 0
    for seed in seeds:
        walk = Walk(server, seed, scripts)
        walk.run(steps, LOSSY if seed % 3 == 2 else ACTIONS)
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
