"""Operational state: what configuration, plugged ports and network devices together mean here.

The values here are made by :func:`tungsten.agent.derive.compile_oper`, a pure function of a
snapshot of the three. :class:`Oper` is all that forwarding, route publication, DHCP and
introspect read.

Terms are upstream's. An *interface* is a virtual machine interface with a port on this host. It
is *l2 active* when network, VRF, device (present and up) and MAC are known and bridging is on;
*active for an address* when it also has that address and routing is on. An interface that is
not active keeps its vif; its routes and labels are withdrawn.

An interface whose configuration is missing in part is absent from the result, with the reason in
:attr:`Oper.waiting`: it fails closed, alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Device:
    """A network device of this host, as the kernel tells."""

    name: str
    ifindex: int
    mac: str
    mtu: int
    up: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of a virtual network, with what DHCP says in it."""

    prefix: Network
    gateway: Address | None
    service: Address | None
    dhcp: bool
    dns_servers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ipam:
    """What an IPAM says to DHCP."""

    name: str
    dns_method: str
    dns_servers: tuple[str, ...] = ()
    virtual_dns: str = ""
    host_routes: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Vrf:
    """A routing instance with interfaces here, and the virtual network it belongs to."""

    name: str
    network: str
    network_uuid: str
    vni: int
    layer2: bool
    layer3: bool
    flood_unknown: bool
    mtu: int
    subnets: tuple[Subnet, ...]
    ipams: tuple[Ipam, ...] = ()

    def subnet_of(self, address: Address) -> Subnet | None:
        """The subnet an address is in: the longest that covers it."""
        covering = [
            subnet
            for subnet in self.subnets
            if subnet.prefix.version == address.version and address in subnet.prefix
        ]
        return max(covering, key=lambda subnet: subnet.prefix.prefixlen, default=None)


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address of an interface. ``ecmp``: several interfaces may hold it (active-active)."""

    ip: Address
    ecmp: bool = False
    secondary: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """A virtual machine interface with a port here.

    ``allowed_pairs`` are further addresses it may send from, each with its MAC;
    ``shared_prefixes`` those of them it serves together with others (active-active);
    ``static_prefixes`` what is routed to it (interface route tables).
    """

    vmi: str
    name: str
    vm: str
    vm_name: str
    device: Device | None
    device_name: str
    mac: str
    vrf: str
    addresses: tuple[InterfaceAddress, ...]
    policy: bool = True
    security_groups: tuple[int, ...] = ()
    local_preference: int = 0
    allowed_pairs: tuple[tuple[Network, str], ...] = ()
    shared_prefixes: tuple[IPv4Network, ...] = ()
    static_prefixes: tuple[IPv4Network, ...] = ()
    port_security: bool = True
    dhcp_options: tuple[tuple[str, str], ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    layer2: bool = True
    layer3: bool = True
    up: bool = True

    @property
    def l2_active(self) -> bool:
        """Frames can be delivered to it."""
        return self.up and self.layer2

    @property
    def l3_active(self) -> bool:
        """Packets can be delivered to it."""
        return self.up and self.layer3 and bool(self.addresses)

    @property
    def ip(self) -> IPv4Address | None:
        """Its first IPv4 address: the primary one."""
        return next((a.ip for a in self.addresses if isinstance(a.ip, IPv4Address)), None)

    @property
    def ip6(self) -> IPv6Address | None:
        """Its first IPv6 address."""
        return next((a.ip for a in self.addresses if isinstance(a.ip, IPv6Address)), None)


@dataclass(frozen=True, slots=True)
class Oper:
    """The state of this host: interfaces by VMI uuid, VRFs by name."""

    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    vrfs: Mapping[str, Vrf] = field(default_factory=dict)
    encapsulations: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)
