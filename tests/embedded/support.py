"""Users of an embedded server in processes of their own, and questions to a server by its socket."""

import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

USER = """
import sys
from shadows.embedded import enter
print(enter(sys.argv[1]), flush=True)
sys.stdin.read()
"""


class User:
    """A process that enters, says by which socket, and stays until told to go."""

    def __init__(self, url: str, *, script: str = USER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def socket(self) -> str:
        """Waits until the process has entered."""
        return self.line()

    def line(self) -> str:
        """The next line that the process says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """As an operating system does: at once, without a word."""
        self.process.kill()
        self.process.wait()


def say(path: str, *words: str) -> str:
    """A server's answer to one command; nothing where none answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(4096).decode()
        except OSError:
            return ""


def server_pid(path: str) -> int:
    """The process that serves there."""
    return int(
        next(line for line in _info(path).splitlines() if line.startswith("process_id:")).split(":")[1]
    )


def _info(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(b"INFO server\r\n")
        text = ""
        while "process_id:" not in text or not text.endswith("\r\n"):
            text += connection.recv(65536).decode()
        return text


def ended(process: int) -> bool:
    """Whether a process is gone (or only a corpse)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def parent_of(process: int) -> int:
    """A process's parent."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
