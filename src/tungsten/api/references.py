"""References between objects: finding their targets, and keeping both ends in step.

A client names a target by ``to``, by ``uuid`` or both; ``uuid`` wins. What is stored has both.

A reference between two objects of one type is symmetric: both show it. It is kept once, on
the object that it was written to first, and shown by both; a write to either end changes the
one that is kept. Such references never keep an object from being deleted.

References that the system makes (``routing_instance_refs`` of an interface, say) are not for
clients: what they send for them is left aside, so that they may put back what they read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tungsten.api import drafts
from tungsten.api.errors import BadRequest, NotFound, echo, name_list
from tungsten.api.transactions import Write
from tungsten.model import Ref, Reference, Resource, ResourceType, type_of
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

Refs = list[Ref[Any]]

SENT_BY_CLIENTS = frozenset(
    {
        ("application-policy-set", "global_vrouter_config_refs"),
        ("loadbalancer", "service_instance_refs"),
        ("loadbalancer", "virtual_machine_interface_refs"),
        ("loadbalancer-pool", "service_appliance_set_refs"),
        ("loadbalancer-pool", "service_instance_refs"),
        ("loadbalancer-pool", "virtual_machine_interface_refs"),
        ("qos-config", "global_system_config_refs"),
        ("virtual-machine", "service_instance_refs"),
        ("virtual-machine-interface", "physical_interface_refs"),
    }
)
"""References that are declared as the system's, and that clients set all the same."""


def is_system_made(type_: str, reference: Reference) -> bool:
    """Whether a reference is made by the system, whatever clients send for it."""
    return reference.system_only and (type_, reference.field) not in SENT_BY_CLIENTS


def refs_of(resource: Resource, field: str) -> Refs:
    """The references that a resource holds in a field."""
    refs: Refs = getattr(resource, field)
    return refs


def find_target(snapshot: Snapshot, reference: Reference, ref: Ref[Any]) -> Record | None:
    """The record that a reference names, when it is of the reference's type."""
    record = snapshot.get(ref.uuid) if ref.uuid else snapshot.find(reference.target, tuple(ref.to))
    return record if record is not None and record.type == reference.target else None


def resolve(write: Write, resource: Resource, fields: Iterable[str], action: str) -> None:
    """Give every reference of ``fields`` both name and uuid of its target.

    ``action`` says what is being done, for the error. The last of several references to one
    target stands. Raises BadRequest for a target that does not exist.
    """
    declared = type_of(resource)
    for field in fields:
        reference = declared.references[field]
        refs = refs_of(resource, field)
        if not refs:
            continue
        found: dict[str, Ref[Any]] = {}
        for ref in refs:
            record = find_target(write.tx, reference, ref)
            record = drafts.target(write.tx, resource, reference.target, ref.to, record)
            if record is None:
                named = f"uuid {ref.uuid}" if ref.uuid else name_list(ref.to)
                raise BadRequest(
                    f"Unknown reference in resource {action}: {declared.name} "
                    f"{name_list(resource.fq_name)} {field} names {reference.target} "
                    f"{echo(named)}, which does not exist"
                )
            found[record.uuid] = Ref(list(record.fq_name), record.uuid, ref.attr)
        setattr(resource, field, list(found.values()))


def settle_symmetric(write: Write, resource: Resource, field: str) -> None:
    """Keep each symmetric reference of ``field`` once.

    ``resource`` holds all references that it is to show. Those that the other end keeps are
    changed there and leave this list; those that the other end keeps but ``resource`` no
    longer shows are removed there.
    """
    wanted = {ref.uuid: ref for ref in refs_of(resource, field)}
    if resource.uuid in wanted:
        raise BadRequest(
            f"{type_of(resource).name} {name_list(resource.fq_name)} {field} names itself"
        )
    for record in write.tx.referrers(resource.uuid, type_of(resource).name):
        if not any(edge.field == field and edge.target == resource.uuid for edge in record.edges):
            continue
        holder = from_record(record)
        kept = [ref for ref in refs_of(holder, field) if ref.uuid != resource.uuid]
        shown = wanted.pop(holder.uuid, None)
        if shown is not None:
            kept.append(Ref(list(resource.fq_name), resource.uuid, shown.attr))
        setattr(holder, field, kept)
        write.touch(holder)
        write.save(holder, record)
    setattr(resource, field, list(wanted.values()))


class Mirror:
    """Finds the objects of a type that keep a symmetric reference to another one.

    For one object it asks the store, or looks through its ``referrers`` if they were read
    already; with ``whole`` it reads all objects of the type once, when it is first asked, for
    lists, or takes ``every`` one of them from who has them.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        declared: ResourceType,
        *,
        whole: bool = False,
        referrers: list[Record] | None = None,
        every: list[Record] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._type = declared.name
        self.fields = frozenset(
            name for name, reference in declared.references.items() if reference.symmetric
        )
        self._whole = whole
        self._referrers = referrers
        self._every = every
        self._holders: dict[str, list[Record]] | None = None

    def holders(self, uuid: str) -> list[Record]:
        """The objects of the type that keep a reference to ``uuid``."""
        if not self.fields:
            return []
        if self._referrers is not None:
            return [one for one in self._referrers if one.type == self._type]
        if not self._whole:
            return self._snapshot.referrers(uuid, self._type)
        if self._holders is None:
            self._holders = self._all_holders()
        return self._holders.get(uuid, [])

    def _all_holders(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        every = self._every
        for record in self._snapshot.records(self._type) if every is None else every:
            for edge in record.edges:
                if edge.field in self.fields:
                    found.setdefault(edge.target, []).append(record)
        return found

    def show(self, resource: Resource) -> None:
        """Add to ``resource`` the references that the other ends keep."""
        for record in self.holders(resource.uuid):
            holder = from_record(record)
            for field in self.fields:
                shown = {ref.uuid for ref in refs_of(resource, field)}
                for ref in refs_of(holder, field):
                    if ref.uuid == resource.uuid and record.uuid not in shown:
                        there = Ref(list(record.fq_name), record.uuid, ref.attr)
                        refs_of(resource, field).append(there)


def drop(write: Write, record: Record, target: str) -> None:
    """Remove every reference that a record holds to ``target``."""
    holder = from_record(record)
    for field in {edge.field for edge in record.edges if edge.target == target}:
        setattr(holder, field, [ref for ref in refs_of(holder, field) if ref.uuid != target])
    write.touch(holder)
    write.save(holder, record)


def reference_to(resource: Resource, target: str) -> Reference:
    """The reference of a resource's type to the type ``target``. Raises NotFound."""
    for reference in type_of(resource).references.values():
        if reference.target == target:
            return reference
    raise NotFound(f"{type_of(resource).name} has no reference to a {echo(target)}")
