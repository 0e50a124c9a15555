"""A host of the fabric that has no part in the overlay, and guesses labels and VNIs."""

from __future__ import annotations

import socket
import struct
import time

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.system.test_hostile_workload import drops, grown, raw
from tungsten.lab.lab import Lab

MPLS_UDP, VXLAN = 6635, 4789
LABELS = range(16, 80)
MARK = b"from the fabric"


def tunnels(lab: Lab) -> list[tuple[int, bytes]]:
    """UDP port and payload of every way in to vm1 that can be guessed."""
    vm1, vm3 = lab.state.workloads["vm1"], lab.state.workloads["vm3"]
    packet = IP(src=vm3.address, dst=vm1.address) / UDP(sport=7, dport=7) / Raw(MARK)
    frame = Ether(src=vm3.mac, dst=vm1.mac) / packet
    flood = Ether(src=vm3.mac, dst="ff:ff:ff:ff:ff:ff") / packet
    guesses = []
    for label in LABELS:
        shim = struct.pack("!I", label << 12 | 0x140)
        guesses += [(MPLS_UDP, shim + bytes(inner)) for inner in (packet, frame, flood)]
    for vni in range(1, 32):
        head = struct.pack("!II", 0x08000000, vni << 8)
        guesses += [(VXLAN, head + bytes(inner)) for inner in (frame, flood)]
    return guesses


def test_tunnels_of_a_host_that_no_route_names_are_not_let_in(lab: Lab) -> None:
    guesses = tunnels(lab)
    address = str(lab.spec.hosts["compute1"].interface.ip)
    before = drops(lab, "compute1")
    with (
        raw(lab, "vm1") as victim,
        lab.namespace("controller").socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker,
    ):
        victim.settimeout(0.3)
        for port, payload in guesses:
            attacker.sendto(payload, (address, port))
            time.sleep(0.001)
        heard = []
        try:
            while True:
                heard.append(victim.recv(2048))
        except TimeoutError:
            pass
    assert [frame for frame in heard if MARK in frame] == []
    dropped = grown(before, drops(lab, "compute1"))
    assert dropped.get("Tunnel Source") == len(guesses), dropped
