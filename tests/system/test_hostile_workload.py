"""What a workload sends that it may not: counted under a reason, never seen by another network."""

from __future__ import annotations

import random
import re
import socket
import time

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tungsten.lab import demo
from tungsten.lab.lab import Lab

VRRP = "00:00:5e:00:01:00"


def raw(lab: Lab, workload: str) -> socket.socket:
    """A packet socket on a workload's eth0."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind(("eth0", 0))
        return made

    return lab.namespace(workload).call_in(make)


def drops(lab: Lab, host: str) -> dict[str, int]:
    """The drop counters of a host by reason."""
    text = demo.tool(lab, host, "dropstats")
    found = re.findall(r"^(\S.*?)\s{2,}(\d+)$", text, re.MULTILINE)
    return {name: int(count) for name, count in found}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {
        name: count - before.get(name, 0)
        for name, count in after.items()
        if count > before.get(name, 0)
    }


def test_a_forged_source_is_dropped_and_counted(lab: Lab) -> None:
    vm1 = lab.state.workloads["vm1"]
    forged = Ether(src="02:66:66:66:66:66", dst=VRRP) / IP(src=vm1.address, dst="10.0.1.4") / ICMP()
    before = drops(lab, "compute1")
    with raw(lab, "vm1") as port:
        for _ in range(10):
            port.send(bytes(forged))
    time.sleep(0.2)
    assert sum(grown(before, drops(lab, "compute1")).values()) >= 10


def test_malformed_packets_are_counted_and_reach_no_other_network(lab: Lab) -> None:
    chance = random.Random(7)
    vm1, vm4 = lab.state.workloads["vm1"], lab.state.workloads["vm4"]
    head = Ether(src=vm1.mac, dst=VRRP)
    whole = bytes(head / IP(src=vm1.address, dst=vm4.address) / UDP(dport=9) / Raw(b"x" * 64))
    frames = [
        whole[:15],
        whole[:30],
        bytes(head / Dot1Q(vlan=5) / IP(src=vm1.address, dst=vm4.address) / ICMP()),
        bytes(head / IP(src=vm1.address, dst=vm4.address, ihl=15) / ICMP()),
        bytes(head / IP(src=vm1.address, dst=vm4.address, version=5) / ICMP()),
        bytes(Ether(src=vm1.mac, dst=vm4.mac) / IP(src=vm1.address, dst=vm4.address) / ICMP()),
        bytes(head / ARP(op=1, psrc=vm1.address, pdst=vm4.address)),
        *(bytes(head) + chance.randbytes(chance.randrange(1, 200)) for _ in range(200)),
        *(chance.randbytes(chance.randrange(14, 200)) for _ in range(200)),
    ]
    before = {host: drops(lab, host) for host in ("compute1", "compute2")}
    with raw(lab, "vm4") as victim, raw(lab, "vm1") as port:
        victim.settimeout(0.5)
        for frame in frames:
            port.send(frame)
        heard = []
        try:
            while True:
                heard.append(victim.recv(2048))
        except TimeoutError:
            pass
    foreign = [
        frame for frame in heard if IP in Ether(frame) and Ether(frame)[IP].src == vm1.address
    ]
    assert foreign == []
    dropped = grown(before["compute1"], drops(lab, "compute1"))
    assert sum(dropped.values()) >= 100, dropped


def test_a_flood_of_dhcp_requests_starves_nobody(lab: Lab) -> None:
    """One workload floods; another's lease still comes."""
    vm1 = lab.state.workloads["vm1"]
    chaddr = bytes.fromhex(vm1.mac.replace(":", "")) + b"\0" * 10
    ask = (
        Ether(src=vm1.mac, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=chaddr, xid=7)
        / DHCP(options=[("message-type", "discover"), "end"])
    )
    frame = bytes(ask)
    with raw(lab, "vm1") as port:
        for _ in range(5000):
            port.send(frame)
        began = time.monotonic()
        assert lab.lease("vm2") == lab.state.workloads["vm2"].address
        assert time.monotonic() - began < 10
