"""Speed, against the floor and other queues: see `python -m benchmarks --help`."""
