"""The wiring: which queries are roots, and what they own.

::

    virtual-network ------------> networks.network ---------> route-target
                                        |                     routing-instance (primary)
                                        +-- claims a number --> its own route target
    virtual-machine-interface --> networks.interface -------> .routing_instance_refs
    security-group -------------> security.security_group --> access-control-list (two)
    bgp-router -----------------> peering.bgp_router -------> .bgp_router_refs (the mesh)
    routing-policy -------------> policies.routing_policy --> .routing_instance_refs

A new derivation is a module with its queries, a line in :data:`ROOTS`, and in :data:`READS` the
fields that they read: of records nothing else is kept. If it puts references on objects that
people wrote, it has also a line in :data:`OWNED`; if it makes objects of another type, in
:data:`DERIVED`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from tungsten.compiler import networks, peering, policies, security
from tungsten.compiler.derived import Output
from tungsten.compiler.engine import Query
from tungsten.compiler.graph import Graph
from tungsten.model import Ref, resource_type

Root = Query[Graph, [str], Output]

#: For every resource of the type, what is derived from it: queries of its uuid.
ROOTS: dict[str, tuple[Root, ...]] = {
    "virtual-network": (networks.network,),
    "virtual-machine-interface": (networks.interface,),
    "security-group": (security.security_group,),
    "bgp-router": (peering.bgp_router,),
    "routing-policy": (policies.routing_policy,),
}

#: The fields that queries read, by type. Reading another is an error.
READS: dict[str, tuple[str, ...]] = {
    "global-system-config": ("autonomous_system", "ibgp_auto_mesh"),
    "virtual-network": (
        "fabric_snat",
        "route_target_list",
        "import_route_target_list",
        "export_route_target_list",
        "routing_policy_refs",
    ),
    "virtual-machine-interface": ("virtual_network_refs",),
    "security-group": (
        "security_group_id",
        "configured_security_group_id",
        "security_group_entries",
    ),
    "routing-policy": (),
    "bgp-router": ("bgp_router_parameters", "sub_cluster_refs", "bgp_router_refs"),
}

#: The types of objects that are made.
DERIVED = ("route-target", "routing-instance", "access-control-list")

#: Tells of a reference, given who holds it, whether the compiler made it.
IsOurs = Callable[[str, Ref[Any]], bool]


def _all(holder: str, ref: Ref[Any]) -> bool:
    return True


#: Reference fields of people's objects that the compiler writes, wholly or in part.
OWNED: dict[tuple[str, str], IsOurs] = {
    ("virtual-machine-interface", "routing_instance_refs"): _all,
    ("bgp-router", "bgp_router_refs"): peering.is_made,
    ("routing-policy", "routing_instance_refs"): _all,
}

#: Fields of every resource that stay their owner's even on derived objects.
COMMON = frozenset({"id_perms", "perms2", "annotations", "display_name", "tag_refs"})


def content_fields(type_: str) -> tuple[str, ...]:
    """The fields of a derived object that the compiler owns."""
    declared = resource_type(type_)
    names = (*declared.properties, *declared.references)
    return tuple(name for name in names if name not in COMMON)


def kept_fields() -> dict[str, set[str]]:
    """The fields of records, by type, that are read: by queries, and to tell what to write."""
    kept = {type_: set(fields) for type_, fields in READS.items()}
    for type_ in DERIVED:
        kept.setdefault(type_, set()).update(content_fields(type_))
    for type_, field in OWNED:
        kept.setdefault(type_, set()).add(field)
    return kept


@cache
def owned_fields(type_: str) -> tuple[str, ...]:
    """The reference fields of a type that the compiler writes."""
    return tuple(field for of, field in OWNED if of == type_)
