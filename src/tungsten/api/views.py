"""Objects in the form in which clients read them.

An object has its envelope (uuid, name, fq_name, parent), its properties and references, and
what is computed from others: its children, and back-references from those that refer to it.
What an object does not have is absent; there are no empty lists and no nulls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from tungsten.api.bodies import Json
from tungsten.api.references import Mirror
from tungsten.model import Field, Resource, resource_type, type_of
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import RawRef, from_record, held_refs, members, to_record

_COPIED = ""

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
    parent = (resource.parent_type, resource.parent_uuid)
    return _envelope(type_of(resource).name, resource.uuid, resource.fq_name, parent, hrefs)


def _envelope(
    type_: str,
    uuid: str,
    fq_name: list[str],
    parent: tuple[str | None, str | None],
    hrefs: Hrefs,
) -> Json:
    shown: Json = {"uuid": uuid, "name": fq_name[-1] if fq_name else "", "fq_name": fq_name}
    hrefs.put(shown, type_, uuid)
    parent_type, parent_uuid = parent
    if parent_type and parent_uuid:
        shown["parent_type"] = parent_type
        shown["parent_uuid"] = parent_uuid
        hrefs.put(shown, parent_type, parent_uuid, "parent_href")
    return shown


def body(record: Record, hrefs: Hrefs, mirror: Mirror, fields: Iterable[str] | None = None) -> Json:
    """Envelope, properties and references of an object; only ``fields`` of the latter two.

    Values are as they are stored, JSON text that is only copied into the answer, where nothing
    has to be added to them.
    """
    wanted = None if fields is None else ALWAYS | set(fields)
    said: Mapping[str, msgspec.Raw] = members(record)
    mirrored = wanted is None or not mirror.fields.isdisjoint(wanted)
    if mirrored and mirror.holders(record.uuid):
        said, record = _with_mirrored(record, mirror)
    parent_type = said.get("parent_type")
    shown = _envelope(
        record.type,
        record.uuid,
        list(record.fq_name),
        (None if parent_type is None else msgspec.json.decode(parent_type), record.parent),
        hrefs,
    )
    ways = _ways(record.type)
    for key, value in said.items():
        way = ways.get(key)
        if way is None or (wanted is not None and key not in wanted):
            continue
        if not way:
            shown.setdefault(key, value)
        elif isinstance(way, str):
            refs = held_refs(record, key, value)
            if refs:
                shown[key] = [reference(ref, way, hrefs) for ref in refs]
        else:
            shown.setdefault(key, in_key_order(way, value))
    return shown


@cache
def _ways(type_: str) -> dict[str, str | Field]:
    """How each member of a type is shown: the type that references lead to, or the property.

    :data:`_COPIED` stands for a property whose text is only copied.
    """
    declared = resource_type(type_)
    mapped = {
        name: field if getattr(field.collection, "key", None) else _COPIED
        for name, field in declared.properties.items()
    }
    return {**mapped, **{name: one.target for name, one in declared.references.items()}}


def _with_mirrored(record: Record, mirror: Mirror) -> tuple[Mapping[str, msgspec.Raw], Record]:
    """The members of an object, and the object, with the references that other ends keep."""
    resource = from_record(record)
    mirror.show(resource)
    whole = to_record(resource)
    return members(whole), whole


def reference(ref: RawRef, target: str, hrefs: Hrefs) -> Json:
    """A reference as clients read it: ``attr`` is there, null when the link says nothing."""
    shown = {"to": ref.to, "uuid": ref.uuid, "attr": ref.attr}
    return hrefs.put(shown, target, ref.uuid)


def in_key_order(field: Field, value: msgspec.Raw) -> Any:
    """The entries of a map property in the order of their keys."""
    collection: Any = field.collection
    key = collection.key
    said = msgspec.json.decode(value)
    if not isinstance(said, dict):
        return value
    entries = said.get(collection.element) or []
    return {**said, collection.element: sorted(entries, key=lambda one: str(one.get(key)))}


class _Stamp(msgspec.Struct):
    last_modified: str | None = None


_stamp = msgspec.json.Decoder(_Stamp)


def last_modified(shown: Json) -> str | None:
    """When an object that :func:`body` shows was changed last."""
    said = shown.get("id_perms")
    return None if said is None else _stamp.decode(said).last_modified


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
    said = members(holder)
    for field in fields:
        if field in said:
            for ref in held_refs(holder, field, said[field]):
                if ref.uuid == target:
                    return ref.attr
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
