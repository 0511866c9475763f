"""Keys of the wrong type: whatever a key of a shadow is to be, something else stands there."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

MADE: dict[str, tuple[str | int, ...]] = {
    "string": ("SET", "nonsense"),
    "list": ("RPUSH", "nonsense"),
    "set": ("SADD", "nonsense"),
    "hash": ("HSET", "nonsense", "nonsense"),
    "zset": ("ZADD", 1, "nonsense"),
    "stream": ("XADD", "*", "nonsense", "nonsense"),
}
"""How something of each type is made, without the key."""


@dataclass(frozen=True, slots=True)
class Ground:
    """All keys of one shadow, to be looked at and put back as they were."""

    redis: Redis
    name: str

    @property
    def prefix(self) -> str:
        """What all of its keys begin with."""
        return f"{{{self.name}}}:"

    async def save(self) -> dict[bytes, bytes]:
        """What every key holds, in the server's own form."""
        found: Any = await self.redis.keys(self.prefix + "*")
        keys: list[bytes] = sorted(found)
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.dump(key)
        return dict(zip(keys, await pipe.execute(), strict=True))

    async def load(self, saved: dict[bytes, bytes]) -> None:
        """Make it as it was when it was saved."""
        pipe = self.redis.pipeline(transaction=False)
        for key in await self.redis.keys(self.prefix + "*"):
            pipe.delete(key)
        for key, dump in saved.items():
            pipe.restore(key, 0, dump)
        await pipe.execute()

    async def differences(self, saved: dict[bytes, bytes]) -> set[bytes]:
        """The keys that are not as they were."""
        present = await self.save()
        return {key for key in saved.keys() | present if saved.get(key) != present.get(key)}

    async def swap(self, role: str, kind: str) -> bool:
        """Put something of a type where a key is, while others work with it; whether anything was there."""
        key = self.prefix + role
        present = bool(await self.redis.exists(key))
        command, *values = MADE[kind]
        pipe = self.redis.pipeline(transaction=True)
        if present:
            pipe.rename(key, f"broken:{key}")
        pipe.execute_command(command, key, *values)
        await pipe.execute()
        return present

    async def swap_back(self, role: str, *, present: bool) -> None:
        """Mend it: what was there is there again."""
        key = self.prefix + role
        pipe = self.redis.pipeline(transaction=True)
        pipe.delete(key)
        if present:
            pipe.rename(f"broken:{key}", key)
        await pipe.execute()

    async def spoil(self, role: str, kind: str) -> bytes:
        """Put something of a type where a key of the shadow is; its name."""
        key = (self.prefix + role).encode()
        await self.redis.delete(key)
        command, *values = MADE[kind]
        made: Any = self.redis.execute_command(command, key, *values)  # type: ignore[no-untyped-call]
        await made
        return key
