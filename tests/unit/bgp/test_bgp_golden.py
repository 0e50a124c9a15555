"""Octets that routers and Tungsten Fabric put on the wire, both ways."""

from __future__ import annotations

import pytest

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import (
    AttributeStore,
    Context,
    PathAttributes,
    PmsiTunnel,
    RawAttribute,
    encode_attributes,
    pack_attribute,
    split_block,
)
from tungsten.bgp.families import (
    ERM_VPN,
    EVPN,
    INET,
    INET6_VPN,
    INET_VPN,
    ROUTE_TARGET,
    Family,
)
from tungsten.bgp.nlri import (
    ErmVpn,
    InclusiveMulticast,
    Inet,
    IpPrefix,
    MacIp,
    Nlri,
    RouteTarget,
    Vpn,
    decode_nlri,
    encode_nlri,
    mpls_field,
    nlri_text,
    prefix_from_text,
    rd_from_text,
)
from tungsten.bgp.update import (
    Reach,
    Update,
    decode_update,
    pack_end_of_rib,
    pack_reach,
    pack_unreach,
)

IBGP = Context(internal=True, four_octet_as=True)
RD = rd_from_text("192.0.2.7:3")
MAC = bytes.fromhex("020000000103")

NLRI_VECTORS = [
    (
        INET_VPN,
        Vpn(RD, prefix_from_text("10.1.1.3/32"), mpls_field(27)),
        "78 0001b1 0001c00002070003 0a010103",
        "192.0.2.7:3:10.1.1.3/32",
    ),
    (
        INET6_VPN,
        Vpn(rd_from_text("64512:5"), prefix_from_text("2001:db8::/32"), mpls_field(16)),
        "78 000101 0000fc0000000005 20010db8",
        "64512:5:2001:db8::/32",
    ),
    (INET, Inet(prefix_from_text("10.128.0.0/9")), "09 0a80", "10.128.0.0/9"),
    (
        EVPN,
        MacIp(RD, 0, MAC, bytes((10, 1, 1, 3)), mpls_field(29)),
        "02 25 0001c00002070003 00000000000000000000 00000000 30 020000000103 20 0a010103 0001d1",
        "2-192.0.2.7:3-0-02:00:00:00:01:03,10.1.1.3",
    ),
    (
        EVPN,
        MacIp(RD, 5001, MAC, b"", 5001),
        "02 21 0001c00002070003 00000000000000000000 00001389 30 020000000103 00 001389",
        "2-192.0.2.7:3-5001-02:00:00:00:01:03,0.0.0.0",
    ),
    (
        EVPN,
        InclusiveMulticast(RD, 0, bytes((192, 0, 2, 7))),
        "03 11 0001c00002070003 00000000 20 c0000207",
        "3-192.0.2.7:3-0-192.0.2.7",
    ),
    (
        EVPN,
        IpPrefix(RD, 0, prefix_from_text("10.2.0.0/24"), 5001),
        "05 22 0001c00002070003 00000000000000000000 00000000 18 0a020000 00000000 001389",
        "5-192.0.2.7:3-0-10.2.0.0/24",
    ),
    (
        ERM_VPN,
        ErmVpn(1, RD, bytes((10, 0, 0, 1)), bytes(4), b"\xff" * 4),
        "01 16 0001c00002070003 0a000001 20 00000000 20 ffffffff",
        "1-192.0.2.7:3-10.0.0.1,255.255.255.255,0.0.0.0",
    ),
    (
        ROUTE_TARGET,
        RouteTarget.of(64512, communities.route_target(64512, 8000003)),
        "60 0000fc00 0002fc00007a1203",
        "64512:target:64512:8000003",
    ),
]


@pytest.mark.parametrize(("family", "route", "octets", "text"), NLRI_VECTORS)
def test_nlri_octets_and_text(family: Family, route: Nlri, octets: str, text: str) -> None:
    wire = bytes.fromhex(octets)
    assert encode_nlri(route) == wire
    assert decode_nlri(family, wire * 2).routes == [route, route]
    assert nlri_text(family, route) == text


def test_extended_communities_of_an_agents_route() -> None:
    expected = "0002fc00007a1203 030c00000000000d 8004fc00007a1201 8071fc0000000004"
    built = (
        communities.route_target(64512, 8000003)
        + communities.encapsulation("udp")
        + communities.security_group(64512, 8000001)
        + communities.origin_vn(64512, 4)
    )
    assert built == bytes.fromhex(expected)


@pytest.mark.parametrize(
    "text",
    [
        "target:64512:8000003",
        "target:10.0.0.1:5",
        "target:4200000000:8000",
        "soo:1:2",
        "encapsulation:udp",
        "encapsulation:vxlan",
        "secgroup:64512:8000001",
        "originvn:64512:4",
        "tag:64512:65537",
        "subcluster:64512:2",
        "unknown:4399000000000001",
    ],
)
def test_extended_community_text_is_reversible(text: str) -> None:
    assert communities.extended_text(communities.parse_extended(text)) == text


@pytest.mark.parametrize(
    "text", ["target:1", "target:70000:70000", "secgroup:x:1", "what:1:2", "", "unknown:zz"]
)
def test_bad_community_text_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="extended community"):
        communities.parse_extended(text)


def test_private_numbers_of_both_as_widths() -> None:
    narrow = communities.with_private_number(0x04, 64512, 8000001, 1)
    wide = communities.with_private_number(0x04, 4200000000, 8000002, 1)
    assert len(narrow) == 1
    assert len(wide) == 2
    assert communities.security_groups_of(narrow + wide) == (8000001, 8000002)


def test_pmsi_tunnel_of_a_multicast_route() -> None:
    tunnel = PmsiTunnel(6, mpls_field(29), bytes((192, 0, 2, 7)), flags=0x80)
    block = encode_attributes(PathAttributes(pmsi_tunnel=tunnel))
    assert bytes.fromhex("c0 16 09 80 06 0001d1 c0000207") in block


def test_announcement_of_a_vpn_route() -> None:
    attributes = PathAttributes(
        next_hop=bytes((192, 0, 2, 7)),
        local_preference=100,
        extended_communities=(communities.route_target(64512, 8000003),),
    )
    block = encode_attributes(attributes)
    nlri = bytes.fromhex("78 0001b1 0001c00002070003 0a010103")
    (message,) = pack_reach(INET_VPN, block, attributes.next_hop, [nlri])
    reach = bytes.fromhex("900e0021 0001 80 0c 0000000000000000c0000207 00") + nlri
    assert reach in message
    assert message[16:19] == len(message).to_bytes(2, "big") + b"\2"
    update = decode_update(message[19:], IBGP, frozenset({INET_VPN}), AttributeStore())
    route = Vpn(RD, prefix_from_text("10.1.1.3/32"), mpls_field(27))
    assert update == Update(reach=(Reach(INET_VPN, attributes, (route,)),))


def test_end_of_rib_of_each_form() -> None:
    assert pack_end_of_rib(INET)[19:] == bytes(4)
    assert pack_end_of_rib(INET_VPN)[19:] == bytes.fromhex("0000 0006 800f03 000180")
    extended = bytes.fromhex("0000 0007 900f0003 000180")
    families = frozenset({INET, INET_VPN})
    for body in (pack_end_of_rib(INET_VPN)[19:], extended):
        assert decode_update(body, IBGP, families, AttributeStore()).end_of_rib == INET_VPN
    assert decode_update(bytes(4), IBGP, families, AttributeStore()).end_of_rib == INET


def test_two_octet_peer_sees_as_trans_and_gets_its_path_merged() -> None:
    path = (Segment(AS_SEQUENCE, (64512, 4200000000, 64513)),)
    attributes = PathAttributes(next_hop=bytes((192, 0, 2, 7)), as_path=path)
    block = encode_attributes(attributes, four_octet_as=False, with_next_hop=True)
    assert bytes.fromhex("40 02 08 02 03 fc00 5ba0 fc01") in block
    (message,) = pack_reach(INET, block, attributes.next_hop, [b"\x08\x0a"])
    narrow = Context(internal=False, four_octet_as=False)
    update = decode_update(message[19:], narrow, frozenset({INET}), AttributeStore())
    assert update.reach[0].attributes == attributes


def test_unknown_transitive_attribute_is_carried_with_the_partial_bit() -> None:
    attributes = PathAttributes(next_hop=bytes((192, 0, 2, 7)), local_preference=100)
    block = encode_attributes(attributes, with_next_hop=True)
    block += pack_attribute(0xC0, 28, b"abc") + pack_attribute(0x80, 29, b"dropped")
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x08\x0a"
    update = decode_update(body, IBGP, frozenset({INET}), AttributeStore())
    carried = update.reach[0].attributes
    assert carried.opaque == (RawAttribute(0xE0, 28, b"abc"),)
    assert encode_attributes(carried).endswith(b"\xe0\x1c\x03abc")


def test_same_attributes_are_one_object_while_used() -> None:
    store = AttributeStore()
    attributes = PathAttributes(next_hop=bytes((192, 0, 2, 7)), local_preference=100)
    block = encode_attributes(attributes, with_next_hop=True)
    split = split_block(block)
    first, _ = store.decode(split, IBGP, None)
    second, _ = store.decode(split, IBGP, None)
    assert first is second
    assert store.intern(attributes) is first
    assert store.block(first, True, True) is store.block(second, True, True)
    del first, second
    assert len(store) == 0


def test_many_routes_fill_messages_to_the_limit_and_none_is_lost() -> None:
    attributes = PathAttributes(next_hop=bytes((192, 0, 2, 7)), local_preference=100)
    routes = [
        Vpn(RD, prefix_from_text(f"10.1.{i // 256}.{i % 256}/32"), mpls_field(i + 16))
        for i in range(1000)
    ]
    nlris = [encode_nlri(route) for route in routes]
    messages = pack_reach(INET_VPN, encode_attributes(attributes), attributes.next_hop, nlris)
    assert all(4096 - 16 <= len(m) <= 4096 for m in messages[:-1])
    store = AttributeStore()
    families = frozenset({INET_VPN})
    seen = [decode_update(m[19:], IBGP, families, store).reach[0].routes for m in messages]
    assert [route for part in seen for route in part] == routes
    gone = [decode_update(m[19:], IBGP, families, store) for m in pack_unreach(INET_VPN, nlris)]
    assert sum(len(u.unreach[0].routes) for u in gone) == 1000
