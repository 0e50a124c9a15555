"""Numbers that derived objects need, given out once and kept.

A *pool* is a range of numbers, a space of the store's claims. A resource owns at most one
number of a pool, and the store frees it in the transaction that deletes the resource; there is
no second place where numbers are kept, so none can leak. A number is not given again while an
object that carries it is still there, held by somebody's reference: who refers to it would
otherwise be joined to its next owner. And numbers go round: one that was freed comes again after
all above it have had their turn, so that routes which some router still keeps under it, as stale
ones of a graceful restart, do not meet its next owner.

Queries stay pure: they read the number their resource owns, like any other input, and while
there is none they ask for one in their result. What is asked for is given between two walks, in
rising order, to the oldest resource first; the queries that asked run again with
the number, and the claim is written in the same transaction as the objects that carry it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from tungsten.compiler.engine import Engine
from tungsten.store.base import number_key


@dataclass(frozen=True, slots=True)
class Pool:
    """A space of claims whose keys are the numbers from ``low`` to below ``high``."""

    space: str
    low: int
    high: int


#: Route targets of a two-octet AS: ``target:<asn>:<number>``.
ROUTE_TARGETS = Pool("route-target/type0", 8000000, 8000000 + 2**24)

#: Route targets of a four-octet AS, which leaves sixteen bits for the number.
ROUTE_TARGETS_OF_LONG_AS = Pool("route-target/type1_2", 8000, 8000 + 2**15)

POOLS = {pool.space: pool for pool in (ROUTE_TARGETS, ROUTE_TARGETS_OF_LONG_AS)}


class PoolExhausted(Exception):
    """No number of a pool is free. ``owner`` is the resource that asked."""

    def __init__(self, pool: Pool, owner: str) -> None:
        super().__init__(
            f"{owner} needs a number of {pool.space}, but all of"
            f" {pool.low}..{pool.high - 1} are taken"
        )
        self.pool = pool
        self.owner = owner


class _Numbers:
    """The state of one pool: who has what, and where the search for a free one goes on."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.of: dict[str, int] = {}
        self.owner: dict[int, str] = {}
        self._next = pool.low

    def go_on_after(self, number: int) -> None:
        """Search above a number that is known to have been given."""
        self._next = max(self._next, number + 1)

    def go_on_from(self, other: _Numbers) -> None:
        """Search where another picture of the same pool would have."""
        self._next = other._next

    def take(self, owner: str, is_used: Callable[[int], bool]) -> int:
        """The next number that nobody has and that is not ``is_used`` otherwise."""
        low, high = self.pool.low, self.pool.high
        if len(self.owner) < high - low:
            for number in chain(range(self._next, high), range(low, self._next)):
                if number not in self.owner and not is_used(number):
                    self._next = number + 1
                    self.set(owner, number)
                    return number
        raise PoolExhausted(self.pool, owner)

    def set(self, owner: str, number: int) -> None:
        self.of[owner] = number
        self.owner[number] = owner

    def free(self, owner: str) -> int | None:
        number = self.of.pop(owner, None)
        if number is not None:
            del self.owner[number]
        return number


class Allocations:
    """The compiler's picture of the claims in its pools; the store's decides.

    ``stored`` are the claims known to be in the store; the others have been given and wait for
    the transaction that writes them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers = {space: _Numbers(pool) for space, pool in POOLS.items()}
        self._stored: set[tuple[str, str]] = set()

    def read(self, pool: Pool, owner: str) -> int | None:
        """The number an owner has; noted as read by the running query."""
        self._engine.read(("claim", pool.space, owner))
        return self._numbers[pool.space].of.get(owner)

    def load(self, space: str, claims: Iterable[tuple[str, str]]) -> None:
        """Take over the claims, (key, owner), that the store has in a space, in key order.

        Should an owner have several, the lowest counts; the others are not given to anybody.
        """
        known = self._numbers[space]
        before = set(known.of)
        numbers = self._numbers[space] = _Numbers(POOLS[space])
        numbers.go_on_from(known)
        self._stored = {entry for entry in self._stored if entry[0] != space}
        for key, owner in claims:
            numbers.owner[int(key, 16)] = owner
            numbers.go_on_after(int(key, 16))
            numbers.of.setdefault(owner, int(key, 16))
            self._stored.add((space, owner))
            before.add(owner)
        for owner in before:
            self._engine.changed(("claim", space, owner))

    def give(self, pool: Pool, owner: str, is_used: Callable[[int], bool]) -> int:
        """Give an owner the next free number. Raises PoolExhausted.

        A number that nobody has, but that ``is_used`` says is still in use, is not free.
        """
        number = self._numbers[pool.space].take(owner, is_used)
        self._engine.changed(("claim", pool.space, owner))
        return number

    def key(self, space: str, owner: str) -> str | None:
        """The claim's key for the number an owner has."""
        number = self._numbers[space].of.get(owner)
        return None if number is None else number_key(number)

    def held(self, space: str) -> list[tuple[str, int]]:
        """(owner, number) of everybody who has a number of a space."""
        return sorted(self._numbers[space].of.items())

    def is_stored(self, space: str, owner: str) -> bool:
        """Whether the store is known to have the claim."""
        return (space, owner) in self._stored

    def store(self, space: str, owner: str) -> None:
        """The claim has been written."""
        if owner in self._numbers[space].of:
            self._stored.add((space, owner))

    def release(self, space: str, owner: str) -> None:
        """The owner's number is free again."""
        self._stored.discard((space, owner))
        if self._numbers[space].free(owner) is not None:
            self._engine.changed(("claim", space, owner))

    def forget(self, owner: str) -> None:
        """The owner is gone and the store has freed what it held."""
        for space in self._numbers:
            self.release(space, owner)
