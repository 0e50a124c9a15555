"""The configuration as a graph of named nodes and links, kept up to date from store records.

A *vertex* is (type, name), the name being the fq_name joined with colons. A *link* joins two
vertices under a metadata name. A resource is a node; each reference and the parent is a link;
a reference that says something (an attribute) is a node of its own between the two, typed as
the metadata and named after both ends, with a link to each.

Records come in any order. What a record contributes is kept as said (targets by uuid, in its
:class:`~tungsten.control.config_nodes.Node`) and is all that is kept: links, and nodes between
two, are found when somebody asks for them, from what both ends' records say and which vertices
exist. A reference whose other end is not there is no link yet, and becomes one when it comes; when
a vertex goes, its links go with it. So the graph is a function of the set of records.
:meth:`ConfigGraph.apply` answers with a :class:`GraphDelta` of what changed, which is all that the
export to agents looks at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import structlog

from tungsten.model import Resource, resource_type
from tungsten.model.ifmap import attr_name
from tungsten.store.base import Change, ChangeKind, Record

from .config_nodes import AttrNode, Node, Said, Unreadable, Vertex, read

_log = structlog.get_logger("tungsten.control")

#: (left, right, metadata)
Link = tuple[Vertex, Vertex, str]


class Join(NamedTuple):
    """A reference, or a parent, that is there at both ends, seen from one of them.

    ``between`` is the vertex of what the link says, None when it says nothing.
    """

    metadata: str
    between: Vertex | None
    other: Node


@dataclass(slots=True)
class GraphDelta:
    """What changed: vertices that came, went or have other content, and links."""

    nodes: set[Vertex] = field(default_factory=set)
    links_added: set[Link] = field(default_factory=set)
    links_removed: set[Link] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.links_added or self.links_removed)


@dataclass(slots=True)
class _Contribution:
    """What a node's record puts into the graph besides the node."""

    links: set[Link] = field(default_factory=set)
    attributes: dict[Vertex, bytes] = field(default_factory=dict)

    def add(self, node: Node, said: Said, other: Node) -> None:
        between = _between(node, said, other)
        if said.attr is not None and between is not None:
            self.attributes[between] = said.attr
        self.links.update(_links(node, said, between, other))


class ConfigGraph:
    """All nodes and links that exist now."""

    def __init__(self) -> None:
        #: Why the last state of a record could not be read, by uuid; its former state stands.
        self.unreadable: dict[str, str] = {}
        self._by_uuid: dict[str, Node] = {}
        self._by_type: dict[str, dict[str, Node]] = {}
        #: by metadata and target, the uuids of those that say so: one, or a set
        self._sayers: dict[str, dict[str, str | set[str]]] = {}

    # Reading.

    def node(self, vertex: Vertex) -> Node | None:
        """The node of a resource's vertex."""
        return self._by_type.get(vertex[0], _NONE).get(vertex[1])

    def node_of(self, uuid: str) -> Node | None:
        """The node of a resource."""
        return self._by_uuid.get(uuid)

    def nodes(self) -> Iterator[Node]:
        """All nodes of resources."""
        return iter(self._by_uuid.values())

    def of_type(self, type_: str) -> Iterator[Node]:
        """The nodes of resources of a type."""
        return iter(self._by_type.get(type_, _NONE).values())

    def resources(self, type_: str) -> Iterator[Resource]:
        """Resources of a type, decoded anew."""
        return (node.resource for node in self._by_type.get(type_, _NONE).values())

    def joins(self, node: Node, metadata: Iterable[str]) -> Iterator[Join]:
        """What is joined to a node by links of these names, whichever end says so."""
        names = frozenset(metadata)
        for said in node.said:
            if said.metadata in names:
                other = self._by_uuid.get(said.target)
                if other is not None:
                    yield Join(said.metadata, _between(node, said, other), other)
        for name in names:
            for other, said in self._referrers(node.uuid, name):
                yield Join(name, _between(other, said, node), other)

    def links(self, node: Node) -> Iterator[Link]:
        """The links that a node's record says and that are there. Each link has one such node."""
        for said, other in self._targets(node):
            yield from _links(node, said, _between(node, said, other), other)

    def attributes(self, node: Node) -> Iterator[AttrNode]:
        """What the links that a node's record says are attributed with."""
        for said, other in self._targets(node):
            between = _between(node, said, other)
            if between is not None and said.attr is not None:
                one, far = node.vertex[1], other.vertex[1]
                yield AttrNode(between, node.vertex[0], one, far, said.attr)

    def _targets(self, node: Node) -> Iterator[tuple[Said, Node]]:
        for said in node.said:
            other = self._by_uuid.get(said.target)
            if other is not None:
                yield said, other

    def _referrers(self, uuid: str, metadata: str) -> Iterator[tuple[Node, Said]]:
        sayers = self._sayers.get(metadata, _NOBODY).get(uuid)
        if sayers is None:
            return
        for sayer in (sayers,) if isinstance(sayers, str) else tuple(sayers):
            node = self._by_uuid[sayer]
            for said in node.said:
                if said.target == uuid and said.metadata == metadata:
                    yield node, said

    # Changing.

    def load(self, records: Iterable[Record]) -> GraphDelta:
        """Make the graph exactly these records."""
        return self.replace(map(read, records))

    def replace(self, things: Iterable[Node | Unreadable]) -> GraphDelta:
        """Make the graph exactly what was read from these records."""
        delta = GraphDelta()
        things = list(things)
        seen = {thing.uuid for thing in things}
        for uuid in [uuid for uuid in self._by_uuid if uuid not in seen]:
            self._remove(uuid, delta)
        for thing in things:
            self._take(thing, delta)
        return delta

    def fill(self, things: Iterable[Node | Unreadable]) -> GraphDelta:
        """Take what was read from records, none of which is known yet; tells of no links.

        That nobody who looks at links may follow yet makes the first load quick.
        """
        delta = GraphDelta()
        for thing in things:
            if isinstance(thing, Unreadable):
                self._refuse(thing)
                continue
            self._install(thing)
            self._say(thing)
            delta.nodes.add(thing.vertex)
        return delta

    def apply(self, changes: Iterable[Change]) -> GraphDelta:
        """Take the changes of one or more commits."""
        delta = GraphDelta()
        for change in changes:
            if change.kind is ChangeKind.DELETED:
                self._remove(change.record.uuid, delta)
            else:
                self._take(read(change.record), delta)
        return delta

    def _take(self, thing: Node | Unreadable, delta: GraphDelta) -> None:
        if isinstance(thing, Unreadable):
            self._refuse(thing)
            return
        self.unreadable.pop(thing.uuid, None)
        known = self._by_uuid.get(thing.uuid)
        if known is not None and known.vertex != thing.vertex:
            self._remove(known.uuid, delta)
            known = None
        holder = self.node(thing.vertex)
        if holder is not None and holder.uuid != thing.uuid:
            self._remove(holder.uuid, delta)
        before = _Contribution() if known is None else self._contribution(known)
        self._install(thing)
        if known is None or known.said != thing.said:
            if known is not None:
                self._unsay(known)
            self._say(thing)
        delta.nodes.add(thing.vertex)
        after = self._contribution(thing)
        if known is None:
            self._contribute_others(thing, after)
        self._note(before, after, delta)

    def _refuse(self, thing: Unreadable) -> None:
        self.unreadable[thing.uuid] = thing.error
        _log.error("record_unreadable", type=thing.type, uuid=thing.uuid, error=thing.error)

    def _install(self, node: Node) -> None:
        self._by_uuid[node.uuid] = node
        self._by_type.setdefault(node.vertex[0], {})[node.vertex[1]] = node

    def _remove(self, uuid: str, delta: GraphDelta) -> None:
        self.unreadable.pop(uuid, None)
        node = self._by_uuid.get(uuid)
        if node is None:
            return
        before = self._contribution(node)
        self._contribute_others(node, before)
        self._unsay(node)
        del self._by_uuid[uuid]
        del self._by_type[node.vertex[0]][node.vertex[1]]
        delta.nodes.add(node.vertex)
        self._note(before, _Contribution(), delta)

    def _contribution(self, node: Node) -> _Contribution:
        contribution = _Contribution()
        for said, other in self._targets(node):
            contribution.add(node, said, other)
        return contribution

    def _contribute_others(self, node: Node, contribution: _Contribution) -> None:
        """Add what others' records say of a node, which is there as long as the node is."""
        for metadata in _incoming(node.vertex[0]):
            for other, said in self._referrers(node.uuid, metadata):
                contribution.add(other, said, node)

    def _note(self, before: _Contribution, after: _Contribution, delta: GraphDelta) -> None:
        for link in before.links - after.links:
            if link in delta.links_added:
                delta.links_added.discard(link)
            else:
                delta.links_removed.add(link)
        for link in after.links - before.links:
            if link in delta.links_removed:
                delta.links_removed.discard(link)
            else:
                delta.links_added.add(link)
        for vertex in before.attributes.keys() | after.attributes.keys():
            if before.attributes.get(vertex) != after.attributes.get(vertex):
                delta.nodes.add(vertex)

    def _say(self, node: Node) -> None:
        for said in node.said:
            sayers = self._sayers.setdefault(said.metadata, {})
            known = sayers.get(said.target)
            if known is None or known == node.uuid:
                sayers[said.target] = node.uuid
            elif isinstance(known, str):
                sayers[said.target] = {known, node.uuid}
            else:
                known.add(node.uuid)

    def _unsay(self, node: Node) -> None:
        for said in node.said:
            sayers = self._sayers.get(said.metadata, {})
            known = sayers.get(said.target)
            if isinstance(known, set):
                known.discard(node.uuid)
                if len(known) == 1:
                    sayers[said.target] = known.pop()
            elif known == node.uuid:
                del sayers[said.target]


def _between(node: Node, said: Said, other: Node) -> Vertex | None:
    """The vertex of what a link says."""
    if said.attr is None:
        return None
    return (said.metadata, attr_name(node.vertex[1], other.vertex[1]))


def _links(node: Node, said: Said, between: Vertex | None, other: Node) -> Iterator[Link]:
    if between is not None:
        yield (node.vertex, between, said.metadata)
        yield (between, other.vertex, said.metadata)
    elif said.is_parent:
        yield (other.vertex, node.vertex, said.metadata)
    else:
        yield (node.vertex, other.vertex, said.metadata)


@cache
def _incoming(type_: str) -> frozenset[str]:
    """The names of the links by which others may say that they belong to a type's resources."""
    declared = resource_type(type_)
    references = [back.reference.link for back in declared.back_references.values()]
    symmetric = [each.link for each in declared.references.values() if each.symmetric]
    children = [child.link for child in declared.children.values()]
    return frozenset((*references, *symmetric, *children))


_NONE: dict[str, Node] = {}
_NOBODY: dict[str, str | set[str]] = {}
