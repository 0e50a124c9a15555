"""Runs packets through the programs and says everything that came of it.

The rig is one host in a namespace of its own, with real devices but no wire: programs run
through the kernel's test run, which sends nothing except a flood's copies; those are read
from the far ends of the ports.

Ports: 0 fabric, 2 pkt0, 3 and 4 workloads of VRF 1 (4 is a tap), 6 the only one of VRF 2.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from scapy.layers.l2 import Ether
from scapy.packet import Packet
from tests.pins import pin_folder

from tungsten.datapath import (
    BROADCAST_MAC,
    VRRP_MAC,
    BridgeEntry,
    Config,
    Datapath,
    DropReason,
    Family,
    Mac,
    Member,
    NextHop,
    NhFlag,
    Route,
    RouteFlag,
    Vif,
    VifFlag,
    VifGuard,
    VifLink,
    VifType,
)
from tungsten.lab.netns import Namespace, namespaces

T = TypeVar("T")
K = TypeVar("K")
NEXT, DROP, REDIRECT = -1, 2, 7
FABRIC, PKT0, VM3, VM4, OTHER = 0, 2, 3, 4, 6
SIZES = {"labels": 4096, "nexthops": 1024, "routes_host": 1024, "bridge": 1024, "composites": 256}

FABRIC_IP, PEER_IP = "172.16.0.1", "172.16.0.2"
FABRIC_MAC, PEER_MAC = Mac("02:fa:00:00:00:01"), Mac("02:fa:00:00:00:02")
GATEWAY = "10.1.0.1"


def mac(number: int) -> Mac:
    """The MAC of a workload."""
    return Mac(bytes((2, 0, 0, 0, 0, number)))


def address(number: int) -> str:
    """The address of a workload: 9 is one on the peer host."""
    return f"10.{2 if number == OTHER else 1}.0.{number}"


@dataclass(frozen=True)
class Result:
    """What came of a packet: verdict, packet as it left, packets sent by port, drops by reason."""

    verdict: int
    data: bytes
    sent: dict[int, int]
    drops: dict[DropReason, int]

    @property
    def packet(self) -> Packet:
        """The packet as it left."""
        return Ether(self.data)


def _rise(before: Mapping[K, int], after: Mapping[K, int]) -> dict[K, int]:
    return {key: after[key] - before[key] for key in after if after[key] != before[key]}


class Rig:
    """The host."""

    def __init__(self, namespace: Namespace, datapath: Datapath) -> None:
        self.namespace = namespace
        self.dp = datapath
        self.ifindexes: dict[int, int] = {}

    def inside(self, call: Callable[[], T]) -> T:
        """Runs a call in the host's namespace."""
        return self.namespace.call_in(call)

    def vif(self, number: int, **changes: object) -> Vif:
        """Changes a port's entry, until `reset`."""
        vif = replace(self.dp.vifs[number], **changes)  # type: ignore[arg-type]
        self.dp.vifs[number] = vif
        return vif

    def send(self, port: int, packet: Packet | bytes, *, gso_size: int = 0) -> Result:
        """One frame into a port's program."""
        program = {FABRIC: "fab_rx", PKT0: "pkt0_rx"}.get(port, "vif_rx")
        data = bytes(packet)
        before, sent_before = self.dp.drop_stats(), self._sent()
        outcome = self.inside(
            lambda: self.dp.run(program, data, ifindex=self.ifindexes[port], gso_size=gso_size)
        )
        after, sent_after = self.dp.drop_stats(), self._sent()
        return Result(
            outcome.verdict,
            outcome.packet,
            _rise(sent_before, sent_after),
            _rise(before, after),
        )

    def inject(self, port: int, packet: Packet | bytes) -> Result:
        """One frame through the port's device itself, from its far end."""
        before, sent_before = self.dp.drop_stats(), self._sent()
        received = self.dp.vif_stats(port).rx_packets
        sender = self._listen(port)
        with sender:
            sender.send(bytes(packet))
        deadline = time.monotonic() + 2
        while self.dp.vif_stats(port).rx_packets == received and time.monotonic() < deadline:
            time.sleep(0.001)
        after, sent_after = self.dp.drop_stats(), self._sent()
        return Result(NEXT, b"", _rise(sent_before, sent_after), _rise(before, after))

    def _sent(self) -> dict[int, int]:
        return {n: self.dp.vif_stats(n).tx_packets for n in self.ifindexes}

    @contextmanager
    def capture(self, *ports: int) -> Iterator[dict[int, list[bytes]]]:
        """Collects what leaves by ports' devices while a block runs (copies of floods)."""
        frames: dict[int, list[bytes]] = {port: [] for port in ports}
        with ExitStack() as stack:
            sockets = {port: stack.enter_context(self._listen(port)) for port in ports}
            yield frames
            for port, listener in sockets.items():
                while True:
                    try:
                        frames[port].append(listener.recv(65536))
                    except BlockingIOError:
                        break

    def _listen(self, port: int) -> socket.socket:
        def make() -> socket.socket:
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            listener.bind((f"far{port}", 0))
            listener.setblocking(False)
            return listener

        return self.inside(make)

    def reset(self) -> None:
        """Puts every table back to what the module docstring says."""
        dp = self.dp
        for table in (dp.routes, dp.bridge, dp.labels, dp.vnis, dp.nexthops):
            table.clear()
        for source in list(dp.sources):
            dp.sources.discard(source)
        for known in list(dp.tunnel_sources):
            dp.tunnel_sources.discard(known)
        dp.config = Config(
            fabric_ip=IPv4Address(FABRIC_IP), fabric_vif=FABRIC, pkt0_vif=PKT0,
            trap_rate=10**6, trap_burst=10**6, bum_rate=10**6, bum_burst=10**6,
        )  # fmt: skip
        for number in (VM3, VM4, OTHER):
            dp.vifs[number] = _workload_vif(number, self.ifindexes[number])
        dp.vifs[FABRIC] = Vif(
            id=FABRIC,
            ifindex=self.ifindexes[FABRIC],
            type=VifType.PHYSICAL,
            mac=FABRIC_MAC,
            mtu=1600,
        )
        dp.vifs[PKT0] = Vif(
            id=PKT0, ifindex=self.ifindexes[PKT0], type=VifType.AGENT, link=VifLink.TAP
        )
        _fill(dp)


def _workload_vif(number: int, ifindex: int) -> Vif:
    vrf = 2 if number == OTHER else 1
    return Vif(
        id=number,
        ifindex=ifindex,
        vrf=vrf,
        link=VifLink.TAP if number == VM4 else VifLink.VETH,
        flags=VifFlag.L2 | VifFlag.L3 | VifFlag.DHCP,
        guard=VifGuard.MAC | VifGuard.IP,
        vm_mac=mac(number),
        ip=IPv4Address(address(number)),
        gateway=IPv4Address(GATEWAY),
        mtu=1500,
    )


#: Next hop ids of the rig; workload n has 10*n (routed) and 10*n+1 (bridged).
NH_DISCARD, NH_PKT0, NH_MPLS, NH_VXLAN, NH_GRE, NH_LOCAL, NH_REMOTE, NH_FLOOD = range(1, 9)
NH_L2_RECEIVE, NH_VNI, NH_VRF, NH_HOST, NH_ECMP, NH_UNRESOLVED = range(70, 76)
VNI = 5


def _fill(dp: Datapath) -> None:
    tunnels = {
        NH_MPLS: NhFlag.MPLS_UDP,
        NH_VXLAN: NhFlag.VXLAN,
        NH_GRE: NhFlag.MPLS_GRE,
    }
    for number, encap in tunnels.items():
        dp.nexthops[number] = NextHop.tunnel(
            encap, sip=IPv4Address(FABRIC_IP), dip=IPv4Address(PEER_IP), oif=FABRIC,
            dmac=PEER_MAC, smac=FABRIC_MAC, l3_mac=Mac("02:fa:00:00:00:99"),
        )  # fmt: skip
    for number in (VM3, VM4, OTHER):
        vrf = 2 if number == OTHER else 1
        dp.nexthops[10 * number] = NextHop.encap(number, mac(number), vrf=vrf)
        dp.nexthops[10 * number + 1] = NextHop.encap_l2(number, mac(number), vrf=vrf)
        dp.labels[100 + number] = 10 * number
        dp.labels[200 + number] = 10 * number + 1
        dp.routes[vrf, IPv4Network(address(number))] = Route(
            nh=10 * number, flags=RouteFlag.PROXY, mac=mac(number)
        )
        dp.bridge[vrf, mac(number)] = BridgeEntry(nh=10 * number + 1)
    dp.nexthops[NH_DISCARD] = NextHop.discard()
    dp.nexthops[NH_PKT0] = NextHop.encap(PKT0, VRRP_MAC, vrf=1)
    dp.nexthops[NH_LOCAL] = NextHop.flood([Member(31), Member(41)], vrf=1, role=NhFlag.ENCAP_LIST)
    dp.nexthops[NH_REMOTE] = NextHop.flood([Member(NH_MPLS, 300)], vrf=1, role=NhFlag.EVPN)
    dp.nexthops[NH_FLOOD] = NextHop.flood([Member(NH_LOCAL), Member(NH_REMOTE)], vrf=1)
    dp.nexthops[NH_L2_RECEIVE] = NextHop.l2_receive(vrf=1)
    dp.nexthops[NH_VNI] = NextHop.vrf_translate(1)
    dp.nexthops[NH_VRF] = NextHop.vrf_translate(1, Family.INET)
    dp.nexthops[NH_HOST] = NextHop.receive(FABRIC, vrf=1)
    dp.labels[300] = NH_FLOOD
    dp.labels[310] = NH_VRF
    dp.vnis[VNI] = NH_VNI
    dp.bridge[1, BROADCAST_MAC] = BridgeEntry(nh=NH_FLOOD, label=VNI)
    dp.bridge[1, VRRP_MAC] = BridgeEntry(nh=NH_L2_RECEIVE)
    dp.bridge[1, mac(9)] = BridgeEntry(nh=NH_MPLS, label=209)
    dp.routes.put(
        {
            (1, IPv4Network(f"{GATEWAY}/32")): Route(nh=NH_PKT0, flags=RouteFlag.PROXY),
            (1, IPv4Network("10.1.0.0/24")): Route(nh=NH_DISCARD, flags=RouteFlag.FLOOD),
            (1, IPv4Network("10.1.0.9/32")): Route(
                nh=NH_MPLS, label=109, flags=RouteFlag.PROXY, mac=mac(9)
            ),
            (1, IPv4Network("10.7.0.0/16")): Route(nh=NH_MPLS, label=107, flags=RouteFlag.PROXY),
        }
    )


@contextmanager
def rig() -> Iterator[Rig]:
    """Makes the host."""
    with pin_folder() as pins, namespaces("rig") as (namespace,):
        with namespace.call_in(lambda: Datapath.open(pins / "rig", sizes=SIZES)) as datapath:
            made = Rig(namespace, datapath)
            for number in (FABRIC, PKT0, VM3, VM4, OTHER):
                namespace.ip(
                    *("link", "add", f"port{number}", "type", "veth"),
                    *("peer", "name", f"far{number}"),
                )
                for name in (f"port{number}", f"far{number}"):
                    namespace.sysctl(f"net/ipv6/conf/{name}/disable_ipv6", 1)
                    namespace.ip("link", "set", name, "up")
                made.ifindexes[number] = namespace.call_in(
                    lambda number=number: socket.if_nametoindex(f"port{number}")  # type: ignore[misc]
                )
            made.reset()
            for vif in datapath.vifs.dump().values():
                namespace.call_in(lambda vif=vif: datapath.attach(vif))  # type: ignore[misc]
            yield made
