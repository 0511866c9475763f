"""A cluster on loopback: nodes, slots moved key by key, failover; no tool but the server is needed."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress

from redis.crc import key_slot

from tests.support.servers import LOOPBACK, VALKEY, Server, running
from tests.support.waiting import until_sync

SLOTS = 16384
OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")


class Nodes:
    """The nodes of a running cluster: the first `primaries` have the slots, each of the others follows the first of them."""

    def __init__(self, servers: list[Server], primaries: int) -> None:
        self.servers = servers
        self.primaries = servers[:primaries]
        self.replicas = servers[primaries:]

    @property
    def url(self) -> str:
        """With every node in it."""
        return "redis+cluster://" + ",".join(f"{LOOPBACK}:{server.port}" for server in self.servers)

    def form(self) -> None:
        """Give out the slots, and make the nodes know each other."""
        first, count = self.servers[0], len(self.primaries)
        for number, server in enumerate(self.primaries):
            server.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            server.call(
                "CLUSTER",
                "ADDSLOTS",
                *range(number * SLOTS // count, (number + 1) * SLOTS // count),
            )
        for server in self.servers[1:]:
            server.call("CLUSTER", "MEET", LOOPBACK, first.port)
        until_sync(
            lambda: all(len(self._rows(server)) == len(self.servers) for server in self.servers),
            20,
            what="a meeting",
        )
        for server in self.replicas:
            server.call("CLUSTER", "REPLICATE", self.id_of(first))
        until_sync(lambda: all(self._sound(server) for server in self.servers), 20, what="a sound cluster")

    def owner(self, name: str) -> Server:
        """The node that has a shadow, by the word of the first that answers."""
        slot = slot_of(name)
        for server in self.servers:
            with suppress(OSError):  # one that was killed
                for first, last, (_, port, *_), *_ in server.call("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(one for one in self.servers if one.port == port)
        raise LookupError(name)

    def id_of(self, server: Server) -> bytes:
        """What the cluster calls it."""
        node: bytes = server.call("CLUSTER", "MYID")
        return node

    def begin_move(self, name: str, source: Server, target: Server) -> None:
        """Announce that a shadow's slot moves."""
        slot = slot_of(name)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move_keys(self, name: str, source: Server, target: Server) -> Iterator[bytes]:
        """Move its keys, one at each step."""
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot_of(name), 1):
            source.call("MIGRATE", LOOPBACK, target.port, keys[0], 0, 5000)
            yield keys[0]

    def end_move(self, name: str, target: Server) -> None:
        """Tell everybody of the new owner, which hears it first."""
        for server in (target, *self.primaries):
            self.give(name, server, target)

    def give(self, name: str, server: Server, target: Server) -> None:
        """Tell one node of a slot's new owner."""
        server.call("CLUSTER", "SETSLOT", slot_of(name), "NODE", self.id_of(target))

    def names(self, prefix: str) -> list[str]:
        """A shadow's name for each of the nodes with slots."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < len(self.primaries):
            name = f"{prefix}{number}"
            found.setdefault(self.owner(name).port, name)
            number += 1
        return [found[server.port] for server in self.primaries]

    def _rows(self, server: Server) -> list[bytes]:
        rows: bytes = server.call("CLUSTER", "NODES")
        return [row for row in rows.splitlines() if b"handshake" not in row]

    def _sound(self, server: Server) -> bool:
        info: bytes = server.call("CLUSTER", "INFO")
        following = server not in self.replicas or b"master_link_status:up" in server.call(
            "INFO", "replication"
        )
        known = sum(b" slave " in row or b",slave " in row for row in self._rows(server)) == len(
            self.replicas
        )
        return b"cluster_state:ok" in info and b"cluster_slots_ok:16384" in info and following and known


def slot_of(name: str) -> int:
    """Where all of a shadow's keys are."""
    return key_slot(f"{{{name}}}".encode())


@contextmanager
def running_cluster(primaries: int = 3, replicas: int = 0, engine: str = VALKEY.name) -> Generator[Nodes]:
    """A cluster of the caller's own."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running(engine, *OPTIONS)) for _ in range(primaries + replicas)]
        nodes = Nodes(servers, primaries)
        nodes.form()
        yield nodes
