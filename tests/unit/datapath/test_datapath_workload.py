"""What becomes of a workload's packets: routed, bridged, flooded, answered."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from tests.unit.datapath.datapath_packets import arp, arp_of, bridged, checksummed, routed
from tests.unit.datapath.datapath_rig import (
    DROP,
    FABRIC,
    FABRIC_IP,
    FABRIC_MAC,
    GATEWAY,
    NEXT,
    NH_GRE,
    NH_HOST,
    NH_MPLS,
    NH_VRF,
    NH_VXLAN,
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
    BridgeEntry,
    DropReason,
    Mac,
    Member,
    NextHop,
    NhFlag,
    Route,
    RouteFlag,
    TrapCmd,
    VifFlag,
    trap,
)


class TestRouting:
    def test_to_a_local_workload_rewrites_macs_and_takes_one_hop_off(self, rig: Rig) -> None:
        result = rig.send(VM3, routed(address(VM4)))
        assert (result.verdict, result.sent, result.drops) == (REDIRECT, {VM4: 1}, {})
        assert (result.packet.dst, result.packet.src) == (str(mac(VM4)), str(VRRP_MAC))
        assert result.packet[IP].ttl == 63
        assert bytes(result.packet) == bytes(checksummed(result.packet))

    def test_to_a_remote_workload_is_mpls_over_udp(self, rig: Rig) -> None:
        sent = routed(address(9), ttl=30)
        result = rig.send(VM3, sent)
        assert (result.verdict, result.sent, result.drops) == (REDIRECT, {FABRIC: 1}, {})
        outer = result.packet
        assert (outer.dst, outer.src) == (str(PEER_MAC), str(FABRIC_MAC))
        assert (outer[IP].src, outer[IP].dst, outer[IP].ttl) == (FABRIC_IP, PEER_IP, 64)
        assert outer[IP].flags == "DF"
        assert bytes(outer[IP])[:20] == bytes(checksummed(outer)[IP])[:20]
        assert outer[IP].len == len(result.data) - 14
        assert (outer[UDP].dport, outer[UDP].chksum) == (6635, 0)
        assert outer[UDP].len == outer[IP].len - 20
        assert 49152 <= outer[UDP].sport <= 65535
        label = MPLS(bytes(outer[UDP].payload))
        assert (label.label, label.s, label.ttl) == (109, 1, 29)
        inner = IP(bytes(label.payload))
        assert (inner.src, inner.dst, inner.ttl) == (address(VM3), address(9), 29)

    def test_the_last_hop_of_a_packet_does_not_end_its_label(self, rig: Rig) -> None:
        """Who takes off a label drops one that has run out."""
        outer = rig.send(VM3, routed(address(9), ttl=2)).packet
        label = MPLS(bytes(outer[UDP].payload))
        assert (label.ttl, IP(bytes(label.payload)).ttl) == (2, 1)

    def test_gre_tunnels_carry_a_label(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.1.0.9/32")] = Route(nh=NH_GRE, label=109)
        outer = rig.send(VM3, routed(address(9))).packet
        assert (outer[IP].proto, outer[GRE].proto) == (47, 0x8847)
        assert MPLS(bytes(outer)[38:]).label == 109
        assert IP(bytes(outer)[42:]).dst == address(9)

    def test_vxlan_gives_routed_packets_the_peers_router_mac(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.1.0.9/32")] = Route(nh=NH_VXLAN, label=77)
        outer = rig.send(VM3, routed(address(9))).packet
        assert (outer[UDP].dport, outer[VXLAN].vni, outer[VXLAN].flags) == (4789, 77, 8)
        inner = outer[VXLAN][Ether]
        assert (inner.dst, inner.src) == ("02:fa:00:00:00:99", str(FABRIC_MAC))
        assert inner[IP].ttl == 63

    def test_longest_prefix_wins(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.7.0.0/24")] = Route(nh=40)
        assert rig.send(VM3, routed("10.7.0.1")).sent == {VM4: 1}
        assert rig.send(VM3, routed("10.7.1.1")).sent == {FABRIC: 1}

    def test_a_route_of_another_vrf_is_never_used(self, rig: Rig) -> None:
        result = rig.send(VM3, routed(address(OTHER)))
        assert (result.verdict, result.sent) == (DROP, {})
        assert result.drops == {DropReason.DISCARD: 1}

    def test_same_flow_same_entropy_other_flow_other_entropy(self, rig: Rig) -> None:
        def ports(sport: int) -> int:
            packet = routed(address(9), payload=UDP(sport=sport, dport=9) / b"x")
            return int(rig.send(VM3, packet).packet[UDP].sport)

        assert ports(1) == ports(1)
        assert len({ports(n) for n in range(1, 20)}) > 10

    def test_expired_ttl_is_answered_with_time_exceeded(self, rig: Rig) -> None:
        result = rig.send(VM3, routed(address(9), ttl=1))
        assert result.drops == {DropReason.TTL_EXCEEDED: 1}
        assert (result.verdict, result.sent) == (REDIRECT, {VM3: 1})
        reply = result.packet
        assert (reply.dst, reply.src) == (str(mac(VM3)), str(VRRP_MAC))
        assert (reply[IP].src, reply[IP].dst) == (GATEWAY, address(VM3))
        assert (reply[ICMP].type, reply[ICMP].code) == (11, 0)
        assert reply[IPerror].dst == address(9)
        assert bytes(reply) == bytes(checksummed(reply))

    def test_no_icmp_error_about_an_icmp_error(self, rig: Rig) -> None:
        error = ICMP(type=3, code=1) / IP(src=address(9), dst=address(VM3)) / UDP()
        result = rig.send(VM3, routed(address(9), ttl=1, payload=error))
        assert (result.verdict, result.drops) == (DROP, {DropReason.TTL_EXCEEDED: 1})

    @pytest.mark.parametrize("flags", ["DF", 0])
    def test_too_big_for_the_fabric_is_answered_with_the_mtu(self, rig: Rig, flags: object) -> None:
        rig.vif(FABRIC, mtu=1500)
        big = routed(address(9), payload=UDP(sport=1, dport=2) / (b"x" * 1450), flags=flags)
        result = rig.send(VM3, big)
        assert result.drops == {DropReason.PACKET_TOO_BIG: 1}
        reply = result.packet
        assert (reply[ICMP].type, reply[ICMP].code, reply[ICMP].nexthopmtu) == (3, 4, 1500 - 32)
        assert reply[ICMPerror if ICMPerror in reply else IPerror].dst == address(9)
        assert bytes(reply) == bytes(checksummed(reply))

    def test_exactly_the_mtu_passes(self, rig: Rig) -> None:
        rig.vif(FABRIC, mtu=1500)
        fits = routed(address(9), payload=UDP(sport=1, dport=2) / (b"x" * (1468 - 28)))
        assert rig.send(VM3, fits).sent == {FABRIC: 1}
        over = routed(address(9), payload=UDP(sport=1, dport=2) / (b"x" * (1469 - 28)))
        assert rig.send(VM3, over).drops == {DropReason.PACKET_TOO_BIG: 1}

    def test_a_path_mtu_of_the_next_hop_goes_before_the_ports(self, rig: Rig) -> None:
        rig.dp.nexthops[NH_MPLS] = replace(rig.dp.nexthops[NH_MPLS], mtu=1400)
        big = routed(address(9), payload=UDP(sport=1, dport=2) / (b"x" * 1380))
        assert rig.send(VM3, big).packet[ICMP].nexthopmtu == 1368

    def test_super_packets_are_measured_by_their_segments(self, rig: Rig) -> None:
        rig.vif(FABRIC, mtu=1500)
        super_packet = routed(address(9), payload=TCP(sport=1, dport=2) / (b"x" * 3000))
        # The test run's packet has a segment size and no segment type: it gets as far as growing.
        assert rig.send(VM3, super_packet, gso_size=1428).drops == {DropReason.PUSH: 1}
        assert rig.send(VM3, super_packet, gso_size=1429).drops == {DropReason.PACKET_TOO_BIG: 1}

    def test_a_small_local_port_answers_too_big(self, rig: Rig) -> None:
        rig.vif(VM4, mtu=1000)
        big = routed(address(VM4), payload=UDP(sport=1, dport=2) / (b"x" * 1200))
        assert rig.send(VM3, big).packet[ICMP].nexthopmtu == 1000

    def test_ecmp_spreads_flows_and_keeps_each(self, rig: Rig) -> None:
        rig.dp.nexthops[74] = NextHop.ecmp([Member(NH_MPLS, 109), Member(0), Member(40)], vrf=1)
        rig.dp.routes[1, IPv4Network("10.8.0.0/16")] = Route(nh=74)

        def out(sport: int) -> int:
            result = rig.send(VM3, routed("10.8.0.1", payload=UDP(sport=sport, dport=9) / b"x"))
            (port,) = result.sent
            return port

        first = [out(sport) for sport in range(40)]
        assert set(first) == {FABRIC, VM4}
        assert first == [out(sport) for sport in range(40)]

    def test_an_empty_ecmp_drops(self, rig: Rig) -> None:
        rig.dp.nexthops[74] = NextHop.ecmp([Member(0), Member(0)], vrf=1)
        rig.dp.routes[1, IPv4Network("10.8.0.0/16")] = Route(nh=74)
        assert rig.send(VM3, routed("10.8.0.1")).drops == {DropReason.INVALID_NH: 1}

    def test_vrf_translate_looks_up_again_and_takes_one_hop_off(self, rig: Rig) -> None:
        rig.dp.nexthops[76] = NextHop.vrf_translate(2)
        rig.dp.routes[1, IPv4Network("10.2.0.0/24")] = Route(nh=76)
        result = rig.send(VM3, routed(address(OTHER)))
        assert (result.sent, result.packet[IP].ttl) == ({OTHER: 1}, 63)

    def test_translations_that_go_in_circles_drop(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.9.0.0/16")] = Route(nh=NH_VRF)
        assert rig.send(VM3, routed("10.9.0.1")).drops == {DropReason.PACKET_LOOP: 1}

    def test_receive_leaves_the_packet_to_the_host(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("169.254.169.254/32")] = Route(nh=NH_HOST)
        result = rig.send(VM3, routed("169.254.169.254"))
        assert (result.verdict, result.sent, result.drops) == (NEXT, {}, {})

    def test_discard_counts(self, rig: Rig) -> None:
        assert rig.send(VM3, routed("10.1.0.200")).drops == {DropReason.DISCARD: 1}

    @pytest.mark.parametrize("to", ["224.0.0.5", "255.255.255.255"])
    def test_multicast_is_not_routed(self, rig: Rig, to: str) -> None:
        assert rig.send(VM3, routed(to)).drops == {DropReason.DISCARD: 1}

    def test_an_l2_only_port_does_not_route(self, rig: Rig) -> None:
        rig.vif(VM3, flags=VifFlag.L2)
        assert rig.send(VM3, routed(address(9))).drops == {DropReason.L2_NO_ROUTE: 1}

    def test_an_unresolved_tunnel_asks_the_kernels_neighbours(self, rig: Rig) -> None:
        rig.dp.nexthops[NH_MPLS] = replace(rig.dp.nexthops[NH_MPLS], dmac=None)
        result = rig.send(VM3, routed(address(9)))
        assert (result.verdict, result.sent) == (REDIRECT, {FABRIC: 1})

    def test_a_route_to_nothing_drops(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.9.0.0/16")] = Route(nh=999)
        assert rig.send(VM3, routed("10.9.0.1")).drops == {DropReason.INVALID_NH: 1}

    def test_a_next_hop_to_a_port_that_is_gone_drops(self, rig: Rig) -> None:
        rig.dp.vifs.discard(VM4)
        assert rig.send(VM3, routed(address(VM4))).drops == {DropReason.INVALID_IF: 1}

    def test_to_the_second_mac_we_receive_is_routed_too(self, rig: Rig) -> None:
        rig.dp.bridge[1, Mac("02:00:00:00:00:aa")] = BridgeEntry(nh=70)
        packet = routed(address(VM4))
        packet.dst = "02:00:00:00:00:aa"
        result = rig.send(VM3, packet)
        assert (result.sent, result.packet[IP].ttl) == ({VM4: 1}, 63)


class TestBridging:
    def test_to_a_local_workload_is_untouched(self, rig: Rig) -> None:
        sent = bridged(VM4)
        result = rig.send(VM3, sent)
        assert (result.verdict, result.sent, result.data) == (REDIRECT, {VM4: 1}, bytes(sent))

    def test_to_a_remote_workload_is_a_frame_over_mpls(self, rig: Rig) -> None:
        sent = bridged(9)
        result = rig.send(VM3, sent)
        assert (result.verdict, result.sent) == (REDIRECT, {FABRIC: 1})
        label = MPLS(bytes(result.packet[UDP].payload))
        assert (label.label, label.ttl) == (209, 64)
        assert result.data[46:] == bytes(sent)

    def test_to_a_remote_workload_is_a_frame_over_vxlan(self, rig: Rig) -> None:
        rig.dp.bridge[1, mac(9)] = BridgeEntry(nh=NH_VXLAN, label=VNI)
        sent = bridged(9)
        result = rig.send(VM3, sent)
        assert result.packet[VXLAN].vni == VNI
        assert result.data[50:] == bytes(sent)

    @pytest.mark.parametrize(("nexthop", "header"), [(NH_MPLS, 46), (NH_VXLAN, 50), (NH_GRE, 42)])
    def test_frames_that_are_not_ip_are_carried_whole(
        self, rig: Rig, nexthop: int, header: int
    ) -> None:
        rig.dp.bridge[1, mac(9)] = BridgeEntry(nh=nexthop, label=VNI)
        sent = arp(address(9), op=2, dst=str(mac(9)))
        result = rig.send(VM3, sent)
        assert (result.verdict, result.sent) == (REDIRECT, {FABRIC: 1})
        assert result.data[header:] == bytes(sent)
        assert result.packet[IP].len == len(sent) + header - 14

    def test_packets_are_counted_on_the_entry(self, rig: Rig) -> None:
        for _ in range(3):
            rig.send(VM3, bridged(VM4))
        assert rig.dp.bridge[1, mac(VM4)].packets == 3

    def test_an_unknown_mac_drops(self, rig: Rig) -> None:
        result = rig.send(VM3, bridged(77))
        assert (result.sent, result.drops) == ({}, {DropReason.L2_NO_ROUTE: 1})

    def test_an_unknown_mac_is_flooded_where_the_network_asks_for_it(self, rig: Rig) -> None:
        rig.vif(VM3, flags=VifFlag.L2 | VifFlag.L3 | VifFlag.UNKNOWN_UNICAST_FLOOD)
        result = rig.send(VM3, bridged(77))
        assert result.sent == {VM4: 1, FABRIC: 1}

    def test_a_mac_of_another_vrf_is_unknown(self, rig: Rig) -> None:
        assert rig.send(VM3, bridged(OTHER)).drops == {DropReason.L2_NO_ROUTE: 1}

    def test_a_frame_to_its_own_sender_drops(self, rig: Rig) -> None:
        assert rig.send(VM3, bridged(VM3)).drops == {DropReason.PACKET_LOOP: 1}

    def test_an_l3_only_port_does_not_bridge(self, rig: Rig) -> None:
        rig.vif(VM3, flags=VifFlag.L3)
        assert rig.send(VM3, bridged(VM4)).drops == {DropReason.L2_NO_ROUTE: 1}

    def test_too_big_a_frame_is_answered_if_ip(self, rig: Rig) -> None:
        rig.vif(FABRIC, mtu=1500)
        result = rig.send(VM3, bridged(9, UDP(sport=1, dport=2) / (b"x" * 1460)))
        assert result.packet[ICMP].nexthopmtu == 1500 - 46
        assert result.drops == {DropReason.PACKET_TOO_BIG: 1}

    def test_ipv6_in_the_network_is_bridged(self, rig: Rig) -> None:
        sent = Ether(src=str(mac(VM3)), dst=str(mac(VM4))) / IPv6(src="fe80::3") / ICMPv6ND_NS()
        assert rig.send(VM3, sent).sent == {VM4: 1}


class TestFlooding:
    def test_a_broadcast_goes_to_the_other_ports_and_hosts(self, rig: Rig) -> None:
        sent = Ether(src=str(mac(VM3)), dst="ff:ff:ff:ff:ff:ff") / IP(
            src=address(VM3), dst="10.1.0.255"
        ) / UDP(sport=5, dport=5) / Raw(b"hello")  # fmt: skip
        lost_before = rig.dp.vif_stats(VM3).drops
        with rig.capture(VM3, VM4, OTHER, FABRIC) as frames:
            result = rig.send(VM3, sent)
        assert result.sent == {VM4: 1, FABRIC: 1}
        assert (frames[VM3], frames[VM4], frames[OTHER]) == ([], [bytes(sent)], [])
        (outer,) = (Ether(frame) for frame in frames[FABRIC])
        label = MPLS(bytes(outer[UDP].payload))
        assert (label.label, label.s) == (300, 1)
        assert bytes(outer)[46:] == bytes(sent)
        assert result.verdict == DROP
        assert result.drops == {DropReason.CLONED_ORIGINAL: 1}
        assert rig.dp.vif_stats(VM3).drops == lost_before

    def test_every_kind_of_tunnel_in_one_flood(self, rig: Rig) -> None:
        legs = [(NH_VXLAN, VNI), (NH_MPLS, 300), (NH_MPLS, 301), (NH_GRE, 302)]
        members = [Member(number, label) for number, label in legs]
        rig.dp.nexthops[7] = NextHop.flood(members, vrf=1, role=NhFlag.EVPN)
        sent = arp("10.1.0.77")
        with rig.capture(FABRIC) as frames:
            rig.send(VM3, sent)
        heard = []
        for frame in frames[FABRIC]:
            outer = Ether(frame)
            port = outer[UDP].dport if UDP in outer else None
            header = {4789: 50, 6635: 46, None: 42}[port]
            assert frame[header:] == bytes(sent)
            vni = port == 4789
            label = int.from_bytes(frame[46:49]) if vni else MPLS(frame[header - 4 :]).label
            heard.append((port, label))
            assert port is not None or frame[34:38] == b"\0\0\x88\x47"
        assert sorted(heard, key=str) == [(4789, VNI), (6635, 300), (6635, 301), (None, 302)]

    @pytest.mark.parametrize(
        ("tunnel", "room"), [(NH_GRE, 42), (NH_MPLS, 46), (NH_VXLAN, 50)], ids=str
    )
    def test_a_flooded_frame_is_as_long_as_its_tunnel_allows(
        self, rig: Rig, tunnel: int, room: int
    ) -> None:
        rig.vif(FABRIC, mtu=1500)
        rig.dp.nexthops[7] = NextHop.flood([Member(tunnel, 300)], vrf=1, role=NhFlag.EVPN)
        rig.dp.nexthops[8] = NextHop.flood([Member(7)], vrf=1)
        head = Ether(src=str(mac(VM3)), dst="01:00:5e:00:00:09") / IP(
            src=address(VM3), dst="224.0.0.9"
        ) / UDP()  # fmt: skip
        longest = head / Raw(bytes(1500 + 14 - room - len(head)))
        assert rig.send(VM3, longest).sent == {FABRIC: 1}
        result = rig.send(VM3, longest / Raw(b"x"))
        assert (result.sent, result.drops) == ({}, {DropReason.PACKET_TOO_BIG: 1})

    def test_a_flood_without_receivers_is_counted(self, rig: Rig) -> None:
        rig.dp.nexthops[8] = NextHop.flood([Member(31)], vrf=1)
        assert rig.send(VM3, arp("10.1.0.77")).drops == {DropReason.NOWHERE_TO_GO: 1}

    def test_a_network_without_flood_entry_drops(self, rig: Rig) -> None:
        packet = Ether(src=str(mac(OTHER)), dst="ff:ff:ff:ff:ff:ff") / IP(
            src=address(OTHER), dst="10.2.0.255"
        ) / UDP()  # fmt: skip
        assert rig.send(OTHER, packet).drops == {DropReason.L2_NO_ROUTE: 1}

    def test_floods_are_limited_by_port(self, rig: Rig) -> None:
        rig.dp.config = replace(rig.dp.config, bum_rate=1, bum_burst=2)
        drops = [rig.send(VM4, arp_of(VM4, "10.1.0.77")).drops for _ in range(6)]
        assert drops.count({DropReason.BUM_LIMIT: 1}) >= 3

    def test_an_unresolved_tunnel_in_a_flood_is_counted(self, rig: Rig) -> None:
        rig.dp.nexthops[NH_MPLS] = replace(rig.dp.nexthops[NH_MPLS], dmac=None)
        assert rig.send(VM3, arp("10.1.0.77")).drops == {DropReason.NEIGHBOUR: 1}

    def test_a_copy_that_cannot_be_sent_is_counted(self, rig: Rig) -> None:
        rig.vif(VM4, ifindex=4000)
        assert rig.send(VM3, arp("10.1.0.77")).drops == {DropReason.MCAST_CLONE_FAIL: 1}

    def test_super_packets_are_not_flooded_into_tunnels(self, rig: Rig) -> None:
        packet = Ether(src=str(mac(VM3)), dst="01:00:5e:00:00:09") / IP(
            src=address(VM3), dst="224.0.0.9"
        ) / UDP() / Raw(bytes(3000))  # fmt: skip
        result = rig.send(VM3, packet, gso_size=1000)
        assert result.drops == {DropReason.MCAST_DF_BIT: 1}


class TestArp:
    def test_a_stitched_address_is_answered_with_the_workloads_mac(self, rig: Rig) -> None:
        result = rig.send(VM3, arp(address(9)))
        assert (result.verdict, result.sent, result.drops) == (REDIRECT, {VM3: 1}, {})
        reply = result.packet
        assert (reply.dst, reply.src) == (str(mac(VM3)), str(mac(9)))
        assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, str(mac(9)), address(9))
        assert (reply[ARP].hwdst, reply[ARP].pdst) == (str(mac(VM3)), address(VM3))

    @pytest.mark.parametrize("who", [GATEWAY, "10.7.0.1"])
    def test_gateway_and_other_networks_are_answered_with_the_routers_mac(
        self, rig: Rig, who: str
    ) -> None:
        assert rig.send(VM3, arp(who)).packet[ARP].hwsrc == str(VRRP_MAC)

    def test_a_unicast_refresh_is_answered_the_same(self, rig: Rig) -> None:
        assert rig.send(VM3, arp(GATEWAY, dst=str(VRRP_MAC))).packet[ARP].hwsrc == str(VRRP_MAC)

    def test_an_unknown_address_of_the_subnet_is_flooded(self, rig: Rig) -> None:
        assert rig.send(VM3, arp("10.1.0.77")).sent == {VM4: 1, FABRIC: 1}

    def test_without_l2_an_unknown_address_is_flooded_nowhere(self, rig: Rig) -> None:
        rig.dp.bridge.discard((1, Mac("ff:ff:ff:ff:ff:ff")))
        assert rig.send(VM3, arp("10.1.0.77")).drops == {DropReason.L2_NO_ROUTE: 1}

    @pytest.mark.parametrize("spa", ["0.0.0.0", address(VM3)])
    def test_probes_and_announcements_are_flooded_never_answered(self, rig: Rig, spa: str) -> None:
        assert rig.send(VM3, arp(address(VM3), psrc=spa)).sent == {VM4: 1, FABRIC: 1}

    def test_a_port_that_proxies_everything_answers_everything(self, rig: Rig) -> None:
        rig.vif(VM3, flags=VifFlag.L2 | VifFlag.L3 | VifFlag.MAC_PROXY)
        assert rig.send(VM3, arp("192.0.2.1")).packet[ARP].hwsrc == str(VRRP_MAC)
        assert rig.send(VM3, arp(address(VM3))).drops == {DropReason.INVALID_ARP: 1}

    def test_a_port_without_proxy_answers_for_the_gateway_only(self, rig: Rig) -> None:
        rig.vif(VM3, flags=VifFlag.L2 | VifFlag.L3 | VifFlag.NO_MAC_PROXY)
        assert rig.send(VM3, arp(GATEWAY)).packet[ARP].hwsrc == str(VRRP_MAC)
        assert rig.send(VM3, arp(address(9))).drops == {DropReason.INVALID_ARP: 1}

    def test_flood_goes_before_proxy_when_nothing_is_stitched(self, rig: Rig) -> None:
        rig.dp.routes[1, IPv4Network("10.1.0.77/32")] = Route(
            nh=NH_MPLS, label=1, flags=RouteFlag.PROXY | RouteFlag.FLOOD
        )
        assert rig.send(VM3, arp("10.1.0.77")).sent == {VM4: 1, FABRIC: 1}

    def test_a_reply_to_another_workload_is_bridged(self, rig: Rig) -> None:
        assert rig.send(VM3, arp(address(VM4), op=2, dst=str(mac(VM4)))).sent == {VM4: 1}

    def test_a_reply_to_the_router_goes_to_the_agent(self, rig: Rig) -> None:
        result = rig.send(VM3, arp(GATEWAY, op=2, dst=str(VRRP_MAC)))
        assert result.sent == {PKT0: 1}
        assert trap.parse(result.data)[0].cmd == TrapCmd.ARP

    @pytest.mark.parametrize(
        ("field", "value"),
        [("hwtype", 6), ("ptype", 0x86DD), ("hwlen", 8), ("plen", 16), ("op", 3)],
    )
    def test_what_is_not_arp_for_ipv4_drops(self, rig: Rig, field: str, value: int) -> None:
        packet = bytearray(bytes(arp(GATEWAY)))
        offset, size = {
            "hwtype": (14, 2), "ptype": (16, 2), "hwlen": (18, 1), "plen": (19, 1), "op": (20, 2)
        }[field]  # fmt: skip
        packet[offset : offset + size] = value.to_bytes(size, "big")
        assert rig.send(VM3, bytes(packet)).drops == {DropReason.INVALID_ARP: 1}

    def test_a_short_one_drops(self, rig: Rig) -> None:
        assert rig.send(VM3, bytes(arp(GATEWAY))[:40]).drops == {DropReason.INVALID_ARP: 1}


def test_receive_and_transmit_are_counted_by_port(rig: Rig) -> None:
    before_in, before_out = rig.dp.vif_stats(VM3), rig.dp.vif_stats(VM4)
    sent = bridged(VM4)
    rig.send(VM3, sent)
    after_in, after_out = rig.dp.vif_stats(VM3), rig.dp.vif_stats(VM4)
    assert after_in.rx_packets - before_in.rx_packets == 1
    assert after_in.rx_bytes - before_in.rx_bytes == len(sent)
    assert after_out.tx_bytes - before_out.tx_bytes == len(sent)
