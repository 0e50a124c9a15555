"""The wiring: which queries are roots, and what they own.

::

    virtual-network ------------> networks.network ---------> route-target
                                        |                     routing-instance (primary)
                                        +-- claims a number --> its own route target
    virtual-machine-interface --> networks.interface -------> .routing_instance_refs
    security-group -------------> security.security_group --> access-control-list (two)
    bgp-router -----------------> peering.bgp_router -------> .bgp_router_refs (the mesh)

A new derivation is a module with its queries and a line in :data:`ROOTS`; if it puts references
on objects that people wrote, also a line in :data:`OWNED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tungsten.compiler import networks, peering, security
from tungsten.compiler.derived import Output
from tungsten.compiler.engine import Query
from tungsten.compiler.graph import Graph
from tungsten.model import Ref

Root = Query[Graph, [str], Output]

#: For every resource of the type, what is derived from it: queries of its uuid.
ROOTS: dict[str, tuple[Root, ...]] = {
    "virtual-network": (networks.network,),
    "virtual-machine-interface": (networks.interface,),
    "security-group": (security.security_group,),
    "bgp-router": (peering.bgp_router,),
}

#: Tells of a reference, given who holds it, whether the compiler made it.
IsOurs = Callable[[str, Ref[Any]], bool]


def _all(holder: str, ref: Ref[Any]) -> bool:
    return True


#: Reference fields of people's objects that the compiler writes, wholly or in part.
OWNED: dict[tuple[str, str], IsOurs] = {
    ("virtual-machine-interface", "routing_instance_refs"): _all,
    ("bgp-router", "bgp_router_refs"): peering.is_made,
}

#: Fields of every resource that stay their owner's even on derived objects.
COMMON = frozenset({"id_perms", "perms2", "annotations", "display_name", "tag_refs"})


def owned_fields(type_: str) -> tuple[str, ...]:
    """The reference fields of a type that the compiler writes."""
    return tuple(field for of, field in OWNED if of == type_)
