"""The Lua scripts: their files, put together once, and the keys that each of them declares.

A script's head comment is read here: `-- keys:` names the keys it takes (each becomes a local of that name), `-- with:`
the shared fragments that stand in front of it, whose own keys are added. What takes `KEYS: the streams` ends with them. `-- checks: keys` gives it `wrong_key()`, an error
where one of its keys is not what it is to be, which it asks before its first write: scripts do not roll back.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from .keys import FIXED, TYPES

_SOURCES = files("shadows.protocol") / "lua"
_DIRECTIVE = re.compile(r"^-- (keys|with|checks): (.*)$", re.MULTILINE)

_CHECK = """
local function wrong_key()
  for i, kind in ipairs({%s}) do
    local found = kind ~= 'stream' and call('TYPE', KEYS[i]).ok or 'none'
    if found ~= kind and found ~= 'none' then return redis.error_reply('WRONGTYPE ' .. KEYS[i]) end
  end
end"""
"""(Streams are asked for one by one, and `wake` is nobody's loss.)"""


@dataclass(frozen=True, slots=True)
class Script:
    """One operation of the protocol as the server runs it."""

    name: str
    source: bytes
    sha: bytes
    roles: tuple[str, ...]
    """The fixed keys it takes, in order."""


@cache
def load(name: str) -> Script:
    """The script of that name, with its fragments in front."""
    return assemble(
        name, _read(name), {fragment: _read(f"shared/{fragment}") for fragment in _words(_read(name), "with")}
    )


def assemble(name: str, body: str, fragments: dict[str, str]) -> Script:
    """Put one script together from its text and that of its fragments."""
    texts = [*fragments.values(), body]
    needed = {role for text in texts for role in _words(text, "keys")}
    roles = tuple(role for role in FIXED if role in needed)
    if unknown := needed - set(roles):
        raise LookupError(f"{name}.lua declares keys that no shadow has: {sorted(unknown)}")
    names = ", ".join(role.replace(":", "_") for role in roles)
    head = f"local {names} = {', '.join(f'KEYS[{n}]' for n in range(1, len(roles) + 1))}\n"
    if "keys" in _words(body, "checks"):
        head += _CHECK % ", ".join(f"'{TYPES.get(role, 'hash')}'" for role in roles)
    source = "\n".join([f"local call, FIXED = redis.call, {len(roles)}", head, *texts]).encode()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode(), roles)


def _read(name: str) -> str:
    return (_SOURCES / f"{name}.lua").read_text()


def _words(text: str, directive: str) -> list[str]:
    return [word for kind, words in _DIRECTIVE.findall(text) if kind == directive for word in words.split()]
