"""Keys of the right type with the wrong contents: fields, values, members and scores that none of ours would write."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from shadows.protocol.keys import FIXED, Keys

WORDS: tuple[bytes, ...] = (
    b"", b"x", b"-", b"/", b"//", b"~", b"~due", b"~wait/1/x", b"~wait//", b"\0", b"\0\0", b"a\0b\0c", b"\xff\xfe", b" ", b"\n",
    b"0", b"-1", b"1", b"1.5", b"nan", b"inf", b"-inf", b"1e999", b"0x10", b"9" * 15, b"9" * 30, b"9" * 400, b"1/0", b"0/0",
    b"-1/3", b"9/1", b"1/1x", b"5 zz", b"999999999999 A", b"1 ", b"x A", b"default/", b"default/1/0/", b"default/x",
    b"default/1-1", b"default/99999999999999999999-1", b"nowhere/1-1", b"nowhere/1/0/x", b"completed/1/default/0/",
    b"completed/x/default/0/", b"failed/" + b"9" * 400 + b"/default/0/", b"failed/1/default/5/\xc1\xff\xff\xffx", b"completed/1/default",
    b"completed/1/default/-5/abc", b"odd/1/default/0/", b"failed/default/1/0/k", b"failed/default/99999/1/k", b"failed/\xff/1/0/\xff1/0/x",
    b"lost/default/-1/0/k", b"\0p/x\0o/1", b"\0p/", b"\0r/x/1\x011/9", b"\0r/x/1\1", b"\0d/x", b"{}", b"[]", b"{\"name\":1}", b"u/ready",
    b"r/x/1/0", b"q/x/1/0", b"r/x/0/0", b"d/", b"d/x", b"c/x", b"p/x", b"w\0default/1-1", b"\x81\xa1a\xc1", b"\xc1",
)  # fmt: skip
"""What stands in the place of a field, a value or a member."""

SCORES: tuple[float, ...] = (0, -1, 0.5, 1, 1e15, 1e300, -1e300, float("inf"), float("-inf"))

FIELDS: dict[str, tuple[bytes, ...]] = {
    "meta": (b"listening", b"strikes", b"paused", b"unique", b"wire", b"least", b"mended"),
}
"""Fields that a hash is asked for, whether they are there or not."""

ROLES = [role for role in FIXED if role != "wake"]
"""The keys that are no streams."""


type Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Damage:
    """What is written into one key of a shadow."""

    role: str
    shown: str
    commands: tuple[Command, ...]

    async def do(self, redis: Redis) -> None:
        """Write it, in one step."""
        pipe = redis.pipeline(transaction=True)
        for command in self.commands:
            pipe.execute_command(*command)
        await pipe.execute()


class Contents:
    """What may be written into one key of a shadow."""

    def __init__(self, redis: Redis, name: str, role: str) -> None:
        self._redis = redis
        self.role = role
        self.key = Keys(name)[role]
        self.kind = Keys(name).type_of(self.key)

    async def there(self) -> list[bytes]:
        """The fields or members that it has."""
        found: Any
        match self.kind:
            case "hash":
                found = self._redis.hkeys(self.key.decode())
            case "zset":
                found = self._redis.zrange(self.key, 0, -1)
            case _:
                found = self._redis.smembers(self.key.decode())
        return sorted(await found)

    def beside(self, dice: random.Random) -> Damage:
        """Much that is odd, beside all that is there."""
        words = dice.sample(WORDS, 20)
        commands: list[Command]
        match self.kind:
            case "hash":
                commands = [("HSETNX", self.key, word, dice.choice(WORDS)) for word in words]
            case "zset":
                commands = [("ZADD", self.key, "NX", dice.choice(SCORES), word) for word in words]
            case _:
                commands = [("SADD", self.key, word) for word in words]
        return Damage(self.role, "much beside it", tuple(commands))

    async def instead(self) -> list[Damage]:
        """Each odd thing in turn, in the place of all that is there; and that nothing is there."""
        return [Damage(self.role, "nothing", (("DEL", self.key),)), *self._instead(await self.there())]

    def _instead(self, there: list[bytes]) -> Iterator[Damage]:
        for word in WORDS:
            match self.kind:
                case "hash":
                    fields = {word, *there, *FIELDS.get(self.role, ())}
                    commands = [("HSET", self.key, field, word) for field in sorted(fields)]
                    yield Damage(self.role, repr(word), tuple(commands))
                case "zset":
                    for at in (0, 5, "inf"):
                        yield Damage(self.role, f"{word!r} at {at}", (("ZADD", self.key, at, word),))
                case _:
                    yield Damage(self.role, repr(word), (("SADD", self.key, word),))
                    yield Damage(self.role, f"only {word!r}", (("DEL", self.key), ("SADD", self.key, word)))
        for score in SCORES if self.kind == "zset" else ():
            yield Damage(
                self.role, f"all at {score}", tuple(("ZADD", self.key, score, each) for each in there)
            )
