"""The configuration as a graph of named nodes and links, kept up to date from store records.

A *vertex* is (type, name), the name being the fq_name joined with colons. A *link* joins two
vertices under a metadata name. A resource is a node; each reference and the parent is a link;
a reference that says something (an attribute) is a node of its own between the two, typed as
the metadata and named after both ends, with a link to each.

Records come in any order. What a record contributes is kept as said (targets by uuid) and
resolved against the vertices that exist: a reference whose other end is not there is no link
yet, and becomes one when it comes; when a vertex goes, its links go with it. So the graph is a
function of the set of records. :meth:`ConfigGraph.apply` answers with a :class:`GraphDelta` of
what changed, which is all that the export to agents looks at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import structlog

from tungsten.model import Complex, ModelError, Resource, parent_link, resource_type
from tungsten.model.common import IdPermsType, UuidType
from tungsten.model.ifmap import (
    attr_name,
    attr_node,
    node_name,
    property_elements,
    split_uuid,
)
from tungsten.store.base import Change, ChangeKind, Record
from tungsten.store.records import from_record

_log = structlog.get_logger("tungsten.control")

Vertex = tuple[str, str]
#: (left, right, metadata)
Link = tuple[Vertex, Vertex, str]


@dataclass(slots=True, eq=False)
class Node:
    """A vertex's content. A change makes a new one; ``body`` is encoded when first asked for."""

    vertex: Vertex
    uuid: str = ""
    resource: Resource | None = None
    attr: tuple[str, str, Complex] | None = None
    _body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The children of its XML node, without the name."""
        if self._body is None:
            if self.resource is not None:
                self._body = property_elements(_with_uuid(self.resource))
            elif self.attr is not None:
                self._body = _attr_body(self.vertex, *self.attr)
            else:
                self._body = b""
        return self._body


@dataclass(slots=True)
class GraphDelta:
    """What changed: vertices that came, went or have other content, and links."""

    nodes: set[Vertex] = field(default_factory=set)
    links_added: set[Link] = field(default_factory=set)
    links_removed: set[Link] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.links_added or self.links_removed)


@dataclass(slots=True)
class _Said:
    """What one record contributes, targets by uuid, and what of it stands in the graph."""

    vertex: Vertex
    references: list[tuple[str, str, Complex | None, bool]] = field(default_factory=list)
    links: set[Link] = field(default_factory=set)
    attributes: set[Vertex] = field(default_factory=set)


class ConfigGraph:
    """All nodes and links that exist now."""

    def __init__(self) -> None:
        self.nodes: dict[Vertex, Node] = {}
        #: Why the last state of a record could not be read, by uuid; its former state stands.
        self.unreadable: dict[str, str] = {}
        self._neighbors: dict[Vertex, dict[tuple[str, Vertex], Link]] = {}
        self._by_uuid: dict[str, Vertex] = {}
        self._said: dict[str, _Said] = {}
        self._referrers: dict[str, set[str]] = {}
        self._link_count: dict[Link, int] = {}
        self._by_type: dict[str, dict[str, Resource]] = {}

    def vertex_of(self, uuid: str) -> Vertex | None:
        """The vertex of a resource."""
        return self._by_uuid.get(uuid)

    def neighbors(self, vertex: Vertex) -> dict[tuple[str, Vertex], Link]:
        """Links at a vertex by (metadata, other end). Not to be changed."""
        return self._neighbors.get(vertex, _NONE)

    def resources(self, type_: str) -> dict[str, Resource]:
        """Resources of a type by uuid. Not to be changed."""
        return self._by_type.get(type_, {})

    def resource(self, uuid: str) -> Resource | None:
        """The resource of a uuid."""
        vertex = self._by_uuid.get(uuid)
        return self.nodes[vertex].resource if vertex in self.nodes and vertex else None

    def load(self, records: Iterable[Record]) -> GraphDelta:
        """Make the graph exactly these records."""
        delta = GraphDelta()
        seen = set()
        records = list(records)
        for record in records:
            seen.add(record.uuid)
        for uuid in [uuid for uuid in self._said if uuid not in seen]:
            self._remove(uuid, delta)
        for record in records:
            self._put(record, delta)
        return delta

    def apply(self, changes: Iterable[Change]) -> GraphDelta:
        """Take the changes of one or more commits."""
        delta = GraphDelta()
        for change in changes:
            if change.kind is ChangeKind.DELETED:
                self._remove(change.record.uuid, delta)
            else:
                self._put(change.record, delta)
        return delta

    def _put(self, record: Record, delta: GraphDelta) -> None:
        try:
            resource = from_record(record)
        except ModelError as error:
            self.unreadable[record.uuid] = str(error)
            _log.error("record_unreadable", type=record.type, uuid=record.uuid, error=str(error))
            return
        self.unreadable.pop(record.uuid, None)
        vertex = (record.type, node_name(resource))
        known = self._said.get(record.uuid)
        if known is not None and known.vertex != vertex:
            self._remove(record.uuid, delta)
            known = None
        holder = self._by_uuid_of(vertex)
        if holder and holder != record.uuid:
            self._remove(holder, delta)
        fresh = known is None
        said = known or _Said(vertex)
        self._said[record.uuid] = said
        self._by_uuid[record.uuid] = vertex
        self._by_type.setdefault(record.type, {})[record.uuid] = resource
        self.nodes[vertex] = Node(vertex, record.uuid, resource)
        delta.nodes.add(vertex)
        self._refer(record, resource, said)
        self._resolve(record.uuid, delta)
        if fresh:
            for referrer in list(self._referrers.get(record.uuid, ())):
                self._resolve(referrer, delta)

    def _by_uuid_of(self, vertex: Vertex) -> str:
        node = self.nodes.get(vertex)
        return node.uuid if node is not None else ""

    def _refer(self, record: Record, resource: Resource, said: _Said) -> None:
        for _, target, _, _ in said.references:
            self._referrers.get(target, set()).discard(record.uuid)
        said.references = []
        declared = resource_type(record.type)
        for name, reference in declared.references.items():
            for ref in getattr(resource, name):
                said.references.append((reference.link, ref.uuid, ref.attr, False))
        parent_type = resource.parent_type
        if record.parent is not None and parent_type is not None:
            link = parent_link(declared, parent_type)
            said.references.append((link, record.parent, None, True))
        for _, target, _, _ in said.references:
            self._referrers.setdefault(target, set()).add(record.uuid)

    def _resolve(self, uuid: str, delta: GraphDelta) -> None:
        """Bring the links of a record in step with the vertices that exist."""
        said = self._said[uuid]
        links: set[Link] = set()
        attributes: dict[Vertex, Node] = {}
        for metadata, target, attr, is_parent in said.references:
            other = self._by_uuid.get(target)
            if other is None:
                continue
            if attr is not None:
                vertex = (metadata, attr_name(said.vertex[1], other[1]))
                attributes[vertex] = Node(vertex, attr=(said.vertex[1], other[1], attr))
                links |= {(said.vertex, vertex, metadata), (vertex, other, metadata)}
            elif is_parent:
                links.add((other, said.vertex, metadata))
            else:
                links.add((said.vertex, other, metadata))
        for link in said.links - links:
            self._unlink(link, delta)
        for vertex in said.attributes - attributes.keys():
            del self.nodes[vertex]
            delta.nodes.add(vertex)
        for vertex, node in attributes.items():
            known = self.nodes.get(vertex)
            if known is None or known.attr != node.attr:
                self.nodes[vertex] = node
                delta.nodes.add(vertex)
        for link in links - said.links:
            self._link(link, delta)
        said.links = links
        said.attributes = set(attributes)

    def _remove(self, uuid: str, delta: GraphDelta) -> None:
        self.unreadable.pop(uuid, None)
        said = self._said.pop(uuid, None)
        if said is None:
            return
        vertex = said.vertex
        for link in said.links:
            self._unlink(link, delta)
        for attribute in said.attributes:
            del self.nodes[attribute]
            delta.nodes.add(attribute)
        for _, target, _, _ in said.references:
            self._referrers.get(target, set()).discard(uuid)
        del self._by_uuid[uuid]
        del self.nodes[vertex]
        self._by_type[vertex[0]].pop(uuid, None)
        delta.nodes.add(vertex)
        for referrer in list(self._referrers.get(uuid, ())):
            if referrer in self._said:
                self._resolve(referrer, delta)
        if not self._referrers.get(uuid):
            self._referrers.pop(uuid, None)

    def _link(self, link: Link, delta: GraphDelta) -> None:
        count = self._link_count.get(link, 0)
        self._link_count[link] = count + 1
        if count:
            return
        left, right, metadata = link
        self._neighbors.setdefault(left, {})[metadata, right] = link
        self._neighbors.setdefault(right, {})[metadata, left] = link
        if link in delta.links_removed:
            delta.links_removed.discard(link)
        else:
            delta.links_added.add(link)

    def _unlink(self, link: Link, delta: GraphDelta) -> None:
        count = self._link_count[link] - 1
        if count:
            self._link_count[link] = count
            return
        del self._link_count[link]
        left, right, metadata = link
        for end, other in ((left, right), (right, left)):
            around = self._neighbors.get(end)
            if around is not None:
                around.pop((metadata, other), None)
                if not around:
                    del self._neighbors[end]
        if link in delta.links_added:
            delta.links_added.discard(link)
        else:
            delta.links_removed.add(link)


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


def _attr_body(vertex: Vertex, one: str, other: str, attr: Complex) -> bytes:
    whole = attr_node(vertex[0], one, other, attr)
    start = whole.index(b"<value>")
    return whole[start : -len(b"</node>")]


_NONE: dict[tuple[str, Vertex], Link] = {}
