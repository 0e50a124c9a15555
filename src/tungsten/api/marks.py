"""Where giving out numbers and addresses stands, so that full ranges are not searched again.

A mark says "everything before here is thought to be taken". It only says where to begin: when
nothing is free after it the search starts over, so a mark that is out of date (after a restart,
or because another process freed something) costs time, never a wrong allocation.

A transaction reads marks through a :class:`MarkLog`, which keeps what it moved to itself;
:meth:`Marks.apply` takes that over once the transaction has committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address


@dataclass(slots=True)
class Marks:
    """The marks of all spaces, as of the last commit applied."""

    _at: dict[str, int] = field(default_factory=dict)

    def get(self, space: str) -> int | None:
        """Where to begin to search in a space; None is at its start."""
        return self._at.get(space)

    def log(self) -> MarkLog:
        """A view for one run of one transaction."""
        return MarkLog(self)

    def apply(self, log: MarkLog) -> None:
        """Take over what a committed transaction moved."""
        for space, order in log.freed:
            if order < self._at.get(space, order):
                self._at[space] = order
        for space, order in log.advanced.items():
            if order > self._at.get(space, order - 1):
                self._at[space] = order


@dataclass(slots=True)
class MarkLog:
    """The marks as one transaction sees and moves them."""

    base: Marks
    advanced: dict[str, int] = field(default_factory=dict)
    freed: list[tuple[str, int]] = field(default_factory=list)

    def free_key(self, space: str, key: str) -> None:
        """The claim ``key`` of a space, a number or an address, is free again.

        The marks of subnets that are given out from the top are negative (see
        :meth:`tungsten.api.subnets.Subnet.order`).
        """
        mark = self.get(space)
        if mark is not None:
            value = int(key) if key.isdecimal() else int(ip_address(key))
            self.free(space, value if mark >= 0 else -value)

    def get(self, space: str) -> int | None:
        """Where to begin to search in a space; None is at its start."""
        return self.advanced.get(space, self.base.get(space))

    def advance(self, space: str, order: int) -> None:
        """Everything before ``order`` has been seen to be taken."""
        self.advanced[space] = order

    def free(self, space: str, order: int) -> None:
        """What was at ``order`` is free again."""
        self.freed.append((space, order))
        self.advanced.pop(space, None)
