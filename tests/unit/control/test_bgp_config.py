"""Neighbours from configuration objects, and what is made of their routes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.control.bgp_world import fabric, router, session
from tests.unit.control.control_world import basics

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import Origin, PathAttributes, PmsiTunnel
from tungsten.bgp.families import EVPN, INET, INET_VPN, ROUTE_TARGET
from tungsten.bgp.nlri import (
    InclusiveMulticast,
    IpPrefix,
    MacIp,
    Nlri,
    Vpn,
    decode_nlri,
    mpls_field,
    rd_from_text,
)
from tungsten.control.bgp_config import BgpDefaults, NeighborConfig, neighbor_configs, own_bgp
from tungsten.control.bgp_routes import (
    Unusable,
    path_flags,
    read_route,
    taken_attributes,
    told_nlri,
)
from tungsten.control.config_graph import ConfigGraph
from tungsten.control.paths import PathFlag, Protocol, Source
from tungsten.model.bgp import (
    AddressFamilies,
    BgpFamilyAttributes,
    BgpPeeringAttributes,
    BgpPrefixLimit,
    BgpSession,
    BgpSessionAttributes,
    RouteOriginOverride,
)
from tungsten.model.routes import AuthenticationData, AuthenticationKeyItem
from tungsten.store.base import Record

US, PEER = "10.0.0.1", "10.0.0.2"
RD = rd_from_text("192.0.2.7:3")
SOURCE = Source("peer", Protocol.BGP, bytes((10, 0, 0, 2)))


def graph_of(*routers: Record) -> ConfigGraph:
    graph = ConfigGraph()
    graph.load([*basics(), *fabric(), *routers])
    return graph


def neighbors(*routers: Record, name: str = "us") -> list[NeighborConfig]:
    graph = graph_of(*routers)
    own = own_bgp(graph, name, 64512, bytes((10, 0, 0, 1)))
    return neighbor_configs(graph, name, own, BgpDefaults())


def only(peering: BgpPeeringAttributes | None = None, **theirs: Any) -> NeighborConfig:
    """The one neighbour of a peering kept at our end."""
    values = {"asn": 64513, **theirs}
    peer = router("peer", PEER, 1790, **values)
    (found,) = neighbors(router("us", US, 179, "peer", peering=peering), peer)
    return found


def test_peering_makes_neighbours_at_both_ends() -> None:
    routers = [router("us", US, 179, "peer"), router("peer", PEER, 1790)]
    (at_us,), (at_peer,) = neighbors(*routers), neighbors(*routers, name="peer")
    assert (at_us.name, at_us.peer.address, at_us.peer.port) == ("peer", PEER, 1790)
    assert (at_peer.name, at_peer.peer.address, at_peer.peer.port) == ("us", US, 179)
    assert at_us.peer.session.internal
    assert at_us.peer.session.hold_time == 90


def test_node_without_a_bgp_router_has_no_neighbours() -> None:
    assert neighbors(router("peer", PEER, 179), name="us") == []


def test_families_are_those_of_both_routers() -> None:
    config = only(families=["inet-vpn", "erm-vpn", "route-target"])
    assert config.peer.session.families == {INET_VPN, ROUTE_TARGET}


def test_session_settings_decide() -> None:
    md5 = AuthenticationData(
        key_type="md5", key_items=[AuthenticationKeyItem(key_id=0, key="secret")]
    )
    families = BgpFamilyAttributes(
        address_family="inet-vpn",
        prefix_limit=BgpPrefixLimit(maximum=10, idle_timeout=20),
        default_tunnel_encap=["udp"],
    )
    config = only(
        session(
            passive=True,
            hold_time=30,
            local_autonomous_system=65001,
            address_families=AddressFamilies(family=["inet"]),
            auth_data=md5,
            family_attributes=[families],
            loop_count=2,
            as_override=True,
            private_as_action="remove-all",
            route_origin_override=RouteOriginOverride(origin_override=True, origin="EGP"),
        )
    )
    settings = config.peer.session
    assert settings.passive
    assert (settings.hold_time, settings.local_as, settings.peer_as) == (30, 65001, 64513)
    assert settings.families == {INET}
    assert config.peer.md5 == "secret"
    assert config.prefix_limits == ((INET_VPN, 10, 20.0),)
    assert config.encapsulations_of(INET_VPN) == (communities.encapsulation("udp"),)
    assert (config.loop_count, config.as_override) == (2, True)
    assert (config.private_as, config.origin) == ("remove-all", Origin.EGP)


def test_settings_for_one_end_hold_there_only() -> None:
    blocks = [
        BgpSessionAttributes(bgp_router="us", hold_time=30),
        BgpSessionAttributes(bgp_router="peer", hold_time=60),
    ]
    peering = BgpPeeringAttributes(session=[BgpSession(attributes=blocks)])
    assert only(peering).peer.session.hold_time == 30
    common = BgpSessionAttributes(hold_time=45)
    peering = BgpPeeringAttributes(session=[BgpSession(attributes=[*blocks, common])])
    assert only(peering).peer.session.hold_time == 45


def test_routers_that_share_an_address_make_one_neighbour() -> None:
    found = neighbors(
        router("us", US, 179, "one", "two"), router("one", PEER, 179), router("two", PEER, 180)
    )
    assert [config.name for config in found] == ["one"]


def test_bgp_as_a_service_is_no_peering_of_ours() -> None:
    routers = [router("us", US, 179, "vm"), router("vm", PEER, 179, router_type="bgpaas-client")]
    assert neighbors(*routers) == []


# --- routes -------------------------------------------------------------------------------------

UDP = (communities.encapsulation("udp"),)
VXLAN = (communities.encapsulation("vxlan"),)
HOP = bytes((192, 0, 2, 7))


def attributes(**values: Any) -> PathAttributes:
    return PathAttributes(**{"next_hop": HOP, **values})


LABELS: list[tuple[Nlri, PathAttributes, int, int]] = [
    (Vpn(RD, b"\x08\x0a", mpls_field(27)), attributes(extended_communities=UDP), 27, 0),
    (
        MacIp(RD, 0, bytes(6), b"", mpls_field(29)),
        attributes(extended_communities=UDP),
        29,
        0,
    ),
    (
        MacIp(RD, 0, bytes(6), b"", 5001, label2_field=6001),
        attributes(extended_communities=VXLAN),
        5001,
        6001,
    ),
    (MacIp(RD, 5002, bytes(6), b"", 0), attributes(extended_communities=VXLAN), 5002, 0),
    (
        IpPrefix(RD, 0, b"\x18\x0a\x02\x00", 5001),
        attributes(extended_communities=VXLAN),
        5001,
        0,
    ),
    (
        InclusiveMulticast(RD, 0, HOP),
        attributes(extended_communities=UDP, pmsi_tunnel=PmsiTunnel(6, mpls_field(31), HOP)),
        31,
        0,
    ),
]


@pytest.mark.parametrize(("route", "said", "label", "label2"), LABELS)
def test_labels_as_the_encapsulation_means_them(
    route: Nlri, said: PathAttributes, label: int, label2: int
) -> None:
    path = read_route(route, said, PathFlag.NONE, SOURCE)
    assert (path.label, path.label2) == (label, label2)
    assert path.rd == RD


@pytest.mark.parametrize(
    "route",
    [
        Vpn(RD, b"\x08\x0a", mpls_field(3)),
        IpPrefix(RD, 0, b"\x08\x0a", 5001, gateway=HOP),
        IpPrefix(RD, 0, b"\x08\x0a", 5001, esi=b"\1" * 10),
    ],
)
def test_routes_that_cannot_be_used_are_refused(route: Nlri) -> None:
    """E-03, E-07."""
    with pytest.raises(Unusable):
        read_route(route, attributes(), PathFlag.NONE, SOURCE)


@pytest.mark.parametrize(("route", "said", "label", "label2"), LABELS)
def test_route_taken_and_told_again_is_the_same(
    route: Nlri, said: PathAttributes, label: int, label2: int
) -> None:
    family = INET_VPN if isinstance(route, Vpn) else EVPN
    path = read_route(route, said, PathFlag.NONE, SOURCE)
    (again,) = decode_nlri(family, told_nlri(family, route.key, path)).routes
    back = read_route(again, said, PathFlag.NONE, SOURCE)
    assert again.key == route.key
    assert (back.label, back.label2) == (label, label2)


def test_loops_make_a_path_infeasible() -> None:
    """B-34."""
    own = own_bgp(graph_of(router("us", US, 179, cluster_id=9)), "us", 64512, bytes((10, 0, 0, 1)))
    inside = only(asn=64512)
    outside = only()
    ours = (Segment(AS_SEQUENCE, (64513, 64512)),)
    assert path_flags(attributes(as_path=ours), own, outside) == PathFlag.AS_PATH_LOOPED
    tolerant = only(session(loop_count=1))
    assert path_flags(attributes(as_path=ours), own, tolerant) == PathFlag.NONE
    strange = (Segment(AS_SEQUENCE, (64999,)),)
    assert path_flags(attributes(as_path=strange), own, outside) == PathFlag.NO_NEIGHBOR_AS
    own_id, cluster = own.router_id, own.cluster_id
    assert cluster is not None
    looped = path_flags(attributes(originator_id=own_id), own, inside)
    assert looped == PathFlag.ORIGINATOR_ID_LOOPED
    looped = path_flags(attributes(cluster_list=(cluster,)), own, inside)
    assert looped == PathFlag.CLUSTER_LIST_LOOPED


def test_encapsulation_and_origin_are_set_on_routes_taken() -> None:
    families = BgpFamilyAttributes(address_family="inet-vpn", default_tunnel_encap=["udp"])
    override = RouteOriginOverride(origin_override=True, origin="INCOMPLETE")
    config = only(session(family_attributes=[families], route_origin_override=override))
    bare = taken_attributes(attributes(), config, INET_VPN)
    assert bare.extended_communities == UDP
    assert bare.origin == Origin.INCOMPLETE
    kept = taken_attributes(attributes(extended_communities=VXLAN), config, INET_VPN)
    assert kept.extended_communities == VXLAN
    other = taken_attributes(attributes(), config, EVPN)
    assert other.extended_communities == ()
