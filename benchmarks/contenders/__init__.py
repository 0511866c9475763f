"""The contenders of this project: a script each, see `benchmarks/harness.py`."""
