"""Other queues as contenders: a script each, see `benchmarks/harness.py`."""
