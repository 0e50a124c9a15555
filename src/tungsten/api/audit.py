"""Looking the configuration over: does everything hold that the layers promise?

Transactions keep all of it, so there should never be anything to find. It is for doubts after a
disk failed or a file was restored, and for those who come from databases where it was needed.
What is looked at is the store's contract (identities, parents, references, owners of claims) and
the API's (every number and address is held by who says that it has it).
"""

from __future__ import annotations

from collections.abc import Iterator

from tungsten.api.claims import due
from tungsten.api.errors import ApiFault
from tungsten.model import RESOURCE_TYPES, ModelError, resource_type
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record


def label(record: Record) -> str:
    """A record in findings."""
    return f"{record.type} {':'.join(record.fq_name)} ({record.uuid})"


def audit(snapshot: Snapshot) -> list[str]:
    """What does not hold, in words; empty when all does."""
    found = []
    for name in RESOURCE_TYPES:
        for record in snapshot.records(name):
            found += [f"{label(record)}: {finding}" for finding in _findings(snapshot, record)]
    return found


def _findings(snapshot: Snapshot, record: Record) -> Iterator[str]:
    yield from _identity(snapshot, record)
    for edge in record.edges:
        target = snapshot.get(edge.target)
        if target is None:
            yield f"{edge.field} leads to {edge.target}, which does not exist"
            continue
        reference = resource_type(record.type).references.get(edge.field)
        if reference is None:
            yield f"{edge.field} is no reference of its type"
        elif target.type != reference.target:
            yield f"{edge.field} leads to {label(target)}, which is no {reference.target}"
        if record.uuid not in {one.uuid for one in snapshot.referrers(edge.target, record.type)}:
            yield f"{label(target)} does not know that it is referred to by {edge.field}"
    try:
        resource = from_record(record)
    except ModelError as error:
        yield f"it cannot be read: {error}"
        return
    said = {
        (name, ref.uuid)
        for name in resource_type(record.type).references
        for ref in getattr(resource, name)
    }
    for edge in record.edges:
        if (edge.field, edge.target) not in said:
            yield f"{edge.field} to {edge.target} is indexed and not said"
    try:
        for one in due(snapshot, resource):
            owner = snapshot.claim_owner(one.space, one.key)
            if owner != record.uuid:
                yield f"{one.what} is held by {owner or 'nobody'}"
    except ApiFault as fault:
        yield fault.text


def _identity(snapshot: Snapshot, record: Record) -> Iterator[str]:
    if snapshot.get(record.uuid) != record:
        yield "its uuid leads to another state of it"
    named = snapshot.find(record.type, record.fq_name)
    if named is None or named.uuid != record.uuid:
        yield f"its name leads to {named.uuid if named else 'nothing'}"
    if record.parent is not None:
        parent = snapshot.get(record.parent)
        if parent is None:
            yield f"its parent {record.parent} does not exist"
        elif parent.fq_name != record.fq_name[:-1]:
            yield f"its name does not begin with that of its parent {label(parent)}"
    if record.provenance:
        type_, _, uuid = record.provenance.rpartition(":")
        source = snapshot.get(uuid)
        if source is None or source.type != type_:
            yield f"it is derived from {record.provenance}, which does not exist"
    for space, key in snapshot.owned_claims(record.uuid):
        if snapshot.claim_owner(space, key) != record.uuid:
            yield f"its claim {key} in {space} is another's"
