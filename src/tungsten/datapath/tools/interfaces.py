"""``vif``: the interface table.

One block per interface: a first column of 12, then what the interface is, its addresses, its
VRF and flags, its counters. Flag letters are concatenated in the order of :data:`FLAGS`;
an interface without any prints ``NULL``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from tungsten.datapath.tools.words import flag_letters, padded_mac

INDENT = " " * 12
NO_IP = IPv4Address(0)
NO_IP6 = IPv6Address(0)

#: Bit, letters, legend; the order is that of the legend and of the letters.
FLAGS: Sequence[tuple[int, str, str]] = (
    (0x1, "P", "Policy"),
    (0x2, "X", "Cross Connect"),
    (0x4, "S", "Service Chain"),
    (0x8, "Mr", "Receive Mirror"),
    (0x10, "Mt", "Transmit Mirror"),
    (0x20, "Tc", "Transmit Checksum Offload"),
    (0x40, "L3", "Layer 3"),
    (0x80, "L2", "Layer 2"),
    (0x100, "D", "DHCP"),
    (0x200, "Vp", "Vhost Physical"),
    (0x400, "Pr", "Promiscuous"),
    (0x800, "Vnt", "Native Vlan Tagged"),
    (0x1000, "Mnp", "No MAC Proxy"),
    (0x2000, "Dpdk", "DPDK PMD Interface"),
    (0x4000, "Rfl", "Receive Filtering Offload"),
    (0x8000, "Mon", "Interface is Monitored"),
    (0x10000, "Uuf", "Unknown Unicast Flood"),
    (0x20000, "Vof", "VLAN insert/strip offload"),
    (0x40000, "Df", "Drop New Flows"),
    (0x80000, "L", "MAC Learning Enabled"),
    (0x100000, "Proxy", "MAC Requests Proxied Always"),
    (0x200000, "Er", "Etree Root"),
    (0x1000000, "Mn", "Mirror without Vlan Tag"),
    (0x8000000, "HbsL", "HBS Left Intf"),
    (0x10000000, "HbsR", "HBS Right Intf"),
    (0x2000000, "Ig", "Igmp Trap Enabled"),
    (0x40000000, "Ml", "MAC-IP Learning Enabled"),
)

_LETTERS = [(bit, letters) for bit, letters, _ in FLAGS]
_MIRRORED = 0x8 | 0x10

TYPES = {
    0: "Host",
    1: "Agent",
    2: "Physical",
    3: "Virtual",
    4: "XenLL",
    5: "Gateway",
    6: "Virtual(Vlan)",
    7: "Stats",
    9: "Monitoring",
}
PHYSICAL = 2
VIRTUAL_VLAN = 6


@dataclass(frozen=True, kw_only=True)
class VlanTags:
    """A sub-interface: tags sent and received, and the MACs behind it with their indices."""

    outer: int
    inner: int
    macs: Sequence[tuple[bytes, int]] = ()


@dataclass(frozen=True, kw_only=True)
class InterfaceRecord:
    """A row of the interface table. ``speed`` in Mb/s; None: not known, not printed."""

    index: int
    name: str
    type: int
    has_device: bool = True
    speed: int | None = None
    duplex: int | None = None
    vlan: VlanTags | None = None
    parent: int | None = None
    nh: int = 0
    mac: bytes = bytes(6)
    ip: IPv4Address = NO_IP
    ip6: IPv6Address = NO_IP6
    vrf: int = 0
    mcast_vrf: int = 65535
    flags: int = 0
    qos: int = -1
    references: int = 1
    mirror: int = 255
    rx_packets: int = 0
    rx_bytes: int = 0
    rx_errors: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_errors: int = 0
    drops: int = 0


def header() -> str:
    """The title and the legend of flags."""
    legend = [f"{letters}={text}" for _, letters, text in FLAGS]
    lines = [", ".join(legend[start : start + 4]) for start in range(0, len(legend), 4)]
    return "Vrouter Interface Table\n\nFlags: " + "\n       ".join(lines) + "\n\n"


def interface(record: InterfaceRecord) -> str:
    """The block of one interface, with the empty line that ends it."""
    flags = flag_letters(record.flags, _LETTERS) if record.flags else "NULL"
    mirror = f" Mirror index {record.mirror}" if record.flags & _MIRRORED else ""
    lines = [
        f"vif0/{record.index}".ljust(12) + _identity(record),
        f"{INDENT}Type:{TYPES.get(record.type, 'Invalid')} "
        f"HWaddr:{padded_mac(record.mac)} IPaddr:{record.ip}",
    ]
    if int(record.ip6):
        lines.append(f"{INDENT}IP6addr:{record.ip6}")
    lines += [
        f"{INDENT}Vrf:{record.vrf} Mcast Vrf:{record.mcast_vrf} Flags:{flags} "
        f"QOS:{record.qos} Ref:{record.references}{mirror}",
        f"{INDENT}RX packets:{record.rx_packets}  bytes:{record.rx_bytes} "
        f"errors:{record.rx_errors}",
        f"{INDENT}TX packets:{record.tx_packets}  bytes:{record.tx_bytes} "
        f"errors:{record.tx_errors}",
        f"{INDENT}Drops:{record.drops}",
    ]
    return "\n".join(lines) + "\n\n"


def _identity(record: InterfaceRecord) -> str:
    """What follows the index on the first line."""
    text = f"OS: {record.name}" if record.has_device else f"    {record.name}"
    if record.type == PHYSICAL and record.speed is not None:
        duplex = f" Duplex {record.duplex}" if record.duplex is not None else ""
        text += f" (Speed {record.speed},{duplex})"
    elif record.type == VIRTUAL_VLAN and record.vlan is not None:
        text += f" Vlan(o/i)(,S): {record.vlan.outer}/{record.vlan.inner}"
        for mac, bridge_index in record.vlan.macs:
            text += f", {padded_mac(mac)} Bridge Index: {bridge_index}"
    if record.parent is not None:
        text += f" Parent:vif0/{record.parent}"
    if record.nh:
        text += f" NH: {record.nh}"
    return text
