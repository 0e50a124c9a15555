"""What a workload may not send, what is answered for it, what is malformed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw
from tests.unit.datapath.datapath_packets import arp, bridged, checksummed, dhcp, routed
from tests.unit.datapath.datapath_rig import (
    DROP,
    FABRIC,
    GATEWAY,
    OTHER,
    PKT0,
    REDIRECT,
    VM3,
    VM4,
    Rig,
    address,
    mac,
)

from tungsten.datapath import (
    VRRP_MAC,
    DropReason,
    Mac,
    Source,
    TrapCmd,
    VifFlag,
    VifGuard,
    trap,
)


class TestGuard:
    def test_a_foreign_mac_drops_before_anything(self, rig: Rig) -> None:
        for packet in (routed(address(9)), bridged(VM4), arp(GATEWAY), dhcp()):
            packet.src = "02:00:00:00:00:99"
            assert rig.send(VM3, packet).drops == {DropReason.SOURCE_MAC: 1}

    def test_a_foreign_address_drops(self, rig: Rig) -> None:
        packet = routed(address(9))
        packet[IP].src = "10.1.0.99"
        assert rig.send(VM3, packet).drops == {DropReason.SOURCE_IP: 1}

    def test_a_foreign_sender_inside_arp_drops(self, rig: Rig) -> None:
        assert rig.send(VM3, arp(GATEWAY, psrc="10.1.0.99")).drops == {DropReason.SOURCE_IP: 1}
        assert rig.send(VM3, arp(GATEWAY, hwsrc=str(mac(VM4)))).drops == {DropReason.SOURCE_MAC: 1}

    def test_an_allowed_pair_passes_with_its_own_mac_only(self, rig: Rig) -> None:
        other = Mac("02:00:00:00:01:01")
        rig.dp.sources.add(Source(VM3, IPv4Network("10.1.0.96/28"), other))
        packet = routed(address(9))
        packet[IP].src = "10.1.0.99"
        assert rig.send(VM3, packet).drops == {DropReason.SOURCE_IP: 1}
        packet.src = str(other)
        assert rig.send(VM3, packet).sent == {FABRIC: 1}
        packet[IP].src = "10.1.0.112"
        assert rig.send(VM3, packet).drops == {DropReason.SOURCE_IP: 1}

    def test_an_allowed_pair_is_of_one_port(self, rig: Rig) -> None:
        rig.dp.sources.add(Source(VM4, IPv4Network("0.0.0.0/0")))
        packet = routed(address(9))
        packet[IP].src = "10.1.0.99"
        assert rig.send(VM3, packet).drops == {DropReason.SOURCE_IP: 1}

    def test_a_removed_pair_is_refused_again(self, rig: Rig) -> None:
        source = Source(VM3, IPv4Network("10.1.0.99/32"), Mac("02:00:00:00:01:01"))
        rig.dp.sources.add(source)
        rig.dp.sources.discard(source)
        packet = routed(address(9))
        packet.src, packet[IP].src = "02:00:00:00:01:01", "10.1.0.99"
        assert rig.send(VM3, packet).drops == {DropReason.SOURCE_MAC: 1}

    def test_a_port_without_guard_may_send_from_anything(self, rig: Rig) -> None:
        rig.vif(VM3, guard=VifGuard(0))
        packet = routed(address(9))
        packet.src, packet[IP].src = "02:00:00:00:00:99", "198.51.100.7"
        assert rig.send(VM3, packet).sent == {FABRIC: 1}

    def test_multicast_sources_never_pass(self, rig: Rig) -> None:
        rig.vif(VM3, guard=VifGuard(0))
        packet = routed(address(9))
        packet.src = "03:00:00:00:00:03"
        assert rig.send(VM3, packet).drops == {DropReason.INVALID_PACKET: 1}

    def test_ipv6_sources_are_held_too(self, rig: Rig) -> None:
        frame = Ether(src=str(mac(VM3)), dst=str(mac(VM4)))
        spoofed = frame / IPv6(src="2001:db8::99", dst="2001:db8::4") / UDP()
        assert rig.send(VM3, spoofed).drops == {DropReason.SOURCE_IP: 1}

    def test_a_workload_is_no_ipv6_router(self, rig: Rig) -> None:
        frame = Ether(src=str(mac(VM3)), dst="33:33:00:00:00:01")
        advertisement = frame / IPv6(src="fe80::3", dst="ff02::1") / ICMPv6ND_RA()
        assert rig.send(VM3, advertisement).drops == {DropReason.SOURCE_IP: 1}


class TestServices:
    def test_dhcp_goes_to_the_agent_with_the_trap_header(self, rig: Rig) -> None:
        sent = dhcp()
        result = rig.send(VM3, sent)
        assert (result.verdict, result.sent, result.drops) == (REDIRECT, {PKT0: 1}, {})
        header, frame = trap.parse(result.data)
        assert (header.vif, header.vrf, header.cmd) == (VM3, 1, TrapCmd.L3_PROTOCOLS)
        assert frame == bytes(sent)
        assert len(result.data) == len(sent) + 44

    @pytest.mark.parametrize(
        "options", [[], [IPOption_NOP()] * 4], ids=["plain", "with IP options"]
    )
    @pytest.mark.parametrize("to", [str(mac(VM4)), "ff:ff:ff:ff:ff:ff", str(VRRP_MAC)])
    def test_no_workload_is_the_dhcp_server(self, rig: Rig, to: str, options: object) -> None:
        head = Ether(src=str(mac(VM3)), dst=to)
        offer = (
            head / IP(src=address(VM3), dst=address(VM4), options=options) / UDP(sport=67, dport=68)
        )
        assert rig.send(VM3, offer).drops == {DropReason.INVALID_SOURCE: 1}

    def test_a_dhcp_server_may_be_where_the_service_or_the_guard_is_off(self, rig: Rig) -> None:
        offer = bridged(VM4)
        offer[IP].payload = UDP(sport=67, dport=68)
        for flags, guard in (
            (VifFlag.L2 | VifFlag.L3, VifGuard.MAC | VifGuard.IP),
            (VifFlag.L2 | VifFlag.L3 | VifFlag.DHCP, VifGuard(0)),
        ):
            rig.vif(VM3, flags=flags, guard=guard)
            assert rig.send(VM3, offer).sent == {VM4: 1}

    def test_dhcp_of_a_port_without_the_service_is_ordinary(self, rig: Rig) -> None:
        rig.vif(VM3, flags=VifFlag.L2 | VifFlag.L3)
        assert rig.send(VM3, dhcp()).drops == {DropReason.SOURCE_IP: 1}

    def test_an_echo_to_the_gateway_is_answered_here(self, rig: Rig) -> None:
        sent = routed(GATEWAY, payload=ICMP(id=7, seq=1) / (b"x" * 56), ttl=1)
        result = rig.send(VM3, sent)
        assert (result.verdict, result.sent) == (REDIRECT, {VM3: 1})
        reply = result.packet
        assert (reply[IP].src, reply[IP].dst, reply[IP].ttl) == (GATEWAY, address(VM3), 64)
        assert (reply[ICMP].type, reply[ICMP].id, bytes(reply[Raw])) == (0, 7, b"x" * 56)
        assert bytes(reply) == bytes(checksummed(reply))

    def test_fragments_to_the_gateway_drop(self, rig: Rig) -> None:
        sent = routed(GATEWAY, payload=ICMP() / (b"x" * 56), flags="MF")
        assert rig.send(VM3, sent).drops == {DropReason.FRAGMENTS: 1}

    def test_anything_else_to_the_gateway_goes_to_the_agent(self, rig: Rig) -> None:
        result = rig.send(VM3, routed(GATEWAY, payload=UDP(sport=999, dport=53) / b"?"))
        header, _frame = trap.parse(result.data)
        assert (result.sent, header.cmd) == ({PKT0: 1}, TrapCmd.NEXTHOP)

    def test_traps_are_limited_by_port(self, rig: Rig) -> None:
        rig.dp.config = replace(rig.dp.config, trap_rate=1, trap_burst=2)
        results = [rig.send(OTHER, dhcp(OTHER)) for _ in range(6)]
        assert [r.drops for r in results].count({DropReason.TRAP_LIMIT: 1}) >= 3

    def test_without_pkt0_traps_drop(self, rig: Rig) -> None:
        rig.dp.vifs.discard(PKT0)
        assert rig.send(VM3, dhcp()).drops == {DropReason.TRAP_NO_IF: 1}

    def test_super_packets_are_not_trapped(self, rig: Rig) -> None:
        packet = routed(GATEWAY, payload=TCP(sport=1, dport=80) / (b"x" * 3000))
        assert rig.send(VM3, packet, gso_size=1000).drops == {DropReason.PACKET_TOO_BIG: 1}


class TestMalformed:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({14: b"\x55"}, DropReason.INVALID_PACKET),  # version 5
            ({14: b"\x44"}, DropReason.INVALID_PACKET),  # header of 16 bytes
            ({16: b"\xff\xff"}, DropReason.INVALID_PACKET),  # longer than the frame
            ({16: b"\x00\x05"}, DropReason.INVALID_PACKET),  # shorter than its header
            ({12: b"\x00\x2e"}, DropReason.INVALID_PROTOCOL),  # 802.3 length
            ({12: b"\x88\x47"}, DropReason.INVALID_PROTOCOL),  # MPLS
            ({12: b"\x88\xe7"}, DropReason.INVALID_PROTOCOL),  # PBB
            ({12: b"\x86\xdd"}, DropReason.INVALID_PACKET),  # IPv6 that is version 4
        ],
    )
    def test_is_counted(self, rig: Rig, change: dict[int, bytes], reason: DropReason) -> None:
        packet = bytearray(bytes(routed(address(9), payload=UDP() / Raw(bytes(32)))))
        for offset, value in change.items():
            packet[offset : offset + len(value)] = value
        result = rig.send(VM3, bytes(packet))
        assert (result.verdict, result.sent, result.drops) == (DROP, {}, {reason: 1})
        assert rig.dp.vif_drop_stats(VM3)[reason] > 0

    def test_a_tagged_frame_drops(self, rig: Rig) -> None:
        packet = Ether(src=str(mac(VM3)), dst=str(VRRP_MAC)) / Dot1Q(vlan=5) / IP()
        assert rig.send(VM3, packet).drops == {DropReason.INVALID_PROTOCOL: 1}

    @pytest.mark.parametrize("length", [14, 20, 33])
    def test_a_cut_off_packet_drops(self, rig: Rig, length: int) -> None:
        result = rig.inject(VM3, bytes(routed(address(9)))[:length])
        assert (result.sent, result.drops) == ({}, {DropReason.INVALID_PACKET: 1})

    def test_a_port_without_entry_drops_everything(self, rig: Rig) -> None:
        rig.dp.vifs.discard(VM3)
        assert rig.send(VM3, routed(address(9))).drops == {DropReason.INVALID_IF: 1}

    def test_ipv6_to_the_router_drops(self, rig: Rig) -> None:
        packet = Ether(src=str(mac(VM3)), dst=str(VRRP_MAC)) / IPv6(src="fe80::3") / UDP()
        assert rig.send(VM3, packet).drops == {DropReason.INVALID_PROTOCOL: 1}
