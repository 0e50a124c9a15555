"""BGP speakers: the sessions between those of this system.

With ``ibgp_auto_mesh`` (on by default) every bgp-router of the system's AS peers with every
other of its sub-cluster; routers of other ASes, and the ones made for BGP as a service, are
peered by hand. Route reflectors, routers with a ``cluster_id``, thin the mesh: control nodes
stay fully meshed until one of them is a reflector, other pairs need a reflector among them as
soon as there is one beside the control nodes; and then a pair peers only if one end is one.

A peering is one reference, kept at the end with the lesser uuid. What the compiler made carries
a session uuid computed from the two ends, by which it is told from what people wrote. Where
people wrote a peering, at either end, theirs stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from tungsten.compiler.derived import Output, References
from tungsten.compiler.engine import query
from tungsten.compiler.graph import Graph
from tungsten.compiler.networks import GLOBAL, global_as
from tungsten.model import BgpRouter, GlobalSystemConfig, Ref
from tungsten.model.bgp import (
    AddressFamilies,
    BgpPeeringAttributes,
    BgpSession,
    BgpSessionAttributes,
)

_SESSIONS = UUID("4d7f0b52-6a0e-4f0f-9c1a-5a1f7d1c9b3e")
_OURS = (None, "", "contrail")
_AS_A_SERVICE = ("bgpaas-server", "bgpaas-client")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A member of the mesh. ``clusters`` are the sub-clusters it is in."""

    uuid: str
    fq_name: tuple[str, ...]
    control: bool
    reflector: bool
    clusters: tuple[str, ...]


@query
def auto_mesh(graph: Graph) -> bool:
    """Whether peerings are made at all."""
    uuid = graph.named(GlobalSystemConfig, GLOBAL)
    config = None if uuid is None else graph.get(GlobalSystemConfig, uuid)
    return config is None or config.ibgp_auto_mesh is not False


@query
def speaker(graph: Graph, uuid: str) -> Speaker | None:
    """A bgp-router as a member of the mesh; None when it is not one."""
    router = graph.get(BgpRouter, uuid)
    params = None if router is None else router.bgp_router_parameters
    if router is None or params is None or params.router_type in _AS_A_SERVICE:
        return None
    clusters = tuple(sorted(ref.uuid for ref in router.sub_cluster_refs))
    ours = params.vendor in _OURS
    if not clusters and not ours and params.autonomous_system != global_as(graph):
        return None
    control = params.router_type == "control-node" or (params.router_type is None and ours)
    return Speaker(uuid, tuple(router.fq_name), control, bool(params.cluster_id), clusters)


@query
def mesh(graph: Graph) -> tuple[Speaker, ...]:
    """The members of the mesh, by uuid."""
    if not auto_mesh(graph):
        return ()
    speakers = (speaker(graph, uuid) for uuid in graph.all(BgpRouter))
    return tuple(member for member in speakers if member is not None)


@query
def reflected(graph: Graph) -> tuple[bool, bool]:
    """Whether reflectors thin the mesh: among control nodes, and beside them."""
    members = mesh(graph)
    return (
        any(member.reflector for member in members if member.control),
        any(member.reflector for member in members if not member.control),
    )


@query
def written_peers(graph: Graph, uuid: str) -> frozenset[str]:
    """The routers with which people made a router peer, as kept at its end."""
    router = graph.get(BgpRouter, uuid)
    if router is None:
        return frozenset()
    refs = router.bgp_router_refs
    return frozenset(ref.uuid for ref in refs if not is_made(uuid, ref))


@query
def bgp_router(graph: Graph, uuid: str) -> Output:
    """Root: the peerings that a router's end keeps."""
    members = mesh(graph)
    here = next((member for member in members if member.uuid == uuid), None)
    if here is None:
        return (References(uuid, "bgp_router_refs", ()),)
    refs = tuple(
        Ref(to=list(other.fq_name), attr=_session(uuid, other.uuid))
        for other in members
        if uuid < other.uuid
        and _peers(here, other, reflected(graph))
        and other.uuid not in written_peers(graph, uuid)
        and uuid not in written_peers(graph, other.uuid)
    )
    return (References(uuid, "bgp_router_refs", refs),)


def _peers(one: Speaker, other: Speaker, thinned: tuple[bool, bool]) -> bool:
    if one.clusters != other.clusters:
        return False
    thin = thinned[0] if one.control and other.control else thinned[1]
    return not thin or one.reflector or other.reflector


def _session_uuid(one: str, other: str) -> str:
    return str(uuid5(_SESSIONS, ":".join(sorted((one, other)))))


def _session(one: str, other: str) -> BgpPeeringAttributes:
    """A session with the routers' own families: that is what an empty list means."""
    attributes = BgpSessionAttributes(address_families=AddressFamilies(family=[]))
    session = BgpSession(uuid=_session_uuid(one, other), attributes=[attributes])
    return BgpPeeringAttributes(session=[session])


def is_made(holder: str, ref: Ref[Any]) -> bool:
    """Whether a peering of ``holder`` was made here."""
    attr = ref.attr
    if not isinstance(attr, BgpPeeringAttributes) or not attr.session:
        return False
    return attr.session[0].uuid == _session_uuid(holder, ref.uuid)
