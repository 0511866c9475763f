"""The worker: runs what is ready. The ladder is worker → cycle → runner, with lease and reaper beside it."""

from .worker import Worker

__all__ = ["Worker"]
