"""Small numbers for things with long names: vif, VRF and next-hop ids, and MPLS labels.

The datapath and other hosts know an interface, a VRF or a next hop by number. A number must
mean the same before and after a restart of the agent, or packets in flight would follow it to
another place. So every allocation is kept in one file, written before the number is used:

    keys that need numbers -> :meth:`Ids.allocate` -> :meth:`Ids.save` -> datapath
    datapath no longer uses a number -> :meth:`Ids.release` -> :meth:`Ids.save`

Owner: the agent's reconciler, the only writer. Invariants: a key has one number per space and a
number one key; a released number is handed out again only after all others of its space were
(a cursor walks round the space), which keeps a late packet or a stale table of another host
from meeting a new owner; a lost or damaged file costs the numbers, never the agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tungsten.agent.files import write_atomically


class IdsExhausted(Exception):
    """A space has no free number left. Carries the space's name and size."""

    def __init__(self, space: str, size: int) -> None:
        super().__init__(f"all {size} ids of {space} are in use")
        self.space = space
        self.size = size


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """The file: per space, key to number, and the cursor."""

    version: int
    spaces: dict[str, dict[str, int]]
    cursors: dict[str, int]


class IdSpace:
    """Numbers ``first`` to ``last`` of one kind, each held by at most one key."""

    def __init__(self, name: str, first: int, last: int) -> None:
        self.name = name
        self.first = first
        self.last = last
        self.cursor = first
        self.by_key: dict[str, int] = {}
        self._keys: dict[int, str] = {}

    def allocate(self, key: str) -> int:
        """The number of ``key``, found or newly taken. Raises :class:`IdsExhausted`."""
        number = self.by_key.get(key)
        if number is not None:
            return number
        size = self.last - self.first + 1
        if len(self._keys) >= size:
            raise IdsExhausted(self.name, size)
        number = self.cursor
        while number in self._keys:
            number = self.first if number >= self.last else number + 1
        self.cursor = self.first if number >= self.last else number + 1
        self._take(key, number)
        return number

    def reserve(self, number: int) -> None:
        """Keep a number that nobody here holds from being given out, until ``release`` of
        the key made for it. Numbers out of range and taken ones stay as they are."""
        if self.first <= number <= self.last and number not in self._keys:
            self._take(f"orphan:{number}", number)

    def release(self, key: str) -> None:
        """Free the number of ``key``; nothing happens when it holds none."""
        number = self.by_key.pop(key, None)
        if number is not None:
            del self._keys[number]

    def key_of(self, number: int) -> str | None:
        """Who holds ``number``."""
        return self._keys.get(number)

    def restore(self, saved: Mapping[str, int], cursor: int) -> None:
        """Take over a saved space; entries out of range or doubled are dropped."""
        for key, number in saved.items():
            if self.first <= number <= self.last and number not in self._keys:
                self._take(key, number)
        if self.first <= cursor <= self.last:
            self.cursor = cursor

    def _take(self, key: str, number: int) -> None:
        self.by_key[key] = number
        self._keys[number] = key


class Ids:
    """The agent's id spaces, kept in ``path``.

    ``problem`` says why a file that was there could not be used, else it is None.
    """

    VERSION = 1

    def __init__(self, path: Path, spaces: Iterable[IdSpace]) -> None:
        self._path = path
        self._spaces = {space.name: space for space in spaces}
        self._written = b""
        self.problem: str | None = None
        self._load()

    def __getitem__(self, space: str) -> IdSpace:
        return self._spaces[space]

    def allocate(self, space: str, key: str) -> int:
        """See :meth:`IdSpace.allocate`."""
        return self._spaces[space].allocate(key)

    def release(self, space: str, key: str) -> None:
        """See :meth:`IdSpace.release`."""
        self._spaces[space].release(key)

    def save(self) -> None:
        """Make what was allocated and released durable; no write when nothing changed."""
        content = msgspec.json.encode(
            _Saved(
                version=self.VERSION,
                spaces={name: space.by_key for name, space in self._spaces.items()},
                cursors={name: space.cursor for name, space in self._spaces.items()},
            )
        )
        if content != self._written:
            write_atomically(self._path, content)
            self._written = content

    def _load(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        try:
            saved = msgspec.json.decode(content, type=_Saved)
        except msgspec.DecodeError as error:
            self.problem = f"{self._path}: {error}"
            return
        if saved.version != self.VERSION:
            self.problem = f"{self._path}: version {saved.version}, accepted is {self.VERSION}"
            return
        for name, space in self._spaces.items():
            space.restore(saved.spaces.get(name, {}), saved.cursors.get(name, space.first))
        self._written = content
