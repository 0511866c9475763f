"""Other versions of the library, each in an environment of its own: an earlier commit, or a next one that is made up."""

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from chaos.stack import ROOT

OLD = "aa2c9ac"
"""An earlier commit, whose workers have to get along with those of today."""
NEXT = "next"
"""The present commit, writing the next wire version, which today's can read."""
BREAKING = "breaking"
"""The present commit, writing a next wire version that only itself can read."""
MADE_UP = (NEXT, BREAKING)
_STORE = Path("src/shadows/protocol/store.py")
_CALL = Path("src/shadows/payload/call.py")


class VersionMissing(Exception):
    """The repository does not hold that commit: a shallow clone, or none at all."""


def built(version: str, folder: Path) -> str:
    """Build a version, and install it in an environment of its own below the folder; answers its Python.

    Raises:
        VersionMissing: git does not know the commit.
        subprocess.CalledProcessError: uv could not build or install it.
    """
    source, environment = folder / "version", folder / "version-environment"
    with tarfile.open(fileobj=io.BytesIO(_archive("HEAD" if version in MADE_UP else version))) as archive:
        archive.extractall(source, filter="data")
    store, call = source / _STORE, source / _CALL
    if version in MADE_UP:
        store.write_text(raised(store.read_text()))
    if version == BREAKING:
        store.write_text(raised(store.read_text(), "LEAST"))
        call.write_text(raised(call.read_text()))
    uv = os.environ.get("UV", "uv")
    python = str(environment / "bin" / "python")
    for command in (
        ["build", "--quiet", "--wheel", "--out-dir", str(source / "dist"), str(source)],
        ["venv", "--quiet", "--python", sys.executable, str(environment)],
    ):
        subprocess.run([uv, *command], check=True, cwd=ROOT)
    (wheel,) = (source / "dist").glob("*.whl")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, str(wheel)], check=True, cwd=ROOT)
    return python


def raised(text: str, version: str = "WIRE") -> str:
    """The text of a module that holds a version of the wire, with the next one in it."""
    changed, count = re.subn(
        rf"^({version}(?:: Final)? =) (\d+)$",
        lambda found: f"{found[1]} {int(found[2]) + 1}",
        text,
        flags=re.MULTILINE,
    )
    if count != 1:
        raise RuntimeError("the wire version is not where it used to be")
    return changed


def _archive(commit: str) -> bytes:
    try:
        told = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        raise VersionMissing("other versions are built from the repository: install git") from None
    if told.returncode:
        raise VersionMissing(
            f"git cannot give commit {commit}: {told.stderr.decode().strip()}; in a shallow clone, "
            "`git fetch --unshallow` brings it"
        )
    return told.stdout
