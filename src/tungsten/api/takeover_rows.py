"""A row of upstream's database as a resource of the model.

What a row says and the model cannot take is left out and told, one finding each; the rest of the
object stays. What dumps of older releases lack is filled in as upstream's own resync does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tungsten.api.permissions import ALL, OWNER, halves
from tungsten.api.upstream_dump import Row, elements
from tungsten.model import (
    BgpRouter,
    FloatingIp,
    LogicalRouter,
    Project,
    Ref,
    Resource,
    ResourceType,
    ValidationError,
    VirtualNetwork,
    validate_attr,
    validate_property,
)
from tungsten.model.common import IdPermsType, PermType2
from tungsten.model.fields import ListOf, MapOf

#: What is told of a finding: it is about the row that is being read.
Tell = Callable[[str], None]

_WHOLE_SECOND = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}")


def resource_of(declared: ResourceType, row: Row, tell: Tell) -> Resource:
    """The resource of a row, without references and parent."""
    resource = declared.cls()
    resource.uuid, resource.fq_name = row.uuid, list(row.fq_name)
    for note in row.notes:
        tell(note)
    for name, value in _values(declared, row, tell).items():
        if name not in declared.properties:
            tell(f"there is no property {name}")
            continue
        try:
            setattr(resource, name, validate_property(declared.name, name, value))
        except ValidationError as error:
            tell(f"property {error.field_path}: {error.reason}")
    _fill_in(resource)
    return resource


def _values(declared: ResourceType, row: Row, tell: Tell) -> dict[str, Any]:
    values = dict(row.properties)
    for found, kind in ((row.lists, ListOf), (row.maps, MapOf)):
        for name, parts in found.items():
            field = declared.properties.get(name)
            if field is None:
                tell(f"there is no property {name}")
            elif not isinstance(field.collection, kind):
                tell(f"property {name} is not kept by element")
            else:
                ordered = kind is ListOf
                values[name] = {field.collection.element: elements(parts, ordered=ordered)}
    return values


def references_of(
    declared: ResourceType, row: Row, find: Callable[[str, str], Row | None], tell: Tell
) -> dict[str, list[Ref[Any]]]:
    """The references of a row to rows that are taken: ``find(type, uuid)``."""
    found: dict[str, list[Ref[Any]]] = {}
    for type_, uuid, value in row.references:
        name = f"{type_}_refs"
        if name not in declared.references:
            tell(f"it has no references to {type_}")
            continue
        target = find(type_, uuid)
        if target is None:
            tell(f"its reference to {type_} {uuid} leads nowhere")
            continue
        wrapped = isinstance(value, dict) and "attr" in value
        attr = value["attr"] if wrapped else value
        try:
            said = validate_attr(declared.name, name, attr or None)
        except ValidationError as error:
            tell(f"what {name} says, {error.field_path}: {error.reason}")
            said = None
        found.setdefault(name, []).append(Ref(list(target.fq_name), uuid, said))
    return found


def _fill_in(resource: Resource) -> None:
    """What newer releases expect of every object, and of some types."""
    perms = resource.id_perms or IdPermsType()
    perms.created = _with_fraction(perms.created)
    perms.last_modified = _with_fraction(perms.last_modified)
    if perms.uuid is None:
        perms.uuid = halves(resource.uuid)
    resource.id_perms = perms
    if resource.perms2 is None:
        resource.perms2 = PermType2(owner=OWNER, owner_access=ALL, global_access=0, share=[])
    if resource.display_name is None:
        resource.display_name = resource.fq_name[-1]
    match resource:
        case VirtualNetwork() if resource.is_shared is None:
            resource.is_shared = False
        case BgpRouter() if resource.bgp_router_parameters is not None:
            said = resource.bgp_router_parameters
            if not said.router_type:
                own = (said.vendor or "").lower() == "contrail"
                said.router_type = "control-node" if own else "router"
        case _:
            return


def fill_in_from(resource: Resource, project: Project | None) -> None:
    """What is filled in from the project that an object is in."""
    match resource:
        case LogicalRouter() if resource.logical_router_type is None:
            routing = project is not None and bool(project.vxlan_routing)
            resource.logical_router_type = "vxlan-routing" if routing else "snat-routing"
        case FloatingIp() if project is not None and not resource.project_refs:
            resource.project_refs = [Ref(list(project.fq_name), project.uuid)]
        case _:
            return


def _with_fraction(time: str | None) -> str | None:
    return f"{time}.000000" if time and _WHOLE_SECOND.fullmatch(time) else time
