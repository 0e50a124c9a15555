"""The contract of a configuration store: transactions, revisions, resumable watches.

A store keeps *records* (one per resource: its identity, the edges it has, and its body as
JSON bytes) and *claims* (unique keys in named spaces: addresses, network ids...), and changes
both in *transactions* that commit whole or not at all. Every commit has a *revision*, a
positive integer that only grows. A *watch* yields every commit after a revision, each once,
in order, never split.

Invariants that every engine keeps and the contract tests check:

* no two records share a uuid, or a (type, fq_name);
* a record's parent and every reference exist when the transaction commits;
* a record cannot be deleted while another names it as parent or, strongly, in a reference;
* a claim has one owner; it is freed when its owner record is deleted;
* a transaction that raises changes nothing.

Engines: :mod:`tungsten.store.sqlite` (embedded, one writing process; its revisions have no gaps)
and :mod:`tungsten.store.etcd` (a cluster, any number of processes; its revisions are etcd's). A
transaction is a plain function that the engine may run more than once: it must have no effects
other than through its :class:`Transaction`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeVar, runtime_checkable

from tungsten.store.origin import UNKNOWN, Origin
from tungsten.store.touched import Touched

T = TypeVar("T")


class StoreError(Exception):
    """A transaction that cannot commit. Nothing has changed."""


class DuplicateName(StoreError):
    """Another record of the type has this fq_name. Carries the type, name and holder's uuid."""

    def __init__(self, type_: str, fq_name: tuple[str, ...], holder: str) -> None:
        super().__init__(f"{type_} {':'.join(fq_name)} already exists with uuid {holder}")
        self.type = type_
        self.fq_name = fq_name
        self.holder = holder


class DuplicateId(StoreError):
    """Another record has this uuid."""

    def __init__(self, uuid: str, type_: str, fq_name: tuple[str, ...]) -> None:
        super().__init__(f"uuid {uuid} is taken by {type_} {':'.join(fq_name)}")
        self.uuid = uuid
        self.type = type_
        self.fq_name = fq_name


class DanglingReference(StoreError):
    """A record names a parent or a reference target that does not exist."""

    def __init__(self, uuid: str, target: str) -> None:
        super().__init__(f"record {uuid} refers to {target}, which does not exist")
        self.uuid = uuid
        self.target = target


class StillReferenced(StoreError):
    """A record to be deleted has children or strong referrers: ``holders``, their uuids."""

    def __init__(self, uuid: str, holders: tuple[str, ...]) -> None:
        super().__init__(f"record {uuid} is still used by {', '.join(holders)}")
        self.uuid = uuid
        self.holders = holders


class ClaimTaken(StoreError):
    """A key of a claim space has another owner."""

    def __init__(self, space: str, key: str, owner: str) -> None:
        super().__init__(f"{key} in {space} is taken by {owner}")
        self.space = space
        self.key = key
        self.owner = owner


class Compacted(StoreError):
    """A watch asked for commits that the store no longer keeps, or never had: load() again."""


class TransactionTooLarge(StoreError):
    """A transaction of more operations or bytes than the engine takes at once."""


class StoreUnavailable(StoreError):
    """The store cannot be read or written now: disk full, input/output error.

    When a transaction meets it while committing, the outcome is not known until the store is
    read again; in every other case nothing has changed.
    """


class StoreUnusable(StoreError):
    """What is there is no store, or a damaged one, or another process's: opening is refused."""


class TooMuch(Exception):
    """A read or a transaction needs more than there is for it where it was begun."""


class StoreClosed(StoreError):
    """The store was closed, here."""


def number_key(number: int) -> str:
    """A claim key for a number of up to 128 bits; the keys' order is the numbers' order."""
    return f"{number:032x}"


@dataclass(frozen=True, slots=True)
class Edge:
    """A reference to another record.

    ``field`` is the REST name (``virtual_network_refs``); ``weak`` edges do not keep their
    target from being deleted: the store then drops the edge, and the holder's body is what
    its owner makes of it.
    """

    field: str
    target: str
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One resource as stored.

    ``type`` is the dashed resource type, ``parent`` the parent's uuid or None, ``body`` the
    JSON of all properties and references (``tungsten.model`` encodes and decodes it).
    ``provenance`` is empty for what people wrote; what the compiler derived says there what
    it was derived from. ``created`` and ``revision`` are the revisions of the first and the
    last commit that wrote the record; writers leave them 0.
    """

    uuid: str
    type: str
    fq_name: tuple[str, ...]
    parent: str | None
    edges: tuple[Edge, ...]
    body: bytes
    provenance: str = ""
    created: int = 0
    revision: int = 0


class ChangeKind(Enum):
    """What happened to a record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One record's change; ``record`` is the new state, or the last one when deleted."""

    kind: ChangeKind
    record: Record


@dataclass(frozen=True, slots=True)
class Commit:
    """All record changes of one transaction, in the order they were made.

    Each record once, with its state at the commit: what was created and then updated is
    created, what was created and then deleted is not there. (A record that was deleted and
    created anew with the same uuid is there twice, deleted first.) A commit that changed only
    claims has no changes; it tells a watcher how far it has got.
    """

    revision: int
    changes: tuple[Change, ...]
    origin: Origin = field(default=UNKNOWN, compare=False)

    @property
    def time(self) -> float:
        """When it was made, in seconds since the epoch; 0 when that is not known."""
        return self.origin.time


class Snapshot(Protocol):
    """Consistent reads. Lists come in (fq_name) order."""

    def get(self, uuid: str) -> Record | None: ...

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None: ...

    def records(self, type_: str) -> Iterator[Record]: ...

    def children(self, uuid: str, type_: str | None = None) -> list[Record]: ...

    def referrers(self, uuid: str, type_: str | None = None) -> list[Record]: ...

    def claim_owner(self, space: str, key: str) -> str | None: ...

    def claims(self, space: str) -> Iterator[tuple[str, str]]:
        """(key, owner) pairs of a space in key order."""
        ...

    def owned_claims(self, owner: str) -> list[tuple[str, str]]:
        """(space, key) pairs that the record ``owner`` holds."""
        ...

    @property
    def revision(self) -> int: ...


class Transaction(Snapshot, Protocol):
    """Reads that see this transaction's own writes, and writes."""

    def create(self, record: Record) -> None:
        """Add a record. Raises DuplicateId, DuplicateName."""
        ...

    def update(self, record: Record) -> None:
        """Replace the record of this uuid (type, fq_name and parent stay). KeyError: absent."""
        ...

    def delete(self, uuid: str) -> None:
        """Remove a record, free its claims. StillReferenced at commit; KeyError: absent."""
        ...

    def claim(self, space: str, key: str, owner: str) -> None:
        """Take a key for a record; again for the same owner is no error. Raises ClaimTaken."""
        ...

    def claim_number(self, space: str, candidates: range, owner: str) -> int | None:
        """Take the first number of ``candidates`` that nobody has; None: all are taken.

        Its key is :func:`number_key`. The order of the range is the order of preference.
        """
        ...

    def release(self, space: str, key: str) -> None:
        """Free a key; freeing a free one is no error."""
        ...


class Store(Protocol):
    """An open store."""

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run ``fn``, in a thread of the store, on one consistent snapshot."""
        ...

    async def glance(self, fn: Callable[[Snapshot], T]) -> T:
        """The same for a function that is likely to read little, and waits for nothing.

        An engine for which the way to a thread and back is the longer part runs it at once.
        """
        ...

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn``, in a thread of the store; return its result once the commit is durable.

        Whatever ``fn`` raises is raised here and nothing is changed; so for StoreError.
        """
        ...

    async def load(self) -> tuple[int, list[Record]]:
        """All records, and the revision they stand at: what a watcher starts from."""
        ...

    async def scan(self, fn: Callable[[Snapshot, Iterator[Record]], T]) -> T:
        """Run ``fn`` as :meth:`read` does, with all records one at a time, by type and name.

        For who keeps of each record less than the record: they are never all in memory.
        """
        ...

    def watch(self, after: int) -> AsyncIterator[Commit]:
        """Every commit with revision > ``after``. Raises Compacted when that is gone."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Embedded(Store, Protocol):
    """A store that is written by this process alone, and therefore knows what happens to it.

    ``touched`` tells what commits touch, before they are made; ``reached`` is a revision that every
    read from now on has.
    """

    touched: Touched

    @property
    def reached(self) -> int: ...

    def look(self, fn: Callable[[Snapshot], T]) -> T:
        """``glance`` at once or not at all: raises TooMuch for a function that reads much."""
        ...

    async def brief(self, fn: Callable[[Transaction], T]) -> T:
        """``transact`` for a function that is likely to read and write little."""
        ...

    def begin(self, fn: Callable[[Transaction], T], origin: Origin) -> asyncio.Future[T]:
        """The same for who waits by other means; ``origin`` is what the commit says of itself."""
        ...

    async def probe(self) -> None:
        """Make sure that commits are possible now. Raises StoreUnavailable."""
        ...
