"""What an operator sees of a running program: metrics, traces, health and logs."""

from .endpoints import Served, serve

__all__ = ["Served", "serve"]
