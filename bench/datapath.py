"""What the overlay costs: workloads on two hosts over MPLS over UDP, against two peers.

Three roads between two workloads of their own, in namespaces of one machine, with the same
number of hops and the same veth pairs:

    ours             workload - vif_rx - MPLS over UDP on the fabric - fab_rx - workload
    routed veth      the kernel forwards between the same devices: no overlay, the bound
    kernel VXLAN     a bridge and a VXLAN device on each host

Measured in turn within each round, so that what else the machine does falls on all:

- TCP throughput, one and four streams (iperf3, client on one CPU, server on another), with a
  fabric that passes super-packets whole, as between veths or with tunnel offload;
- the same with real-size frames on the fabric, as with a NIC that has no tunnel offload;
- 64-byte frames a second (60 and checksum), 64 flows, from one CPU, counted at the receiver.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.system.datapath_bed import FABRIC_MTU, VM_MTU, bed

from bench.report import Measure, publish
from tungsten.datapath import NhFlag
from tungsten.lab.netns import Namespace, namespaces, veth

ROUNDS = 5
TCP_SECONDS, PPS_SECONDS = 2, 1.0
FLOWS, FRAME = 64, 60
PORT = 9
OURS, ROUTED, VXLAN = "MPLS over UDP (eBPF)", "routed veth, no overlay", "kernel VXLAN + bridge"


@dataclass(frozen=True)
class Road:
    """A way from one workload to another."""

    name: str
    sender: Namespace
    receiver: Namespace
    source: str
    target: str
    fabric: tuple[Namespace, Namespace]

    def tune(self, whole: bool) -> None:
        """The fabric passes super-packets whole, or cuts them into frames and merges again."""
        for host in self.fabric:
            for feature in ("tso", "gso", "tx-udp_tnl-segmentation"):
                host.run("ethtool", "-K", "fab0", feature, "on" if whole else "off")
            host.run("ethtool", "-K", "fab0", "gro", "on")

    def tcp(self, streams: int) -> float:
        """Gbit/s received."""
        server = self.receiver.popen("iperf3", "-s", "-1", "-A", "1", "-B", self.target)
        try:
            time.sleep(0.3)
            output = self.sender.run(
                *("iperf3", "-c", self.target, "-t", str(TCP_SECONDS), "-P", str(streams)),
                *("-A", "0", "-J"),
            )
        finally:
            server.terminate()
            server.communicate()
        return float(json.loads(output)["end"]["sum_received"]["bits_per_second"]) / 1e9

    def packets(self) -> float:
        """Thousands of 64-byte frames that arrive in a second."""
        self.sender.run("ping", "-c", "1", "-W", "2", self.target)
        first = self.sender.call_in(lambda: _next_hop_mac(self.target))
        own = bytes.fromhex(self.sender.link_mac("eth0").replace(":", ""))
        frames = [_frame(first, own, self.source, self.target, n) for n in range(FLOWS)]
        with self.receiver.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
            # A sink that is never read: its queue fills, and the rest costs the least it can.
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sink.bind((self.target, PORT))
            before = _received(self.receiver)
            took = self.sender.call_in(lambda: _blast(frames, PPS_SECONDS))
            time.sleep(0.1)
            return (_received(self.receiver) - before) / took / 1e3


def _received(namespace: Namespace) -> int:
    """Datagrams that reached UDP, taken or refused by the full queue."""
    text = namespace.run("cat", "/proc/net/snmp")
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith("Udp:"))
    counters = dict(zip(names, map(int, values), strict=True))
    return counters["InDatagrams"] + counters["RcvbufErrors"]


def _next_hop_mac(target: str) -> bytes:
    route = subprocess.check_output(("ip", "-j", "route", "get", target), text=True)
    gateway = json.loads(route)[0].get("gateway", target)
    neighbours = subprocess.check_output(("ip", "-j", "neigh", "show", gateway), text=True)
    return bytes.fromhex(json.loads(neighbours)[0]["lladdr"].replace(":", ""))


def _frame(to: bytes, own: bytes, source: str, target: str, flow: int) -> bytes:
    length = FRAME - 14
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0,
        socket.inet_aton(source), socket.inet_aton(target),
    )  # fmt: skip
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~(total + (total >> 16)) & 0xFFFF
    head = head[:10] + struct.pack(">H", check) + head[12:]
    udp = struct.pack(">HHHH", 20000 + flow, PORT, length - 20, 0)
    return to + own + b"\x08\x00" + head + udp + bytes(length - 28)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


def _blast(frames: list[bytes], seconds: float) -> float:
    """Sends the frames over and over from one CPU (sendmmsg); returns the seconds it took."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
    vectors = [_Vector(ctypes.addressof(b), len(f)) for b, f in zip(buffers, frames, strict=True)]
    messages = (_Message * len(frames))()
    for message, vector in zip(messages, vectors, strict=True):
        message.vectors, message.vector_count = ctypes.pointer(vector), 1
    os.sched_setaffinity(0, {0})
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("eth0", 0))
        out.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            libc.sendmmsg(out.fileno(), messages, len(frames), 0)
        return now - begin


@contextlib.contextmanager
def ours() -> Iterator[Road]:
    """The overlay, as the agent programs it for two workloads of one network, routed."""
    with bed() as made:
        made.forward(NhFlag.MPLS_UDP, "routed")
        here, there = made.workloads[3], made.workloads[4]
        left, right = (host.namespace for host in made.hosts)
        yield Road(
            OURS, here.namespace, there.namespace, str(here.address), str(there.address),
            (left, right),
        )  # fmt: skip


@contextlib.contextmanager
def _hosts() -> Iterator[list[Namespace]]:
    """Two hosts with a workload each, wired alike."""
    with namespaces("vm1", "host1", "host2", "vm2") as made:
        vm1, host1, host2, vm2 = made
        veth(vm1, "eth0", host1, "tap0", mtu=VM_MTU)
        veth(vm2, "eth0", host2, "tap0", mtu=VM_MTU)
        veth(host1, "fab0", host2, "fab0", mtu=FABRIC_MTU)
        for number, host in enumerate((host1, host2), 1):
            host.ip("addr", "add", f"172.16.0.{number}/24", "dev", "fab0")
        yield made


@contextlib.contextmanager
def routed() -> Iterator[Road]:
    """Plain forwarding by the kernel."""
    with _hosts() as made:
        vm1, host1, host2, vm2 = made
        for number, (vm, host) in enumerate(((vm1, host1), (vm2, host2)), 1):
            host.sysctl("net.ipv4.ip_forward", 1)
            vm.ip("addr", "add", f"10.{number}.0.3/24", "dev", "eth0")
            vm.ip("route", "add", "default", "via", f"10.{number}.0.1")
            host.ip("addr", "add", f"10.{number}.0.1/24", "dev", "tap0")
            host.ip(
                *("route", "add", f"10.{3 - number}.0.0/24", "via", f"172.16.0.{3 - number}"),
            )
        yield Road(ROUTED, vm1, vm2, "10.1.0.3", "10.2.0.3", (host1, host2))


@contextlib.contextmanager
def kernel_vxlan() -> Iterator[Road]:
    """The kernel's own overlay."""
    with _hosts() as made:
        vm1, host1, host2, vm2 = made
        for number, (vm, host) in enumerate(((vm1, host1), (vm2, host2)), 1):
            vm.ip("addr", "add", f"10.1.0.{number + 2}/24", "dev", "eth0")
            host.ip("link", "add", "br0", "type", "bridge")
            host.ip(
                *("link", "add", "vx0", "mtu", str(VM_MTU), "type", "vxlan", "id", "5"),
                *("dstport", "4789", "local", f"172.16.0.{number}"),
                *("remote", f"172.16.0.{3 - number}", "dev", "fab0"),
            )
            for device in ("tap0", "vx0"):
                host.ip("link", "set", device, "master", "br0")
            for device in ("vx0", "br0"):
                host.ip("link", "set", device, "up")
        yield Road(VXLAN, vm1, vm2, "10.1.0.3", "10.1.0.4", (host1, host2))


METRICS: tuple[tuple[str, str, bool, Callable[[Road], float]], ...] = (
    ("64-byte packets", "kpps", True, Road.packets),
    ("TCP, 1 stream", "Gbit/s", True, lambda road: road.tcp(1)),
    ("TCP, 4 streams", "Gbit/s", True, lambda road: road.tcp(4)),
    ("TCP, 1 stream, real-size frames", "Gbit/s", False, lambda road: road.tcp(1)),
    ("TCP, 4 streams, real-size frames", "Gbit/s", False, lambda road: road.tcp(4)),
)


def main() -> None:
    """Measures, prints the table and writes the result."""
    values: dict[str, dict[str, list[float]]] = {name: {} for name, *_ in METRICS}
    with ours() as first, routed() as second, kernel_vxlan() as third:
        roads = (first, second, third)
        for round_number in range(ROUNDS):
            print(f"datapath: round {round_number + 1} of {ROUNDS}", flush=True)
            for name, _unit, whole, measure in METRICS:
                for road in roads:
                    road.tune(whole)
                for road in roads:
                    values[name].setdefault(road.name, []).append(measure(road))
    publish(
        "datapath",
        [
            Measure(
                name,
                unit,
                values[name][OURS],
                {peer: values[name][peer] for peer in (ROUTED, VXLAN)},
            )
            for name, unit, *_ in METRICS
        ],
    )


if __name__ == "__main__":
    main()
