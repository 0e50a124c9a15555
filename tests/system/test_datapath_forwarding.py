"""The programs between real hosts: ping, TCP and UDP super-packets through every tunnel.

A fabric of veth passes super-packets whole (``tso``), a wire carries frames (``seg``); each
mode finds other mistakes, so everything runs in both, with and without a router between.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.system.datapath_bed import Bed, Forwarding, Mode, Workload, bed
from tungsten.datapath import DropReason, NhFlag, TrapCmd, trap

T = TypeVar("T")
ETH_P_ALL = 3
SEGMENT, SEGMENTS, BURSTS = 1000, 10, 20
UDP_SEGMENT = 103
ENCAPS = [NhFlag.MPLS_UDP, NhFlag.MPLS_GRE, NhFlag.VXLAN]


@pytest.fixture(scope="module", params=[False, True], ids=["direct", "router"])
def hosts(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """Both hosts, once for all tests of the module."""
    with bed(router=request.param) as made:
        yield made


def received(output: str) -> int:
    """How many pings were answered."""
    found = re.search(r"(\d+) received", output)
    assert found, output
    return int(found[1])


def tcp_bits(sender: Workload, receiver: Workload, size: str = "100M") -> float:
    """Bits per second at which ``size`` bytes arrived over one TCP connection."""
    server = receiver.namespace.popen("iperf3", "-s", "-1", "-B", str(receiver.address))
    try:
        time.sleep(0.2)
        report = json.loads(
            sender.namespace.run(
                "iperf3", "-c", str(receiver.address), "-n", size, "-J", check=False
            )
        )
    finally:
        server.terminate()
        server.wait()
    assert "error" not in report, report["error"]
    return float(report["end"]["sum_received"]["bits_per_second"])


def udp_segments(sender: Workload, receiver: Workload) -> int:
    """Sends super-packets that the kernel cuts late; counts datagrams that arrived whole."""
    rx = receiver.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tx = sender.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with rx, tx:
        rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        rx.bind((str(receiver.address), 9000))
        rx.settimeout(1)
        tx.setsockopt(socket.SOL_UDP, UDP_SEGMENT, SEGMENT)
        whole = 0
        for _ in range(BURSTS):
            tx.sendto(bytes(SEGMENT * SEGMENTS), (str(receiver.address), 9000))
            for _ in range(SEGMENTS):
                whole += len(rx.recv(65536)) == SEGMENT
        return whole


@pytest.mark.parametrize("mode", ["tso", "seg"])
@pytest.mark.parametrize("forwarding", ["routed", "bridged"])
@pytest.mark.parametrize("encap", ENCAPS, ids=lambda encap: str(encap.name))
def test_everything_crosses(hosts: Bed, encap: NhFlag, forwarding: Forwarding, mode: Mode) -> None:
    hosts.tune(mode)
    hosts.forward(encap, forwarding)
    here, there = hosts.workloads[3], hosts.workloads[4]
    for workload in (here, there):
        workload.namespace.ip("neigh", "flush", "dev", "eth0")
    ping = here.ping(there.address)
    assert received(ping) == 3
    lost_hops = {"bridged": 0, "routed": 2 if encap == NhFlag.VXLAN else 1}[forwarding]
    assert f"ttl={64 - lost_hops}" in ping
    assert tcp_bits(here, there) > 1e8
    assert udp_segments(here, there) == BURSTS * SEGMENTS


def test_other_networks_are_not_reached(hosts: Bed) -> None:
    here, other = hosts.workloads[4], hosts.workloads[6]
    assert received(here.ping(other.address)) == 0
    assert received(hosts.workloads[3].ping(other.address)) == 0
    assert hosts.hosts[0].datapath.drop_stats()[DropReason.DISCARD] > 0


def test_workloads_of_one_host_reach_each_other(hosts: Bed) -> None:
    hosts.forward(NhFlag.MPLS_UDP, "bridged")
    here, there = hosts.workloads[4], hosts.workloads[5]
    assert received(here.ping(there.address)) == 3
    assert tcp_bits(here, there) > 1e8
    assert udp_segments(here, there) == BURSTS * SEGMENTS


def test_an_announcement_reaches_every_workload_of_the_network_once(hosts: Bed) -> None:
    """A gratuitous ARP of vm3 is heard once by vm4 and vm5, and not by vm6."""
    hosts.forward(NhFlag.MPLS_UDP, "bridged")
    listeners = {}
    for n in (4, 5, 6):
        listeners[n] = hosts.workloads[n].namespace.call_in(lambda: _listener("eth0", 0x0806))
    sender = hosts.workloads[3]
    frame = (
        b"\xff" * 6 + sender.mac + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01"
        + sender.mac + sender.address.packed + bytes(6) + sender.address.packed
    )  # fmt: skip
    with sender.namespace.call_in(lambda: _listener("eth0", 0x0806)) as out:
        out.send(frame)
    time.sleep(0.2)
    heard = {}
    for n, listener in listeners.items():
        with listener:
            heard[n] = sum(1 for data in _drain(listener) if data[:42] == frame)
    assert heard == {4: 1, 5: 1, 6: 0}


def _listener(device: str, protocol: int) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    made.bind((device, 0))
    made.setblocking(False)
    return made


def _drain(listener: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield listener.recv(4096)
        except BlockingIOError:
            return


def test_the_capture_shows_mpls_over_udp(hosts: Bed) -> None:
    hosts.tune("tso")
    hosts.forward(NhFlag.MPLS_UDP, "bridged")
    with hosts.hosts[1].namespace.call_in(lambda: _listener("fab0", ETH_P_ALL)) as fabric:
        hosts.workloads[3].ping(hosts.workloads[4].address)
        frames = [Ether(frame) for frame in _drain(fabric)]
    labels = {
        MPLS(bytes(frame[UDP].payload)).label
        for frame in frames
        if UDP in frame and frame[UDP].dport == 6635
    }
    assert 204 in labels


def test_the_gateway_answers_from_the_kernel(hosts: Bed) -> None:
    hosts.forward(NhFlag.MPLS_UDP, "bridged")
    for workload in (hosts.workloads[3], hosts.workloads[4]):
        output = workload.ping("10.1.0.1", "-s", "1000")
        assert received(output) == 3
        assert "ttl=64" in output


def test_the_agent_gets_dhcp_and_can_answer(hosts: Bed) -> None:
    host, workload = hosts.hosts[0], hosts.workloads[3]
    while host.pkt0.read():
        pass
    discover = bytes(
        Ether(src=str(workload.mac), dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=bytes(workload.mac))
    )
    with workload.namespace.call_in(lambda: _listener("eth0", 0x0800)) as port:
        port.send(discover)
        header, frame = trap.parse(_wait_for(host.pkt0.read))
        assert (header.vif, header.vrf, header.cmd) == (3, 1, TrapCmd.L3_PROTOCOLS)
        assert frame == discover
        offer = bytes(
            Ether(src="00:00:5e:00:01:00", dst=str(workload.mac))
            / IP(src="10.1.0.2", dst=str(workload.address))
            / UDP(sport=67, dport=68)
            / BOOTP(op=2, chaddr=bytes(workload.mac))
        )
        order = trap.TrapHeader(vif=3, vrf=1, cmd=TrapCmd.SWITCH)
        assert host.pkt0.write(trap.build(order, offer))
        assert offer in list(_wait_for(lambda: list(_drain(port))))


def _wait_for(poll: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        found = poll()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("nothing came within 3 seconds")
