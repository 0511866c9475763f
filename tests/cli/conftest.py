"""The command line sets up the logs of its process, which here is pytest's own."""

from tests.support.root_logging import kept_logging

__all__ = ["kept_logging"]
