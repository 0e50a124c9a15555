"""Between the model and the store: a resource as a record, and back.

The record's body is the JSON of what was said about the resource, references included; what the
record carries itself (uuid, fq_name, parent) is not repeated in it. Its edges are the
references again, as the store's indexes need them: the edges decide. When the store dropped a
weak edge because its target is gone, the reference in the body is not read any more.

A reference between resources of one type is kept by the record that says it, or by both when
the writer says it at both ends; its edges are weak (see :class:`tungsten.model.Reference`).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from tungsten.model import Resource, ValidationError, resource_type, type_of
from tungsten.store.base import Edge, Record

T = TypeVar("T")


def edges_of(resource: Resource) -> tuple[Edge, ...]:
    """The references of a resource, each pair of field and target once.

    Raises :class:`~tungsten.model.ValidationError` for a reference whose uuid is not resolved.
    """
    declared = type_of(resource)
    found: dict[tuple[str, str], Edge] = {}
    for name, reference in declared.references.items():
        for at, ref in enumerate(getattr(resource, name)):
            if not ref.uuid:
                reason = f"the uuid of {reference.target} {':'.join(ref.to)} is not known"
                raise ValidationError(declared.name, (name, at), ref.to, reason)
            found[name, ref.uuid] = Edge(name, ref.uuid, reference.weak)
    return tuple(found.values())


def to_record(resource: Resource, provenance: str = "") -> Record:
    """The record of a resource. Every reference must have its uuid."""
    edges = edges_of(resource)
    said = msgspec.structs.replace(resource, uuid="", fq_name=[], parent_uuid=None)
    return Record(
        uuid=resource.uuid,
        type=type_of(resource).name,
        fq_name=tuple(resource.fq_name),
        parent=resource.parent_uuid,
        edges=edges,
        body=msgspec.json.encode(said),
        provenance=provenance,
    )


_DECODERS: dict[str, msgspec.json.Decoder[Resource]] = {}


def from_record(record: Record) -> Resource:
    """The resource of a record.

    Raises :class:`~tungsten.model.UnknownType`, and
    :class:`~tungsten.model.ValidationError` for a body that is not one of the type's.
    """
    decoder = _DECODERS.get(record.type)
    if decoder is None:
        decoder = _DECODERS[record.type] = msgspec.json.Decoder(resource_type(record.type).cls)
    resource = _decoded(decoder, record, record.body)
    resource.uuid = record.uuid
    resource.fq_name = list(record.fq_name)
    resource.parent_uuid = record.parent
    held = {(edge.field, edge.target) for edge in record.edges}
    for name in resource_type(record.type).references:
        refs = getattr(resource, name)
        if refs and any((name, ref.uuid) not in held for ref in refs):
            setattr(resource, name, [ref for ref in refs if (name, ref.uuid) in held])
    return resource


class RawRef(msgspec.Struct):
    """A reference of a record's body, decoded as far as its target: the rest is JSON text."""

    uuid: str
    to: msgspec.Raw = msgspec.Raw(b"[]")
    attr: msgspec.Raw = msgspec.Raw(b"null")


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_refs = msgspec.json.Decoder(list[RawRef])


def members(record: Record) -> dict[str, msgspec.Raw]:
    """What was said of a resource, by field, each value as JSON text: quick to encode again.

    References whose edge the store dropped are among them; :func:`held_refs` leaves them out.
    Raises :class:`~tungsten.model.ValidationError`.
    """
    return _decoded(_members, record, record.body)


def held_refs(record: Record, field: str, text: msgspec.Raw) -> list[RawRef]:
    """The references of a field, from its member; those that the record's edges hold.

    Raises :class:`~tungsten.model.ValidationError`.
    """
    held = {edge.target for edge in record.edges if edge.field == field}
    return [ref for ref in _decoded(_refs, record, text) if ref.uuid in held]


def _decoded(decoder: msgspec.json.Decoder[T], record: Record, text: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        reason = f"the stored body of {record.uuid} cannot be read: {error}"
        raise ValidationError(record.type, (), record.body, reason) from error
