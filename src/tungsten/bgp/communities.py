"""Communities: standard (RFC 1997), extended (RFC 4360) and large (RFC 8092).

A standard community is an ``int`` of 32 bits; an extended community is its 8 octets; a large
community its 12. Routes carry tuples of them, so they stay as cheap as bytes, compare and hash
as bytes, and unknown types pass through unchanged. This module names the known ones, builds
them, and turns them into the text operators know (``target:64512:8000003``,
``encapsulation:udp``, ``originvn:64512:4``...) and back.

Sources: RFC 4360, 5512/9012 (encapsulation), 5668 (4-octet AS), 7432 section 7 (EVPN), RFC 9012
section 4.1; types 0x80 0x04, 0x71, 0x84, 0x85, 0xaa and 0xc0 0x00 are private to Tungsten
Fabric: security group, origin virtual network, tag, sub-cluster, load balancing, and sequence.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

NO_EXPORT = 0xFFFFFF01
NO_ADVERTISE = 0xFFFFFF02
NO_EXPORT_SUBCONFED = 0xFFFFFF03
NO_REORIGINATE = 0xFFFFF000
ACCEPT_OWN = 0xFFFF0001
LLGR_STALE = 0xFFFF0006
NO_LLGR = 0xFFFF0007
ACCEPT_OWN_NEXT_HOP = 0xFFFF0008

WELL_KNOWN: dict[int, str] = {
    NO_EXPORT: "no-export",
    NO_ADVERTISE: "no-advertise",
    NO_EXPORT_SUBCONFED: "no-export-subconfed",
    NO_REORIGINATE: "no-reoriginate",
    ACCEPT_OWN: "accept-own",
    LLGR_STALE: "llgr-stale",
    NO_LLGR: "no-llgr",
    ACCEPT_OWN_NEXT_HOP: "accept-own-nexthop",
}
_WELL_KNOWN_NUMBERS = {name: number for number, name in WELL_KNOWN.items()}

#: Tunnel types of the encapsulation community (IANA), with upstream's names.
ENCAPSULATIONS: dict[int, str] = {
    0: "unspecified",
    2: "gre",
    8: "vxlan",
    9: "nvgre",
    10: "mpls",
    11: "mpls-o-gre",
    12: "vxlan-gpe",
    13: "udp",
    16: "native",
}
_ENCAPSULATION_NUMBERS = {name: number for number, name in ENCAPSULATIONS.items()}

_AS2, _IP4, _AS4 = 0x00, 0x01, 0x02
_KIND_BYTES = (_AS2, _IP4, _AS4)
_TARGET, _ORIGIN, _SOURCE_AS, _RT_IMPORT = 0x02, 0x03, 0x09, 0x0B
_ENCAPSULATION = bytes((0x03, 0x0C))
_DEFAULT_GATEWAY = bytes((0x03, 0x0D))
_LOAD_BALANCE = bytes((0x03, 0xAA))
_MAC_MOBILITY = bytes((0x06, 0x00))
_ESI_LABEL = bytes((0x06, 0x01))
_ES_IMPORT = bytes((0x06, 0x02))
_ROUTER_MAC = bytes((0x06, 0x03))
_ETREE = bytes((0x06, 0x05))
_MULTICAST_FLAGS = bytes((0x06, 0x09))
_SEQUENCE = bytes((0xC0, 0x00))
_PRIVATE = {0x04: "secgroup", 0x71: "originvn", 0x84: "tag", 0x85: "subcluster"}
_AS_TRANS = 23456


# --- standard and large -------------------------------------------------------------------------


def community_text(community: int) -> str:
    """``64512:100``, or the name of a well-known community."""
    return WELL_KNOWN.get(community) or f"{community >> 16}:{community & 0xFFFF}"


def parse_community(text: str) -> int:
    """The inverse of :func:`community_text`; ``ValueError`` says what would be accepted."""
    known = _WELL_KNOWN_NUMBERS.get(text)
    if known is not None:
        return known
    high, colon, low = text.partition(":")
    if colon and high.isdecimal() and low.isdecimal() and max(int(high), int(low)) <= 0xFFFF:
        return int(high) << 16 | int(low)
    raise ValueError(f"community {text!r}: expected N:N of 16 bits each, or a well-known name")


def large_community_text(community: bytes) -> str:
    """``global:local1:local2`` of the 12 octets."""
    return ":".join(str(int.from_bytes(community[i : i + 4], "big")) for i in (0, 4, 8))


# --- building extended communities --------------------------------------------------------------


def _administered(subtype: int, administrator: int | str, number: int, base: int = 0) -> bytes:
    """``administrator`` is an AS number or an IPv4 address as text; ``base`` is added to type."""
    if isinstance(administrator, str):
        head, width = IPv4Address(administrator).packed, 2
        kind = _IP4
    elif administrator <= 0xFFFF:
        head, width, kind = administrator.to_bytes(2, "big"), 4, _AS2
    else:
        head, width, kind = administrator.to_bytes(4, "big"), 2, _AS4
    if number >> (8 * width):
        raise ValueError(f"{administrator}:{number}: the number has {8 * width} bits at most")
    return bytes((base | kind, subtype)) + head + number.to_bytes(width, "big")


def route_target(administrator: int | str, number: int) -> bytes:
    """``target:administrator:number``; an AS above 65535 leaves 16 bits for the number."""
    return _administered(_TARGET, administrator, number)


def site_of_origin(administrator: int | str, number: int) -> bytes:
    """``soo:administrator:number``."""
    return _administered(_ORIGIN, administrator, number)


def encapsulation(name: str | int) -> bytes:
    """The encapsulation community of a tunnel type, by upstream's name or number."""
    number = _ENCAPSULATION_NUMBERS[name] if isinstance(name, str) else name
    return _ENCAPSULATION + bytes(4) + number.to_bytes(2, "big")


def security_group(asn: int, number: int) -> bytes:
    """Security group of a 2-octet AS."""
    return _private(0x04, asn, number)


def origin_vn(asn: int, index: int) -> bytes:
    """The virtual network a route was born in. With a 4-octet AS the index has 16 bits."""
    return _private(0x71, asn, index)


def tag(asn: int, number: int) -> bytes:
    """Tag (type << 16 | value) of a 2-octet AS."""
    return _private(0x84, asn, number)


def _private(subtype: int, asn: int, number: int) -> bytes:
    return _administered(subtype, asn, number, base=0x80)


def security_groups_of(communities: Iterable[bytes]) -> tuple[int, ...]:
    """Security group numbers in a route's communities (see :func:`private_numbers`)."""
    return private_numbers(0x04, communities)


def tags_of(communities: Iterable[bytes]) -> tuple[int, ...]:
    """Tag numbers in a route's communities (see :func:`private_numbers`)."""
    return private_numbers(0x84, communities)


def large_tag(asn: int, number: int) -> bytes:
    """Tag (type << 16 | value) as the large community that OpenSDN uses.

    AS in 4 octets, 1 for a tag, then in 7 octets the type in front of a value of 32 bits.
    """
    wide = number >> 16 << 32 | number & 0xFFFF
    return asn.to_bytes(4, "big") + b"\1" + wide.to_bytes(7, "big")


def large_tags_of(communities: Iterable[bytes]) -> tuple[int, ...]:
    """Tag numbers in a route's large communities; values above 16 bits have none and are left out.

    The octet between mark and type must be 0, so that operators' own large communities, which may
    have the mark, are seldom taken for tags.
    """
    found = set()
    for c in communities:
        value = int.from_bytes(c[8:], "big")
        if c[4:6] == b"\1\0" and value <= 0xFFFF:
            found.add(int.from_bytes(c[6:8], "big") << 16 | value)
    return tuple(sorted(found))


def with_private_number(subtype: int, asn: int, number: int, link: int) -> tuple[bytes, ...]:
    """One private number as the communities that carry it.

    With a 4-octet AS it takes two: ``0x82`` holds the AS and a link index, ``0x80`` holds the
    link index where the AS was, and the number. ``link`` must differ among a route's pairs.
    """
    if asn <= 0xFFFF:
        return (_private(subtype, asn, number),)
    index = link.to_bytes(2, "big")
    return (
        bytes((0x82, subtype)) + asn.to_bytes(4, "big") + index,
        bytes((0x80, subtype)) + index + number.to_bytes(4, "big"),
    )


def private_numbers(subtype: int, communities: Iterable[bytes]) -> tuple[int, ...]:
    """Numbers of the private communities with ``subtype``, sorted, once each.

    The number is in the last four octets of the ``0x80`` form, both alone (2-octet AS) and as
    the second half of a pair (4-octet AS); an ``0x82`` half without its pair says nothing.
    """
    prefix = bytes((0x80, subtype))
    return tuple(sorted({int.from_bytes(c[4:], "big") for c in communities if c[:2] == prefix}))


def is_route_target(community: bytes) -> bool:
    """Whether this is a route target of any administrator kind."""
    return community[1] == _TARGET and community[0] in _KIND_BYTES


def route_targets_of(communities: Iterable[bytes]) -> tuple[bytes, ...]:
    """The route targets among ``communities``, in order."""
    return tuple(c for c in communities if c[1] == _TARGET and c[0] in _KIND_BYTES)


def encapsulations_of(communities: Iterable[bytes]) -> tuple[str, ...]:
    """Names of the tunnel types in ``communities``; unknown numbers as text, in order."""
    numbers = [int.from_bytes(c[6:], "big") for c in communities if c[:2] == _ENCAPSULATION]
    return tuple(ENCAPSULATIONS.get(number, str(number)) for number in numbers)


def origin_vn_of(communities: Iterable[bytes]) -> tuple[int, int] | None:
    """(AS, network index) of the first origin VN community, or None."""
    for c in communities:
        if c[1] == 0x71 and c[0] == 0x80:
            return int.from_bytes(c[2:4], "big"), int.from_bytes(c[4:], "big")
        if c[1] == 0x71 and c[0] == 0x82:
            index = int.from_bytes(c[6:], "big")
            asn = int.from_bytes(c[2:6], "big")
            return asn, index
    return None


def mac_mobility(sequence: int, *, sticky: bool = False) -> bytes:
    """MAC mobility (RFC 7432 section 7.7)."""
    return _MAC_MOBILITY + bytes((int(sticky), 0)) + sequence.to_bytes(4, "big")


def mac_mobility_of(communities: Iterable[bytes]) -> tuple[int, bool] | None:
    """(sequence, sticky) of the first MAC mobility community, or None."""
    for c in communities:
        if c[:2] == _MAC_MOBILITY:
            return int.from_bytes(c[4:], "big"), bool(c[2] & 1)
    return None


def local_sequence(sequence: int) -> bytes:
    """The sequence number that orders an agent's own announcements. Non-transitive."""
    return _SEQUENCE + sequence.to_bytes(4, "big") + bytes(2)


def is_transitive(community: bytes) -> bool:
    """Whether the community crosses AS boundaries (RFC 4360 section 2)."""
    return not community[0] & 0x40


# --- text ---------------------------------------------------------------------------------------


def _administered_text(community: bytes) -> str:
    kind = community[0] & 0x3F
    if kind == _IP4:
        return f"{IPv4Address(community[2:6])}:{int.from_bytes(community[6:], 'big')}"
    split = 4 if kind == _AS2 else 6
    return f"{int.from_bytes(community[2:split], 'big')}:{int.from_bytes(community[split:], 'big')}"


_ADMINISTERED = {
    _TARGET: "target",
    _ORIGIN: "soo",
    _SOURCE_AS: "source-as",
    _RT_IMPORT: "rt-import",
}


def extended_text(community: bytes) -> str:
    """An extended community as operators write it; unknown types as ``unknown:HEX``."""
    kind, subtype = community[0], community[1]
    head = community[:2]
    if kind in _KIND_BYTES and subtype in _ADMINISTERED:
        return f"{_ADMINISTERED[subtype]}:{_administered_text(community)}"
    if kind in (0x80, 0x82) and subtype in _PRIVATE:
        return f"{_PRIVATE[subtype]}:{_administered_text(community)}"
    tail = int.from_bytes(community[4:], "big")
    mac = ":".join(f"{octet:02x}" for octet in community[2:])
    known = {
        _ENCAPSULATION: f"encapsulation:{ENCAPSULATIONS.get(tail & 0xFFFF, tail & 0xFFFF)}",
        _DEFAULT_GATEWAY: f"defaultgw:{tail}",
        _LOAD_BALANCE: "load-balance:field-hash",
        _MAC_MOBILITY: f"mobility:{'sticky' if community[2] & 1 else 'non-sticky'}:{tail}",
        _ESI_LABEL: f"esilabel:{'sa' if community[2] & 1 else 'aa'}:{(tail & 0xFFFFFF) >> 4}",
        _ES_IMPORT: f"esimport:{mac}",
        _ROUTER_MAC: f"rtrmac:{mac}",
        _ETREE: f"etree:{'leaf' if community[2] & 1 else 'root'}:{(tail & 0xFFFFFF) >> 4}",
        _MULTICAST_FLAGS: f"evpn-mcast-flags:{int.from_bytes(community[2:4], 'big')}",
        _SEQUENCE: f"local_sequence_number:{int.from_bytes(community[2:6], 'big')}",
    }
    return known.get(head) or f"unknown:{community.hex()}"


def parse_extended(text: str) -> bytes:
    """Route target, site of origin, encapsulation, security group, origin VN or tag from text.

    Raises ``ValueError`` naming the text and the accepted forms.
    """
    name, _, rest = text.partition(":")
    if name == "encapsulation" and rest in _ENCAPSULATION_NUMBERS:
        return encapsulation(rest)
    administrator, _, number = rest.rpartition(":")
    builders = {
        "target": route_target,
        "soo": site_of_origin,
    }
    private = {label: subtype for subtype, label in _PRIVATE.items()}
    try:
        if name in builders:
            who: int | str = int(administrator) if administrator.isdecimal() else administrator
            return builders[name](who, int(number))
        if name in private:
            return _private(private[name], int(administrator), int(number))
        if name == "unknown" and len(rest) == 16:
            return bytes.fromhex(rest)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"extended community {text!r}: {error}") from error
    raise ValueError(
        f"extended community {text!r}: expected target:, soo:, secgroup:, originvn:, tag: or "
        "subcluster: AS-or-address:number, encapsulation:NAME or unknown:HEX"
    )
