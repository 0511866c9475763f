"""What all servers have in common that are replaced by their replicas when they are killed."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.support.servers import LOOPBACK, Server
from tests.support.waiting import until_sync

from chaos.ground import Ground

PATIENCE = 40.0
"""Seconds that a failover may take."""


class Fall(NamedTuple):
    """When a primary's replica heard of it last, when it was killed, and when the replica had taken its place."""

    cut: float
    killed: float
    promoted: float


def follows(replica: Server, primary: Server) -> bool:
    """Whether it replicates that one, and has all that was there when it began to."""
    role, *facts = replica.call("ROLE")
    return (role, *facts[1:3]) == (b"slave", primary.port, b"connected")


def is_primary(server: Server) -> bool:
    """Whether it says so itself."""
    try:
        return bool(server.call("ROLE")[0] == b"master")
    except OSError:  # its clients are cut off when it is told to become one
        return False


def kill_primary(
    dead: Ground, heir: Ground, lag: float, promoted: Callable[[], bool], options: Sequence[str] = ()
) -> Fall:
    """Kill a server, wait until its replica has taken its place, and start it again as that one's replica.

    Args:
        dead: the primary.
        heir: its replica, which is waited for until it has caught up.
        lag: for so many seconds before the kill the replica hears nothing of what the primary does.
        promoted: whether clients that ask for the primary are led to the replica.
        options: for the dead one, when it starts again.

    Returns:
        When all that happened, once the dead one follows the other.
    """
    until_sync(lambda: follows(heir.server, dead.server), PATIENCE, what="a replica to fail over to")
    # Stopped, or it would connect again at once; what has been sent to it, it reads when it goes on.
    os.kill(heir.server.process.pid, signal.SIGSTOP)
    try:
        cut = time.time()
        dead.server.call("CLIENT", "KILL", "TYPE", "replica")
        time.sleep(lag)
        killed = dead.kill()
    finally:
        os.kill(heir.server.process.pid, signal.SIGCONT)
    until_sync(lambda: is_primary(heir.server) and promoted(), PATIENCE, what="a promotion")
    promoted_at = time.time()
    dead.start(*options)
    until_sync(lambda: follows(dead.server, heir.server), PATIENCE, what="the dead one's return")
    return Fall(cut, killed, promoted_at)


def following(primary: Ground) -> tuple[str, ...]:
    """The options of a server that is a replica from its start."""
    return "--replicaof", LOOPBACK, str(primary.port)
