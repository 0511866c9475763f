"""Speed, as ratios to the floor: see `python -m benchmarks --help`."""
