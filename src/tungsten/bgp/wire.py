"""A cursor over bytes whose every read is checked against what is left.

All of the library's cold decoders read through :class:`Cursor`; the hot NLRI loops index by
hand and check before each slice. No length is ever subtracted unchecked: a declared length is
turned into a sub-cursor, so what is inside cannot read outside.
"""

from __future__ import annotations


class Truncated(Exception):
    """Internal: fewer bytes are left than a field needs. Never leaves the library."""


class Malformed(Exception):
    """Internal: a field's content is wrong; the text says how. Never leaves the library."""


class Cursor:
    """Reads big-endian fields from ``data`` from ``start`` up to ``end``."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = start
        self.end = len(data) if end is None else end

    def __len__(self) -> int:
        return self.end - self.pos

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        stop = self.pos + count
        if stop > self.end:
            raise Truncated(f"{count} octets wanted, {self.end - self.pos} left")
        chunk = self.data[self.pos : stop]
        self.pos = stop
        return chunk

    def uint(self, width: int) -> int:
        """The next ``width`` bytes as an unsigned number."""
        return int.from_bytes(self.take(width), "big")

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.end - self.pos)

    def sub(self, count: int) -> Cursor:
        """A cursor over the next ``count`` bytes, which this one skips."""
        stop = self.pos + count
        if stop > self.end:
            raise Truncated(f"{count} octets wanted, {self.end - self.pos} left")
        inner = Cursor(self.data, self.pos, stop)
        self.pos = stop
        return inner
