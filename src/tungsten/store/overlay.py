"""A transaction on paper: reads through to a snapshot, writes that go nowhere.

What would happen if...? An :class:`Overlay` is a :class:`~tungsten.store.base.Transaction` over
any snapshot, so whatever writes to a store (the API's operations, the compiler's output) can
write to it, and sees its own writes. :meth:`Overlay.commit` checks what a commit would check and
tells what it would have changed. The store is only read, and by the snapshot's rules: one
consistent state, without holding up its writer.

Kept in memory: the records and claims that were written, indexed as reads need them. ``None``
stands for a record that was deleted or a claim that was freed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tungsten.store.base import (
    Change,
    ChangeKind,
    ClaimTaken,
    DanglingReference,
    DuplicateId,
    DuplicateName,
    Record,
    Snapshot,
    StillReferenced,
    number_key,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of a record: None before it was created, and after it was deleted."""

    before: Record | None
    after: Record | None

    @property
    def record(self) -> Record:
        """Its state after, or the last one of a deleted record."""
        record = self.after or self.before
        assert record is not None
        return record

    @property
    def change(self) -> Change:
        """As a commit would tell it."""
        if self.after is None:
            return Change(ChangeKind.DELETED, self.record)
        kind = ChangeKind.UPDATED if self.before is not None else ChangeKind.CREATED
        return Change(kind, self.after)


class Overlay:
    """Writes over a snapshot; see :class:`~tungsten.store.base.Transaction`."""

    def __init__(self, base: Snapshot) -> None:
        self._base = base
        self._written: dict[str, Record | None] = {}
        self._names: dict[tuple[str, tuple[str, ...]], str] = {}
        self._types: dict[str, set[str]] = {}
        self._children: dict[str, set[str]] = {}
        self._referrers: dict[str, set[str]] = {}
        self._claims: dict[str, dict[str, str | None]] = {}
        self._owned: dict[str, set[tuple[str, str]]] = {}
        self._free: dict[tuple[str, range], int] = {}
        self._before: dict[str, Record | None] = {}
        self._taken: dict[tuple[str, str], str] = {}

    @property
    def revision(self) -> int:
        """The revision of the snapshot below."""
        return self._base.revision

    # Reading.

    def get(self, uuid: str) -> Record | None:
        """The record of a uuid."""
        return self._written[uuid] if uuid in self._written else self._base.get(uuid)

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        """The record of a name."""
        uuid = self._names.get((type_, fq_name))
        if uuid is not None:
            return self._written[uuid]
        record = self._base.find(type_, fq_name)
        return None if record is None or record.uuid in self._written else record

    def records(self, type_: str) -> Iterator[Record]:
        """The records of a type, by name."""
        return iter(self._merged(self._base.records(type_), self._types.get(type_, ())))

    def children(self, uuid: str, type_: str | None = None) -> list[Record]:
        """The records below a record, by name."""
        return self._merged(self._base.children(uuid, type_), self._children.get(uuid, ()), type_)

    def referrers(self, uuid: str, type_: str | None = None) -> list[Record]:
        """The records that refer to a record, by name."""
        return self._merged(self._base.referrers(uuid, type_), self._referrers.get(uuid, ()), type_)

    def _merged(
        self, below: Iterable[Record], uuids: Iterable[str], type_: str | None = None
    ) -> list[Record]:
        found = [record for record in below if record.uuid not in self._written]
        for uuid in uuids:
            record = self._written[uuid]
            if record is not None and type_ in (None, record.type):
                found.append(record)
        return sorted(found, key=lambda record: (record.fq_name, record.type))

    def claim_owner(self, space: str, key: str) -> str | None:
        """Who holds a claim."""
        written = self._claims.get(space, {})
        return written[key] if key in written else self._base.claim_owner(space, key)

    def claims(self, space: str) -> Iterator[tuple[str, str]]:
        """The claims of a space, by key."""
        written = self._claims.get(space, {})
        held = [(key, owner) for key, owner in self._base.claims(space) if key not in written]
        held += [(key, owner) for key, owner in written.items() if owner is not None]
        return iter(sorted(held))

    def owned_claims(self, owner: str) -> list[tuple[str, str]]:
        """The claims of an owner."""
        held = set(self._owned.get(owner, ()))
        for space, key in self._base.owned_claims(owner):
            if key not in self._claims.get(space, {}):
                held.add((space, key))
        return sorted(held)

    # Writing.

    def create(self, record: Record) -> None:
        """Add a record."""
        if not record.fq_name or not record.uuid:
            raise ValueError(f"a record needs a uuid and a fq_name: {record}")
        same_id = self.get(record.uuid)
        if same_id is not None:
            raise DuplicateId(record.uuid, same_id.type, same_id.fq_name)
        same_name = self.find(record.type, record.fq_name)
        if same_name is not None:
            raise DuplicateName(record.type, record.fq_name, same_name.uuid)
        new = self.revision + 1
        self._put(record.uuid, replace(record, created=new, revision=new))

    def update(self, record: Record) -> None:
        """Replace a record."""
        old = self.get(record.uuid)
        if old is None:
            raise KeyError(record.uuid)
        if (old.type, old.fq_name, old.parent) != (record.type, record.fq_name, record.parent):
            raise ValueError(f"type, fq_name and parent of {old.type} {old.uuid} cannot change")
        new = replace(record, created=old.created, revision=self.revision + 1)
        if new != replace(old, revision=new.revision):
            self._put(record.uuid, new)

    def delete(self, uuid: str) -> None:
        """Remove a record and free its claims."""
        if self.get(uuid) is None:
            raise KeyError(uuid)
        for space, key in self.owned_claims(uuid):
            self.release(space, key)
        self._put(uuid, None)

    def _put(self, uuid: str, new: Record | None) -> None:
        if new is not None and len({(e.field, e.target) for e in new.edges}) < len(new.edges):
            raise ValueError(f"record {uuid} names a target twice in a field: {new.edges}")
        old = self.get(uuid)
        self._before.setdefault(uuid, old)
        if old is not None:
            self._names.pop((old.type, old.fq_name), None)
            self._types.get(old.type, set()).discard(uuid)
            if old.parent is not None:
                self._children.get(old.parent, set()).discard(uuid)
            for edge in old.edges:
                self._referrers.get(edge.target, set()).discard(uuid)
        self._written[uuid] = new
        if new is not None:
            self._names[new.type, new.fq_name] = uuid
            self._types.setdefault(new.type, set()).add(uuid)
            if new.parent is not None:
                self._children.setdefault(new.parent, set()).add(uuid)
            for edge in new.edges:
                self._referrers.setdefault(edge.target, set()).add(uuid)

    def claim(self, space: str, key: str, owner: str) -> None:
        """Take a key."""
        holder = self.claim_owner(space, key)
        if holder not in (None, owner):
            raise ClaimTaken(space, key, holder or "")
        self._claims.setdefault(space, {})[key] = owner
        self._owned.setdefault(owner, set()).add((space, key))
        self._taken[space, key] = owner

    def claim_number(self, space: str, candidates: range, owner: str) -> int | None:
        """Take the first free number."""
        start = self._free.get((space, candidates), 0)
        if not start and candidates:
            start = self._first_gap(space, candidates)
        for at in range(start, len(candidates)):
            if self.claim_owner(space, number_key(candidates[at])) is None:
                self._free[space, candidates] = at + 1
                self.claim(space, number_key(candidates[at]), owner)
                return candidates[at]
        return None

    def _first_gap(self, space: str, candidates: range) -> int:
        """How many of the first candidates are taken, in one read of the space."""
        taken = {key for key, _ in self.claims(space)}
        at = 0
        while at < len(candidates) and number_key(candidates[at]) in taken:
            at += 1
        return at

    def release(self, space: str, key: str) -> None:
        """Free a key."""
        holder = self.claim_owner(space, key)
        if holder is None:
            return
        self._claims.setdefault(space, {})[key] = None
        self._taken.pop((space, key), None)
        self._owned.get(holder, set()).discard((space, key))
        for known in [each for each in self._free if each[0] == space]:
            del self._free[known]

    # The outcome.

    def commit(self) -> list[Difference]:
        """What was changed since the last call, checked as at a commit.

        Raises StillReferenced and DanglingReference.
        """
        for uuid in [uuid for uuid in self._before if self._written[uuid] is None]:
            self._let_go(uuid)
        for uuid in self._before:
            record = self._written[uuid]
            if record is not None:
                self._check_targets(record)
        for (space, key), owner in self._taken.items():
            if self.get(owner) is None:
                raise DanglingReference(f"of claim {key} in {space}", owner)
        found = [Difference(old, self._written[uuid]) for uuid, old in self._before.items()]
        self._before, self._taken = {}, {}
        return [each for each in found if each.before != each.after]

    def _let_go(self, uuid: str) -> None:
        """Nothing uses a record that was deleted; weak edges to it go."""
        referrers = self.referrers(uuid)
        strong = [
            holder.uuid
            for holder in referrers
            if any(edge.target == uuid and not edge.weak for edge in holder.edges)
        ]
        users = [*(child.uuid for child in self.children(uuid)), *strong]
        if users:
            raise StillReferenced(uuid, tuple(users))
        for holder in referrers:
            kept = tuple(edge for edge in holder.edges if edge.target != uuid)
            self.update(replace(holder, edges=kept))

    def _check_targets(self, record: Record) -> None:
        targets = [edge.target for edge in record.edges]
        for target in targets if record.parent is None else [*targets, record.parent]:
            if self.get(target) is None:
                raise DanglingReference(record.uuid, target)
