"""The BGP library against FRR: sessions, VPNv4 and EVPN routes both ways, errors, keepalives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from tests.interop.bgp_harness import Rib
from tests.interop.frr import Frr, loopback_address, until

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import PathAttributes, PmsiTunnel
from tungsten.bgp.families import EVPN, INET, INET_VPN, Family
from tungsten.bgp.messages import Notification, RouteRefresh, encode_message
from tungsten.bgp.negotiation import SessionConfig
from tungsten.bgp.nlri import (
    InclusiveMulticast,
    Inet,
    MacIp,
    Vpn,
    mpls_field,
    prefix_from_text,
    rd_from_text,
)
from tungsten.bgp.transport import Peer, PeerConfig, Speaker
from tungsten.bgp.update import Reach, Unreach, Update


@dataclass
class Pair:
    """Our speaker and an FRR that is not started yet."""

    speaker: Speaker
    frr: Frr
    rib: Rib
    host: str
    peer: Peer | None = None

    async def up(self, families: frozenset[Family], **changes: object) -> Peer:
        """Start both, and wait for the session."""
        self.frr.start()
        values: dict[str, object] = {
            "name": "frr",
            "local_as": 64512,
            "peer_as": self.frr.asn,
            "router_id": socket.inet_aton(self.host),
            "families": families,
            "connect_time": 1.0,
            **changes,
        }
        config = PeerConfig(
            session=SessionConfig(**values),  # type: ignore[arg-type]
            address=self.frr.address,
            port=self.frr.port,
            local_address=self.host,
        )
        peer = self.peer = self.speaker.add(config, self.rib)
        await until(lambda: peer.established, what=f"session ({peer.last_error})")
        return peer

    def tell(self, update: Update) -> None:
        assert self.peer is not None
        self.peer.send(encode_message(update))


@pytest.fixture
async def pair() -> AsyncIterator[Callable[..., Pair]]:
    made: list[Pair] = []
    host = loopback_address()
    speaker = Speaker(host, 0)
    await speaker.start()

    def make(asn: int = 64512) -> Pair:
        fresh = Pair(speaker, Frr(host, speaker.port, asn=asn), Rib(), host)
        made.append(fresh)
        return fresh

    yield make
    await speaker.stop()
    for each in made:
        each.frr.stop()


Make = Callable[..., Pair]
RD = rd_from_text("192.0.2.7:3")
COMMUNITIES = (
    communities.route_target(64512, 8000003),
    communities.encapsulation("udp"),
    communities.security_group(64512, 8000001),
    communities.origin_vn(64512, 4),
)
ATTRIBUTES = PathAttributes(
    next_hop=bytes((192, 0, 2, 7)),
    med=77,
    local_preference=150,
    extended_communities=COMMUNITIES,
    communities=(64512 << 16 | 5,),
    large_communities=(bytes(3) + b"\7" + bytes(3) + b"\x08" + bytes(3) + b"\x09",),
)


def vpn(prefix: str, label: int, rd: bytes = RD) -> Vpn:
    return Vpn(rd, prefix_from_text(prefix), mpls_field(label))


async def test_vpn_routes_arrive_there_field_by_field(pair: Make) -> None:
    it = pair()
    it.frr.families = {"ipv4 vpn": []}
    await it.up(frozenset({INET_VPN}))
    routes = (vpn("10.1.1.3/32", 27), vpn("10.1.0.0/17", 28))
    it.tell(Update(reach=(Reach(INET_VPN, ATTRIBUTES, routes),)))
    shown = await until(lambda: it.frr.vpn_route("192.0.2.7:3", "10.1.1.3/32"))
    (path,) = shown["paths"]
    assert path["nexthops"][0]["ip"] == "192.0.2.7"
    assert path["metric"] == 77
    assert path["locPrf"] == 150
    assert path["origin"] == "IGP"
    assert path["remoteLabel"] == 27
    assert path["community"]["string"] == "64512:5"
    assert path["largeCommunity"]["string"] == "7:8:9"
    text = path["extendedCommunity"]["string"]
    assert text == "RT:64512:8000003 ET:13 UNK:128, 4 UNK:128, 113"
    assert path["aspath"]["string"] == "Local"
    assert await it.frr.vpn_route("192.0.2.7:3", "10.1.0.0/17")
    it.tell(Update(unreach=(Unreach(INET_VPN, routes[:1]),)))

    async def withdrawn() -> bool:
        return not await it.frr.vpn_route("192.0.2.7:3", "10.1.1.3/32")

    await until(withdrawn)
    assert await it.frr.vpn_route("192.0.2.7:3", "10.1.0.0/17")


async def test_vpn_routes_arrive_here_and_are_withdrawn(pair: Make) -> None:
    it = pair()
    it.frr.families = {"ipv4 vpn": ["network 10.9.0.0/24 rd 64512:9 label 900"]}
    await it.up(frozenset({INET_VPN}))
    await until(lambda: it.rib.routes)
    ((route, attributes),) = it.rib.routes.values()
    assert route == vpn("10.9.0.0/24", 900, rd_from_text("64512:9"))
    assert attributes.next_hop == socket.inet_aton(it.frr.address)
    assert attributes.local_preference == 100
    assert attributes.as_path == ()
    await until(lambda: INET_VPN in it.rib.ended)
    await it.frr.configure(
        "router bgp 64512", "address-family ipv4 vpn", "no network 10.9.0.0/24 rd 64512:9 label 900"
    )
    await until(lambda: not it.rib.routes)
    assert not it.rib.faults


async def test_our_attributes_come_back_unchanged_from_a_reflector(pair: Make) -> None:
    one, two = pair(), pair()
    two.host = loopback_address()
    other = Speaker(two.host, 0)
    await other.start()
    two.speaker = other
    one.frr.options = [
        f"neighbor {two.host} remote-as 64512",
        f"neighbor {two.host} passive",
        f"neighbor {two.host} update-source {one.frr.address}",
    ]
    reflect = f"neighbor {one.host} route-reflector-client"
    also = [f"neighbor {two.host} activate", f"neighbor {two.host} route-reflector-client"]
    one.frr.families = {"ipv4 vpn": [reflect, *also]}
    await one.up(frozenset({INET_VPN}))
    config = PeerConfig(
        session=SessionConfig(
            name="frr",
            local_as=64512,
            peer_as=64512,
            router_id=socket.inet_aton(two.host),
            families=frozenset({INET_VPN}),
            connect_time=1.0,
        ),
        address=one.frr.address,
        port=one.frr.port,
        local_address=two.host,
    )
    receiver = other.add(config, two.rib)
    await until(lambda: receiver.established)
    routes = tuple(vpn(f"10.1.{i}.0/24", 100 + i) for i in range(50))
    one.tell(Update(reach=(Reach(INET_VPN, ATTRIBUTES, routes),)))
    await until(lambda: len(two.rib.routes) == 50)
    labels = {route.key: route.label for route in routes}
    for route, attributes in two.rib.routes.values():
        assert isinstance(route, Vpn)
        assert route.label == labels[route.key]
        assert attributes.originator_id == socket.inet_aton(one.host)
        assert attributes.cluster_list == (socket.inet_aton(one.frr.address),)
        for name in ("next_hop", "med", "local_preference", "origin", "as_path"):
            assert getattr(attributes, name) == getattr(ATTRIBUTES, name)
        assert attributes.communities == ATTRIBUTES.communities
        assert attributes.large_communities == ATTRIBUTES.large_communities
        assert sorted(attributes.extended_communities) == sorted(COMMUNITIES)
    assert not two.rib.faults
    await other.stop()


async def test_evpn_routes_arrive_there(pair: Make) -> None:
    it = pair()
    it.frr.families = {"l2vpn evpn": []}
    await it.up(frozenset({EVPN}))
    mac = bytes.fromhex("020000000103")
    vxlan = PathAttributes(
        next_hop=bytes((192, 0, 2, 7)),
        local_preference=100,
        extended_communities=(
            communities.route_target(64512, 8000003),
            communities.encapsulation("vxlan"),
        ),
    )
    flooded = PathAttributes(
        next_hop=vxlan.next_hop,
        local_preference=100,
        extended_communities=vxlan.extended_communities,
        pmsi_tunnel=PmsiTunnel(6, 5001, vxlan.next_hop),
    )
    host = MacIp(RD, 0, mac, bytes((10, 1, 1, 3)), 5001)
    members = InclusiveMulticast(RD, 0, vxlan.next_hop)
    it.tell(Update(reach=(Reach(EVPN, vxlan, (host,)), Reach(EVPN, flooded, (members,)))))

    async def both() -> bool:
        text = str(await it.frr.json("show bgp l2vpn evpn json"))
        return "[2]:[0]:[48]:[02:00:00:00:01:03]:[32]:[10.1.1.3]" in text and (
            "[3]:[0]:[32]:[192.0.2.7]" in text
        )

    await until(both)


async def test_inet_routes_cross_as_boundaries_with_their_paths(pair: Make) -> None:
    it = pair(asn=4200000001)
    it.frr.families = {"ipv4 unicast": ["network 203.0.113.0/24"]}
    it.frr.options = ["no bgp network import-check"]
    await it.up(frozenset({INET}))
    await until(lambda: it.rib.routes)
    ((route, attributes),) = it.rib.routes.values()
    assert route == Inet(prefix_from_text("203.0.113.0/24"))
    assert attributes.as_path == (Segment(AS_SEQUENCE, (4200000001,)),)
    assert attributes.local_preference is None
    ours = PathAttributes(
        next_hop=bytes((192, 0, 2, 7)),
        as_path=(Segment(AS_SEQUENCE, (64512, 4200000009)),),
    )
    it.tell(Update(reach=(Reach(INET, ours, (Inet(prefix_from_text("198.51.100.0/24")),)),)))

    async def shown() -> object:
        answer = await it.frr.json("show bgp ipv4 unicast 198.51.100.0/24 json")
        return answer.get("paths") if isinstance(answer, dict) else None

    (path,) = await until(shown)
    assert path["aspath"]["string"] == "64512 4200000009"


async def test_route_refresh_makes_it_say_everything_again(pair: Make) -> None:
    it = pair()
    it.frr.families = {"ipv4 vpn": ["network 10.9.0.0/24 rd 64512:9 label 900"]}
    peer = await it.up(frozenset({INET_VPN}))
    await until(lambda: it.rib.routes)
    it.rib.routes.clear()
    peer.send(encode_message(RouteRefresh(INET_VPN)))
    await until(lambda: it.rib.routes)
    await it.frr.configure(f"do clear bgp ipv4 vpn {it.host} soft in")
    await until(lambda: it.rib.refreshes == [INET_VPN])


async def test_keepalives_hold_the_session_and_silence_ends_it(pair: Make) -> None:
    it = pair()
    it.frr.families = {"ipv4 vpn": []}
    peer = await it.up(frozenset({INET_VPN}))
    assert peer.negotiated is not None
    assert peer.negotiated.hold_time == 9
    await asyncio.sleep(4)
    assert peer.established
    assert not it.rib.downs


async def test_its_notification_is_understood_and_the_session_comes_back(pair: Make) -> None:
    it = pair()
    it.frr.families = {"ipv4 vpn": []}
    peer = await it.up(frozenset({INET_VPN}))
    await it.frr.configure(f"do clear bgp {it.host}")
    await until(lambda: it.rib.downs)
    said = it.rib.downs[0].received
    assert isinstance(said, Notification)
    assert said.code == 6
    await until(lambda: peer.established)
