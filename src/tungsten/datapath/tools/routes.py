"""``rt``: the unicast routes and the MACs of a VRF.

The columns of rows are counted in characters, as upstream's are, and do not quite line up
with their titles; scripts depend on both. A bridge entry with a control word prints ``L2cMl``,
since upstream's flag sets share that bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from tungsten.datapath.tools.words import flag_letters, short_mac

LABEL_VALID = 0x1
BRIDGE_LABEL_VALID = 0x2

INET_FLAGS: Sequence[tuple[int, str, str]] = (
    (LABEL_VALID, "L", "Label Valid"),
    (0x2, "P", "Proxy ARP"),
    (0x4, "T", "Trap ARP"),
    (0x8, "F", "Flood ARP"),
    (0x10, "Ml", "MAC-IP learnt route"),
)
BRIDGE_FLAGS: Sequence[tuple[int, str, str]] = (
    (BRIDGE_LABEL_VALID, "L", "Label Valid"),
    (0x4, "Df", "DHCP flood"),
    (0x8, "Mm", "Mac Moved"),
    (0x10, "L2c", "L2 Evpn Control Word"),
    (0x20, "N", "New Entry"),
    (0x40, "Ec", "EvpnControlProcessing"),
)
_INET_LETTERS = [(bit, letters) for bit, letters, _ in INET_FLAGS]
_BRIDGE_LETTERS = [*((bit, letters) for bit, letters, _ in BRIDGE_FLAGS), (0x10, "Ml")]

_INET_TITLES = (
    "Destination           PPL        Flags        Label         Nexthop    Stitched MAC(Index)\n"
)
_BRIDGE_TITLES = (
    "Index       DestMac                  Flags           Label/VNID      Nexthop           Stats\n"
)


@dataclass(frozen=True, kw_only=True)
class RouteRecord:
    """A route. ``replaced_length``: length of the prefix that shows when it goes (PPL)."""

    prefix: IPv4Network | IPv6Network
    nh: int
    flags: int = 0
    label: int = 0
    replaced_length: int = 0
    mac: bytes | None = None
    mac_index: int = -1


@dataclass(frozen=True, kw_only=True)
class BridgeRecord:
    """A MAC of a VRF; ``index`` tells entries apart."""

    index: int
    mac: bytes
    nh: int
    flags: int = 0
    label: int = 0
    packets: int = 0


def inet_header(family: str, vrf: int) -> str:
    """Legend, title and column titles. ``family``: ``inet`` or ``inet6``."""
    version = "6" if family == "inet6" else "4"
    title = f"vRouter inet{version} routing table 0/{vrf}/unicast\n"
    return _legend(INET_FLAGS) + title + _INET_TITLES


def bridge_header(vrf: int) -> str:
    """Legend, title and column titles of the MACs of a VRF."""
    return _legend(BRIDGE_FLAGS) + f"vRouter bridge table 0/{vrf}\n" + _BRIDGE_TITLES


def _legend(flags: Sequence[tuple[int, str, str]]) -> str:
    return "Flags: " + ", ".join(f"{letters}={text}" for _, letters, text in flags) + "\n"


def inet_row(record: RouteRecord) -> str:
    """One route."""
    prefix = f"{record.prefix.network_address}/{record.prefix.prefixlen:<2}"
    letters = flag_letters(record.flags, _INET_LETTERS)
    label = str(record.label) if record.flags & LABEL_VALID else "-"
    mac = f"{short_mac(record.mac)}({record.mac_index})" if record.mac is not None else "-"
    return (
        f"{prefix:<21}{record.replaced_length:>4}{'':8}{letters:>5}{'':6}{label:>5}{'':8}"
        f"{record.nh:>7}{'':8}{mac}\n"
    )


def bridge_row(record: BridgeRecord) -> str:
    """One MAC."""
    letters = flag_letters(record.flags, _BRIDGE_LETTERS)
    label = str(record.label) if record.flags & BRIDGE_LABEL_VALID else "-"
    return (
        f"{record.index:<12}{short_mac(record.mac):<20} {letters:>9}{'':11} {label:>9}{'':6}"
        f"{record.nh:>7}{'':4}{record.packets:>12}\n"
    )


def inet_match(prefix: IPv4Network | IPv6Network, vrf: int) -> str:
    """The line that ``--get`` prints before the table."""
    return f"Match {prefix} in vRouter inet{prefix.version} table 0/{vrf}/unicast\n\n"


def bridge_match(mac: bytes, vrf: int) -> str:
    """The line that ``--get --family bridge`` prints before the table."""
    return f"Match {short_mac(mac)} in vRouter bridge table 0/{vrf}/unicast\n\n"
