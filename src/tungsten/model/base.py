"""Resources: the things people name, and the registry of their types.

A resource type is declared by a class::

    class RouteTable(Resource, type="route-table", parents=("project",)):
        \"\"\"Static routes that can be attached to networks and routers.\"\"\"

        routes: Annotated[RouteTableType | None, Required] = None

and that is all: the class line makes its entry in :data:`RESOURCE_TYPES`, from which the API
routes it, the store keeps it, the graph exports it. Fields whose annotation carries a
:class:`To` are references, the others properties. A type that nobody declared may be the target
of a reference or a parent: the reference exists, nothing can be at its other end yet.

Terms (upstream's): the *type* is the dashed name (``virtual-network``), the *object type* the
underscored one (``virtual_network``); both keep the capitals of ``virtual-DNS``. A *fq_name* is
the path of names from the root; ``display_name`` is free text.

Children and back-references are nobody's property: they are computed from what the other types
declare. A reference between two resources of one type is symmetric: both ends show it as
theirs and neither sees a back-reference; like a derived reference it is *weak*, it keeps nobody
from being deleted.
"""

from __future__ import annotations

import builtins
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from tungsten.model.common import IdPermsType, KeyValuePairs, PermType2
from tungsten.model.errors import UnknownType
from tungsten.model.fields import (
    Complex,
    Field,
    MapOf,
    Presence,
    SystemOnly,
    To,
    read_field,
    unwrap,
)

A = TypeVar("A")

#: Fields that say which resource it is; neither properties nor references.
IDENTITY = ("uuid", "fq_name", "parent_type", "parent_uuid")

#: The parent type of what hangs below nothing.
ROOT = "config-root"


class Ref(msgspec.Struct, Generic[A], omit_defaults=True, repr_omit_defaults=True):
    """A reference: the target by name and by uuid, and what is said on the link.

    ``Ref[None]`` is a reference whose link carries nothing.
    """

    to: list[str] = []
    uuid: str = ""
    attr: A | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """A type below which resources may hang.

    ``link`` names the link in the configuration graph, by default ``<parent>-<child>``. A
    ``derived`` child is made by the system and does not keep its parent from being deleted.
    """

    type: str
    link: str = ""
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference field of a type.

    ``attr`` is the type of what the link says, None when it says nothing; ``symmetric`` tells a
    reference between resources of one type.
    """

    field: str
    target: str
    attr: type[Complex] | None
    link: str
    derived: bool
    symmetric: bool
    presence: Presence

    @property
    def weak(self) -> bool:
        """It does not keep its target from being deleted."""
        return self.derived or self.symmetric

    @property
    def required(self) -> bool:
        """People are expected to set it."""
        return self.presence is Presence.REQUIRED

    @property
    def system_only(self) -> bool:
        """Only the system sets it."""
        return self.presence is Presence.SYSTEM


@dataclass(frozen=True, slots=True)
class Child:
    """A kind of children: ``field`` is its name in the parent's REST form (``floating_ips``)."""

    field: str
    type: str
    link: str
    derived: bool


@dataclass(frozen=True, slots=True)
class BackReference:
    """A kind of referrers: ``reference`` is the field of ``type`` that refers here."""

    field: str
    type: str
    reference: Reference


class ResourceType:
    """What is known of a type, read from its class."""

    def __init__(self, name: str, cls: type[Resource], parents: tuple[Parent, ...]) -> None:
        self.name = name
        self.cls = cls
        self.object_type = name.replace("-", "_")
        self.plural = name + "s"
        self.parent_links = {parent.type: parent for parent in parents}

    def __repr__(self) -> str:
        return f"ResourceType({self.name!r})"

    @property
    def parents(self) -> tuple[str, ...]:
        """Types a resource may hang below; empty, or with ``config-root``, for root types."""
        return tuple(self.parent_links)

    @property
    def may_be_root(self) -> bool:
        """It may hang below nothing."""
        return not self.parent_links or ROOT in self.parent_links

    @property
    def has_parents(self) -> bool:
        """It may hang below another resource."""
        return any(parent != ROOT for parent in self.parent_links)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.cls, include_extras=True)

    @cached_property
    def references(self) -> dict[str, Reference]:
        """Reference fields by name."""
        found = {}
        for name in self.cls.__struct_fields__:
            inner, _, marks = unwrap(self._hints[name])
            to = next((mark for mark in marks if isinstance(mark, To)), None)
            if to is None:
                continue
            (attr,) = typing.get_args(inner)
            found[name] = Reference(
                name,
                to.target,
                None if attr is type(None) else attr,
                to.link or f"{self.name}-{to.target}",
                to.derived,
                to.target == self.name,
                next((mark for mark in marks if isinstance(mark, Presence)), Presence.OPTIONAL),
            )
        return found

    @cached_property
    def properties(self) -> dict[str, Field]:
        """Property fields by name."""
        return {
            name: read_field(name, self._hints[name])
            for name in self.cls.__struct_fields__
            if name not in IDENTITY and name not in self.references
        }

    @cached_property
    def children(self) -> dict[str, Child]:
        """The kinds of children, by their field (``virtual_networks``)."""
        found = {}
        for other in RESOURCE_TYPES.values():
            link = other.parent_links.get(self.name)
            if link is not None:
                field = other.object_type + "s"
                found[field] = Child(field, other.name, parent_link(other, self.name), link.derived)
        return found

    @cached_property
    def back_references(self) -> dict[str, BackReference]:
        """The kinds of referrers, by their field (``instance_ip_back_refs``)."""
        found = {}
        for other in RESOURCE_TYPES.values():
            for reference in other.references.values():
                if reference.target == self.name and not reference.symmetric:
                    field = other.object_type + "_back_refs"
                    found[field] = BackReference(field, other.name, reference)
        return found


#: All declared types by dashed name, complete once ``tungsten.model`` is imported.
RESOURCE_TYPES: dict[str, ResourceType] = {}


class _ResourceMeta(msgspec.StructMeta):
    """Takes ``type`` and ``parents`` off the class line and registers the class."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[builtins.type, ...],
        namespace: dict[str, Any],
        *,
        type: str = "",
        parents: tuple[str | Parent, ...] = (),
        **options: Any,
    ) -> _ResourceMeta:
        cls = super().__new__(mcls, name, bases, namespace, **options)
        if type:
            declared_cls = typing.cast("builtins.type[Resource]", cls)
            links = tuple(Parent(p) if isinstance(p, str) else p for p in parents)
            declared = ResourceType(type, declared_cls, links)
            if RESOURCE_TYPES.setdefault(type, declared) is not declared:
                raise TypeError(f"resource type {type} is declared twice")
            _BY_CLASS[declared_cls] = declared
        return cls


_BY_CLASS: dict[type[Resource], ResourceType] = {}


class Resource(
    msgspec.Struct,
    metaclass=_ResourceMeta,
    omit_defaults=True,
    repr_omit_defaults=True,
    kw_only=True,
):
    """What every resource has.

    ``parent_type`` and ``parent_uuid`` are None below the root. ``uuid`` is empty until one is
    chosen.
    """

    uuid: str = ""
    fq_name: list[str] = []
    parent_type: str | None = None
    parent_uuid: str | None = None
    id_perms: Annotated[IdPermsType | None, SystemOnly] = None
    perms2: Annotated[PermType2 | None, SystemOnly] = None
    annotations: Annotated[KeyValuePairs | None, MapOf("key_value_pair", key="key")] = None
    display_name: str | None = None
    tag_refs: Annotated[list[Ref[None]], To("tag")] = []

    @property
    def name(self) -> str:
        """The last element of the fq_name."""
        return self.fq_name[-1] if self.fq_name else ""


def resource_type(name: str) -> ResourceType:
    """The type of a dashed name. Raises :class:`UnknownType`."""
    try:
        return RESOURCE_TYPES[name]
    except KeyError:
        raise UnknownType(name) from None


def type_of(resource: Resource) -> ResourceType:
    """The type of a resource."""
    return _BY_CLASS[type(resource)]


def parent_link(child: ResourceType, parent: str) -> str:
    """The name of the link between a resource and its parent in the configuration graph."""
    return child.parent_links[parent].link or f"{parent}-{child.name}"
