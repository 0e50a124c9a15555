"""Anything at all from a workload or from the fabric: counted, and never in another VRF."""

from __future__ import annotations

import random
import struct

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from tests.unit.datapath.datapath_rig import (
    DROP,
    FABRIC,
    FABRIC_IP,
    FABRIC_MAC,
    GATEWAY,
    NEXT,
    OTHER,
    PEER_IP,
    PEER_MAC,
    PKT0,
    REDIRECT,
    VM3,
    VM4,
    Rig,
    address,
    mac,
)

from tungsten.datapath import VRRP_MAC, BpfError, VifGuard

ROUNDS = 3000


def workload_seeds() -> list[bytes]:
    """Packets of VM3 that reach every branch."""
    to_router = Ether(src=str(mac(VM3)), dst=str(VRRP_MAC))
    to_peer = Ether(src=str(mac(VM3)), dst=str(mac(9)))
    to_all = Ether(src=str(mac(VM3)), dst="ff:ff:ff:ff:ff:ff")
    ip = IP(src=address(VM3), dst=address(9))
    return [
        bytes(packet)
        for packet in (
            to_router / ip / UDP(sport=1, dport=2) / Raw(bytes(30)),
            to_router / ip / TCP(sport=1, dport=2, options=[("MSS", 1460)]),
            to_router / IP(src=address(VM3), dst=GATEWAY) / ICMP() / Raw(bytes(20)),
            to_router / IP(src=address(VM3), dst=address(9), ttl=1) / UDP() / Raw(bytes(20)),
            to_peer / ip / UDP() / Raw(bytes(1400)),
            to_peer / IPv6(src="fe80::3") / UDP() / Raw(bytes(20)),
            to_all
            / IP(src="0.0.0.0", dst="255.255.255.255")
            / UDP(sport=68, dport=67)
            / Raw(bytes(240)),
            to_all / ARP(hwsrc=str(mac(VM3)), psrc=address(VM3), pdst=GATEWAY),
            to_all / ARP(hwsrc=str(mac(VM3)), psrc=address(VM3), pdst=address(9)),
            to_all / ARP(hwsrc=str(mac(VM3)), psrc=address(VM3), pdst=address(OTHER)),
        )
    ]


def fabric_seeds() -> list[bytes]:
    """Tunnels to VRF 1, which has VM3 and VM4."""
    outer = Ether(src=str(PEER_MAC), dst=str(FABRIC_MAC)) / IP(src=PEER_IP, dst=FABRIC_IP)
    packet = IP(src=address(9), dst=address(VM3)) / UDP() / Raw(bytes(30))
    frame = Ether(src=str(mac(9)), dst=str(mac(VM3))) / packet
    flood = Ether(src=str(mac(9)), dst="ff:ff:ff:ff:ff:ff") / packet
    seeds: list[Packet] = [
        outer / UDP(dport=6635) / MPLS(label=103, s=1) / packet,
        outer / UDP(dport=6635) / MPLS(label=203, s=1) / frame,
        outer / UDP(dport=6635) / MPLS(label=310, s=1) / packet,
        outer / UDP(dport=6635) / MPLS(label=300, s=1) / flood,
        outer / UDP(dport=4789) / VXLAN(vni=5) / frame,
        outer / UDP(dport=4789) / VXLAN(vni=5) / flood,
        outer / GRE(proto=0x8847) / MPLS(label=103, s=1) / packet,
    ]
    return [bytes(seed) for seed in seeds]


def mutate(source: random.Random, seed: bytes, first: int) -> bytes:
    """Changes bytes from ``first`` on, cuts, or lengthens."""
    data = bytearray(seed)
    for _ in range(source.choice((0, 1, 1, 2, 4, 16))):
        at = source.randrange(first, len(data))
        data[at] = source.choice(
            (0, 0xFF, source.randrange(256), data[at] ^ 1 << source.randrange(8))
        )
    if source.random() < 0.2:
        del data[source.randrange(34, len(data)) :]
    if source.random() < 0.1:
        data += source.randbytes(source.randrange(1, 200))
    return bytes(data)


def feed(rig: Rig, port: int, program: str, packets: list[bytes]) -> dict[int, int]:
    """Runs packets; checks that each is sent, left to the host, or dropped; counts verdicts."""
    verdicts = {NEXT: 0, DROP: 0, REDIRECT: 0}
    ifindex = rig.ifindexes[port]

    def run() -> None:
        for packet in packets:
            try:
                outcome = rig.dp.run(program, packet, ifindex=ifindex)
            except BpfError:
                # The test run itself refuses IP that is shorter than its header.
                continue
            verdicts[outcome.verdict] += 1

    rig.inside(run)
    return verdicts


@pytest.mark.parametrize("guard", [VifGuard.MAC | VifGuard.IP, VifGuard(0)])
def test_a_workload_reaches_no_other_vrf(rig: Rig, guard: VifGuard) -> None:
    rig.vif(VM3, guard=guard)
    source, seeds = random.Random(7), workload_seeds()
    packets = [mutate(source, source.choice(seeds), 0) for _ in range(ROUNDS)]
    packets += [source.randbytes(source.randrange(60, 200)) for _ in range(ROUNDS)]
    before, stats = sum(rig.dp.drop_stats().values()), rig.dp.vif_stats(OTHER)
    sent_before = {port: rig.dp.vif_stats(port).tx_packets for port in rig.ifindexes}
    verdicts = feed(rig, VM3, "vif_rx", packets)
    assert rig.dp.vif_stats(OTHER).tx_packets == stats.tx_packets
    # Everything ended as one of three, and was counted. Copies of a flood count as sent, too.
    dropped = sum(rig.dp.drop_stats().values()) - before
    sent = sum(rig.dp.vif_stats(port).tx_packets - count for port, count in sent_before.items())
    assert verdicts[NEXT] == 0
    assert verdicts[DROP] > 1000
    assert verdicts[REDIRECT] > 500
    assert dropped >= verdicts[DROP]
    assert sent >= verdicts[REDIRECT]


def test_the_fabric_reaches_only_the_vrf_that_its_label_names(rig: Rig) -> None:
    source, seeds = random.Random(11), fabric_seeds()
    # Labels and VNIs of VRF 2 are taken away: what then still arrives there, leaked.
    for label in (100 + OTHER, 200 + OTHER):
        rig.dp.labels.discard(label)
    packets = [mutate(source, source.choice(seeds), 14) for _ in range(ROUNDS)]
    packets += [
        seeds[0][:34] + struct.pack(">HHHH", 1, source.choice((6635, 4789)), 0, 0)
        + source.randbytes(source.randrange(0, 100))
        for _ in range(ROUNDS)
    ]  # fmt: skip
    before = {port: rig.dp.vif_stats(port).tx_packets for port in rig.ifindexes}
    drops = sum(rig.dp.drop_stats().values())
    verdicts = feed(rig, FABRIC, "fab_rx", packets)
    after = {port: rig.dp.vif_stats(port).tx_packets for port in rig.ifindexes}
    assert after[OTHER] == before[OTHER]
    assert after[FABRIC] == before[FABRIC]
    assert after[PKT0] == before[PKT0]
    assert after[VM3] > before[VM3]
    assert after[VM4] > before[VM4]
    assert sum(rig.dp.drop_stats().values()) - drops >= verdicts[DROP] > 1000


def test_the_agents_port_survives_anything(rig: Rig) -> None:
    source = random.Random(13)
    head = bytes(Ether(type=0x0800))
    packets = [head + source.randbytes(source.randrange(46, 200)) for _ in range(ROUNDS)]
    verdicts = feed(rig, PKT0, "pkt0_rx", packets)
    assert verdicts[DROP] > 1000


def test_every_label_leads_nowhere_until_it_is_given(rig: Rig) -> None:
    outer = fabric_seeds()[0][:42]
    payload = bytes(IP(src=address(9), dst=address(VM3)) / UDP() / Raw(bytes(20)))
    labels = [*range(0, 100), *range(404, 1 << 20, 997)]
    packets = [outer + struct.pack(">I", label << 12 | 0x140) + payload for label in labels]
    assert feed(rig, FABRIC, "fab_rx", packets) == {NEXT: 0, DROP: len(labels), REDIRECT: 0}
