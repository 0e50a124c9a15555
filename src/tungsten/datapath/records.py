"""What the tables hold, as values: interfaces, next hops, routes, bridge entries, sources.

Terms are the vRouter's. A *vif* is a port of the datapath, by id: a workload's, the fabric's,
or pkt0, the agent's own. A *next hop* says what happens to a packet; routes, bridge
entries, labels and VNIs point at next hops by id. Id 0 is never used for a next hop that
forwards: an entry that names 0 drops.

All records are frozen; ``None`` stands for "not set" where the kernel keeps zero. Each
record packs to and from the struct of the same name in ``bpf/abi.h``, through
`tungsten.datapath.abi`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Self
from zlib import crc32

from tungsten.datapath.abi import (
    STRUCTS,
    BridgeFlag,
    ConfigFlag,
    Family,
    Limit,
    NhFlag,
    NhType,
    RouteFlag,
    VifFlag,
    VifGuard,
    VifLink,
    VifType,
)
from tungsten.datapath.layout import Mac

VRRP_MAC = Mac("00:00:5e:00:01:00")
BROADCAST_MAC = Mac("ff:ff:ff:ff:ff:ff")
MAX_MEMBERS = int(Limit.MEMBERS)
NO_VRF = 65535
BRIDGE_BUCKETS = 262144
_NO_VIF_FLAGS = VifFlag(0)
_NO_GUARD = VifGuard(0)
_NO_NH_FLAGS = NhFlag(0)
_NO_ROUTE_FLAGS = RouteFlag(0)
_NO_CONFIG_FLAGS = ConfigFlag(0)


def bridge_index(vrf: int, mac: Mac) -> int:
    """The slot number that tools print for a bridge entry: stable, derived from its key."""
    return crc32(vrf.to_bytes(4, "big") + mac) % BRIDGE_BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Vif:
    """A port. ``ifindex`` is that of the network namespace the datapath runs in."""

    id: int
    ifindex: int
    vrf: int = 0
    type: VifType = VifType.VIRTUAL
    link: VifLink = VifLink.VETH
    flags: VifFlag = _NO_VIF_FLAGS
    guard: VifGuard = _NO_GUARD
    mac: Mac = VRRP_MAC
    """The vRouter's own MAC on this port."""
    vm_mac: Mac | None = None
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    gateway: IPv4Address | None = None
    """Source of the ICMP errors that the workload gets."""
    mtu: int = 0
    """IP MTU: checked on what is routed to the port (a fabric port: on tunnels); 0: not."""
    nh_id: int = 0
    """The next hop that identifies the port in tools (and in flow keys)."""
    mcast_vrf: int = NO_VRF
    os_index: int = 0
    name: str = ""

    def pack(self) -> bytes:
        """``struct vif``."""
        return STRUCTS["vif"].pack({name: getattr(self, name) for name in _VIF_FIELDS})

    @classmethod
    def unpack(cls, vif_id: int, data: bytes | memoryview) -> Self:
        """From ``struct vif`` of slot ``vif_id``."""
        values = STRUCTS["vif"].unpack(data)
        values["type"] = VifType(values["type"])
        values["link"] = VifLink(values["link"])
        values["flags"] = VifFlag(values["flags"])
        values["guard"] = VifGuard(values["guard"])
        values["mac"] = values["mac"] or Mac(bytes(6))
        return cls(id=vif_id, **values)


_VIF_FIELDS = [field.name for field in STRUCTS["vif"].fields]


@dataclass(frozen=True, slots=True)
class Member:
    """One leg of a composite; ``label`` is an MPLS label, or a VNI for VXLAN legs."""

    nh: int
    label: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    """What happens to a packet. Make one with the class methods, which set what belongs together.

    For tunnels ``dmac`` None means "not resolved yet": the kernel's own neighbour table is
    asked for each packet, until the next hop is written again with the MAC.
    """

    type: NhType
    family: Family = Family.INET
    flags: NhFlag = NhFlag.VALID
    vrf: int = 0
    oif: int = 0
    """Vif id of the port that the packet leaves by."""
    sip: IPv4Address | None = None
    dip: IPv4Address | None = None
    dmac: Mac | None = None
    smac: Mac | None = None
    l3_mac: Mac | None = None
    mtu: int = 0
    ecmp_fields: int = 0
    members: tuple[Member, ...] = ()

    @classmethod
    def discard(cls) -> Self:
        """Drops, counted as Discards."""
        return cls(type=NhType.DISCARD)

    @classmethod
    def receive(cls, oif: int, vrf: int = 0) -> Self:
        """To the host's own stack."""
        return cls(type=NhType.RECEIVE, oif=oif, vrf=vrf)

    @classmethod
    def l2_receive(cls, vrf: int = 0) -> Self:
        """Frames to this MAC are routed."""
        return cls(type=NhType.L2_RECEIVE, family=Family.UNSPEC, vrf=vrf)

    @classmethod
    def encap(
        cls,
        oif: int,
        dmac: Mac,
        smac: Mac = VRRP_MAC,
        *,
        vrf: int,
        flags: NhFlag = _NO_NH_FLAGS,
    ) -> Self:
        """Routed packets to a local port; ``oif`` may be pkt0, then they go to the agent."""
        return cls(
            type=NhType.ENCAP, flags=flags | NhFlag.VALID, vrf=vrf, oif=oif, dmac=dmac, smac=smac
        )

    @classmethod
    def encap_l2(cls, oif: int, dmac: Mac, *, vrf: int, flags: NhFlag = _NO_NH_FLAGS) -> Self:
        """Frames to a local port, unchanged."""
        return cls(
            type=NhType.ENCAP,
            family=Family.BRIDGE,
            flags=flags | NhFlag.VALID,
            vrf=vrf,
            oif=oif,
            dmac=dmac,
        )

    @classmethod
    def tunnel(
        cls,
        encap: NhFlag,
        *,
        sip: IPv4Address,
        dip: IPv4Address,
        oif: int,
        dmac: Mac | None,
        smac: Mac,
        mtu: int = 0,
        l3_mac: Mac | None = None,
    ) -> Self:
        """To another host. ``encap`` is NhFlag.MPLS_UDP, MPLS_GRE or VXLAN; the label (or
        VNI) is that of the route, bridge entry or composite member that led here. Routed
        packets and bridged frames share the next hop. Routed packets over VXLAN get an inner
        Ethernet header from ``smac`` to ``l3_mac``.
        """
        if encap not in (NhFlag.MPLS_UDP, NhFlag.MPLS_GRE, NhFlag.VXLAN):
            raise ValueError(f"tunnel encap {encap!r}: expected MPLS_UDP, MPLS_GRE or VXLAN")
        return cls(
            type=NhType.TUNNEL,
            flags=NhFlag.VALID | encap,
            sip=sip,
            dip=dip,
            oif=oif,
            dmac=dmac,
            smac=smac,
            mtu=mtu,
            l3_mac=l3_mac,
        )

    @classmethod
    def ecmp(cls, members: Iterable[Member], *, vrf: int, fields: int = 0) -> Self:
        """One of the members, chosen by the flow's hash; routed packets only."""
        return cls(
            type=NhType.COMPOSITE,
            flags=NhFlag.VALID | NhFlag.ECMP,
            vrf=vrf,
            members=tuple(members),
            ecmp_fields=fields,
        )

    @classmethod
    def flood(cls, members: Iterable[Member], *, vrf: int, role: NhFlag = NhFlag.MULTICAST) -> Self:
        """A copy to each member: `encap_l2` and `tunnel` next hops, or (one level deep) other
        flood composites. ``role`` tells tools what it is: MULTICAST (the top), ENCAP_LIST
        (local ports), EVPN (ingress replication), FABRIC, TOR. Copies are never sent to the
        port they came from, nor from the fabric back to it.
        """
        return cls(
            type=NhType.COMPOSITE,
            family=Family.BRIDGE,
            flags=NhFlag.VALID | role,
            vrf=vrf,
            members=tuple(members),
        )

    @classmethod
    def vrf_translate(cls, vrf: int, family: Family = Family.BRIDGE) -> Self:
        """Looks the packet up again in ``vrf``: as a frame (BRIDGE) or as a packet (INET)."""
        return cls(type=NhType.VRF_TRANSLATE, family=family, vrf=vrf)

    def pack(self) -> bytes:
        """``struct nexthop``; members are a map of their own."""
        values = {name: getattr(self, name) for name in _NH_FIELDS}
        values["members"] = len(self.members)
        return STRUCTS["nexthop"].pack(values)

    @classmethod
    def unpack(cls, data: bytes | memoryview, members: tuple[Member, ...] = ()) -> Self:
        """From ``struct nexthop``."""
        values = STRUCTS["nexthop"].unpack(data)
        values["type"] = NhType(values["type"])
        values["family"] = Family(values["family"])
        values["flags"] = NhFlag(values["flags"])
        values["members"] = members
        return cls(**values)


_NH_FIELDS = [field.name for field in STRUCTS["nexthop"].fields]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a prefix of a VRF goes, and how ARP for it is answered.

    ``mac`` is the stitched MAC: requests for the address are answered with it, so that the
    workload bridges instead of routing. ``ppl`` is the length of the covering route.
    """

    nh: int
    label: int | None = None
    flags: RouteFlag = _NO_ROUTE_FLAGS
    """PROXY, TRAP, FLOOD, MAC_IP_LEARNT; LABEL follows ``label``."""
    mac: Mac | None = None
    ppl: int = 0

    def pack(self, plen: int) -> bytes:
        """``struct route`` for a prefix of length ``plen``."""
        flags = self.flags & ~RouteFlag.LABEL
        if self.label is not None:
            flags |= RouteFlag.LABEL
        return STRUCTS["route"].pack(
            {
                "nh": self.nh,
                "label": self.label or 0,
                "flags": flags,
                "mac": self.mac,
                "ppl": self.ppl,
                "plen": plen,
            }
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """From ``struct route``."""
        values = STRUCTS["route"].unpack(data)
        _label_of(values, RouteFlag(values["flags"]), RouteFlag.LABEL)
        del values["plen"]
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEntry:
    """Where frames to a MAC of a VRF go. ``label`` is an MPLS label or a VNI.

    ``packets`` is counted by the datapath; it does not take part in comparison.
    """

    nh: int
    label: int | None = None
    flags: BridgeFlag = BridgeFlag.VALID
    """DHCP_FLOOD, CONTROL_WORD...; LABEL follows ``label``."""
    packets: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BridgeEntry):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[int, int | None, BridgeFlag]:
        return self.nh, self.label, (self.flags | BridgeFlag.VALID) & ~BridgeFlag.LABEL

    def pack(self) -> bytes:
        """``struct bridge``."""
        flags = (self.flags | BridgeFlag.VALID) & ~BridgeFlag.LABEL
        if self.label is not None:
            flags |= BridgeFlag.LABEL
        return STRUCTS["bridge"].pack(
            {"nh": self.nh, "label": self.label or 0, "flags": flags, "packets": self.packets}
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """From ``struct bridge``."""
        values = STRUCTS["bridge"].unpack(data)
        _label_of(values, BridgeFlag(values["flags"]), BridgeFlag.LABEL)
        return cls(**values)


def _label_of(values: dict[str, Any], flags: Any, label_flag: Any) -> None:
    if not flags & label_flag:
        values["label"] = None
    values["flags"] = flags & ~label_flag


@dataclass(frozen=True, slots=True)
class Source:
    """An allowed address pair of a port: a prefix it may send from, with its own MAC or another."""

    vif: int
    prefix: IPv4Network | IPv6Network
    mac: Mac | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the whole datapath knows."""

    fabric_ip: IPv4Address | None = None
    """Tunnels are received on this address only."""
    fabric_vif: int = 0
    pkt0_vif: int = 0
    flags: ConfigFlag = _NO_CONFIG_FLAGS
    trap_rate: int = 200
    """Packets per second and port that may go to the agent."""
    trap_burst: int = 100
    bum_rate: int = 2000
    """Flooded frames per second and port."""
    bum_burst: int = 500

    def pack(self) -> bytes:
        """``struct config``."""
        return STRUCTS["config"].pack({name: getattr(self, name) for name in _CONFIG_FIELDS})

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """From ``struct config``."""
        values = STRUCTS["config"].unpack(data)
        values["flags"] = ConfigFlag(values["flags"])
        return cls(**values)


_CONFIG_FIELDS = [field.name for field in STRUCTS["config"].fields]


@dataclass(frozen=True, slots=True)
class VifStats:
    """A port's counters, summed over CPUs. Receive is from the workload's (or wire's) side."""

    rx_packets: int = 0
    rx_bytes: int = 0
    rx_errors: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_errors: int = 0
    drops: int = 0
