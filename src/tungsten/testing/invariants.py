"""What holds in every store at every revision, whatever happened before.

:func:`violations` walks one snapshot: identities, parents, references and their indexes, claims
and their owners, ids that must be unique, and where derived objects come from. An empty list
means that the store is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tungsten.model import RESOURCE_TYPES, ModelError, Resource, resource_type
from tungsten.store.base import Record, Snapshot, Store
from tungsten.store.records import from_record

#: Properties in which no two objects of a type may agree.
UNIQUE = (
    ("virtual-network", "virtual_network_network_id"),
    ("security-group", "security_group_id"),
    ("tag", "tag_id"),
)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that does not hold: which rule, of which object, and how it shows."""

    rule: str
    about: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.about}: {self.found}"


def label(record: Record) -> str:
    """A record as violations name it."""
    return f"{record.type} {':'.join(record.fq_name)} ({record.uuid})"


def violations(
    snapshot: Snapshot, spaces: Iterable[str] = (), *, compiled: bool = True
) -> list[Violation]:
    """All that does not hold in a snapshot.

    ``spaces`` are claim spaces to search for orphans beside those that some record has claims
    in: a space all of whose owners are gone cannot be found from the records. Where the
    compiler may be behind (``compiled`` is False) derived objects may outlive their source.
    """
    records: dict[str, Record] = {}
    found: list[Violation] = []
    for type_ in RESOURCE_TYPES:
        for record in snapshot.records(type_):
            if record.uuid in records:
                found.append(Violation("uuids are unique", label(record), "it is there twice"))
            records[record.uuid] = record
    for record in records.values():
        found += _identity(snapshot, record, records)
        found += _edges(snapshot, record, records)
        if compiled:
            found += _provenance(record, records)
    found += _claims(snapshot, records, set(spaces))
    found += _unique_ids(records.values())
    return found


def _identity(
    snapshot: Snapshot, record: Record, records: dict[str, Record]
) -> Iterator[Violation]:
    if snapshot.get(record.uuid) != record:
        yield Violation("uuids lead to their record", label(record), "get() returns another")
    named = snapshot.find(record.type, record.fq_name)
    if named is None or named.uuid != record.uuid:
        yield Violation("names lead to their record", label(record), f"find() returns {named}")
    if record.parent is None:
        return
    parent = records.get(record.parent)
    if parent is None:
        yield Violation("parents exist", label(record), f"its parent {record.parent} is gone")
        return
    if parent.fq_name != record.fq_name[:-1]:
        yield Violation("names begin with the parent's", label(record), f"below {label(parent)}")
    if record.uuid not in {child.uuid for child in snapshot.children(parent.uuid, record.type)}:
        yield Violation("parents list their children", label(record), f"not by {label(parent)}")


def _edges(snapshot: Snapshot, record: Record, records: dict[str, Record]) -> Iterator[Violation]:
    for edge in record.edges:
        target = records.get(edge.target)
        if target is None:
            yield Violation("references lead to a record", label(record), f"{edge} does not")
        elif record.uuid not in {r.uuid for r in snapshot.referrers(target.uuid, record.type)}:
            yield Violation(
                "targets list their referrers", label(record), f"{label(target)} does not"
            )
    try:
        resource = from_record(record)
    except ModelError as error:
        yield Violation("bodies can be read", label(record), str(error))
        return
    held = {(edge.field, edge.target) for edge in record.edges}
    said = dict(_references(resource, record.type))
    for key in held - said.keys():
        yield Violation("edges are said in the body", label(record), f"{key} is not")
    for (field, uuid), to in said.items():
        target = records.get(uuid)
        if target is not None and list(target.fq_name) != to:
            yield Violation(
                "references carry the target's name", label(record), f"{field} says {to}"
            )


def _references(resource: Resource, type_: str) -> Iterator[tuple[tuple[str, str], list[str]]]:
    for field in resource_type(type_).references:
        for ref in getattr(resource, field):
            yield (field, ref.uuid), ref.to


def _provenance(record: Record, records: dict[str, Record]) -> Iterator[Violation]:
    if record.provenance:
        type_, _, uuid = record.provenance.rpartition(":")
        source = records.get(uuid)
        if source is None or source.type != type_:
            yield Violation(
                "what is derived has its source", label(record), f"{record.provenance} is gone"
            )
        return
    parent = None if record.parent is None else records.get(record.parent)
    if parent is None:
        return
    link = resource_type(record.type).parent_links.get(parent.type)
    if link is not None and link.derived and record.fq_name[-1] == parent.fq_name[-1]:
        yield Violation("what is derived says from what", label(record), "it does not")


def _claims(
    snapshot: Snapshot, records: dict[str, Record], spaces: set[str]
) -> Iterator[Violation]:
    for record in records.values():
        for space, key in snapshot.owned_claims(record.uuid):
            spaces.add(space)
            if snapshot.claim_owner(space, key) != record.uuid:
                owner = snapshot.claim_owner(space, key)
                yield Violation("claims have one owner", f"{key} in {space}", f"also {owner}")
    for space in sorted(spaces):
        for key, owner in snapshot.claims(space):
            if owner not in records:
                yield Violation("owners of claims exist", f"{key} in {space}", f"{owner} is gone")


def _unique_ids(records: Iterable[Record]) -> Iterator[Violation]:
    seen: dict[tuple[str, str, Any], Record] = {}
    for record in records:
        for type_, name in UNIQUE:
            if record.type != type_:
                continue
            try:
                value = getattr(from_record(record), name)
            except ModelError:
                continue  # reported as unreadable
            if value in (None, ""):
                continue
            other = seen.setdefault((type_, name, value), record)
            if other is not record:
                yield Violation("ids are unique", label(record), f"{name} {value} of {other.uuid}")


class NotWhole(AssertionError):
    """A store with violations."""


async def assert_whole(store: Store, spaces: Iterable[str] = (), *, compiled: bool = True) -> None:
    """Raise NotWhole, with a line for each violation, unless the store is whole."""
    found = await store.read(lambda snapshot: violations(snapshot, spaces, compiled=compiled))
    if found:
        raise NotWhole("\n".join(str(violation) for violation in found))
