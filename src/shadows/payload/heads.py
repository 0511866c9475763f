"""The name of a call's function, read from the beginning of the call alone."""

_SHORT = range(0xA0, 0xC0)
_LENGTHS = {0xD9: 1, 0xDA: 2}


def function_name(data: bytes) -> str:
    """The function of what `encode_call` wrote, or of its first bytes; empty where it cannot be told.

    It stands in front: the wire version, an array's head, then the name.
    """
    if len(data) < 3:
        return ""
    mark = data[2]
    if mark in _SHORT:
        start, length = 3, mark - 0xA0
    elif size := _LENGTHS.get(mark, 0):
        start, length = 3 + size, int.from_bytes(data[3 : 3 + size])
    else:
        return ""
    name = data[start : start + length]
    return name.decode(errors="replace") if len(name) == length else ""
