"""From operational state to DHCP: what a port is told.

Configured options have upstream's precedence: those of the port, then of the subnet, then of the
IPAM. Option names are upstream's or dhcpd's, or a number; a value is text, as written in the
configuration, read as the option's type wants. An option that cannot be read is left out and
named in the log, once per port.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from tungsten.agent.oper import Interface, Ipam, Subnet, Vrf
from tungsten.agent.services.dhcp import INFINITE, Lease

VXLAN_OVERHEAD = 50
"""Octets a frame in VXLAN takes in an underlay packet: 20 IP + 8 UDP + 8 VXLAN + 14 Ethernet.
MPLS over UDP with a frame inside takes 46; one MTU serves both."""

_ADDRESSES, _NUMBER32, _NUMBER16, _NUMBER8, _TEXT = range(5)

_NAMED: dict[str, tuple[int, int]] = {
    "subnet-mask": (1, _ADDRESSES),
    "time-offset": (2, _NUMBER32),
    "routers": (3, _ADDRESSES),
    "time-servers": (4, _ADDRESSES),
    "name-servers": (5, _ADDRESSES),
    "domain-name-servers": (6, _ADDRESSES),
    "log-servers": (7, _ADDRESSES),
    "quote-servers": (8, _ADDRESSES),
    "lpr-servers": (9, _ADDRESSES),
    "host-name": (12, _TEXT),
    "domain-name": (15, _TEXT),
    "root-path": (17, _TEXT),
    "default-ip-ttl": (23, _NUMBER8),
    "interface-mtu": (26, _NUMBER16),
    "broadcast-address": (28, _ADDRESSES),
    "nis-domain": (40, _TEXT),
    "nis-servers": (41, _ADDRESSES),
    "ntp-servers": (42, _ADDRESSES),
    "vendor-encapsulated-options": (43, _TEXT),
    "netbios-name-servers": (44, _ADDRESSES),
    "dhcp-lease-time": (51, _NUMBER32),
    "dhcp-renewal-time": (58, _NUMBER32),
    "dhcp-rebinding-time": (59, _NUMBER32),
    "tftp-server-name": (66, _TEXT),
    "bootfile-name": (67, _TEXT),
    "tftp-server": (150, _ADDRESSES),
}
_BY_CODE = {code: (code, kind) for code, kind in _NAMED.values()}
_RESERVED = {0, 50, 51, 52, 53, 54, 55, 57, 61, 121, 255}


def encode_option(name: str, value: str) -> tuple[int, bytes]:
    """Code and octets of a configured option. Raises ``ValueError`` saying what is accepted."""
    known = _NAMED.get(name)
    if known is None and name.isascii() and name.isdigit() and 0 < int(name) < 255:
        known = _BY_CODE.get(int(name), (int(name), _TEXT))
    if known is None:
        raise ValueError(f"DHCP option {name!r}: accepted are known names and 1 to 254")
    code, kind = known
    if code in _RESERVED:
        raise ValueError(f"DHCP option {name!r} is the server's own")
    if kind == _TEXT:
        return code, value.encode()
    if kind == _ADDRESSES:
        return code, b"".join(IPv4Address(word).packed for word in value.replace(",", " ").split())
    size = {_NUMBER32: 4, _NUMBER16: 2, _NUMBER8: 1}[kind]
    try:
        return code, int(value).to_bytes(size, "big")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"DHCP option {name!r}: {value!r} is no {size}-octet number") from error


def read_options(
    interface: Interface, subnet: Subnet, ipams: tuple[Ipam, ...]
) -> tuple[tuple[tuple[int, bytes], ...], tuple[str, ...]]:
    """Configured options in order of precedence, and what could not be read."""
    found: dict[int, bytes] = {}
    problems = []
    for options in (interface.dhcp_options, subnet.options, *(ipam.options for ipam in ipams)):
        level: dict[int, bytes] = {}
        for name, value in options:
            try:
                code, octets = encode_option(name, value)
            except ValueError as error:
                problems.append(str(error))
                continue
            level[code] = level.get(code, b"") + octets
        for code, octets in level.items():
            found.setdefault(code, octets)
    return tuple(found.items()), tuple(problems)


def _routes(
    interface: Interface, subnet: Subnet, ipams: tuple[Ipam, ...]
) -> tuple[tuple[IPv4Network, IPv4Address], ...]:
    """Host routes of the first level that has any: port, subnet, IPAM."""
    gateway = subnet.gateway
    for level in (interface.host_routes, subnet.host_routes, *(i.host_routes for i in ipams)):
        routes = []
        for prefix, next_hop in level:
            try:
                network = IPv4Network(prefix, strict=False)
                via = IPv4Address(next_hop) if next_hop else gateway
            except ValueError:
                continue
            if isinstance(via, IPv4Address):
                routes.append((network, via))
        if routes:
            default = IPv4Network("0.0.0.0/0")
            if isinstance(gateway, IPv4Address) and all(n != default for n, _ in routes):
                # RFC 3442: a client that reads option 121 ignores option 3.
                routes.append((default, gateway))
            return tuple(routes)
    return ()


def _dns(subnet: Subnet, ipams: tuple[Ipam, ...]) -> tuple[IPv4Address, ...]:
    """Name servers: the subnet's, the IPAM's when it says so, else the service address."""
    ipam = ipams[0] if ipams else None
    listed: tuple[str, ...] = subnet.dns_servers
    if ipam is not None and ipam.dns_method == "none":
        return ()
    if ipam is not None and ipam.dns_method == "tenant-dns-server":
        listed = listed or ipam.dns_servers
    found = []
    for text in listed:
        try:
            found.append(IPv4Address(text))
        except ValueError:
            continue
    if not found and isinstance(subnet.service, IPv4Address):
        found.append(subnet.service)
    return tuple(found)


def lease_for(
    interface: Interface, vrf: Vrf, fabric_mtu: int, seconds: int = INFINITE
) -> Lease | None:
    """What a port is told; None when its network does not serve DHCP to it."""
    ip = interface.ip
    subnet = vrf.subnet_of(ip) if ip is not None else None
    if ip is None or subnet is None or not subnet.dhcp:
        return None
    if not isinstance(subnet.service, IPv4Address):
        return None
    options, _ = read_options(interface, subnet, vrf.ipams)
    gateway = subnet.gateway
    mtu = fabric_mtu - VXLAN_OVERHEAD
    if vrf.mtu:
        mtu = min(mtu, vrf.mtu)
    return Lease(
        address=ip,
        prefix_length=subnet.prefix.prefixlen,
        server=subnet.service,
        router=gateway if isinstance(gateway, IPv4Address) else None,
        dns=_dns(subnet, vrf.ipams),
        host_name=interface.vm_name,
        mtu=max(mtu, 68),
        routes=_routes(interface, subnet, vrf.ipams),
        seconds=seconds,
        extra=options,
    )


def short_lease(port_address: IPv4Address | None, vif: int, seconds: int) -> Lease:
    """What a port is told while its configuration is missing: try again soon.

    The address is the one the orchestrator named, alone in its subnet, else a link-local one
    made of the port's number.
    """
    address = port_address or IPv4Address(0xA9FE0000 | (vif & 0xFF))
    return Lease(
        address=address,
        prefix_length=32 if port_address else 16,
        server=IPv4Address("169.254.169.254"),
        seconds=seconds,
    )
