"""Golden outputs: what operators' eyes and scripts expect, character by character."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from tungsten.datapath.tools import drops, interfaces, labels, nexthops, routes
from tungsten.datapath.tools.interfaces import InterfaceRecord, VlanTags
from tungsten.datapath.tools.nexthops import NextHopRecord
from tungsten.datapath.tools.routes import BridgeRecord, RouteRecord


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def test_vif_header_is_the_legend_in_rows_of_four() -> None:
    assert interfaces.header() == (
        "Vrouter Interface Table\n"
        "\n"
        "Flags: P=Policy, X=Cross Connect, S=Service Chain, Mr=Receive Mirror\n"
        "       Mt=Transmit Mirror, Tc=Transmit Checksum Offload, L3=Layer 3, L2=Layer 2\n"
        "       D=DHCP, Vp=Vhost Physical, Pr=Promiscuous, Vnt=Native Vlan Tagged\n"
        "       Mnp=No MAC Proxy, Dpdk=DPDK PMD Interface, Rfl=Receive Filtering Offload, "
        "Mon=Interface is Monitored\n"
        "       Uuf=Unknown Unicast Flood, Vof=VLAN insert/strip offload, Df=Drop New Flows, "
        "L=MAC Learning Enabled\n"
        "       Proxy=MAC Requests Proxied Always, Er=Etree Root, Mn=Mirror without Vlan Tag, "
        "HbsL=HBS Left Intf\n"
        "       HbsR=HBS Right Intf, Ig=Igmp Trap Enabled, Ml=MAC-IP Learning Enabled\n"
        "\n"
    )


def test_vif_of_the_uplink() -> None:
    record = InterfaceRecord(
        index=0,
        name="eth0",
        type=2,
        speed=1000,
        duplex=1,
        nh=4,
        mac=mac("52:54:00:aa:00:01"),
        flags=0x20 | 0x40 | 0x80 | 0x200 | 0x200000,
        references=7,
        rx_packets=1203,
        rx_bytes=98211,
        tx_packets=1188,
        tx_bytes=176450,
        drops=3,
    )
    assert interfaces.interface(record) == (
        "vif0/0      OS: eth0 (Speed 1000, Duplex 1) NH: 4\n"
        "            Type:Physical HWaddr:52:54:00:aa:00:01 IPaddr:0.0.0.0\n"
        "            Vrf:0 Mcast Vrf:65535 Flags:TcL3L2VpEr QOS:-1 Ref:7\n"
        "            RX packets:1203  bytes:98211 errors:0\n"
        "            TX packets:1188  bytes:176450 errors:0\n"
        "            Drops:3\n"
        "\n"
    )


def test_vif_of_a_workload() -> None:
    record = InterfaceRecord(
        index=4,
        name="tapa0ee1234-56",
        type=3,
        nh=20,
        mac=mac("00:00:5e:00:01:00"),
        ip=IPv4Address("10.1.1.3"),
        ip6=IPv6Address("fd00::3"),
        vrf=2,
        mcast_vrf=2,
        flags=0x1 | 0x40 | 0x80 | 0x100 | 0x200000,
        references=6,
        rx_packets=90,
        rx_bytes=8000,
        tx_packets=88,
        tx_bytes=7900,
    )
    assert interfaces.interface(record) == (
        "vif0/4      OS: tapa0ee1234-56 NH: 20\n"
        "            Type:Virtual HWaddr:00:00:5e:00:01:00 IPaddr:10.1.1.3\n"
        "            IP6addr:fd00::3\n"
        "            Vrf:2 Mcast Vrf:2 Flags:PL3L2DEr QOS:-1 Ref:6\n"
        "            RX packets:90  bytes:8000 errors:0\n"
        "            TX packets:88  bytes:7900 errors:0\n"
        "            Drops:0\n"
        "\n"
    )


def test_vif_of_a_vlan_sub_interface_has_no_device() -> None:
    record = InterfaceRecord(
        index=7,
        name="6f0b1e3a-8c1d-4c0e-9f53-0d4c2a7e11aa",
        type=6,
        has_device=False,
        vlan=VlanTags(outer=301, inner=300, macs=[(mac("02:11:22:33:44:55"), 812)]),
        parent=2,
        nh=61,
    )
    assert interfaces.interface(record).splitlines()[0] == (
        "vif0/7          6f0b1e3a-8c1d-4c0e-9f53-0d4c2a7e11aa Vlan(o/i)(,S): 301/300, "
        "02:11:22:33:44:55 Bridge Index: 812 Parent:vif0/2 NH: 61"
    )


def test_vif_without_flags_prints_null_and_a_mirrored_one_its_index() -> None:
    plain = interfaces.interface(InterfaceRecord(index=3, name="pkt0", type=1, vrf=65535))
    assert "            Vrf:65535 Mcast Vrf:65535 Flags:NULL QOS:-1 Ref:1\n" in plain
    mirrored = interfaces.interface(
        InterfaceRecord(index=3, name="t", type=3, flags=0x8 | 0x10, mirror=2)
    )
    assert "Flags:MrMt QOS:-1 Ref:1 Mirror index 2\n" in mirrored


def test_nh_of_an_interface() -> None:
    record = NextHopRecord(
        id=17,
        type=2,
        flags=0x1 | 0x2,
        vrf=2,
        references=4,
        oif=4,
        encap=mac("02:a0:ee:12:34:56:00:00:5e:00:01:00:08:00"),
    )
    assert nexthops.nexthop(record) == (
        "Id:17         Type:Encap          Fmly: AF_INET  Rid:0  Ref_cnt:4          Vrf:2\n"
        "              Flags:Valid, Policy, \n"
        "              EncapFmly:0806 Oif:4 Len:14\n"
        "              Encap Data: 02 a0 ee 12 34 56 00 00 5e 00 01 00 08 00 \n"
        "\n"
    )


def test_nh_of_a_tunnel() -> None:
    record = NextHopRecord(
        id=20,
        type=3,
        flags=0x1 | 0x40,
        references=9,
        encap=mac("52:54:00:bb:00:02:52:54:00:aa:00:01:08:00"),
        sip=IPv4Address("192.168.1.11"),
        dip=IPv4Address("192.168.1.12"),
    )
    assert nexthops.nexthop(record) == (
        "Id:20         Type:Tunnel         Fmly: AF_INET  Rid:0  Ref_cnt:9          Vrf:0\n"
        "              Flags:Valid, MPLSoUDP, \n"
        "              Oif:0 Len:14 Data:52 54 00 bb 00 02 52 54 00 aa 00 01 08 00 \n"
        "              Sip:192.168.1.11 Dip:192.168.1.12\n"
        "\n"
    )


def test_nh_of_a_tree() -> None:
    record = NextHopRecord(
        id=31, type=6, family=7, flags=0x1 | 0x20, vrf=2, references=3, members=[(28, 0), (29, 0)]
    )
    assert nexthops.nexthop(record) == (
        "Id:31         Type:Composite      Fmly:AF_BRIDGE  Rid:0  Ref_cnt:3          Vrf:2\n"
        "              Flags:Valid, Multicast, \n"
        "              Sub NH(label): 28(0) 29(0)\n"
        "\n"
    )


def test_nh_of_ecmp_names_its_hash_fields_and_wraps_members() -> None:
    members = [(100 + n, 16 + n) for n in range(12)] + [(-1, -1)]
    record = NextHopRecord(
        id=40, type=6, flags=0x1 | 0x400, ecmp_fields=0x1F, members=members, further_members=2
    )
    assert nexthops.nexthop(record) == (
        "Id:40         Type:Composite      Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0\n"
        "              Flags:Valid, Ecmp, \n"
        "              Valid Hash Key Parameters: Proto,SrcIP,SrcPort,DstIp,DstPort\n"
        "              Sub NH(label): 100(16) 101(17) 102(18) 103(19) 104(20) 105(21) 106(22)"
        " 107(23)\n"
        "                             108(24) 109(25) 110(26) 111(27) -1"
        " and 2 more components...\n"
        "\n"
        "\n"
    )


def test_nh_of_other_types() -> None:
    drop = nexthops.nexthop(NextHopRecord(id=0, type=5, family=0, flags=1))
    assert drop == (
        "Id:0          Type:Drop           Fmly:AF_UNSPEC  Rid:0  Ref_cnt:1          Vrf:0\n"
        "              Flags:Valid, \n"
        "\n"
    )
    assert "Flags:None\n" in nexthops.nexthop(NextHopRecord(id=1, type=0))
    assert "              Oif:1\n" in nexthops.nexthop(NextHopRecord(id=2, type=1, oif=1))
    translate = nexthops.nexthop(NextHopRecord(id=3, type=7, family=7, vrf=5, flags=0x81))
    assert translate.endswith("              Flags:Valid, Vxlan, \n              Vrf:5\n\n")
    l3_vxlan = nexthops.nexthop(
        NextHopRecord(id=4, type=3, flags=0x2000081, l3_mac=mac("02:00:00:00:00:09"))
    )
    assert "Sip:0.0.0.0 Dip:0.0.0.0 L3_Vxlan_Mac: 02:00:00:00:00:09\n" in l3_vxlan
    mirror = nexthops.nexthop(
        NextHopRecord(id=5, type=3, flags=0x11, source_port=8097, destination_port=8099)
    )
    assert "              Sport:8097 Dport:8099\n" in mirror


def test_rt_inet() -> None:
    routed = RouteRecord(
        prefix=IPv4Network("10.1.1.3/32"),
        nh=20,
        flags=0x1 | 0x2,
        label=17,
        replaced_length=32,
        mac=mac("02:a0:ee:12:34:56"),
        mac_index=81,
    )
    subnet = RouteRecord(prefix=IPv4Network("10.1.1.0/24"), nh=1, flags=0x8, replaced_length=24)
    default = RouteRecord(prefix=IPv4Network("0.0.0.0/0"), nh=0)
    text = routes.inet_header("inet", 2)
    text += "".join(routes.inet_row(row) for row in (routed, subnet, default))
    assert text == (
        "Flags: L=Label Valid, P=Proxy ARP, T=Trap ARP, F=Flood ARP, Ml=MAC-IP learnt route\n"
        "vRouter inet4 routing table 0/2/unicast\n"
        "Destination           PPL        Flags        Label         Nexthop    "
        "Stitched MAC(Index)\n"
        "10.1.1.3/32            32           LP         17             20        "
        "2:a0:ee:12:34:56(81)\n"
        "10.1.1.0/24            24            F          -              1        -\n"
        "0.0.0.0/0               0                       -              0        -\n"
    )


def test_rt_inet6_and_get_lines() -> None:
    assert routes.inet_header("inet6", 3).splitlines()[1] == (
        "vRouter inet6 routing table 0/3/unicast"
    )
    assert routes.inet_match(IPv4Network("10.1.1.3/32"), 2) == (
        "Match 10.1.1.3/32 in vRouter inet4 table 0/2/unicast\n\n"
    )
    assert routes.inet_match(IPv6Network("fd00::/64"), 2) == (
        "Match fd00::/64 in vRouter inet6 table 0/2/unicast\n\n"
    )
    assert routes.bridge_match(mac("02:a0:ee:12:34:56"), 2) == (
        "Match 2:a0:ee:12:34:56 in vRouter bridge table 0/2/unicast\n\n"
    )


def test_rt_bridge() -> None:
    learnt = BridgeRecord(
        index=81,
        mac=mac("02:a0:ee:12:34:56"),
        nh=20,
        flags=0x1 | 0x2 | 0x4,
        label=23,
        packets=1234,
    )
    control_word = BridgeRecord(index=82, mac=mac("00:00:5e:00:01:00"), nh=2, flags=0x10)
    text = routes.bridge_header(2)
    text += "".join(routes.bridge_row(row) for row in (learnt, control_word))
    assert text == (
        "Flags: L=Label Valid, Df=DHCP flood, Mm=Mac Moved, L2c=L2 Evpn Control Word, "
        "N=New Entry, Ec=EvpnControlProcessing\n"
        "vRouter bridge table 0/2\n"
        "Index       DestMac                  Flags           Label/VNID      Nexthop"
        "           Stats\n"
        "81          2:a0:ee:12:34:56           LDf                   23           20"
        "            1234\n"
        "82          0:0:5e:0:1:0             L2cMl                    -            2"
        "               0\n"
    )


def test_mpls_and_vxlan() -> None:
    assert labels.mpls_header() + labels.mpls_row(17, 17) == (
        "MPLS Input Label Map\n\n   Label    NextHop\n-------------------\n      17        17\n"
    )
    assert labels.vxlan_header() + labels.vxlan_row(5, 31) == (
        "VXLAN Table\n\n VNID    NextHop\n----------------\n      5    31\n"
    )


def test_dropstats_prints_what_happened() -> None:
    counters = [("Flow Unusable", 2), ("Discards", 3), ("Invalid NH", 0), ("Invalid Source", 7)]
    assert drops.drop_lines(counters) == (
        "Flow Unusable                 2\n"
        "Discards                      3\n"
        "Invalid Source                7\n"
    )
    assert drops.drop_lines([("Cloned Original", 4)]) == ""
    assert drops.drop_lines([("Cloned Original", 4)], debug=True) == (
        "Cloned Original               4\n"
    )
