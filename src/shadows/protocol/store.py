"""A shadow's data on its server: what every script call shares.

Each call declares every key that it may touch, the streams of all queues among them. Where a queue was added meanwhile
the script answers QUEUES, with nothing written: the list is read anew and the call sent again.
"""

from collections.abc import Iterable, Sequence

from redis.exceptions import NoScriptError, ResponseError

from shadows.errors import BrokenKey, ServerUnsupported

from .connection import Address, Argument, Link, Reply
from .failures import is_wrong_type
from .keys import DEFAULT_QUEUE, Keys, check_queue
from .scripts import Script, load

WIRE = 1
"""The version of what we write, and the newest that we can read."""
LEAST = 1
"""The least version that can read what we write."""


class Store:
    """One shadow's keys, and the queues that are known of it."""

    __slots__ = ("_heads", "_own", "_queues", "address", "keys")

    def __init__(self, name: str, address: Address) -> None:
        self.keys = Keys(name)
        self.address = address
        self._own: set[str] = {DEFAULT_QUEUE}
        self._queues: tuple[str, ...] = ()
        self._heads: dict[str, list[Argument]] = {}

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that the shadow has, as last seen."""
        return self._queues

    def head(self, script: Script) -> Sequence[Argument]:
        """A script's keys, behind their number."""
        head = self._heads.get(script.name)
        if head is None:
            keys = [self.keys[role] for role in script.roles]
            if b"KEYS: the streams" in script.source:
                keys += map(self.keys.ready, self._queues)
            head = self._heads[script.name] = [len(keys), *keys]
        return head

    async def call(self, link: Link, script: Script, *arguments: Argument) -> list[Reply]:
        """Run one script; its reply, without the leading status where that is OK."""
        while True:
            reply = await self._evaluate(link, script, self.head(script), arguments)
            if reply[0] != b"QUEUES":
                return reply
            await self.enroll(link)

    async def enroll(self, link: Link, queues: Iterable[str] = ()) -> None:
        """Make queues ready for use, ours again where the server lost its data, and learn of all others.

        Raises:
            ServerUnsupported: the shadow holds what this version cannot read.
        """
        self._own.update(map(check_queue, queues))
        own = sorted(self._own)
        script = load("enroll")
        keys = [self.keys[role] for role in script.roles]
        reply = await self._evaluate(
            link, script, [len(keys) + len(own), *keys, *map(self.keys.ready, own)], [b"", WIRE, LEAST]
        )
        if reply[0] == b"WIRE":
            raise ServerUnsupported(
                f"the shadow {self.keys.name!r} is written by a newer shadows (wire version {int(reply[1])} is needed to "
                f"read it, this one reads {WIRE}): upgrade shadow-task here"
            )
        self._queues = tuple(sorted(queue.decode() for queue in reply[1:]))
        self._heads.clear()

    async def request(self, link: Link, *command: Argument) -> Reply:
        """Send one command that is about the shadow's keys.

        Raises:
            BrokenKey: one of them holds something else.
        """
        try:
            return await link.request(*command)
        except ResponseError as error:
            if is_wrong_type(error):
                raise await self.diagnose(link) from error
            raise

    async def diagnose(self, link: Link) -> BrokenKey:
        """What is behind an error about a key's type: one look at the types of all of them."""
        script = load("types")
        queues = self._own.union(self._queues)
        keys = [*(self.keys[role] for role in script.roles), *map(self.keys.ready, sorted(queues))]
        found: list[bytes] = await link.request(b"EVAL", script.source, len(keys), *keys)
        return broken(self.keys, [(key, kind.decode()) for key, kind in zip(keys, found, strict=True)])

    async def _evaluate(
        self, link: Link, script: Script, head: Sequence[Argument], arguments: Sequence[Argument]
    ) -> list[Reply]:
        try:
            reply: list[Reply] = await self.request(link, b"EVALSHA", script.sha, *head, *arguments)
        except NoScriptError:
            await link.request(b"SCRIPT", b"LOAD", script.source)
            # By its source: the node that a moving slot sends us to has not loaded it.
            reply = await self.request(link, b"EVAL", script.source, *head, *arguments)
        return reply


def broken(keys: Keys, found: Iterable[tuple[bytes, str]]) -> BrokenKey:
    """Which of the keys are not what they are to be, and what can be done about it."""
    wrong = [
        (key.decode(), kind, keys.type_of(key))
        for key, kind in found
        if kind not in (keys.type_of(key), "none")
    ]
    if not wrong:
        return BrokenKey(f"a key of {keys.name!r} held something else, and does so no more: try again")
    said = "; ".join(
        f"the key {key!r} holds a {kind} where shadows keeps a {right}" for key, kind, right in wrong
    )
    remedy = " and ".join(f'RENAME "{key}" "broken:{key}"' for key, _, _ in wrong)
    return BrokenKey(
        f"{said}: something else wrote there. Restore what it held, or take it out of the way: {remedy}"
    )
