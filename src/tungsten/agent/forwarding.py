"""What the datapath should hold, compiled from operational state and received routes.

Pure and symbolic: VRFs, interfaces and next hops are named here, not numbered; numbers are
given when tables are written (:mod:`tungsten.agent.program`). The result for a VRF depends on
that VRF, its interfaces and its routes only, so the caller may keep what did not change.

Terms are upstream's (``nh``, ``rt``): an inet route has flags *proxy* (answer ARP for it) and
*flood* (flood ARP for it), and perhaps a *stitched MAC*: the workload's own MAC, given in the
ARP answer so that traffic in a network is bridged. A miss in a VRF is a drop: nothing here ever
makes a packet leave its VRF other than by a route of that VRF.

Precedence for one prefix: interfaces of this host, then gateway and service addresses, then
routes from control, then the subnet (which only says: flood ARP).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from tungsten.agent.local_prefixes import LocalPrefix, label_key, local_prefixes
from tungsten.agent.oper import Interface, Oper, Subnet, Vrf
from tungsten.xmpp.routes import EnetItem, InetItem
from tungsten.xmpp.routes import NextHop as PathHop

ROUTER_MAC = "00:00:5e:00:01:00"
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
MAX_MEMBERS = 128
"""Legs of one composite, the datapath's limit."""
_RESERVED_LABELS = 16


class Encapsulation(Enum):
    """Tunnels between hosts: upstream's configuration name and its XMPP name."""

    MPLS_GRE = "MPLSoGRE", "gre"
    MPLS_UDP = "MPLSoUDP", "udp"
    VXLAN = "VXLAN", "vxlan"

    def __init__(self, config_name: str, wire_name: str) -> None:
        self.config_name = config_name
        self.wire_name = wire_name


@lru_cache(1024)
def choose_encapsulation(
    order: tuple[Encapsulation, ...], offered: tuple[str, ...]
) -> Encapsulation | None:
    """The first of our ``order`` that the route offers (XMPP names); None when there is none."""
    return next((encap for encap in order if encap.wire_name in offered), None)


@lru_cache(1 << 17)
def _network(prefix: str) -> IPv4Network:
    """A prefix; the same few come again and again."""
    return IPv4Network(prefix)


@lru_cache(1 << 14)
def _tunnel_end(address: str) -> IPv4Address | None:
    """The address of a path, when tunnels can go there."""
    try:
        return IPv4Address(address)
    except ValueError:
        return None


# --- next hops ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Discard:
    """Drop."""

    key = "discard"


@dataclass(frozen=True, slots=True)
class Service:
    """To the agent's services, by pkt0."""

    vrf: str

    @property
    def key(self) -> str:
        """Its name in the id space."""
        return f"pkt0:{self.vrf}"


@dataclass(frozen=True, slots=True)
class L2Receive:
    """A frame for the vRouter itself: route what is in it."""

    vrf: str

    @property
    def key(self) -> str:
        """Its name in the id space."""
        return f"l2-receive:{self.vrf}"


@dataclass(frozen=True, slots=True)
class Receive:
    """A packet of the underlay for this host itself."""

    key = "receive"


@dataclass(frozen=True, slots=True)
class Local:
    """To an interface of this host: frames as they are (``layer2``), or packets in new frames."""

    vmi: str
    layer2: bool

    @property
    def key(self) -> str:
        """Its name in the id space."""
        return f"{'l2' if self.layer2 else 'l3'}:{self.vmi}"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """To another host, for packets and frames; the label or VNI is said by what leads here."""

    encapsulation: Encapsulation
    remote: IPv4Address

    @property
    def key(self) -> str:
        """Its name in the id space."""
        return f"tunnel:{self.encapsulation.config_name}:{self.remote}"


@dataclass(frozen=True, slots=True)
class Translate:
    """Look the frame up in a VRF's bridge table."""

    vrf: str

    @property
    def key(self) -> str:
        """Its name in the id space."""
        return f"vrf:{self.vrf}"


@dataclass(frozen=True, slots=True)
class Member:
    """One leg of a composite, with the label or VNI to put in front."""

    nexthop: Local | Tunnel | Service
    label: int | None = None


@dataclass(frozen=True, slots=True)
class Ecmp:
    """One of several, by flow. Two routes with the same members share it."""

    members: tuple[Member, ...]

    @property
    def key(self) -> str:
        """Its name in the id space."""
        legs = (f"{member.nexthop.key}/{member.label}" for member in self.members)
        return f"ecmp:{'+'.join(legs)}"


class FloodRole(Enum):
    """What a flood composite is, as upstream's tools tell them apart."""

    TOP = "top"
    INTERFACES = "interfaces"
    EVPN = "evpn"


@dataclass(frozen=True, slots=True)
class Flood:
    """Every member but where the frame came from.

    A tree of two levels: the top holds parts of at most :data:`MAX_MEMBERS` legs, interfaces
    of this host in some, other hosts in others. It keeps its number when members change.
    """

    vrf: str
    role: FloodRole
    part: int = 0
    members: tuple[Member, ...] = ()
    parts: tuple[Flood, ...] = ()

    @property
    def key(self) -> str:
        """Its name in the id space."""
        return f"flood:{self.role.value}:{self.part}:{self.vrf}"


NextHop = Discard | Service | L2Receive | Receive | Local | Tunnel | Translate | Ecmp | Flood


# --- tables ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """An inet route."""

    nexthop: NextHop
    label: int | None = None
    proxy: bool = False
    flood: bool = False
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class BridgeEntry:
    """A bridge table entry; ``label`` is a VNI when the tunnel is VXLAN."""

    nexthop: NextHop
    label: int | None = None


@dataclass(frozen=True, slots=True)
class VrfRoutes:
    """The routes of one VRF as control sent them, by identity."""

    inet: Mapping[str, InetItem] = field(default_factory=dict)
    evpn: Mapping[str, EnetItem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What compiling a VRF needs beside it.

    ``label_key`` names the holder of one of our labels (``l3:<vmi>``, ``l2:<vmi>``).
    """

    address: IPv4Address
    order: tuple[Encapsulation, ...]
    label_key: Callable[[int], str | None]


@dataclass(frozen=True, slots=True)
class VrfTables:
    """Everything a VRF puts into the datapath. ``labels`` are by name, to be numbered."""

    routes: Mapping[IPv4Network, Route]
    bridge: Mapping[str, BridgeEntry]
    labels: Mapping[str, NextHop]
    vnis: Mapping[int, NextHop]


def supported_order(oper: Oper, known: Iterable[Encapsulation]) -> tuple[Encapsulation, ...]:
    """The configured order of preference, as far as the datapath ``known``s the encapsulations."""
    by_name = {encapsulation.config_name: encapsulation for encapsulation in known}
    return tuple(by_name[name] for name in oper.encapsulations if name in by_name)


def _leg_order(leg: Member) -> tuple[str, int]:
    return leg.nexthop.key, leg.label or 0


class _VrfCompiler:
    """Compiles one VRF; lives for one call."""

    def __init__(
        self, vrf: Vrf, interfaces: Iterable[Interface], routes: VrfRoutes, context: Context
    ) -> None:
        self.vrf = vrf
        self.interfaces = sorted(interfaces, key=lambda interface: interface.vmi)
        self.received = routes
        self.context = context
        self.active = {i.vmi: i for i in self.interfaces}
        self.local = local_prefixes(self.interfaces)
        self.bridge: dict[str, BridgeEntry] = {}
        self.routes: dict[IPv4Network, Route] = {}

    def compile(self) -> VrfTables:
        if self.vrf.layer2:
            self._fill_bridge()
        if self.vrf.layer3:
            self._fill_routes()
        return VrfTables(self.routes, self.bridge, self._labels(), self._vnis())

    # labels

    def _labels(self) -> dict[str, NextHop]:
        labels: dict[str, NextHop] = {}
        for interface in self.interfaces:
            if interface.l3_active:
                nexthop = Local(interface.vmi, layer2=False)
                labels[nexthop.key] = nexthop
            if interface.l2_active:
                nexthop = Local(interface.vmi, layer2=True)
                labels[nexthop.key] = nexthop
        for local in self.local:
            if len(local.interfaces) > 1:
                legs = (Member(Local(i.vmi, layer2=False)) for i in local.interfaces)
                members = tuple(sorted(legs, key=_leg_order)[:MAX_MEMBERS])
                labels[label_key(self.vrf.name, local)] = Ecmp(members)
        if self._floods():
            flood = self._flood()
            labels[flood.key] = flood
        return labels

    def _vnis(self) -> dict[int, NextHop]:
        if not self.vrf.vni or not self._floods():
            return {}
        return {self.vrf.vni: Translate(self.vrf.name)}

    def _floods(self) -> bool:
        return self.vrf.layer2 and any(interface.l2_active for interface in self.interfaces)

    # bridge table

    def _fill_bridge(self) -> None:
        for item in sorted(self.received.evpn.values(), key=lambda item: item.id, reverse=True):
            if item.is_broadcast or item.mac == "00:00:00:00:00:00" or item.group:
                continue
            hop = self._remote(item.next_hops, layer2=True)
            if hop is not None:
                self.bridge[item.mac] = BridgeEntry(hop.nexthop, hop.label)
        for interface in self.interfaces:
            if interface.l2_active:
                self.bridge[interface.mac] = BridgeEntry(Local(interface.vmi, layer2=True))
        self.bridge[ROUTER_MAC] = BridgeEntry(L2Receive(self.vrf.name))
        if self._floods():
            self.bridge[BROADCAST_MAC] = BridgeEntry(self._flood(), self.vrf.vni or None)

    def _flood(self) -> Flood:
        local = [
            Member(Local(interface.vmi, layer2=True))
            for interface in self.interfaces
            if interface.l2_active
        ]
        remote = {
            member
            for item in self.received.evpn.values()
            if item.is_broadcast
            for hop in (*item.olist, *item.leaf_olist)
            if (member := self._remote((hop,), layer2=True)) is not None
        }
        parts = [
            *self._parts(FloodRole.INTERFACES, local),
            *self._parts(FloodRole.EVPN, sorted(remote, key=_leg_order)),
        ]
        return Flood(self.vrf.name, FloodRole.TOP, parts=tuple(parts[:MAX_MEMBERS]))

    def _parts(self, role: FloodRole, members: list[Member]) -> list[Flood]:
        return [
            Flood(self.vrf.name, role, number, tuple(members[start : start + MAX_MEMBERS]))
            for number, start in enumerate(range(0, len(members), MAX_MEMBERS))
        ]

    def _remote(self, hops: Iterable[PathHop], layer2: bool) -> Member | None:
        """The first of ``hops`` that leads to another host and can be used."""
        for hop in hops:
            member = self._path(hop, layer2)
            if member is not None and isinstance(member.nexthop, Tunnel):
                return member
        return None

    def _legs(self, hop: PathHop) -> list[Member]:
        """A path of a received inet route, as legs: one label of ours may mean several."""
        leg = self._path(hop, layer2=False)
        if leg is not None:
            return [leg]
        if _tunnel_end(hop.address) == self.context.address:
            key = self.context.label_key(hop.label)
            for local in self.local:
                if label_key(self.vrf.name, local) == key:
                    return [Member(Local(i.vmi, layer2=False)) for i in local.interfaces]
        return []

    def _path(self, hop: PathHop, layer2: bool) -> Member | None:
        """A path of a received route as a leg; None when it leads nowhere."""
        remote = _tunnel_end(hop.address)
        if remote is None:
            return None
        if remote == self.context.address:
            return self._own_path(hop.label, layer2)
        order = self.context.order
        if not layer2:
            order = tuple(e for e in order if e is not Encapsulation.VXLAN)
        encapsulation = choose_encapsulation(order, hop.encapsulations or ("gre", "udp"))
        if encapsulation is None or not self._usable(encapsulation, hop.label):
            return None
        return Member(Tunnel(encapsulation, remote), hop.label)

    @staticmethod
    def _usable(encapsulation: Encapsulation, label: int) -> bool:
        """Labels 0 to 15 are reserved (RFC 3032); VNI 0 is nobody's."""
        if encapsulation is Encapsulation.VXLAN:
            return 0 < label < 1 << 24
        return _RESERVED_LABELS <= label < 1 << 20

    def _own_path(self, label: int, layer2: bool) -> Member | None:
        """A path that leads back here: the interface that holds the label."""
        key = self.context.label_key(label) or ""
        kind, _, vmi = key.partition(":")
        interface = self.active.get(vmi)
        if interface is None or kind != ("l2" if layer2 else "l3"):
            return None
        if not (interface.l2_active if layer2 else interface.l3_active):
            return None
        return Member(Local(vmi, layer2))

    # inet routes

    def _fill_routes(self) -> None:
        stitched = self._stitched_macs()
        for subnet in self.vrf.subnets:
            if isinstance(subnet.prefix, IPv4Network):
                layer2 = self.vrf.layer2
                self.routes[subnet.prefix] = Route(Discard(), proxy=not layer2, flood=layer2)
        for item in self.received.inet.values():
            self._add_received(item, stitched)
        for address in self._service_addresses():
            self.routes[IPv4Network(address)] = Route(Service(self.vrf.name), proxy=True)
        for local in self.local:
            self._add_local(local)

    def _stitched_macs(self) -> dict[str, str]:
        """MAC by host prefix, from MAC/IP routes of workloads that can be bridged to."""
        found: dict[str, str] = {}
        for item in sorted(self.received.evpn.values(), key=lambda item: item.id):
            if item.mac in self.bridge and item.address.endswith("/32"):
                found.setdefault(item.address, item.mac)
        return found

    def _add_received(self, item: InetItem, stitched: Mapping[str, str]) -> None:
        prefix = _network(item.prefix)
        legs = {leg for hop in item.next_hops for leg in self._legs(hop)}
        if not legs:
            return
        members = tuple(sorted(legs, key=_leg_order))
        mac = stitched.get(item.prefix)
        flags = self._flags(prefix, item.virtual_network, len(members) > 1, mac)
        if len(members) > 1:
            self.routes[prefix] = Route(Ecmp(members[:MAX_MEMBERS]), None, *flags)
            return
        self.routes[prefix] = Route(members[0].nexthop, members[0].label, *flags, mac)

    def _flags(
        self, prefix: IPv4Network, network: str, composite: bool, mac: str | None
    ) -> tuple[bool, bool]:
        """(proxy, flood) of a received route."""
        own_network = network in ("", self.vrf.network)
        if not self.vrf.layer2 or composite or mac is not None or not own_network:
            return True, False
        in_subnet = prefix.prefixlen == 32 and self._subnet(prefix.network_address) is not None
        is_subnet = any(subnet.prefix == prefix for subnet in self.vrf.subnets)
        flood = in_subnet or is_subnet
        return not flood, flood

    def _subnet(self, address: IPv4Address) -> Subnet | None:
        return self.vrf.subnet_of(address)

    def _service_addresses(self) -> set[IPv4Address]:
        return {
            address
            for subnet in self.vrf.subnets
            for address in (subnet.gateway, subnet.service)
            if isinstance(address, IPv4Address)
        }

    def _add_local(self, local: LocalPrefix) -> None:
        """The route of a prefix that interfaces of this host have: it takes the place of what
        was received, unless other hosts share the prefix and are among the paths."""
        legs = {Member(Local(interface.vmi, layer2=False)) for interface in local.interfaces}
        received = self.routes.get(local.prefix)
        if local.shared and received is not None:
            if isinstance(received.nexthop, Ecmp):
                legs.update(received.nexthop.members)
            elif isinstance(received.nexthop, Tunnel):
                legs.add(Member(received.nexthop, received.label))
        if len(legs) > 1:
            members = tuple(sorted(legs, key=_leg_order)[:MAX_MEMBERS])
            self.routes[local.prefix] = Route(Ecmp(members), proxy=True)
            return
        (interface,) = local.interfaces
        stitch = self.vrf.layer2 and not local.static and local.prefix.prefixlen == 32
        self.routes[local.prefix] = Route(
            Local(interface.vmi, layer2=False), proxy=True, mac=interface.mac if stitch else None
        )


def compile_vrf(
    vrf: Vrf, interfaces: Iterable[Interface], routes: VrfRoutes, context: Context
) -> VrfTables:
    """The tables of a VRF. ``interfaces`` are those of this VRF, active or not."""
    return _VrfCompiler(vrf, interfaces, routes, context).compile()
