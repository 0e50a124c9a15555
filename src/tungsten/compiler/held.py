"""What the compiler keeps of a record: the fields that somebody here reads, and no more.

A store of a hundred thousand objects is mostly what the compiler never looks at: addresses,
machines, permissions, times. Of a type that nothing here reads nothing is kept at all; of the
others the fields of :class:`Fields`, as JSON that is decoded when it is read. Equal JSON is kept
once: the interfaces of a network say the same about it.

The JSON is canonical: it was decoded and encoded again, so two states of which the compiler would
read the same are equal bytes. A body that cannot be decoded is kept as it is, and whoever reads it
is told why it cannot be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from tungsten.model import Resource, ValidationError, resource_type
from tungsten.store.base import Record

#: Values that are remembered to be shared, and the longest, in bytes. Too few only costs memory.
_SHARED, _LONGEST = 16384, 1024

T = TypeVar("T", bytes, str)


class Held(msgspec.Struct, frozen=True, gc=False):
    """A record as kept; ``body`` is JSON of the kept fields, the rest is the record's."""

    uuid: str
    type: str
    fq_name: tuple[str, ...]
    parent: str | None
    body: bytes
    provenance: str
    created: int

    def resource(self) -> Resource:
        """The resource, as far as it is kept. Raises ModelError when it cannot be decoded."""
        decoder = _DECODERS.get(self.type)
        if decoder is None:
            decoder = _DECODERS[self.type] = msgspec.json.Decoder(resource_type(self.type).cls)
        resource: Resource = _decode(decoder, self.type, self.uuid, self.body)
        resource.uuid = self.uuid
        resource.fq_name = list(self.fq_name)
        resource.parent_uuid = self.parent
        return resource


_DECODERS: dict[str, msgspec.json.Decoder[Resource]] = {}


class Fields:
    """The fields that are kept, by type: ``kept``."""

    def __init__(self, kept: Mapping[str, Iterable[str]]) -> None:
        self._kept = {type_: frozenset(fields) for type_, fields in kept.items()}
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}
        self._references: dict[str, tuple[str, ...]] = {}

    def __contains__(self, type_: str) -> bool:
        """Whether records of a type are kept."""
        return type_ in self._kept

    def of(self, type_: str) -> frozenset[str]:
        """The kept fields of a type; none of a type that is not kept."""
        return self._kept.get(type_, frozenset())

    def hold(self, record: Record) -> Held | None:
        """What is kept of a record; None when nothing is."""
        if record.type not in self._kept:
            return None
        *path, name = record.fq_name or ("",)
        return Held(
            uuid=record.uuid,
            type=sys.intern(record.type),
            fq_name=(*map(sys.intern, path), name),
            parent=None if record.parent is None else _same(record.parent),
            body=_same(self._body(record)),
            provenance=record.provenance,
            created=record.created,
        )

    def _body(self, record: Record) -> bytes:
        decoder = self._decoders.get(record.type)
        if decoder is None:
            decoder = self._prepare(record.type)
        try:
            said = _decode(decoder, record.type, record.uuid, record.body)
        except ValidationError:
            return record.body
        held = {(edge.field, edge.target) for edge in record.edges}
        for name in self._references[record.type]:
            refs = getattr(said, name)
            if any((name, ref.uuid) not in held for ref in refs):
                setattr(said, name, [ref for ref in refs if (name, ref.uuid) in held])
        return msgspec.json.encode(said)

    def _prepare(self, type_: str) -> msgspec.json.Decoder[Any]:
        """A decoder of the kept fields alone: it passes over the others without making them."""
        declared = resource_type(type_)
        cls, kept = declared.cls, self._kept[type_]
        hints = get_type_hints(cls, include_extras=True)
        names = [name for name in cls.__struct_fields__ if name in kept]
        # Of every property nothing said is None, of references it is an empty list.
        fields: list[tuple[str, Any, Any]] = [
            (name, hints[name], [] if name in declared.references else None) for name in names
        ]
        struct = msgspec.defstruct(f"Kept{cls.__name__}", fields, omit_defaults=True)
        self._references[type_] = tuple(name for name in names if name in declared.references)
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct)
        self._decoders[type_] = decoder
        return decoder


def _decode(decoder: msgspec.json.Decoder[Any], type_: str, uuid: str, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        reason = f"the stored body of {uuid} cannot be read: {error}"
        raise ValidationError(type_, (), body, reason) from error


def _same(value: T) -> T:
    """The value equal to this one that was seen first, as far as it is remembered."""
    return value if len(value) > _LONGEST else _remembered(value)


@lru_cache(_SHARED)
def _remembered(value: T) -> T:
    return value
