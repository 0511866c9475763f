"""Many damaged entries on one engine, and what became of them: `python -m tests.fuzz --entries 10000 --seed 1`.

`--contents` damages what is in every key instead, each in many ways.
"""

import argparse
import asyncio
import logging
import sys
import time

from tests.fuzz.attack import attack
from tests.fuzz.survey import damage_contents
from tests.support.servers import ENGINES, VALKEY, running


def main() -> int:
    """The exit code: 0 where all is as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000, help="how many are damaged (10000)")
    parser.add_argument("--seed", type=int, default=1, help="the seed that all of it comes from (1)")
    parser.add_argument(
        "--engine", action="append", choices=list(ENGINES), help=f"a server ({VALKEY.name}); may be repeated"
    )
    parser.add_argument(
        "--contents", action="store_true", help="damage the contents of keys instead of entries"
    )
    told = parser.parse_args()
    logging.getLogger("shadows").addHandler(logging.NullHandler())
    sound = True
    for engine in told.engine or [VALKEY.name]:
        with running(engine) as server:
            began = time.perf_counter()
            if told.contents:
                count, complaints = asyncio.run(damage_contents("fuzzed", server.url, told.seed))
                took = time.perf_counter() - began
                head = f"{engine} {server.version}, seed {told.seed}, {took:.1f} s: {count} damages, {len(complaints)} complaints"
                sys.stdout.write("\n  ".join([head, *complaints]) + "\n")
                sound = sound and not complaints
                continue
            figures = asyncio.run(attack("fuzzed", server.url, told.entries, told.seed))
            took = time.perf_counter() - began
            verdict = "sound" if figures.sound else "BROKEN"
            head = f"{engine} {server.version}, seed {told.seed}, {took:.1f} s: {verdict}"
            sys.stdout.write("\n  ".join([head, *figures.lines()]) + "\n")
            sound = sound and figures.sound
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
