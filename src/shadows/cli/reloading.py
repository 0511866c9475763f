"""Noticing that Python files were changed, by looking at their times: no library is needed, and every file system has them."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

logger = logging.getLogger("shadows.dev")

INTERVAL = 0.5
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "build", "dist", "venv"}


async def changes(root: Path, changed: Callable[[], object]) -> None:
    """Call `changed` each time a Python file below `root` was added, removed or written; runs until cancelled."""
    known = await asyncio.to_thread(times, root)
    while True:
        await asyncio.sleep(INTERVAL)
        seen = await asyncio.to_thread(times, root)
        if seen != known:
            names = sorted({path for path, _ in seen.items() ^ known.items()})
            logger.info(
                "files changed, the worker starts anew first=%s many=%d",
                names[0],
                len(names),
            )
            known = seen
            changed()


def times(root: Path) -> dict[str, int]:
    """When each Python file below a directory was written, hidden directories and those of environments left out."""
    return dict(_walk(os.fspath(root)))


def _walk(directory: str) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(directory))
    except OSError:  # gone meanwhile, or not ours to read
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                    yield from _walk(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path, entry.stat().st_mtime_ns
        except OSError:  # gone meanwhile
            continue
