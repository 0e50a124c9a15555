"""Network layer reachability information: what a route is about, per address family.

A *prefix* is kept as its normal wire form: one octet of length in bits, then just the octets
the length needs, host bits zero. So a prefix of either IP version is one small ``bytes``,
equal when the prefixes are equal. A *route distinguisher* is its 8 octets.

Every NLRI value has ``key``: the octets that identify the route in a table of its family.
Labels, ESIs and gateways travel in the NLRI but do not identify the route (RFC 8277 section
2.4, RFC 7432 section 7), so they are outside the key: an announcement with another label
replaces the former one.

``label_field`` is the raw 24-bit number, because its meaning depends on the encapsulation of
the route: MPLS uses the upper 20 bits (:func:`mpls_field`, :func:`mpls_label`), VXLAN all.
Prefix families have exactly one label, as RFC 8277 section 2.2 has it for speakers that do
not negotiate more.

Decoding never raises for a *typed* NLRI (EVPN, erm-vpn) whose own content is bad: its length
is known, so it is skipped alone and reported (RFC 7606 section 5.4). A prefix whose length
does not fit its family cannot be skipped: ``ProtocolError`` (section 5.3). A label that does
not end its stack, or is one of the values that mark a withdrawal, makes an announcement
*unusable*: the route is known, so its announcement counts as its withdrawal.

Sources: RFC 4271 4.3, RFC 4760 5, RFC 8277, RFC 4364 4.3.4, RFC 7432 7, RFC 9136 3 (type 5),
RFC 4684 4. erm-vpn (edge replicated multicast) is private: type, length, RD, router id,
source and group as prefixes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeAlias

from msgspec import Struct

from tungsten.bgp.errors import ErrorCode, ProtocolError, UpdateError
from tungsten.bgp.families import (
    ERM_VPN,
    EVPN,
    INET,
    INET6,
    INET6_VPN,
    INET_LABELED,
    INET_VPN,
    ROUTE_TARGET,
    Family,
)
from tungsten.bgp.wire import Cursor, Truncated

ESI_ZERO = bytes(10)
#: The label field of a withdrawal (RFC 8277 section 2.4); receivers accept any.
WITHDRAW_FIELD = 0x800000
_NO_ADDRESS = str(IPv4Address(0))


# --- prefixes, distinguishers, labels -----------------------------------------------------------


def prefix_from_text(text: str) -> bytes:
    """``10.1.1.3/32`` or ``2001:db8::/32`` as wire form. ``ValueError`` if host bits are set."""
    network = ip_network(text)
    return pack_prefix(network.network_address.packed, network.prefixlen)


def pack_prefix(address: bytes, length: int) -> bytes:
    """Wire form of the first ``length`` bits of a packed address; the rest is dropped."""
    octets = (length + 7) >> 3
    significant = address[:octets]
    spare = -length & 7
    if spare:
        significant = significant[:-1] + bytes((significant[-1] >> spare << spare,))
    return bytes((length,)) + significant


def prefix_text(prefix: bytes, afi: int) -> str:
    """``10.1.1.3/32``; ``afi`` 1 or 2 tells the IP version."""
    return f"{_address_text(prefix_address(prefix, afi))}/{prefix[0]}"


def prefix_address(prefix: bytes, afi: int) -> bytes:
    """The packed network address of a prefix, 4 octets for AFI 1, 16 for AFI 2."""
    return prefix[1:].ljust(4 if afi == 1 else 16, b"\0")


def _address_text(packed: bytes) -> str:
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))


def rd_from_text(text: str) -> bytes:
    """``64512:5`` (type 0), ``192.0.2.7:3`` (type 1) or ``4200000000:5`` (type 2)."""
    administrator, colon, number = text.rpartition(":")
    try:
        if not colon:
            raise ValueError("no colon")
        if "." in administrator:
            return b"\0\1" + IPv4Address(administrator).packed + int(number).to_bytes(2, "big")
        asn = int(administrator)
        if asn <= 0xFFFF:
            return b"\0\0" + asn.to_bytes(2, "big") + int(number).to_bytes(4, "big")
        return b"\0\2" + asn.to_bytes(4, "big") + int(number).to_bytes(2, "big")
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"route distinguisher {text!r}: {error}; expected AS:number or address:number"
        ) from error


def rd_text(rd: bytes) -> str:
    """The inverse of :func:`rd_from_text`; an unknown type as ``TYPE:HEX``."""
    kind = int.from_bytes(rd[:2], "big")
    if kind == 0:
        return f"{int.from_bytes(rd[2:4], 'big')}:{int.from_bytes(rd[4:], 'big')}"
    if kind == 1:
        return f"{IPv4Address(rd[2:6])}:{int.from_bytes(rd[6:], 'big')}"
    if kind == 2:
        return f"{int.from_bytes(rd[2:6], 'big')}:{int.from_bytes(rd[6:], 'big')}"
    return f"{kind}:{rd[2:].hex()}"


def mpls_field(label: int) -> int:
    """The 24-bit field of one MPLS label at the bottom of its stack."""
    return label << 4 | 1


def mpls_label(field24: int) -> int:
    """The MPLS label in a 24-bit label field."""
    return field24 >> 4


# --- values -------------------------------------------------------------------------------------


class Inet(Struct, frozen=True, gc=False):
    """A plain prefix of inet or inet6."""

    prefix: bytes

    @property
    def key(self) -> bytes:
        """The prefix."""
        return self.prefix


class Labeled(Struct, frozen=True, gc=False):
    """A labeled prefix (RFC 8277)."""

    prefix: bytes
    label_field: int = WITHDRAW_FIELD

    @property
    def key(self) -> bytes:
        """The prefix."""
        return self.prefix

    @property
    def label(self) -> int:
        """The MPLS label."""
        return self.label_field >> 4


class Vpn(Struct, frozen=True, gc=False):
    """A VPN prefix of inet-vpn or inet6-vpn."""

    rd: bytes
    prefix: bytes
    label_field: int = WITHDRAW_FIELD

    @property
    def key(self) -> bytes:
        """RD and prefix."""
        return self.rd + self.prefix

    @property
    def label(self) -> int:
        """The MPLS label."""
        return self.label_field >> 4


class RouteTarget(Struct, frozen=True, gc=False):
    """A wish for routes with a route target (RFC 4684): a prefix of origin AS + community.

    ``prefix`` is in wire form with length 0 (everything) or 32 to 96.
    """

    prefix: bytes

    @property
    def key(self) -> bytes:
        """The prefix."""
        return self.prefix

    @property
    def origin_as(self) -> int | None:
        """The AS that wants the routes; None for the default."""
        return int.from_bytes(self.prefix[1:5], "big") if self.prefix[0] else None

    @property
    def target(self) -> bytes | None:
        """The whole route target, or None when the prefix is shorter than one."""
        return self.prefix[5:] if self.prefix[0] == 96 else None

    @classmethod
    def of(cls, origin_as: int, target: bytes) -> RouteTarget:
        """The wish of an AS for exactly one route target."""
        return cls(b"\x60" + origin_as.to_bytes(4, "big") + target)


class EthernetAutoDiscovery(Struct, frozen=True, gc=False):
    """EVPN type 1."""

    rd: bytes
    esi: bytes
    tag: int
    label_field: int = 0

    @property
    def key(self) -> bytes:
        """Type, RD, ESI and tag."""
        return b"\1" + self.rd + self.esi + self.tag.to_bytes(4, "big")


class MacIp(Struct, frozen=True, gc=False):
    """EVPN type 2. ``ip`` is empty or packed; ``label2_field`` is the routing label or VNI."""

    rd: bytes
    tag: int
    mac: bytes
    ip: bytes = b""
    label_field: int = 0
    esi: bytes = ESI_ZERO
    label2_field: int | None = None

    @property
    def key(self) -> bytes:
        """Type, RD, tag, MAC and IP."""
        return b"\2" + self.rd + self.tag.to_bytes(4, "big") + self.mac + self.ip


class InclusiveMulticast(Struct, frozen=True, gc=False):
    """EVPN type 3. ``originator`` is a packed address."""

    rd: bytes
    tag: int
    originator: bytes

    @property
    def key(self) -> bytes:
        """Type, RD, tag and originator."""
        return b"\3" + self.rd + self.tag.to_bytes(4, "big") + self.originator


class EthernetSegment(Struct, frozen=True, gc=False):
    """EVPN type 4."""

    rd: bytes
    esi: bytes
    originator: bytes

    @property
    def key(self) -> bytes:
        """Type, RD, ESI and originator."""
        return b"\4" + self.rd + self.esi + self.originator


class IpPrefix(Struct, frozen=True, gc=False):
    """EVPN type 5 (RFC 9136). ``gateway`` is packed; its length tells the IP version."""

    rd: bytes
    tag: int
    prefix: bytes
    label_field: int = 0
    gateway: bytes = bytes(4)
    esi: bytes = ESI_ZERO

    @property
    def afi(self) -> int:
        """1 or 2: the IP version of the prefix."""
        return 1 if len(self.gateway) == 4 else 2

    @property
    def key(self) -> bytes:
        """Type, RD, tag, IP version and prefix."""
        return b"\5" + self.rd + self.tag.to_bytes(4, "big") + bytes((self.afi,)) + self.prefix


class UnknownEvpn(Struct, frozen=True, gc=False):
    """An EVPN type this library does not interpret; a reflector passes it on unchanged."""

    type: int
    value: bytes

    @property
    def key(self) -> bytes:
        """Type and content."""
        return bytes((self.type,)) + self.value


class ErmVpn(Struct, frozen=True, gc=False):
    """erm-vpn: a node's part of a multicast tree. ``type`` 1 is local, 2 global."""

    type: int
    rd: bytes
    router_id: bytes
    source: bytes
    group: bytes

    @property
    def key(self) -> bytes:
        """All of it."""
        return bytes((self.type,)) + self.rd + self.router_id + self.source + self.group


Evpn: TypeAlias = (
    EthernetAutoDiscovery | MacIp | InclusiveMulticast | EthernetSegment | IpPrefix | UnknownEvpn
)
Nlri: TypeAlias = Inet | Labeled | Vpn | RouteTarget | Evpn | ErmVpn


@dataclass(slots=True)
class NlriResult:
    """What a run of NLRI octets held."""

    routes: list[Nlri] = field(default_factory=list)
    #: Routes that are identified but cannot be used: an announcement withdraws them.
    unusable: list[Nlri] = field(default_factory=list)
    #: Reasons of typed NLRI that were skipped.
    skipped: list[str] = field(default_factory=list)
    #: Path identifiers of ``routes`` and ``unusable``, if the family has them (RFC 7911).
    path_ids: list[int] = field(default_factory=list)
    unusable_ids: list[int] = field(default_factory=list)


# --- decoding -----------------------------------------------------------------------------------


def _bad(family: Family, reason: str) -> ProtocolError:
    subcode = UpdateError.INVALID_NETWORK if family == INET else UpdateError.OPTIONAL_ATTRIBUTE
    return ProtocolError(ErrorCode.UPDATE, subcode, f"{family} NLRI: {reason}")


def _bits(family: Family, data: bytes, pos: int, least: int, most: int) -> tuple[int, int]:
    """Length octet at ``pos`` and the position after the NLRI, both checked."""
    bits = data[pos]
    if not least <= bits <= most:
        raise _bad(family, f"length {bits} bits, expected {least} to {most}")
    stop = pos + 1 + ((bits + 7) >> 3)
    if stop > len(data):
        raise _bad(family, f"length {bits} bits runs {stop - len(data)} octets past the end")
    return bits, stop


def _normal(bits: int, octets: bytes) -> bytes:
    """Wire form of a prefix whose octets come from the wire: host bits cleared."""
    spare = -bits & 7
    if spare and octets[-1] & ((1 << spare) - 1):
        octets = octets[:-1] + bytes((octets[-1] >> spare << spare,))
    return bytes((bits,)) + octets


def _decode_inet(family: Family, data: bytes, withdraw: bool) -> NlriResult:
    most = 32 if family.afi == 1 else 128
    routes: list[Nlri] = []
    pos = 0
    while pos < len(data):
        bits, stop = _bits(family, data, pos, 0, most)
        routes.append(Inet(_normal(bits, data[pos + 1 : stop])))
        pos = stop
    return NlriResult(routes)


def _decode_labeled(family: Family, data: bytes, withdraw: bool) -> NlriResult:
    """Labeled and VPN prefixes: length, label, [RD,] prefix."""
    rd_octets = 8 if family.safi == INET_VPN.safi else 0
    head = 24 + rd_octets * 8
    most = head + (32 if family.afi == 1 else 128)
    result = NlriResult()
    pos, size = 0, len(data)
    while pos < size:
        bits, stop = _bits(family, data, pos, head, most)
        at = pos + 4
        label_field = int.from_bytes(data[pos + 1 : at], "big")
        prefix = _normal(bits - head, data[at + rd_octets : stop])
        route: Nlri = (
            Vpn(data[at : at + 8], prefix, label_field)
            if rd_octets
            else Labeled(prefix, label_field)
        )
        (result.routes if withdraw or label_field & 1 else result.unusable).append(route)
        pos = stop
    return result


def _decode_route_target(family: Family, data: bytes, withdraw: bool) -> NlriResult:
    routes: list[Nlri] = []
    pos = 0
    while pos < len(data):
        bits, stop = _bits(family, data, pos, 0, 96)
        if 0 < bits < 32:
            raise _bad(family, f"length {bits} bits, expected 0 or 32 to 96")
        routes.append(RouteTarget(_normal(bits, data[pos + 1 : stop])))
        pos = stop
    return NlriResult(routes)


class _Skip(Exception):
    """A typed NLRI whose content is wrong."""


def _ip(cursor: Cursor, allowed: tuple[int, ...]) -> bytes:
    bits = cursor.uint(1)
    if bits not in allowed:
        raise _Skip(f"address length {bits} bits, expected one of {allowed}")
    return cursor.take(bits >> 3)


def _evpn_ad(cursor: Cursor) -> Nlri:
    return EthernetAutoDiscovery(cursor.take(8), cursor.take(10), cursor.uint(4), cursor.uint(3))


def _evpn_mac_ip(cursor: Cursor) -> Nlri:
    rd, esi, tag = cursor.take(8), cursor.take(10), cursor.uint(4)
    mac_bits = cursor.uint(1)
    if mac_bits != 48:
        raise _Skip(f"MAC length {mac_bits} bits, expected 48")
    mac, ip, label = cursor.take(6), _ip(cursor, (0, 32, 128)), cursor.uint(3)
    label2 = cursor.uint(3) if len(cursor) else None
    return MacIp(rd, tag, mac, ip, label, esi, label2)


def _evpn_multicast(cursor: Cursor) -> Nlri:
    return InclusiveMulticast(cursor.take(8), cursor.uint(4), _ip(cursor, (32, 128)))


def _evpn_segment(cursor: Cursor) -> Nlri:
    return EthernetSegment(cursor.take(8), cursor.take(10), _ip(cursor, (32, 128)))


def _evpn_prefix(cursor: Cursor) -> Nlri:
    if len(cursor) not in (34, 58):
        raise _Skip(f"length {len(cursor)}, expected 34 or 58")
    width = 4 if len(cursor) == 34 else 16
    rd, esi, tag, bits = cursor.take(8), cursor.take(10), cursor.uint(4), cursor.uint(1)
    if bits > width * 8:
        raise _Skip(f"prefix length {bits} bits, expected {width * 8} at most")
    prefix = pack_prefix(cursor.take(width), bits)
    gateway, label = cursor.take(width), cursor.uint(3)
    return IpPrefix(rd, tag, prefix, label, gateway, esi)


_EVPN: dict[int, Callable[[Cursor], Nlri]] = {
    1: _evpn_ad,
    2: _evpn_mac_ip,
    3: _evpn_multicast,
    4: _evpn_segment,
    5: _evpn_prefix,
}


def _erm_vpn(type_: int, cursor: Cursor) -> Nlri:
    rd, router_id = cursor.take(8), cursor.take(4)
    return ErmVpn(type_, rd, router_id, _ip(cursor, (32,)), _ip(cursor, (32,)))


def _decode_typed(family: Family, data: bytes, withdraw: bool) -> NlriResult:
    """Families whose NLRI are type, length, content."""
    result = NlriResult()
    cursor = Cursor(data)
    while len(cursor):
        try:
            type_ = cursor.uint(1)
            content = cursor.sub(cursor.uint(1))
        except Truncated as error:
            raise _bad(family, str(error)) from error
        try:
            if family == ERM_VPN:
                if type_ not in (1, 2):
                    raise _Skip("unknown type, expected 1 or 2")
                route = _erm_vpn(type_, content)
            elif type_ in _EVPN:
                route = _EVPN[type_](content)
            else:
                route = UnknownEvpn(type_, content.rest())
            if len(content):
                raise _Skip(f"{len(content)} octets too many")
        except (_Skip, Truncated) as error:
            result.skipped.append(f"{family} type {type_}: {error}")
            continue
        result.routes.append(route)
    return result


_DECODERS: dict[Family, Callable[[Family, bytes, bool], NlriResult]] = {
    INET: _decode_inet,
    INET6: _decode_inet,
    INET_LABELED: _decode_labeled,
    INET_VPN: _decode_labeled,
    INET6_VPN: _decode_labeled,
    ROUTE_TARGET: _decode_route_target,
    EVPN: _decode_typed,
    ERM_VPN: _decode_typed,
}


def decode_nlri(family: Family, data: bytes, *, withdraw: bool = False) -> NlriResult:
    """All NLRI in ``data``. ``withdraw`` relaxes what only an announcement must have.

    Raises :class:`ProtocolError` where the position of the next NLRI cannot be known.
    """
    return _DECODERS[family](family, data, withdraw)


# --- encoding -----------------------------------------------------------------------------------


def _typed(type_: int, content: bytes) -> bytes:
    return bytes((type_, len(content))) + content


def _sized(address: bytes) -> bytes:
    return bytes((len(address) * 8,)) + address


def encode_nlri(route: Nlri) -> bytes:
    """The octets of one NLRI."""
    match route:
        case Vpn(rd, prefix, label_field):
            head = bytes((prefix[0] + 88,)) + label_field.to_bytes(3, "big")
            return head + rd + prefix[1:]
        case Inet(prefix) | RouteTarget(prefix):
            return prefix
        case MacIp(rd, tag, mac, ip, label, esi, label2):
            tail = label.to_bytes(3, "big")
            if label2 is not None:
                tail += label2.to_bytes(3, "big")
            head = rd + esi + tag.to_bytes(4, "big") + b"\x30" + mac
            return _typed(2, head + _sized(ip) + tail)
        case InclusiveMulticast(rd, tag, originator):
            return _typed(3, rd + tag.to_bytes(4, "big") + _sized(originator))
        case IpPrefix(rd, tag, prefix, label, gateway, esi):
            address = prefix[1:].ljust(len(gateway), b"\0")
            head = rd + esi + tag.to_bytes(4, "big") + prefix[:1] + address
            return _typed(5, head + gateway + label.to_bytes(3, "big"))
        case EthernetAutoDiscovery(rd, esi, tag, label):
            return _typed(1, rd + esi + tag.to_bytes(4, "big") + label.to_bytes(3, "big"))
        case EthernetSegment(rd, esi, originator):
            return _typed(4, rd + esi + _sized(originator))
        case UnknownEvpn(type_, value):
            return _typed(type_, value)
        case Labeled(prefix, label_field):
            return bytes((prefix[0] + 24,)) + label_field.to_bytes(3, "big") + prefix[1:]
        case ErmVpn(type_, rd, router_id, source, group):
            return _typed(type_, rd + router_id + _sized(source) + _sized(group))


# --- text ---------------------------------------------------------------------------------------


def nlri_text(family: Family, route: Nlri) -> str:
    """The route as tables show it: ``192.0.2.7:3:10.1.1.3/32``, ``2-RD-tag-mac,ip``..."""
    match route:
        case Inet(prefix) | Labeled(prefix):
            return prefix_text(prefix, family.afi)
        case Vpn(rd, prefix):
            return f"{rd_text(rd)}:{prefix_text(prefix, family.afi)}"
        case EthernetAutoDiscovery(rd, esi, tag):
            return f"1-{rd_text(rd)}-{esi.hex(':')}-{tag}"
        case MacIp(rd, tag, mac, ip):
            address = _address_text(ip) if ip else _NO_ADDRESS
            return f"2-{rd_text(rd)}-{tag}-{mac.hex(':')},{address}"
        case InclusiveMulticast(rd, tag, originator):
            return f"3-{rd_text(rd)}-{tag}-{_address_text(originator)}"
        case EthernetSegment(rd, esi, originator):
            return f"4-{rd_text(rd)}-{esi.hex(':')}-{_address_text(originator)}"
        case IpPrefix(rd, tag, prefix):
            return f"5-{rd_text(rd)}-{tag}-{prefix_text(prefix, route.afi)}"
        case UnknownEvpn(type_, value):
            return f"{type_}-{value.hex()}"
        case ErmVpn(type_, rd, router_id, source, group):
            return (
                f"{type_}-{rd_text(rd)}-{_address_text(router_id)},"
                f"{_address_text(group)},{_address_text(source)}"
            )
        case RouteTarget(prefix):
            return route_target_text(prefix)


def route_target_text(prefix: bytes) -> str:
    """``64512:target:64512:8000003``, or the prefix in hex when it is partial."""
    from tungsten.bgp.communities import extended_text

    if prefix[0] == 96:
        return f"{int.from_bytes(prefix[1:5], 'big')}:{extended_text(prefix[5:])}"
    return f"{prefix[1:].hex()}/{prefix[0]}"
