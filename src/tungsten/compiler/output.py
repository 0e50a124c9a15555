"""Writing what was derived: the difference to what is stored, as operations of a transaction.

An :data:`Operation` is decided on the compiler's picture of the store, which may be behind; so
the transaction looks again. An operation that no longer fits (the network was deleted, the
target is not there) is *dropped*: it changes nothing, and is decided again when the change that
stopped it has reached the picture. An operation that has become needless does nothing.

One owner per fact. Of a derived object the compiler owns all properties and references except
those every object has (:data:`~tungsten.compiler.rules.COMMON`): whatever else is found there
goes. Of an object that people wrote it owns the references that
:data:`~tungsten.compiler.rules.OWNED` tells, and touches nothing else. An object of a wanted
name that somebody else made is taken over, unless it is a shared one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import msgspec

from tungsten.compiler.derived import Object, References
from tungsten.compiler.held import Held
from tungsten.compiler.rules import OWNED, content_fields
from tungsten.compiler.wanted import ClaimKey, FieldKey, ObjectKey
from tungsten.model import ModelError, Ref, Resource, type_of
from tungsten.model.common import IdPermsType, PermType, PermType2, UuidType
from tungsten.store.base import Record, Transaction
from tungsten.store.records import from_record, to_record

_DERIVED = UUID("b1a6f6a2-4e0b-49d9-8f5e-2f0d6a4c7e11")
_OWNER, _GROUP, _ALL = "cloud-admin", "cloud-admin-group", 7


@dataclass(frozen=True, slots=True)
class Put:
    """Make an object what it should be; create it or take it over if need be."""

    key: ObjectKey
    object: Object
    provenance: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a derived object."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class Refer:
    """Make the compiler's references in a field of people's object what they should be."""

    key: FieldKey
    refs: tuple[Ref[Any], ...]


@dataclass(frozen=True, slots=True)
class Take:
    """Write a claim."""

    key: ClaimKey
    claim: str


@dataclass(frozen=True, slots=True)
class Release:
    """Free a claim."""

    key: ClaimKey
    claim: str


Operation = Put | Remove | Refer | Take | Release


@dataclass
class Outcome:
    """What a transaction did. ``written`` counts records and claims changed."""

    written: int = 0
    done: list[Operation] = field(default_factory=list)
    dropped: list[tuple[Operation, str]] = field(default_factory=list)


class _Unfit(Exception):
    """The operation does not fit what is stored; the text says why."""


# Content.


def content(resource: Resource) -> dict[str, Any]:
    """What is said in the fields the compiler owns; references by target, in order."""
    declared = type_of(resource)
    said = {}
    for name in content_fields(declared.name):
        value = getattr(resource, name)
        if name in declared.references:
            value = sorted(((ref.uuid, ref.to, ref.attr) for ref in value), key=lambda r: r[:2])
        if value is not None and value != []:
            said[name] = value
    return said


def resolved(resource: Resource, uuid_of: Any) -> Resource:
    """A copy of a derived resource whose references have uuids, ``uuid_of(type, fq_name)``.

    A target for which that is None keeps an empty uuid.
    """
    declared = type_of(resource)
    changes: dict[str, Any] = {}
    for name, reference in declared.references.items():
        refs = getattr(resource, name)
        if refs:
            changes[name] = [
                Ref(ref.to, uuid_of(reference.target, tuple(ref.to)) or "", ref.attr)
                for ref in refs
            ]
    return msgspec.structs.replace(resource, **changes)


def derived_uuid(key: ObjectKey, parent: str | None) -> str:
    """The uuid that a derived object gets when it is created: the same each time."""
    return str(uuid5(_DERIVED, "\n".join((parent or "", key.type, *key.fq_name))))


# The transaction.


def ordered(operations: Iterable[Operation]) -> list[Operation]:
    """The order to write in: claims, objects after what they refer to, references, removals."""
    by_kind: dict[type[Operation], list[Any]] = {
        kind: [] for kind in (Take, Put, Refer, Remove, Release)
    }
    for operation in sorted(operations, key=lambda o: tuple(o.key)):
        by_kind[type(operation)].append(operation)
    by_kind[Put] = list(_targets_first({put.key: put for put in by_kind[Put]}))
    return [operation for kind in by_kind.values() for operation in kind]


def _targets_first(puts: dict[ObjectKey, Put]) -> Iterator[Put]:
    seen: set[ObjectKey] = set()

    def visit(put: Put) -> Iterator[Put]:
        if put.key in seen:
            return
        seen.add(put.key)
        resource = put.object.resource
        for name, reference in type_of(resource).references.items():
            for ref in getattr(resource, name):
                target = puts.get(ObjectKey(reference.target, tuple(ref.to)))
                if target is not None:
                    yield from visit(target)
        yield put

    for put in puts.values():
        yield from visit(put)


def write(tx: Transaction, operations: list[Operation], now: str) -> Outcome:
    """Do what of ``operations`` fits; ``now`` is the time to put in new objects (ISO 8601)."""
    outcome = Outcome()
    removals = [o for o in operations if isinstance(o, Remove)]
    for operation in operations:
        if isinstance(operation, Remove):
            continue
        try:
            outcome.written += _apply(tx, operation, now)
        except _Unfit as why:
            outcome.dropped.append((operation, str(why)))
        else:
            outcome.done.append(operation)
    # An object may be held by another that is to be removed: as long as some go, try the rest.
    while removals:
        held: list[tuple[Remove, str]] = []
        for removal in removals:
            try:
                outcome.written += _remove(tx, removal)
            except _Unfit as why:
                held.append((removal, str(why)))
            else:
                outcome.done.append(removal)
        if len(held) == len(removals):
            outcome.dropped += held
            break
        removals = [removal for removal, _ in held]
    return outcome


def _apply(tx: Transaction, operation: Put | Refer | Take | Release, now: str) -> int:
    match operation:
        case Put():
            return _put(tx, operation, now)
        case Refer():
            return _refer(tx, operation)
        case Take(key, claim):
            if tx.get(key.owner) is None:
                raise _Unfit(f"{key.owner} is gone")
            if tx.claim_owner(key.space, claim) == key.owner:
                return 0
            tx.claim(key.space, claim, key.owner)
            return 1
        case Release(key, claim):
            if tx.claim_owner(key.space, claim) != key.owner:
                return 0
            tx.release(key.space, claim)
            return 1


def _put(tx: Transaction, put: Put, now: str) -> int:
    wanted = put.object.resource
    source = put.provenance.rpartition(":")[2]
    if tx.get(source) is None:
        raise _Unfit(f"{put.provenance}, which it is derived from, is gone")
    parent = None
    if wanted.parent_uuid is not None:
        parent = tx.get(wanted.parent_uuid)
        if parent is None:
            raise _Unfit(f"its parent {wanted.parent_uuid} is gone")
    found = tx.find(put.key.type, put.key.fq_name)
    if found is not None and put.object.shared and not found.provenance:
        return 0
    if found is not None and found.parent != wanted.parent_uuid:
        raise _Unfit(f"{found.uuid} has its name and another parent, {found.parent}")
    wanted = resolved(wanted, _finder(tx))
    _refuse_unresolved(wanted)
    if found is None:
        wanted.uuid = derived_uuid(put.key, wanted.parent_uuid)
        _fill_in(wanted, parent, now)
        tx.create(to_record(wanted, put.provenance))
        return 1
    stored = _decoded(found)
    if stored is not None and (found.provenance, content(stored)) == (
        put.provenance,
        content(wanted),
    ):
        return 0
    if stored is None:
        stored = msgspec.structs.replace(wanted, uuid=found.uuid)
        _fill_in(stored, parent, now)
    for name in content_fields(put.key.type):
        setattr(stored, name, getattr(wanted, name))
    if stored.id_perms is not None:
        stored.id_perms.last_modified = now
    tx.update(to_record(stored, put.provenance))
    return 1


def _refer(tx: Transaction, refer: Refer) -> int:
    holder = tx.get(refer.key.holder)
    if holder is None or holder.provenance:
        raise _Unfit(f"{refer.key.holder} is gone")
    resource = from_record(holder)
    target = type_of(resource).references[refer.key.field].target
    find = _finder(tx)
    new = [Ref(ref.to, find(target, tuple(ref.to)) or "", ref.attr) for ref in refer.refs]
    for ref in new:
        if not ref.uuid:
            raise _Unfit(f"{target} {':'.join(ref.to)} is not there")
    ours = OWNED[(holder.type, refer.key.field)]
    old = getattr(resource, refer.key.field)
    kept = [ref for ref in old if not ours(holder.uuid, ref)]
    theirs = {ref.uuid for ref in kept}
    new = [*kept, *(ref for ref in new if ref.uuid not in theirs)]
    if _as_set(old) == _as_set(new):
        return 0
    setattr(resource, refer.key.field, new)
    tx.update(to_record(resource, holder.provenance))
    return 1


def _remove(tx: Transaction, removal: Remove) -> int:
    found = tx.find(removal.key.type, removal.key.fq_name)
    if found is None or not found.provenance:
        return 0
    children = tx.children(found.uuid)
    if children:
        raise _Unfit(f"it has children: {', '.join(child.uuid for child in children)}")
    for holder in tx.referrers(found.uuid):
        if any(edge.target == found.uuid and not edge.weak for edge in holder.edges):
            raise _Unfit(f"{holder.type} {holder.uuid} refers to it")
    tx.delete(found.uuid)
    return 1


def _finder(tx: Transaction) -> Any:
    def find(type_: str, fq_name: tuple[str, ...]) -> str | None:
        record = tx.find(type_, fq_name)
        return None if record is None else record.uuid

    return find


def _refuse_unresolved(resource: Resource) -> None:
    for name, reference in type_of(resource).references.items():
        for ref in getattr(resource, name):
            if not ref.uuid:
                raise _Unfit(f"{reference.target} {':'.join(ref.to)} is not there")


def _decoded(record: Record) -> Resource | None:
    """The resource of a derived record; one that cannot be read is to be written anew."""
    try:
        return from_record(record)
    except ModelError:
        return None


def _kept(record: Held) -> Resource | None:
    try:
        return record.resource()
    except ModelError:
        return None


def _as_set(refs: Iterable[Ref[Any]]) -> list[tuple[str, Any]]:
    return sorted(((ref.uuid, ref.attr) for ref in refs), key=lambda pair: pair[0])


def _fill_in(resource: Resource, parent: Record | None, now: str) -> None:
    """What every object carries: life data, owner (the parent's), name to show."""
    value = UUID(resource.uuid).int
    resource.id_perms = IdPermsType(
        enable=True,
        user_visible=True,
        created=now,
        last_modified=now,
        uuid=UuidType(uuid_mslong=value >> 64, uuid_lslong=value & (1 << 64) - 1),
        permissions=PermType(
            owner=_OWNER, owner_access=_ALL, group=_GROUP, group_access=_ALL, other_access=_ALL
        ),
    )
    above = None if parent is None else _decoded(parent)
    perms = None if above is None else above.perms2
    owner = (perms.owner if perms is not None else None) or _OWNER
    resource.perms2 = PermType2(owner=owner, owner_access=_ALL, global_access=0, share=[])
    resource.display_name = resource.name


# The difference.


def object_fits(record: Held, wanted: Object, provenance: str, uuid_of: Any) -> bool:
    """Whether a stored record is what ``wanted`` says."""
    if not record.provenance and wanted.shared:
        return True
    stored = _kept(record)
    return (
        stored is not None
        and record.provenance == provenance
        and record.parent == wanted.resource.parent_uuid
        and content(stored) == content(resolved(wanted.resource, uuid_of))
    )


def references_fit(record: Held, key: FieldKey, wanted: References | None, uuid_of: Any) -> bool:
    """Whether the compiler's references in a field are what ``wanted`` says."""
    stored = _kept(record)
    if stored is None:
        return True
    target = type_of(stored).references[key.field].target
    ours = OWNED[(record.type, key.field)]
    refs: list[Ref[Any]] = getattr(stored, key.field)
    theirs = {ref.uuid for ref in refs if not ours(record.uuid, ref)}
    new = [
        Ref(ref.to, uuid_of(target, tuple(ref.to)) or "", ref.attr)
        for ref in (() if wanted is None else wanted.refs)
    ]
    have = _as_set(ref for ref in refs if ours(record.uuid, ref))
    return have == _as_set(ref for ref in new if ref.uuid not in theirs)
