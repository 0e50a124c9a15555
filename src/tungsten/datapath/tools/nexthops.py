"""``nh``: the next hop table.

A block of lines per next hop, continuation lines 14 blanks in, ended by an empty line. Every
flag word is followed by a comma and a blank, and so is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from tungsten.datapath.tools.words import padded_mac

INDENT = "\n" + " " * 14
NO_IP = IPv4Address(0)

RECEIVE = 1
ENCAP = 2
TUNNEL = 3
COMPOSITE = 6
VRF_TRANSLATE = 7

TYPES = {
    0: "Dead",
    1: "Receive",
    2: "Encap",
    3: "Tunnel",
    4: "Resolve",
    5: "Drop",
    6: "Composite",
    7: "Vrf_Translate",
    8: "L2 Receive",
}

FAMILIES = {0: "AF_UNSPEC", 2: "AF_INET", 7: "AF_BRIDGE", 10: "AF_INET6"}
INET = 2
INET6 = 10

_UDP = 0x10
_ECMP = 0x400
_L3_VXLAN = 0x2000000
_MPLS_OVER_MPLS = 0x4000000

#: Bit, word, and the only type for which it is printed (None: any).
FLAGS: Sequence[tuple[int, str, int | None]] = (
    (0x1, "Valid", None),
    (0x2, "Policy", None),
    (0x8, "MPLSoGRE", TUNNEL),
    (_UDP, "Udp", TUNNEL),
    (0x20, "Multicast", None),
    (0x40, "MPLSoUDP", TUNNEL),
    (0x80, "Vxlan", None),
    (0x100, "Policy(R)", None),
    (0x200, "Fabric", COMPOSITE),
    (_ECMP, "Ecmp", COMPOSITE),
    (0x1000, "Evpn", COMPOSITE),
    (0x2000, "Encap", COMPOSITE),
    (0x4000, "Tor", COMPOSITE),
    (0x8000, "RouteLookup", None),
    (0x10000, "Unicast Flood", None),
    (0x20000, "Copy SIP", None),
    (0x40000, "Flow Lookup", None),
    (0x80000, "Pbb", None),
    (0x100000, "Mac Learn", None),
    (0x200000, "Etree Root", None),
    (0x400000, "Indirect", None),
    (0x800000, "Evpn Control Word", None),
    (0x1000000, "Encrypt Traffic", None),
    (_L3_VXLAN, "l3_vxlan", None),
    (0x10000000, "Underlay Ecmp", None),
)

#: Bits of the fields an ECMP next hop hashes. The last word has no comma.
HASH_FIELDS = ((1, "Proto,"), (2, "SrcIP,"), (4, "SrcPort,"), (8, "DstIp,"), (16, "DstPort"))


@dataclass(frozen=True, kw_only=True)
class NextHopRecord:
    """A next hop as printed. ``members``: (next hop or -1, label or -1) of a composite."""

    id: int
    type: int
    family: int = INET
    flags: int = 0
    vrf: int = 0
    references: int = 1
    oif: int = 0
    encap_family: int = 0x0806
    encap: bytes = b""
    sip: IPv4Address | IPv6Address = NO_IP
    dip: IPv4Address | IPv6Address = NO_IP
    source_port: int = 0
    destination_port: int = 0
    l3_mac: bytes = bytes(6)
    transport_label: int = 0
    ecmp_fields: int = 0
    members: Sequence[tuple[int, int]] = ()
    further_members: int = 0


def nexthop(record: NextHopRecord) -> str:
    """The block of one next hop, with the empty line that ends it."""
    family = FAMILIES.get(record.family, "N/A")
    text = (
        f"Id:{record.id:<9}  Type:{TYPES.get(record.type, 'Invalid'):<13}  Fmly:{family:>8}"
        f"  Rid:0  Ref_cnt:{record.references:<10} Vrf:{record.vrf}"
        f"{INDENT}Flags:{flag_words(record.flags, record.type)}"
    )
    if record.type == RECEIVE:
        text += f"{INDENT}Oif:{record.oif}"
    elif record.type == ENCAP:
        text += (
            f"{INDENT}EncapFmly:{record.encap_family:04x} Oif:{record.oif} "
            f"Len:{len(record.encap)}{INDENT}Encap Data: {_octets(record.encap)}"
        )
    elif record.type == TUNNEL:
        text += _tunnel(record)
    elif record.type == VRF_TRANSLATE:
        text += f"{INDENT}Vrf:{record.vrf}"
    elif record.type == COMPOSITE:
        text += _composite(record)
    return text + "\n\n"


def flag_words(flags: int, type_: int) -> str:
    """The words of the set flags, each followed by ``, ``; ``None`` when there is no flag."""
    if not flags:
        return "None"
    prefix = "MPLSo" if flags & _MPLS_OVER_MPLS else ""
    words = []
    for bit, word, only in FLAGS:
        if flags & bit and only in (None, type_):
            words.append(prefix + word if word.startswith("MPLSo") else word)
    return "".join(f"{word}, " for word in words)


def _octets(data: bytes) -> str:
    return "".join(f"{octet:02x} " for octet in data)


def _tunnel(record: NextHopRecord) -> str:
    text = f"{INDENT}Oif:{record.oif} Len:{len(record.encap)} Data:{_octets(record.encap)}{INDENT}"
    # A blank follows the colon for IPv6 only.
    blank = " " if record.family == INET6 else ""
    text += f"Sip:{blank}{record.sip} Dip:{blank}{record.dip}"
    if record.flags & _UDP:
        text += f"{INDENT}Sport:{record.source_port} Dport:{record.destination_port}\n"
    if record.flags & _L3_VXLAN:
        text += f" L3_Vxlan_Mac: {padded_mac(record.l3_mac)}"
    if record.flags & _MPLS_OVER_MPLS:
        text += f" Transport Label:{record.transport_label}"
    return text


def _composite(record: NextHopRecord) -> str:
    text = ""
    if record.flags & _ECMP and record.ecmp_fields:
        fields = "".join(word for bit, word in HASH_FIELDS if record.ecmp_fields & bit)
        text += f"{INDENT}Valid Hash Key Parameters: {fields}"
    text += f"{INDENT}Sub NH(label):"
    width = 0
    for nh, label in record.members:
        if width > 60:
            text += INDENT + " " * 14
            width = 0
        member = f" {nh}({label})" if label >= 0 else f" {nh}"
        text += member
        width += len(member)
    if record.further_members:
        text += f" and {record.further_members} more components...\n"
    return text
