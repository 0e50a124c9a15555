"""The BGP fuzz target, for a few seconds, from seeds that reach every decoder."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.running import run

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes, PmsiTunnel
from tungsten.bgp.families import EVPN, INET, INET_VPN, Family
from tungsten.bgp.messages import Keepalive, Notification, RouteRefresh, encode_message
from tungsten.bgp.negotiation import SessionConfig, our_open
from tungsten.bgp.nlri import (
    InclusiveMulticast,
    Inet,
    MacIp,
    Nlri,
    Vpn,
    mpls_field,
    prefix_from_text,
    rd_from_text,
)
from tungsten.bgp.update import Reach, Update

RD = rd_from_text("192.0.2.7:3")
ATTRIBUTES = PathAttributes(
    next_hop=bytes((192, 0, 2, 7)),
    med=1,
    local_preference=100,
    extended_communities=(communities.route_target(64512, 8000003),),
    communities=(1,),
    large_communities=(bytes(12),),
    originator_id=bytes((10, 0, 0, 9)),
    cluster_list=(bytes((10, 0, 0, 9)),),
    pmsi_tunnel=PmsiTunnel(6, 29, bytes((192, 0, 2, 7))),
)


def seeds() -> list[bytes]:
    """Inputs for the target: bodies of single messages, and streams."""
    theirs = SessionConfig(
        name="seed",
        local_as=64512,
        peer_as=64512,
        router_id=bytes((10, 0, 0, 2)),
        families=frozenset({INET, INET_VPN, EVPN}),
        restart_time=30,
    )
    vpn = Vpn(RD, prefix_from_text("10.1.1.3/32"), mpls_field(27))
    host = MacIp(RD, 0, bytes(6), bytes((10, 1, 1, 3)), 5001)
    members = InclusiveMulticast(RD, 0, bytes((192, 0, 2, 7)))
    routes: list[tuple[Family, Nlri]] = [
        (INET_VPN, vpn),
        (EVPN, host),
        (EVPN, members),
        (INET, Inet(b"\x08\x0a")),
    ]
    updates = [
        encode_message(Update(reach=(Reach(family, ATTRIBUTES, (route,)),)))
        for family, route in routes
    ]
    opened = encode_message(our_open(theirs))
    others = [encode_message(Notification(6, 2, b"\x02ab")), encode_message(RouteRefresh(INET))]
    stream = opened + encode_message(Keepalive()) + b"".join(updates)
    found = [bytes((0b00000011,)) + opened[19:], bytes((0b01100001,)) + stream]
    found += [bytes((0b00000111,)) + update[19:] for update in updates]
    found += [bytes((0b01100111,)) + message for message in [*updates, *others]]
    return found


def test_nothing_but_protocol_errors_for_a_while(tmp_path: Path) -> None:
    run("fuzz_bgp.py", seeds(), tmp_path)
