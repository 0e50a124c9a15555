"""Streams of UPDATE messages, made before anything is measured, and what must come of them.

Routes are told as control nodes tell them: ``shared`` routes have one set of attributes in
common (one network of one vRouter), there are 1,000 next hops, and each set carries a route
target, three encapsulations, a security group and an origin network.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes, encode_attributes
from tungsten.bgp.families import EVPN, INET_VPN, Family
from tungsten.bgp.update import pack_reach, pack_unreach

ASN = 64512
NEXT_HOPS = 1000
FAMILIES = {"inet-vpn": INET_VPN, "e-vpn": EVPN}


@dataclass(frozen=True)
class Shape:
    """What a stream holds: routes of a family, ``shared`` with each set of attributes.

    Route targets and networks repeat after ``networks`` sets.
    """

    family: Family
    routes: int
    shared: int
    networks: int = 1000


def target(number: int) -> bytes:
    """The route target of a network."""
    return communities.route_target(ASN, 8000001 + number)


def next_hop(number: int) -> bytes:
    """The address of a vRouter."""
    return bytes((10, 0, number >> 8 & 0xFF, number & 0xFF))


def block_of(number: int, networks: int, *, origin: bool = True) -> bytes:
    """Attributes of a set, without next hop."""
    network = number % networks
    carried = [
        target(network),
        communities.encapsulation("gre"),
        communities.encapsulation("mpls-o-gre"),
        communities.encapsulation("udp"),
        communities.security_group(ASN, 8000000 + number % 7919),
    ]
    if origin:
        carried.append(communities.origin_vn(ASN, network + 1))
    return encode_attributes(
        PathAttributes(local_preference=100, extended_communities=tuple(carried))
    )


def vpn_nlri(route: int, number: int) -> bytes:
    """A VPN prefix: its distinguisher is the vRouter's, its label says which route it is."""
    label = (16 + route % 1_000_000) << 4 | 1
    rd = b"\0\1" + next_hop(number % NEXT_HOPS) + struct.pack("!H", number % 60000)
    address = struct.pack("!I", 0x14000000 + route)
    return bytes((120,)) + label.to_bytes(3, "big") + rd + address


def mac_nlri(route: int, number: int) -> bytes:
    """A MAC with an IPv4 address."""
    label = (16 + route % 1_000_000) << 4 | 1
    rd = b"\0\1" + next_hop(number % NEXT_HOPS) + struct.pack("!H", number % 60000)
    mac = b"\x02\0" + struct.pack("!I", route)
    content = rd + bytes(10) + bytes(4) + b"\x30" + mac + b"\x20" + mac[2:]
    return bytes((2, len(content) + 3)) + content + label.to_bytes(3, "big")


def stream(shape: Shape) -> bytes:
    """All announcements, whole messages one after the other."""
    write = vpn_nlri if shape.family == INET_VPN else mac_nlri
    made = []
    for number, first in enumerate(range(0, shape.routes, shape.shared)):
        last = min(first + shape.shared, shape.routes)
        nlris = [write(route, number) for route in range(first, last)]
        block = block_of(number, shape.networks)
        made += pack_reach(shape.family, block, next_hop(number % NEXT_HOPS), nlris)
    return b"".join(made)


def withdrawals(shape: Shape) -> bytes:
    """All withdrawals, in the order of the announcements."""
    write = vpn_nlri if shape.family == INET_VPN else mac_nlri
    nlris = (write(route, route // shape.shared) for route in range(shape.routes))
    return b"".join(pack_unreach(shape.family, nlris))
