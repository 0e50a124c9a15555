"""What the control node keeps of a record: a node with what agents are sent, and its links.

A :class:`Node` holds no decoded resource. The properties are JSON, decoded when an agent is to be
told of them; of the types in :data:`READ`, from which the control node itself takes settings, all
that was said, references too. A reference is a :class:`Said`: most are equal to others (the
interfaces of a network all refer to it) and kept once.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from tungsten.model import Complex, ModelError, Resource, parent_link, resource_type
from tungsten.model.common import IdPermsType, UuidType
from tungsten.model.ifmap import (
    attr_node,
    join_uuid,
    node_name,
    property_elements,
    split_uuid,
)
from tungsten.store.base import Record
from tungsten.store.records import from_record

Vertex = tuple[str, str]

#: Types whose resources the control node itself reads, references and all.
READ = frozenset(
    {
        "bgp-router",
        "global-system-config",
        "route-aggregate",
        "routing-instance",
        "routing-policy",
        "sub-cluster",
        "virtual-network",
        "virtual-router",
    }
)

#: Bytes of bodies that are kept as XML: of those that many agents are told in a row.
_BODIES = 8 * 2**20

#: References that are remembered to be shared, and the longest attribute of one, in bytes. Too few
#: only costs memory.
_SHARED, _LONGEST = 8192, 1024


class Said(NamedTuple):
    """A reference, or the parent, as a record says it: the link's name and the other's uuid.

    ``attr`` is JSON of what the link says, None when it says nothing.
    """

    metadata: str
    target: str
    attr: bytes | None = None
    is_parent: bool = False


class Node(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A resource's vertex. A change makes a new one. ``json`` is what was said, as kept."""

    vertex: Vertex
    uuid: str
    json: bytes
    said: tuple[Said, ...]

    @property
    def resource(self) -> Resource:
        """The resource, decoded anew; whole only if its type is in READ."""
        resource = _decoder(self.vertex[0]).decode(self.json)
        resource.uuid = self.uuid
        return resource

    @property
    def body(self) -> bytes:
        """The children of its XML node, without the name."""
        return _bodies.get((self.vertex[0], self.uuid, self.json), _body)


class AttrNode(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The vertex of what a link says, between the nodes named ``one`` and ``other``."""

    vertex: Vertex
    holder: str
    one: str
    other: str
    json: bytes

    @property
    def uuid(self) -> str:
        """It has none."""
        return ""

    @property
    def body(self) -> bytes:
        """The children of its XML node, without the name."""
        key = (self.holder, self.vertex[0], self.one, self.other, self.json)
        return _bodies.get(key, _attr_body)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that the model refuses, and why."""

    uuid: str
    type: str
    error: str


def read(record: Record) -> Node | Unreadable:
    """What is kept of a record."""
    try:
        resource = from_record(record)
    except ModelError as error:
        return Unreadable(record.uuid, record.type, str(error))
    declared = resource_type(record.type)
    said: dict[Said, None] = {}
    fields = {edge.field: None for edge in record.edges}
    for name in fields:
        for ref in getattr(resource, name):
            attr = None if ref.attr is None else msgspec.json.encode(ref.attr)
            said[_same(Said(declared.references[name].link, ref.uuid, attr))] = None
    if record.parent is not None and resource.parent_type is not None:
        link = parent_link(declared, resource.parent_type)
        said[_same(Said(link, record.parent, is_parent=True))] = None
    vertex = (sys.intern(record.type), node_name(resource))
    if record.type not in READ:
        for name in fields:
            setattr(resource, name, [])
        resource.uuid, resource.fq_name = "", []
        resource.parent_uuid = resource.parent_type = None
        _forget_uuid(resource, record.uuid)
    return Node(vertex, record.uuid, msgspec.json.encode(resource), tuple(said))


def _same(said: Said) -> Said:
    """The equal one that was seen first, as far as it is remembered."""
    return said if said.attr is not None and len(said.attr) > _LONGEST else _remembered(said)


@lru_cache(_SHARED)
def _remembered(said: Said) -> Said:
    return said


class Recent:
    """What was made last of keys, the last of which is JSON; up to so many bytes of both."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._made: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def get(self, key: tuple[Any, ...], make: Callable[..., bytes]) -> bytes:
        """What ``make(*key)`` gives."""
        made = self._made.get(key)
        if made is not None:
            self._made.move_to_end(key)
            return made
        made = self._made[key] = make(*key)
        self._size += len(made) + len(key[-1])
        while self._size > self._most:
            old, gone = self._made.popitem(last=False)
            self._size -= len(gone) + len(old[-1])
        return made


_bodies = Recent(_BODIES)


@cache
def _decoder(type_: str) -> msgspec.json.Decoder[Resource]:
    return msgspec.json.Decoder(resource_type(type_).cls)


@cache
def _attr_decoder(type_: str, metadata: str) -> msgspec.json.Decoder[Complex]:
    """What the links of a name, said by resources of a type, are attributed with."""
    for reference in resource_type(type_).references.values():
        if reference.link == metadata and reference.attr is not None:
            return msgspec.json.Decoder(reference.attr)
    raise KeyError(metadata)


def _body(type_: str, uuid: str, json: bytes) -> bytes:
    resource = _decoder(type_).decode(json)
    resource.uuid = uuid
    return property_elements(_with_uuid(resource))


def _attr_body(holder: str, metadata: str, one: str, other: str, json: bytes) -> bytes:
    attr: Any = _attr_decoder(holder, metadata).decode(json)
    whole = attr_node(metadata, one, other, attr)
    start = whole.index(b"<value>")
    return whole[start : -len(b"</node>")]


def _forget_uuid(resource: Resource, uuid: str) -> None:
    """Take out what :func:`_with_uuid` adds again."""
    perms = resource.id_perms
    halves = perms.uuid if perms is not None else None
    if perms is not None and halves is not None:
        upper, lower = halves.uuid_mslong, halves.uuid_lslong
        if upper is not None and lower is not None and min(upper, lower) >= 0:
            perms.uuid = None if join_uuid(upper, lower) == uuid else halves


def _with_uuid(resource: Resource) -> Resource:
    """The resource with the halves of its uuid in id-perms: agents know resources by them."""
    perms = resource.id_perms
    if perms is not None and perms.uuid is not None:
        return resource
    upper, lower = split_uuid(resource.uuid)
    halves = UuidType(uuid_mslong=upper, uuid_lslong=lower)
    if perms is None:
        perms = IdPermsType(enable=True, uuid=halves)
    else:
        perms = msgspec.structs.replace(perms, uuid=halves)
    return msgspec.structs.replace(resource, id_perms=perms)
