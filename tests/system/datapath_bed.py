"""A bed for the datapath alone: two hosts with real programs, tables filled by hand.

    vm1 --veth-- host1 ==fabric== [router] ==fabric== host2 --veth-- vm2, vm3

Workloads 10.1.0.3 (host1), 10.1.0.4 and 10.1.0.5 (host2) are in VRF 1; 10.2.0.6 (host2) is
alone in VRF 2. No agent and no controller: what a test sees is the programs' doing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal

from tests.pins import pin_folder
from tungsten.datapath import (
    BROADCAST_MAC,
    VRRP_MAC,
    BridgeEntry,
    Config,
    Datapath,
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
from tungsten.datapath.offload import cut_tunnels
from tungsten.datapath.tap import Tap
from tungsten.lab.netns import Namespace, namespaces, veth

Forwarding = Literal["bridged", "routed"]
Mode = Literal["seg", "tso"]
FABRIC_MTU = 1600
VM_MTU = 1500
GATEWAY = IPv4Address("10.1.0.1")
PKT0_NH, TUNNEL_NH, LOCAL_FLOOD_NH, TUNNEL_FLOOD_NH, FLOOD_NH, RECEIVE_NH = 2, 3, 4, 5, 6, 7
VNI_BRIDGED, VNI_ROUTED = 5, 6


@dataclass(frozen=True)
class Workload:
    """A workload: ``number`` gives its ids, MAC and the last byte of its address."""

    number: int
    vrf: int
    address: IPv4Address
    namespace: Namespace

    @property
    def mac(self) -> Mac:
        """Its MAC."""
        return Mac(bytes((2, 0, 0, 0, 0, self.number)))

    def ping(self, target: object, *options: str, count: int = 3) -> str:
        """Pings; the output, whatever came of it."""
        return self.namespace.run(
            "ping", "-n", "-c", str(count), "-i", "0.05", "-W", "1", *options, str(target),
            check=False,
        )  # fmt: skip


@dataclass
class Host:
    """A compute host: its namespace, fabric address, datapath and workloads."""

    namespace: Namespace
    address: IPv4Address
    gateway_mac: Mac | None
    mac: Mac
    pin_dir: Path
    datapath: Datapath
    pkt0: Tap
    workloads: list[Workload] = field(default_factory=list)

    def add(self, workload: Workload, guard: VifGuard) -> None:
        """Wires a workload to the host and programs what is local about it."""
        n, dp = workload.number, self.datapath
        veth(
            workload.namespace, "eth0", self.namespace, f"tap{n}",
            mtu=VM_MTU, left_mac=str(workload.mac),
        )  # fmt: skip
        workload.namespace.call_in(lambda: cut_tunnels("eth0"))
        net = IPv4Network((workload.address, 24), strict=False)
        workload.namespace.ip("addr", "add", f"{workload.address}/24", "dev", "eth0")
        workload.namespace.ip("route", "add", "default", "via", str(net[1]))
        vif = Vif(
            id=n,
            ifindex=ifindex(self.namespace, f"tap{n}"),
            vrf=workload.vrf,
            flags=VifFlag.L2 | VifFlag.L3 | VifFlag.DHCP,
            guard=guard,
            vm_mac=workload.mac,
            ip=workload.address,
            gateway=net[1],
            mtu=VM_MTU,
            name=f"tap{n}",
        )
        self.namespace.call_in(lambda: dp.attach_vif(vif))
        dp.nexthops.put(
            {
                10 * n: NextHop.encap(n, workload.mac, vrf=workload.vrf),
                10 * n + 1: NextHop.encap_l2(n, workload.mac, vrf=workload.vrf),
            }
        )
        dp.labels.put({100 + n: 10 * n, 200 + n: 10 * n + 1})
        self.workloads.append(workload)


def ifindex(namespace: Namespace, name: str) -> int:
    """The index of a device inside a namespace."""
    return int(json.loads(namespace.ip("-j", "link", "show", "dev", name))[0]["ifindex"])


@dataclass
class Bed:
    """Both hosts, all workloads by number."""

    hosts: list[Host]
    workloads: dict[int, Workload]

    def forward(self, encap: NhFlag, forwarding: Forwarding) -> None:
        """Fills the tables: how VRF 1 is carried between the hosts."""
        for host in self.hosts:
            peer = next(other for other in self.hosts if other is not host)
            _program(host, peer, encap, forwarding)

    def tune(self, mode: Mode) -> None:
        """Fabric devices cut super-packets (``seg``), or pass them on whole (``tso``)."""
        setting = "on" if mode == "tso" else "off"
        for host in self.hosts:
            for feature in ("tso", "gso", "tx-udp_tnl-segmentation", "tx-gre-segmentation"):
                host.namespace.run("ethtool", "-K", "fab0", feature, setting)
            host.namespace.run("ethtool", "-K", "fab0", "gro", "on")


def _program(host: Host, peer: Host, encap: NhFlag, forwarding: Forwarding) -> None:
    dp, vxlan = host.datapath, encap == NhFlag.VXLAN
    tunnel = NextHop.tunnel(
        encap, sip=host.address, dip=peer.address, oif=0, dmac=host.gateway_mac,
        smac=host.mac, l3_mac=peer.mac,
    )  # fmt: skip
    dp.nexthops[TUNNEL_NH] = tunnel
    dp.nexthops[RECEIVE_NH] = NextHop.l2_receive(vrf=1)
    dp.nexthops[8] = NextHop.vrf_translate(1)
    dp.nexthops[9] = NextHop.vrf_translate(1, Family.INET)
    dp.vnis[VNI_BRIDGED] = 8
    dp.vnis[VNI_ROUTED] = 8
    dp.nexthops[PKT0_NH] = NextHop.encap(2, VRRP_MAC, vrf=1)
    dp.routes[1, IPv4Network(GATEWAY)] = Route(nh=PKT0_NH, flags=RouteFlag.PROXY)
    dp.bridge[1, VRRP_MAC] = BridgeEntry(nh=RECEIVE_NH)
    dp.bridge[1, host.mac] = BridgeEntry(nh=RECEIVE_NH)
    local = [w for w in host.workloads if w.vrf == 1]
    dp.nexthops[LOCAL_FLOOD_NH] = NextHop.flood(
        [Member(10 * w.number + 1) for w in local], vrf=1, role=NhFlag.ENCAP_LIST
    )
    flood_label = VNI_BRIDGED if vxlan else 300
    dp.nexthops[TUNNEL_FLOOD_NH] = NextHop.flood(
        [Member(TUNNEL_NH, flood_label)], vrf=1, role=NhFlag.EVPN
    )
    dp.nexthops[FLOOD_NH] = NextHop.flood([Member(LOCAL_FLOOD_NH), Member(TUNNEL_FLOOD_NH)], vrf=1)
    dp.labels[300] = FLOOD_NH
    dp.bridge[1, BROADCAST_MAC] = BridgeEntry(nh=FLOOD_NH, label=VNI_BRIDGED)
    for workload in (*host.workloads, *peer.workloads):
        n, here = workload.number, workload in host.workloads
        if workload.vrf != 1:
            continue
        route_label = VNI_ROUTED if vxlan else 100 + n
        frame_label = VNI_BRIDGED if vxlan else 200 + n
        dp.routes[1, IPv4Network(workload.address)] = Route(
            nh=10 * n if here else TUNNEL_NH,
            label=None if here else route_label,
            flags=RouteFlag.PROXY,
            mac=workload.mac if forwarding == "bridged" else None,
        )
        dp.bridge[1, workload.mac] = BridgeEntry(
            nh=10 * n + 1 if here else TUNNEL_NH, label=None if here else frame_label
        )


def _fabric_host(
    namespace: Namespace, address: IPv4Address, gateway_mac: Mac | None, pin_dir: Path
) -> Host:
    mac = Mac(namespace.link_mac("fab0"))
    dp = namespace.call_in(lambda: Datapath.open(pin_dir))
    dp.config = Config(fabric_ip=address)
    fabric = Vif(
        id=0, ifindex=ifindex(namespace, "fab0"), type=VifType.PHYSICAL, mac=mac,
        mtu=FABRIC_MTU, name="fab0",
    )  # fmt: skip
    namespace.call_in(lambda: dp.attach_fabric(fabric))
    pkt0 = namespace.call_in(lambda: Tap("pkt0"))
    agent = Vif(id=2, ifindex=pkt0.ifindex, type=VifType.AGENT, link=VifLink.TAP, name="pkt0")
    namespace.call_in(lambda: dp.attach_pkt0(agent))
    return Host(namespace, address, gateway_mac, mac, pin_dir, dp, pkt0)


def _wire(left: Namespace, right: Namespace, router: Namespace | None) -> list[str]:
    """Joins the hosts; answers their fabric addresses."""
    if router is None:
        veth(left, "fab0", right, "fab0", mtu=FABRIC_MTU)
        addresses = ["172.16.0.1", "172.16.0.2"]
    else:
        addresses = ["172.16.1.2", "172.16.2.2"]
        for number, host in enumerate((left, right), 1):
            veth(host, "fab0", router, f"port{number}", mtu=FABRIC_MTU)
            router.ip("addr", "add", f"172.16.{number}.1/24", "dev", f"port{number}")
        router.sysctl("net.ipv4.ip_forward", 1)
    for host, address in zip((left, right), addresses, strict=True):
        host.ip("addr", "add", f"{address}/24", "dev", "fab0")
        if router is not None:
            gateway = address.rsplit(".", 1)[0] + ".1"
            host.ip("route", "add", "default", "via", gateway)
    return addresses


@contextlib.contextmanager
def bed(
    *, router: bool = False, resolved: bool = True, guard: VifGuard = VifGuard.MAC | VifGuard.IP
) -> Iterator[Bed]:
    """Makes the bed, and takes it away whatever happens.

    ``resolved`` False leaves tunnels to the kernel's neighbour table.
    """
    labels = ["host1", "host2", "vm3", "vm4", "vm5", "vm6", "router"]
    with (
        pin_folder() as pins,
        namespaces(*labels) as spaces,
        contextlib.ExitStack() as stack,
    ):
        by_label = dict(zip(labels, spaces, strict=True))
        left, right = by_label["host1"], by_label["host2"]
        addresses = _wire(left, right, by_label["router"] if router else None)
        far = (
            [Mac(by_label["router"].link_mac(f"port{n}")) for n in (1, 2)]
            if router
            else [Mac(right.link_mac("fab0")), Mac(left.link_mac("fab0"))]
        )
        hosts = [
            _fabric_host(space, IPv4Address(address), mac if resolved else None, pins / f"host{n}")
            for n, (space, address, mac) in enumerate(
                zip((left, right), addresses, far, strict=True), 1
            )
        ]
        for host in hosts:
            stack.callback(host.pkt0.close)
            stack.callback(host.datapath.close)
        workloads = {
            n: Workload(n, 2 if n == 6 else 1, IPv4Address(f"10.{2 if n == 6 else 1}.0.{n}"),
                        by_label[f"vm{n}"])
            for n in (3, 4, 5, 6)
        }  # fmt: skip
        hosts[0].add(workloads[3], guard)
        for n in (4, 5, 6):
            hosts[1].add(workloads[n], guard)
        made = Bed(hosts, workloads)
        made.forward(NhFlag.MPLS_UDP, "bridged")
        yield made
