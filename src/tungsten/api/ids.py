"""Numbers that the system gives out: network ids, security group ids, tag ids.

A number is a claim in the store, so two objects never share one, and a number is free again
when its owner is gone. The lowest free number is given first.
"""

from __future__ import annotations

from dataclasses import dataclass

from tungsten.api.errors import Conflict
from tungsten.store.base import Transaction, number_key


@dataclass(frozen=True, slots=True)
class IdSpace:
    """Numbers ``first`` to ``last``; ``what`` names them in errors."""

    space: str
    first: int
    last: int
    what: str

    def owner(self, tx: Transaction, number: int) -> str | None:
        """Who holds a number."""
        return tx.claim_owner(self.space, number_key(number))

    def allocate(self, tx: Transaction, owner: str) -> int:
        """Claim the lowest free number for ``owner``. Raises Conflict when there is none."""
        number = tx.claim_number(self.space, range(self.first, self.last + 1), owner)
        if number is None:
            raise Conflict(f"No {self.what} is free between {self.first} and {self.last}")
        return number

    def take(self, tx: Transaction, number: int, owner: str) -> bool:
        """Claim a certain number; False when it has an owner already, even the same."""
        if self.owner(tx, number) is not None:
            return False
        tx.claim(self.space, number_key(number), owner)
        return True

    def release(self, tx: Transaction, number: int, owner: str) -> None:
        """Free a number if ``owner`` holds it."""
        if self.owner(tx, number) == owner:
            tx.release(self.space, number_key(number))


VIRTUAL_NETWORK_IDS = IdSpace("virtual-network-id", 1, 2**24, "virtual network ID")
SECURITY_GROUP_IDS = IdSpace("security-group-id", 8_000_001, 2**32 - 1, "security group ID")
TAG_TYPE_IDS = IdSpace("tag-type-id", 255, 32_766, "tag type ID")


def tag_value_ids(tag_type: str) -> IdSpace:
    """The numbers of the values of one tag type."""
    return IdSpace(f"tag-value-id:{tag_type}", 0, 32_767, f"value ID of tag type {tag_type}")


def sub_cluster_ids(asn: int) -> IdSpace:
    """The numbers of sub-clusters that a route distinguisher has room for beside an AS number."""
    last = 2**32 - 1 if asn <= 0xFFFF else 0xFFFF
    return IdSpace("sub-cluster-id", 1, last, "sub cluster ID")
