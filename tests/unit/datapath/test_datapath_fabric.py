"""Packets from the fabric and from the agent: what is opened, delivered, left to the host."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from tests.unit.datapath.datapath_rig import (
    DROP,
    FABRIC,
    FABRIC_IP,
    FABRIC_MAC,
    GATEWAY,
    NEXT,
    NH_FLOOD,
    NH_MPLS,
    NH_VRF,
    OTHER,
    PEER_IP,
    PEER_MAC,
    PKT0,
    REDIRECT,
    VM3,
    VM4,
    VNI,
    Rig,
    address,
    mac,
)

from tungsten.datapath import (
    VRRP_MAC,
    ConfigFlag,
    DropReason,
    Mac,
    NextHop,
    NhFlag,
    Route,
    TrapCmd,
    trap,
)


def outer(**fields: object) -> Packet:
    """The outer headers of a tunnel from the peer."""
    ip = IP(src=PEER_IP, dst=FABRIC_IP, flags="DF")
    for name, value in fields.items():
        setattr(ip, name, value)
    return Ether(src=str(PEER_MAC), dst=str(FABRIC_MAC)) / ip


def mpls(label: int, payload: Packet, *, s: int = 1, ttl: int = 64, port: int = 6635) -> Packet:
    """MPLS over UDP."""
    return (
        outer() / UDP(sport=50000, dport=port, chksum=0) / MPLS(label=label, s=s, ttl=ttl) / payload
    )


def vxlan(vni: int, payload: Packet, *, flags: int = 8) -> Packet:
    """VXLAN."""
    return outer() / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=vni, flags=flags) / payload


def packet_to(port: int, ttl: int = 63) -> Packet:
    """What workload 9, on the peer, sent to a workload of ours."""
    return IP(src=address(9), dst=address(port), ttl=ttl) / UDP(sport=7, dport=8) / Raw(b"y" * 20)


def frame_to(port: int) -> Packet:
    """The same as a frame."""
    return Ether(src=str(mac(9)), dst=str(mac(port))) / packet_to(port, 64)


class TestMpls:
    @pytest.mark.parametrize("port", [6635, 51234])
    def test_a_packet_label_delivers_with_new_macs_and_the_same_ttl(
        self, rig: Rig, port: int
    ) -> None:
        result = rig.send(FABRIC, mpls(103, packet_to(VM3), port=port))
        assert (result.verdict, result.sent, result.drops) == (REDIRECT, {VM3: 1}, {})
        assert (result.packet.dst, result.packet.src) == (str(mac(VM3)), str(VRRP_MAC))
        assert result.data[14:] == bytes(packet_to(VM3))

    def test_a_frame_label_delivers_the_frame(self, rig: Rig) -> None:
        result = rig.send(FABRIC, mpls(203, frame_to(VM3)))
        assert (result.sent, result.data) == ({VM3: 1}, bytes(frame_to(VM3)))

    @pytest.mark.parametrize("payload", ["arp", "ipv6"])
    def test_frames_that_are_not_ipv4_are_delivered_whole(self, rig: Rig, payload: str) -> None:
        frame = Ether(src=str(mac(9)), dst=str(mac(VM3)))
        frame /= ARP(op=2) if payload == "arp" else IPv6(src="fe80::9") / UDP()
        result = rig.send(FABRIC, mpls(203, frame))
        assert (result.sent, result.data) == ({VM3: 1}, bytes(frame))

    def test_a_control_word_is_stepped_over(self, rig: Rig) -> None:
        rig.dp.nexthops[31] = replace(rig.dp.nexthops[31], flags=NhFlag.VALID | NhFlag.CONTROL_WORD)
        result = rig.send(FABRIC, mpls(203, Raw(bytes(4)) / frame_to(VM3)))
        assert result.data == bytes(frame_to(VM3))

    def test_gre_is_opened_with_and_without_checksum_and_key(self, rig: Rig) -> None:
        for gre in (GRE(), GRE(chksum_present=1), GRE(key_present=1)):
            gre.proto = 0x8847
            packet = outer() / gre / MPLS(label=103, s=1, ttl=9)
            result = rig.send(FABRIC, packet / packet_to(VM3))
            assert (result.sent, result.data[14:]) == ({VM3: 1}, bytes(packet_to(VM3)))

    def test_a_vrf_label_routes_in_the_vrf_and_takes_one_hop_off(self, rig: Rig) -> None:
        result = rig.send(FABRIC, mpls(310, packet_to(VM4)))
        assert (result.sent, result.packet[IP].ttl) == ({VM4: 1}, 62)

    def test_a_vrf_label_never_leads_back_to_the_fabric(self, rig: Rig) -> None:
        result = rig.send(FABRIC, mpls(310, packet_to(9)))
        assert result.drops == {DropReason.INVALID_SOURCE: 1}

    def test_a_vrf_label_never_reaches_the_agent(self, rig: Rig) -> None:
        packet = IP(src=address(9), dst=GATEWAY) / ICMP() / Raw(b"x" * 20)
        assert rig.send(FABRIC, mpls(310, packet)).drops == {DropReason.INVALID_SOURCE: 1}

    def test_an_expired_packet_is_dropped_without_an_answer(self, rig: Rig) -> None:
        result = rig.send(FABRIC, mpls(310, packet_to(VM4, ttl=1)))
        assert (result.verdict, result.drops) == (DROP, {DropReason.TTL_EXCEEDED: 1})

    def test_a_flood_label_reaches_local_ports_only(self, rig: Rig) -> None:
        frame = Ether(src=str(mac(9)), dst="ff:ff:ff:ff:ff:ff") / packet_to(VM3)
        with rig.capture(VM3, VM4, OTHER, FABRIC) as frames:
            result = rig.send(FABRIC, mpls(300, frame))
        assert result.sent == {VM3: 1, VM4: 1}
        assert frames == {VM3: [bytes(frame)], VM4: [bytes(frame)], OTHER: [], FABRIC: []}

    @pytest.mark.parametrize(
        ("packet", "reason"),
        [
            (mpls(999, packet_to(VM3)), DropReason.INVALID_LABEL),
            (mpls(1048575, packet_to(VM3)), DropReason.INVALID_LABEL),
            (mpls(3, packet_to(VM3)), DropReason.INVALID_LABEL),
            (mpls(103, packet_to(VM3), s=0), DropReason.INVALID_LABEL),
            (mpls(103, packet_to(VM3), ttl=1), DropReason.TTL_EXCEEDED),
            (mpls(103, packet_to(VM3), ttl=0), DropReason.TTL_EXCEEDED),
            (mpls(103, frame_to(VM3)), DropReason.INVALID_PACKET),
            (mpls(103, IPv6() / UDP() / Raw(bytes(20))), DropReason.INVALID_PACKET),
            (mpls(103, Raw(b"")), DropReason.INVALID_PACKET),
            (mpls(203, Raw(bytes(10))), DropReason.PULL),
            (outer() / GRE(proto=0x8847, seqnum_present=1), DropReason.INVALID_PROTOCOL),
            (outer(flags="MF") / UDP(dport=6635) / Raw(bytes(40)), DropReason.FRAGMENTS),
            (outer(len=2000) / UDP(dport=6635) / Raw(bytes(40)), DropReason.INVALID_PACKET),
            (outer(len=21) / UDP(dport=6635) / Raw(bytes(40)), DropReason.INVALID_PACKET),
        ],
    )
    def test_what_cannot_be_delivered_is_counted(
        self, rig: Rig, packet: Packet, reason: DropReason
    ) -> None:
        result = rig.send(FABRIC, packet)
        assert (result.verdict, result.sent, result.drops) == (DROP, {}, {reason: 1})

    def test_an_inner_packet_may_not_be_longer_than_its_tunnel(self, rig: Rig) -> None:
        inner = packet_to(VM3)
        inner.len = 400
        assert rig.send(FABRIC, mpls(103, inner)).drops == {DropReason.INVALID_PACKET: 1}

    def test_labels_of_unknown_kind_drop(self, rig: Rig) -> None:
        rig.dp.labels[400] = 70
        assert rig.send(FABRIC, mpls(400, packet_to(VM3))).drops == {DropReason.INVALID_PROTOCOL: 1}
        rig.dp.labels[401] = 900
        assert rig.send(FABRIC, mpls(401, packet_to(VM3))).drops == {DropReason.INVALID_NH: 1}

    def test_a_packet_label_to_a_flood_drops(self, rig: Rig) -> None:
        rig.dp.nexthops[77] = replace(rig.dp.nexthops[NH_FLOOD], family=rig.dp.nexthops[30].family)
        rig.dp.labels[402] = 77
        assert rig.send(FABRIC, mpls(402, packet_to(VM3))).drops == {DropReason.INVALID_NH: 1}

    def test_a_label_of_a_tunnel_drops(self, rig: Rig) -> None:
        rig.dp.labels[403] = NH_MPLS
        assert rig.send(FABRIC, mpls(403, packet_to(VM3))).drops == {DropReason.INVALID_SOURCE: 1}

    def test_l2_receive_has_nowhere_to_send_packets(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.9.0.0/16")] = Route(nh=70)
        packet = IP(src=address(9), dst="10.9.0.1") / UDP() / Raw(bytes(20))
        assert rig.send(FABRIC, mpls(310, packet)).drops == {DropReason.NOWHERE_TO_GO: 1}


class TestVxlan:
    def test_a_frame_is_bridged_in_the_vrf(self, rig: Rig) -> None:
        result = rig.send(FABRIC, vxlan(VNI, frame_to(VM3)))
        assert (result.verdict, result.sent) == (REDIRECT, {VM3: 1})
        assert result.data == bytes(frame_to(VM3))

    def test_a_frame_to_the_router_is_routed(self, rig: Rig) -> None:
        frame = Ether(src=str(mac(9)), dst=str(VRRP_MAC)) / packet_to(VM4)
        result = rig.send(FABRIC, vxlan(VNI, frame))
        assert (result.sent, result.packet.dst, result.packet[IP].ttl) == (
            {VM4: 1}, str(mac(VM4)), 62,
        )  # fmt: skip

    def test_a_broadcast_reaches_local_ports_only(self, rig: Rig) -> None:
        frame = Ether(src=str(mac(9)), dst="ff:ff:ff:ff:ff:ff") / packet_to(VM3)
        assert rig.send(FABRIC, vxlan(VNI, frame)).sent == {VM3: 1, VM4: 1}

    def test_a_question_for_the_gateway_is_left_to_the_askers_host(self, rig: Rig) -> None:
        question = Ether(src=str(mac(9)), dst="ff:ff:ff:ff:ff:ff") / ARP(
            hwsrc=str(mac(9)), psrc=address(9), pdst=GATEWAY
        )
        assert rig.send(FABRIC, vxlan(VNI, question)).drops == {DropReason.INVALID_ARP: 1}
        question[ARP].pdst = address(VM3)
        assert rig.send(FABRIC, vxlan(VNI, question)).sent == {VM3: 1, VM4: 1}

    def test_unknown_macs_and_macs_on_the_fabric_drop(self, rig: Rig) -> None:
        assert rig.send(FABRIC, vxlan(VNI, frame_to(77))).drops == {DropReason.L2_NO_ROUTE: 1}
        assert rig.send(FABRIC, vxlan(VNI, frame_to(9))).drops == {DropReason.INVALID_SOURCE: 1}
        assert rig.send(FABRIC, vxlan(VNI, frame_to(OTHER))).drops == {DropReason.L2_NO_ROUTE: 1}

    @pytest.mark.parametrize(
        ("vni", "flags"), [(6, 8), (0xFFFFFF, 8), (VNI, 0), (VNI, 0x88), (VNI, 9), (VNI, 0x0C)]
    )
    def test_unknown_vnis_and_unknown_flags_drop(self, rig: Rig, vni: int, flags: int) -> None:
        result = rig.send(FABRIC, vxlan(vni, frame_to(VM3), flags=flags))
        assert result.drops == {DropReason.INVALID_VNID: 1}

    def test_a_group_policy_word_drops(self, rig: Rig) -> None:
        packet = bytearray(bytes(vxlan(VNI, frame_to(VM3))))
        packet[45] = 1
        assert rig.send(FABRIC, bytes(packet)).drops == {DropReason.INVALID_VNID: 1}

    def test_short_frames_drop(self, rig: Rig) -> None:
        assert rig.send(FABRIC, vxlan(VNI, Raw(bytes(8)))).drops == {DropReason.PULL: 1}

    def test_a_short_arp_drops(self, rig: Rig) -> None:
        frame = bytes(Ether(src=str(mac(9)), dst="ff:ff:ff:ff:ff:ff", type=0x806)) + bytes(24)
        assert rig.send(FABRIC, vxlan(VNI, Raw(frame))).drops == {DropReason.INVALID_ARP: 1}

    def test_a_vni_may_carry_routed_packets_in_frames(self, rig: Rig) -> None:
        rig.dp.vnis[9] = NH_VRF
        assert rig.send(FABRIC, vxlan(9, frame_to(VM4))).drops == {DropReason.INVALID_PACKET: 1}


class TestHost:
    @pytest.mark.parametrize(
        "packet",
        [
            outer() / TCP(dport=179),
            outer() / UDP(dport=53) / Raw(bytes(40)),
            outer() / ICMP() / Raw(bytes(40)),
            outer() / GRE(proto=0x0800) / packet_to(VM3),
            outer(dst="172.16.0.9") / UDP(dport=6635) / MPLS(label=103, s=1) / packet_to(VM3),
            outer(dst="172.16.0.9") / UDP(dport=4789) / VXLAN(vni=VNI) / frame_to(VM3),
            outer(frag=10) / UDP(dport=6635) / Raw(bytes(40)),
            Ether(dst=str(FABRIC_MAC)) / ARP(pdst=FABRIC_IP),
            Ether(dst=str(FABRIC_MAC)) / IPv6() / UDP(dport=6635) / Raw(bytes(40)),
            Ether(dst=str(FABRIC_MAC)) / Dot1Q(vlan=3) / IP(dst=FABRIC_IP) / UDP(dport=6635),
        ],
    )
    def test_what_is_not_a_tunnel_to_us_is_left_to_the_host(self, rig: Rig, packet: Packet) -> None:
        result = rig.send(FABRIC, packet)
        assert (result.verdict, result.sent, result.drops) == (NEXT, {}, {})
        assert result.data == bytes(packet)

    def test_without_a_fabric_address_nothing_is_opened(self, rig: Rig) -> None:
        rig.dp.config = replace(rig.dp.config, fabric_ip=None)
        assert rig.send(FABRIC, mpls(103, packet_to(VM3))).verdict == NEXT

    def test_only_known_hosts_may_send_tunnels_when_that_is_asked(self, rig: Rig) -> None:
        rig.dp.config = replace(rig.dp.config, flags=ConfigFlag.CHECK_TUNNEL_SOURCE)
        packet = mpls(103, packet_to(VM3))
        assert rig.send(FABRIC, packet).drops == {DropReason.TUNNEL_SOURCE: 1}
        rig.dp.tunnel_sources.add(IPv4Address(PEER_IP))
        assert rig.send(FABRIC, packet).sent == {VM3: 1}

    def test_a_tunnel_inside_a_tunnel_is_a_packet_of_the_vrf(self, rig: Rig) -> None:
        nested = IP(src=address(9), dst=FABRIC_IP) / UDP(dport=6635) / MPLS(label=106, s=1)
        result = rig.send(FABRIC, mpls(310, nested / packet_to(OTHER)))
        assert (result.sent, result.drops) == ({}, {DropReason.DISCARD: 1})


class TestAgent:
    def test_switch_sends_the_frame_as_it_is(self, rig: Rig) -> None:
        frame = bytes(Ether(src=str(VRRP_MAC), dst=str(mac(VM3))) / packet_to(VM3))
        header = trap.TrapHeader(vif=VM3, vrf=1, cmd=TrapCmd.SWITCH)
        result = rig.send(PKT0, trap.build(header, frame))
        assert (result.verdict, result.sent, result.data) == (REDIRECT, {VM3: 1}, frame)

    def test_switch_sends_arp_too(self, rig: Rig) -> None:
        frame = bytes(Ether(src=str(VRRP_MAC), dst=str(mac(VM4))) / ARP(op=2))
        header = trap.TrapHeader(vif=VM4, vrf=1, cmd=TrapCmd.SWITCH)
        result = rig.send(PKT0, trap.build(header, frame))
        assert (result.sent, result.data) == ({VM4: 1}, frame)

    def test_route_looks_the_packet_up_in_the_vrf(self, rig: Rig) -> None:
        frame = Ether(src=str(VRRP_MAC), dst=str(VRRP_MAC)) / packet_to(VM4, ttl=64)
        header = trap.TrapHeader(vif=VM3, vrf=1, cmd=TrapCmd.ROUTE)
        result = rig.send(PKT0, trap.build(header, bytes(frame)))
        assert (result.sent, result.packet[IP].ttl) == ({VM4: 1}, 63)

    def test_route_bridges_frames_that_are_not_ip(self, rig: Rig) -> None:
        frame = Ether(src=str(VRRP_MAC), dst=str(mac(VM4))) / ARP(op=2)
        header = trap.TrapHeader(vif=VM3, vrf=1, cmd=TrapCmd.ROUTE)
        assert rig.send(PKT0, trap.build(header, bytes(frame))).sent == {VM4: 1}

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (trap.TrapHeader(vif=99, vrf=1, cmd=TrapCmd.SWITCH), DropReason.INVALID_IF),
            (trap.TrapHeader(vif=PKT0, vrf=1, cmd=TrapCmd.SWITCH), DropReason.INVALID_IF),
            (trap.TrapHeader(vif=VM3, vrf=1, cmd=TrapCmd.ARP), DropReason.INVALID_PACKET),
        ],
    )
    def test_orders_that_cannot_be_followed_are_counted(
        self, rig: Rig, header: trap.TrapHeader, reason: DropReason
    ) -> None:
        frame = bytes(Ether(src=str(VRRP_MAC), dst=str(mac(VM3))) / packet_to(VM3))
        assert rig.send(PKT0, trap.build(header, frame)).drops == {reason: 1}

    def test_what_the_kernel_itself_sends_there_drops(self, rig: Rig) -> None:
        assert rig.send(PKT0, Ether() / ARP()).drops == {DropReason.INVALID_PACKET: 1}
        assert rig.send(PKT0, Ether() / IP() / UDP()).drops == {DropReason.INVALID_PACKET: 1}
        short = Ether() / IP(len=44) / Raw(bytes(30))
        assert rig.send(PKT0, short).drops == {DropReason.PULL: 1}


def test_a_frame_label_ends_in_the_ports_own_vrf(rig: Rig) -> None:
    """A label names one port: no frame behind it, whatever it says, reaches another VRF."""
    frame = Ether(src=str(mac(9)), dst=str(mac(OTHER))) / packet_to(OTHER)
    assert rig.send(FABRIC, mpls(203, frame)).sent == {VM3: 1}


def test_an_encap_without_source_mac_uses_the_ports(rig: Rig) -> None:
    rig.dp.nexthops[30] = replace(rig.dp.nexthops[30], smac=None)
    rig.vif(VM3, mac=Mac("02:00:00:00:00:ee"))
    assert rig.send(FABRIC, mpls(103, packet_to(VM3))).packet.src == "02:00:00:00:00:ee"


def test_discard_behind_a_label_counts(rig: Rig) -> None:
    rig.dp.nexthops[78] = NextHop.discard()
    rig.dp.labels[404] = 78
    assert rig.send(FABRIC, mpls(404, packet_to(VM3))).drops == {DropReason.DISCARD: 1}
