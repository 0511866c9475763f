"""These tests set up the logs of the process, which is pytest's own."""

from tests.support.root_logging import kept_logging

__all__ = ["kept_logging"]
