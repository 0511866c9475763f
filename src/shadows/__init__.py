"""Distributed background tasks on Redis streams."""
