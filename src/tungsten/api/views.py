"""Objects in the form in which clients read them.

An object has its envelope (uuid, name, fq_name, parent), its properties and references, and
what is computed from others: its children, and back-references from those that refer to it.
What an object does not have is absent; there are no empty lists and no nulls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tungsten.api.bodies import Json
from tungsten.api.references import Mirror
from tungsten.model import Resource, resource_type, to_fields, type_of
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

ALWAYS = frozenset({"id_perms", "perms2"})


class Hrefs:
    """Makes addresses of objects: below ``base``, or none at all."""

    def __init__(self, base: str, *, wanted: bool = True) -> None:
        self.base = base
        self.wanted = wanted

    def of(self, type_: str, uuid: str) -> str:
        """The address of an object."""
        return f"{self.base}/{type_}/{uuid}"

    def put(self, into: Json, type_: str, uuid: str, key: str = "href") -> Json:
        """Add the address of an object to ``into``, if addresses are wanted."""
        if self.wanted:
            into[key] = self.of(type_, uuid)
        return into


def envelope(resource: Resource, hrefs: Hrefs) -> Json:
    """Which object it is, and where its parent is."""
    type_ = type_of(resource).name
    shown: Json = {
        "uuid": resource.uuid,
        "name": resource.name,
        "fq_name": resource.fq_name,
    }
    hrefs.put(shown, type_, resource.uuid)
    if resource.parent_type and resource.parent_uuid:
        shown["parent_type"] = resource.parent_type
        shown["parent_uuid"] = resource.parent_uuid
        hrefs.put(shown, resource.parent_type, resource.parent_uuid, "parent_href")
    return shown


def body(record: Record, hrefs: Hrefs, mirror: Mirror, fields: Iterable[str] | None = None) -> Json:
    """Envelope, properties and references of an object; only ``fields`` of the latter two."""
    resource = from_record(record)
    declared = type_of(resource)
    if fields is None or not mirror.fields.isdisjoint(fields):
        mirror.show(resource)
    wanted = None if fields is None else ALWAYS | set(fields)
    shown = envelope(resource, hrefs)
    for key, value in to_fields(resource).items():
        if key in shown or key == "parent_uuid" or (wanted is not None and key not in wanted):
            continue
        if key in declared.references:
            target = declared.references[key].target
            shown[key] = [reference(ref, target, hrefs) for ref in value]
        elif key in declared.properties:
            shown[key] = in_key_order(declared.properties[key].collection, value)
    return shown


def reference(ref: Json, target: str, hrefs: Hrefs) -> Json:
    """A reference as clients read it: ``attr`` is there, null when the link says nothing."""
    shown = {"to": ref.get("to", []), "uuid": ref["uuid"], "attr": ref.get("attr")}
    return hrefs.put(shown, target, ref["uuid"])


def in_key_order(collection: Any, value: Any) -> Any:
    """The entries of a map property in the order of their keys; any other value as it is."""
    key = getattr(collection, "key", None)
    if key is None or not isinstance(value, dict):
        return value
    entries = value.get(collection.element) or []
    return {**value, collection.element: sorted(entries, key=lambda one: str(one.get(key)))}


def children(
    snapshot: Snapshot, record: Record, hrefs: Hrefs, fields: Iterable[str] | None = None
) -> Json:
    """The children of an object by kind, in the order of their creation."""
    wanted = None if fields is None else set(fields)
    shown: Json = {}
    for child in sorted(snapshot.children(record.uuid), key=lambda one: (one.created, one.fq_name)):
        field = f"{resource_type(child.type).object_type}s"
        if wanted is None or field in wanted:
            entry: Json = {"to": list(child.fq_name), "uuid": child.uuid}
            shown.setdefault(field, []).append(hrefs.put(entry, child.type, child.uuid))
    return shown


def back_references(
    referrers: Iterable[Record], record: Record, hrefs: Hrefs, fields: Iterable[str] | None = None
) -> Json:
    """The objects that refer to an object, by kind; each with what its reference says."""
    wanted = None if fields is None else set(fields)
    shown: Json = {}
    for holder in referrers:
        declared = resource_type(holder.type)
        field = f"{declared.object_type}_back_refs"
        if holder.type == record.type or (wanted is not None and field not in wanted):
            continue
        held = [edge.field for edge in holder.edges if edge.target == record.uuid]
        attr = None
        if any(declared.references[name].attr is not None for name in held):
            attr = _attr(holder, held, record.uuid)
        entry: Json = {"to": list(holder.fq_name), "uuid": holder.uuid, "attr": attr}
        shown.setdefault(field, []).append(hrefs.put(entry, holder.type, holder.uuid))
    return shown


def _attr(holder: Record, fields: list[str], target: str) -> Any:
    said = to_fields(from_record(holder))
    for field in fields:
        for ref in said.get(field, []):
            if ref.get("uuid") == target:
                return ref.get("attr")
    return None


def full(
    snapshot: Snapshot,
    record: Record,
    hrefs: Hrefs,
    *,
    with_children: bool = True,
    with_back_references: bool = True,
) -> Json:
    """All of an object."""
    referrers = snapshot.referrers(record.uuid) if with_back_references else None
    shown = body(record, hrefs, Mirror(snapshot, resource_type(record.type), referrers=referrers))
    if with_children:
        shown.update(children(snapshot, record, hrefs))
    if referrers is not None:
        shown.update(back_references(referrers, record, hrefs))
    return shown


def selected(
    snapshot: Snapshot, record: Record, hrefs: Hrefs, fields: tuple[str, ...], mirror: Mirror
) -> Json:
    """An object with only the fields named, of whatever kind."""
    declared = resource_type(record.type)
    shown = body(record, hrefs, mirror, fields)
    if any(field in declared.children for field in fields):
        shown.update(children(snapshot, record, hrefs, fields))
    if any(field.endswith("_back_refs") for field in fields):
        shown.update(back_references(snapshot.referrers(record.uuid), record, hrefs, fields))
    return shown
