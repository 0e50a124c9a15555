"""The configuration this host received, as a graph of typed resources.

Control sends *nodes* (resources) and *links* between them, in any order that keeps its own
rules; a link that says something goes through an *attribute node* (type: the link's metadata
name; name ``attr(left,right)``), with one link to it from each end.

:class:`ConfigGraph` keeps what arrived and answers by walking; nothing is derived here. It has
a *generation*: when the configuration channel moves to another control, :meth:`begin` makes all
that is held stale, what is sent again becomes current, and :meth:`sweep` drops the rest once the
new control has said everything. Until then both count, so nothing is lost in between.

A node that does not decode is kept out and reported (:attr:`ConfigGraph.rejected`); it takes
nothing else down. Types this host has no use for are not decoded at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from xml.etree.ElementTree import Element

from tungsten.model import RESOURCE_TYPES, Resource
from tungsten.model.fields import Complex
from tungsten.model.ifmap import attr_from_ifmap, from_ifmap
from tungsten.xmpp.stanzas import ConfigLink, ConfigMessage, ConfigNode, ConfigOperation

Key = tuple[str, str]
"""Type and name (fq_name joined with ``:``, or ``attr(...)``)."""

R = TypeVar("R", bound=Resource)
C = TypeVar("C", bound=Complex)


@dataclass(slots=True)
class _Node:
    element: Element
    generation: int
    resource: Resource | None = None
    attribute: Complex | None = None


def _attribute_types() -> dict[str, type[Complex]]:
    """Link metadata names whose links say something, with the type of what they say."""
    return {
        reference.link: reference.attr
        for resource_type in RESOURCE_TYPES.values()
        for reference in resource_type.references.values()
        if reference.attr is not None
    }


def _types_of(cls: type[Resource]) -> frozenset[str]:
    return frozenset(name for name, known in RESOURCE_TYPES.items() if known.cls is cls)


class ConfigGraph:
    """Nodes and links as received; see the module."""

    def __init__(self) -> None:
        self._nodes: dict[Key, _Node] = {}
        self._links: dict[Key, dict[str, dict[Key, int]]] = {}
        self._generation = 0
        self._attributes = _attribute_types()
        self.rejected: dict[Key, str] = {}
        self.revision = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def apply(self, message: ConfigMessage) -> None:
        """Take over the changes of one message."""
        for operation in message.operations:
            item = operation.object
            if isinstance(item, ConfigLink):
                self._apply_link(item, operation.delete)
            elif operation.delete:
                self._drop_node((item.type, item.name))
            elif item.element is not None:
                self._put_node(item.type, item.name, item.element)
        self.revision += 1

    def begin(self) -> None:
        """What is held is stale from now on, until it is sent again."""
        self._generation += 1

    def sweep(self) -> int:
        """Drop what is still stale; answers how many nodes and links went."""
        gone = 0
        for key, node in list(self._nodes.items()):
            if node.generation != self._generation:
                self._drop_node(key)
                gone += 1
        for left, by_metadata in list(self._links.items()):
            for metadata, rights in list(by_metadata.items()):
                for right, generation in list(rights.items()):
                    if generation != self._generation:
                        self._unlink(left, metadata, right)
                        gone += 1
        if gone:
            self.revision += 1
        return gone

    def is_fresh(self, key: Key) -> bool:
        """The node was sent since :meth:`begin`."""
        node = self._nodes.get(key)
        return node is not None and node.generation == self._generation

    def operations(self) -> Iterator[ConfigOperation]:
        """All that is held, as one would send it."""
        for (type_, name), node in self._nodes.items():
            yield ConfigOperation(ConfigNode(type_, name, element=node.element))
        for left, by_metadata in self._links.items():
            for metadata, rights in by_metadata.items():
                for right in rights:
                    if left <= right:
                        yield ConfigOperation(ConfigLink(left, right, metadata))

    def _put_node(self, type_: str, name: str, element: Element) -> None:
        key = (type_, name)
        node = _Node(element, self._generation)
        self.rejected.pop(key, None)
        try:
            if type_ in RESOURCE_TYPES:
                node.resource = from_ifmap(type_, element)
            elif (attribute := self._attributes.get(type_)) is not None:
                node.attribute = attr_from_ifmap(attribute, element)
        except ValueError as error:
            self.rejected[key] = str(error)
        self._nodes[key] = node

    def _drop_node(self, key: Key) -> None:
        self._nodes.pop(key, None)
        self.rejected.pop(key, None)

    def _apply_link(self, link: ConfigLink, delete: bool) -> None:
        if delete:
            self._unlink(link.left, link.metadata, link.right)
            self._unlink(link.right, link.metadata, link.left)
            return
        for left, right in ((link.left, link.right), (link.right, link.left)):
            by_metadata = self._links.setdefault(left, {})
            by_metadata.setdefault(link.metadata, {})[right] = self._generation

    def _unlink(self, left: Key, metadata: str, right: Key) -> None:
        by_metadata = self._links.get(left, {})
        rights = by_metadata.get(metadata, {})
        rights.pop(right, None)
        if not rights:
            by_metadata.pop(metadata, None)
        if not by_metadata:
            self._links.pop(left, None)

    def resource(self, cls: type[R], name: str) -> R | None:
        """The resource of a class and name, when it is here and whole."""
        for type_ in _types_of(cls):
            node = self._nodes.get((type_, name))
            if node is not None and isinstance(node.resource, cls):
                return node.resource
        return None

    def resources(self, cls: type[R]) -> Iterable[tuple[str, R]]:
        """All resources of a class with their names, by name."""
        types = _types_of(cls)
        found = [
            (name, node.resource)
            for (type_, name), node in self._nodes.items()
            if type_ in types and isinstance(node.resource, cls)
        ]
        return sorted(found, key=lambda pair: pair[0])

    def linked(
        self, key: Key, metadata: str, attribute: type[C] | None = None
    ) -> list[tuple[Key, C | None]]:
        """The neighbours of a node along a link, by name, with what the links say.

        A neighbour behind an attribute node is found through it; an attribute that does not
        have the asked type is given as None.
        """
        found: dict[Key, C | None] = {}
        for neighbour in self._links.get(key, {}).get(metadata, {}):
            if neighbour[0] != metadata:
                found.setdefault(neighbour, None)
                continue
            node = self._nodes.get(neighbour)
            value = None
            if node is not None and attribute and isinstance(node.attribute, attribute):
                value = node.attribute
            for far in self._links.get(neighbour, {}).get(metadata, {}):
                if far != key:
                    found[far] = value
        return sorted(found.items(), key=lambda pair: pair[0])

    def neighbours(self, key: Key, metadata: str, type_: str) -> list[str]:
        """Names of the neighbours of a type along a link, whose nodes are here."""
        return [
            far[1]
            for far, _ in self.linked(key, metadata)
            if far[0] == type_ and far in self._nodes
        ]
