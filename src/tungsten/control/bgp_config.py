"""BGP neighbours from the configuration: one for each peering of this node's bgp-router.

A peering is a reference between two ``bgp-router`` objects, kept at either end; its attribute
may hold sessions, each with settings for both ends (no router named) or for one. Where a session
says nothing, the routers' own parameters decide, and then the settings. A pure function over the
configuration graph: equal configuration gives equal neighbours, which is how a change is told
from none.

Families are the session's list; without one, those that both routers list; without a list of
our own, inet and inet-vpn as far as the other lists them. Families without tables here
(``erm-vpn``, ``inet-mvpn``, ``inet-labeled``) are not offered.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from tungsten.bgp import communities
from tungsten.bgp.attributes import Origin
from tungsten.bgp.families import (
    ERM_VPN,
    EVPN,
    FAMILIES,
    INET,
    INET6,
    INET6_VPN,
    INET_VPN,
    ROUTE_TARGET,
    Family,
)
from tungsten.bgp.negotiation import SessionConfig
from tungsten.bgp.transport import PORT, PeerConfig
from tungsten.model import BgpRouter, GlobalSystemConfig, Ref
from tungsten.model.bgp import (
    AddressFamilies,
    BgpPeeringAttributes,
    BgpRouterParams,
    BgpSessionAttributes,
)
from tungsten.model.routes import AuthenticationData

from .config_graph import ConfigGraph
from .config_instances import own_router

#: The families that have a table in the master instance.
TABLES: dict[Family, str] = {
    INET: "inet.0",
    INET6: "inet6.0",
    INET_VPN: "bgp.l3vpn.0",
    INET6_VPN: "bgp.l3vpn-inet6.0",
    EVPN: "bgp.evpn.0",
    ROUTE_TARGET: "bgp.rtarget.0",
    ERM_VPN: "bgp.ermvpn.0",
}
_DEFAULT_FAMILIES = ["inet", "inet-vpn"]
_AS_A_SERVICE = ("bgpaas-server", "bgpaas-client")
_CONTROL_NODES = ("control-node", "external-control-node")
_log = structlog.get_logger("tungsten.control")


@dataclass(frozen=True, slots=True)
class OwnBgp:
    """What this node is to all its neighbours. ``cluster_id`` makes it a route reflector.

    ``restart_time`` and ``long_lived_time``, in seconds, are what it announces of graceful restart.
    """

    asn: int
    router_id: bytes
    cluster_id: bytes | None = None
    restart_time: int = 0
    helper: bool = True
    long_lived_time: int = 0
    four_octet_as: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborConfig:
    """One neighbour. ``prefix_limits``: family, most prefixes, seconds of rest after more.

    ``encapsulations``: for a family, the communities that replace those of routes told, and are
    added to routes taken that have none. ``origin`` is put on routes taken. ``private_as`` is
    remove, remove-all or replace-all. ``control_node`` tells that MED carries local preference
    from it (eBGP between clusters); ``reflector`` that it reflects routes itself, so it is no
    client of ours.
    """

    peer: PeerConfig
    admin_down: bool = False
    loop_count: int = 0
    as_override: bool = False
    control_node: bool = False
    reflector: bool = False
    prefix_limits: tuple[tuple[Family, int, float], ...] = ()
    encapsulations: tuple[tuple[Family, tuple[bytes, ...]], ...] = ()
    origin: int | None = None
    private_as: str = ""
    router_type: str = "router"

    def encapsulations_of(self, family: Family) -> tuple[bytes, ...]:
        """The encapsulation communities that are set for a family."""
        return next((found for each, found in self.encapsulations if each == family), ())

    @property
    def name(self) -> str:
        """The router's name."""
        return self.peer.session.name


@dataclass(frozen=True, slots=True)
class BgpDefaults:
    """What the settings say. ``local_address`` empty leaves the source address to routing."""

    hold_time: int = 90
    local_address: str = ""


def own_bgp(graph: ConfigGraph, name: str, asn: int, router_id: bytes) -> OwnBgp:
    """This node's own part, from its bgp-router and the global configuration."""
    own = own_router(graph, name)
    params = own.bgp_router_parameters if own is not None else None
    cluster = params.cluster_id if params is not None else None
    if params is not None:
        asn = params.local_autonomous_system or params.autonomous_system or asn
    restart_time, helper, long_lived_time, four_octet_as = 0, True, 0, True
    for resource in graph.resources("global-system-config"):
        assert isinstance(resource, GlobalSystemConfig)
        four_octet_as = resource.enable_4byte_as is not False or asn > 0xFFFF
        restart = resource.graceful_restart_parameters
        if restart is not None and restart.enable:
            restart_time = min(restart.restart_time or 300, 4095)
            helper = restart.bgp_helper_enable is not False
            long_lived_time = min(restart.long_lived_restart_time or 0, 0xFFFFFF)
    return OwnBgp(
        asn,
        router_id,
        cluster.to_bytes(4, "big") if cluster else None,
        restart_time,
        helper,
        long_lived_time,
        four_octet_as,
    )


def neighbor_configs(
    graph: ConfigGraph, name: str, own: OwnBgp, defaults: BgpDefaults
) -> list[NeighborConfig]:
    """This node's neighbours by address; what cannot be one is logged and left out."""
    us = own_router(graph, name)
    if us is None:
        return []
    found: dict[str, NeighborConfig] = {}
    for other, attr in sorted(_peerings(graph, us), key=lambda pair: pair[0].fq_name):
        config = _neighbor(us, other, attr, own, defaults)
        if config is None:
            continue
        address = config.peer.address
        if address in found:
            _log.error(
                "neighbor_unusable",
                neighbor=config.name,
                reason=f"address {address} is neighbor {found[address].name}'s",
            )
            continue
        found[address] = config
    return list(found.values())


def _peerings(
    graph: ConfigGraph, us: BgpRouter
) -> Iterable[tuple[BgpRouter, BgpPeeringAttributes | None]]:
    routers = {router.uuid: router for router in graph.resources("bgp-router")}
    for ref in us.bgp_router_refs:
        other = routers.get(ref.uuid)
        if isinstance(other, BgpRouter):
            yield other, ref.attr
    ours = {ref.uuid for ref in us.bgp_router_refs}
    for uuid, other in routers.items():
        assert isinstance(other, BgpRouter)
        if uuid != us.uuid and uuid not in ours:
            ref_to_us: Ref[BgpPeeringAttributes] | None = next(
                (ref for ref in other.bgp_router_refs if ref.uuid == us.uuid), None
            )
            if ref_to_us is not None:
                yield other, ref_to_us.attr


def _neighbor(
    us: BgpRouter,
    other: BgpRouter,
    attr: BgpPeeringAttributes | None,
    own: OwnBgp,
    defaults: BgpDefaults,
) -> NeighborConfig | None:
    mine = us.bgp_router_parameters or BgpRouterParams()
    theirs = other.bgp_router_parameters
    name = other.fq_name[-1]
    if theirs is None or theirs.router_type in _AS_A_SERVICE:
        return None
    if not theirs.address:
        _log.warning("neighbor_unusable", neighbor=name, reason="its bgp-router has no address")
        return None
    said = _session(attr, us)
    local_as = said.local_autonomous_system or own.asn
    families = _families(said.address_families, mine.address_families, theirs.address_families)
    if not families:
        _log.warning("neighbor_unusable", neighbor=name, reason="no family in common")
        return None
    session = SessionConfig(
        name=name,
        local_as=local_as,
        peer_as=theirs.local_autonomous_system or theirs.autonomous_system or own.asn,
        router_id=own.router_id,
        families=families,
        hold_time=said.hold_time or mine.hold_time or defaults.hold_time,
        passive=bool(said.passive),
        four_octet_as=own.four_octet_as,
        restart_time=own.restart_time,
        long_lived_time=own.long_lived_time,
        helper=own.helper,
        add_paths=families - {ROUTE_TARGET},
    )
    peer = PeerConfig(
        session=session,
        address=str(theirs.address),
        port=theirs.port or PORT,
        local_address=defaults.local_address,
        md5=_md5(said.auth_data) or _md5(mine.auth_data),
    )
    return NeighborConfig(
        peer=peer,
        admin_down=bool(said.admin_down or mine.admin_down),
        loop_count=said.loop_count or 0,
        as_override=bool(said.as_override),
        control_node=theirs.router_type in _CONTROL_NODES,
        reflector=bool(theirs.cluster_id),
        prefix_limits=_limits(said),
        encapsulations=_encapsulations(said),
        origin=_origin(said),
        private_as=said.private_as_action or "",
        router_type=theirs.router_type or "router",
    )


def _session(attr: BgpPeeringAttributes | None, us: BgpRouter) -> BgpSessionAttributes:
    """The settings that hold at our end of the first session: common ones before our own."""
    sessions = attr.session if attr is not None else None
    blocks = (sessions[0].attributes or []) if sessions else []
    names = {us.fq_name[-1], ":".join(us.fq_name), us.uuid}
    common = [block for block in blocks if not block.bgp_router]
    local = [block for block in blocks if block.bgp_router in names]
    return next(iter(common + local), BgpSessionAttributes())


def _families(
    said: AddressFamilies | None, mine: AddressFamilies | None, theirs: AddressFamilies | None
) -> frozenset[Family]:
    names = said.family if said is not None else None
    if not names:
        names = (mine.family if mine is not None else None) or _DEFAULT_FAMILIES
        others = theirs.family if theirs is not None else None
        names = [each for each in names if not others or each in others]
    known = (FAMILIES.get(each) for each in names)
    return frozenset(family for family in known if family in TABLES)


def _limits(said: BgpSessionAttributes) -> tuple[tuple[Family, int, float], ...]:
    limits = []
    for block in said.family_attributes or []:
        family = FAMILIES.get(block.address_family or "")
        limit = block.prefix_limit
        if family is not None and limit is not None and limit.maximum:
            limits.append((family, limit.maximum, float(limit.idle_timeout or 0)))
    return tuple(limits)


def _encapsulations(said: BgpSessionAttributes) -> tuple[tuple[Family, tuple[bytes, ...]], ...]:
    found = []
    for block in said.family_attributes or []:
        family = FAMILIES.get(block.address_family or "")
        if family is not None and block.default_tunnel_encap:
            names = block.default_tunnel_encap
            found.append((family, tuple(communities.encapsulation(name) for name in names)))
    return tuple(found)


def _origin(said: BgpSessionAttributes) -> int | None:
    override = said.route_origin_override
    if override is None or not override.origin_override:
        return None
    return Origin[override.origin or "IGP"]


def _md5(auth: AuthenticationData | None) -> str:
    """The first key of an MD5 key chain."""
    if auth is None or auth.key_type != "md5":
        return ""
    keys = [item.key for item in auth.key_items or [] if item.key]
    return keys[0] if keys else ""


def packed_address(text: str) -> bytes:
    """An IPv4 address in 4 octets; of IPv6, the last 4, for ordering only."""
    try:
        return socket.inet_aton(text)
    except OSError:
        return socket.inet_pton(socket.AF_INET6, text)[12:]
