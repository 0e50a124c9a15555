"""Numbers that the system gives out: network ids, security group ids, tag ids.

A number is a claim in the store, so two objects never share one, and a number is free again
when its owner is gone. The lowest free number is given first.
"""

from __future__ import annotations

from dataclasses import dataclass

from tungsten.api.errors import Conflict
from tungsten.api.marks import MarkLog
from tungsten.store.base import Transaction


@dataclass(frozen=True, slots=True)
class IdSpace:
    """Numbers ``first`` to ``last``; ``what`` names them in errors."""

    space: str
    first: int
    last: int
    what: str

    def key(self, number: int) -> str:
        """The claim key of a number: keys sort as the numbers do."""
        return f"{number:010d}"

    def owner(self, tx: Transaction, number: int) -> str | None:
        """Who holds a number."""
        return tx.claim_owner(self.space, self.key(number))

    def allocate(self, tx: Transaction, owner: str, marks: MarkLog) -> int:
        """Claim the lowest free number for ``owner``. Raises Conflict when there is none."""
        mark = marks.get(self.space)
        for start in (mark, self.first) if mark is not None else (self.first,):
            for number in range(start, self.last + 1):
                if self.owner(tx, number) is None:
                    tx.claim(self.space, self.key(number), owner)
                    marks.advance(self.space, number)
                    return number
        raise Conflict(f"No {self.what} is free between {self.first} and {self.last}")

    def release(self, tx: Transaction, number: int, owner: str, marks: MarkLog) -> None:
        """Free a number if ``owner`` holds it."""
        if self.owner(tx, number) == owner:
            tx.release(self.space, self.key(number))
            marks.free_key(self.space, self.key(number))


VIRTUAL_NETWORK_IDS = IdSpace("virtual-network-id", 1, 2**24, "virtual network ID")
SECURITY_GROUP_IDS = IdSpace("security-group-id", 8_000_001, 2**32 - 1, "security group ID")
TAG_TYPE_IDS = IdSpace("tag-type-id", 255, 32_766, "tag type ID")


def tag_value_ids(tag_type: str) -> IdSpace:
    """The numbers of the values of one tag type."""
    return IdSpace(f"tag-value-id:{tag_type}", 0, 32_767, f"value ID of tag type {tag_type}")
