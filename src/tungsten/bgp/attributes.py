"""Path attributes: what is said about routes, parsed into one frozen, shared value.

:class:`PathAttributes` holds everything an UPDATE says about its routes except the routes
themselves: the next hop is in it whether it came in NEXT_HOP or in MP_REACH_NLRI. Values are
compared and hashed by content (the hash is kept), and :class:`AttributeStore` makes equal ones
the same object, found by the octets they came in, so that a set of attributes is parsed once
however many UPDATEs carry it. The store holds them weakly: a set lives as long as a route
uses it.

Errors follow RFC 7606. A :class:`Fault` names the attribute, the reason and the
:class:`Remedy`, from discarding the attribute to treating the UPDATE's routes as withdrawn;
what must reset the session raises :class:`ProtocolError`. Optional transitive attributes that
are not interpreted are carried as they are, with the Partial bit; unknown optional
non-transitive ones are dropped (RFC 4271 section 9).

Sources: RFC 4271 4.3 and 5, 1997, 4360, 4456, 4760, 6514 5 (PMSI), 6793, 7606 7, 7607, 8092.
Attribute 243 (origin VN path) is private to Tungsten Fabric, as are 241 and 242 (edge
discovery and forwarding of multicast trees), which are carried without being interpreted here
(:mod:`tungsten.bgp.edges` does).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from msgspec import Struct

from tungsten.bgp.as_path import AS_TRANS, Segment, merge_paths, pack_path, parse_path
from tungsten.bgp.errors import ErrorCode, ProtocolError, UpdateError, UsageError
from tungsten.bgp.families import Family
from tungsten.bgp.wire import Malformed, Truncated

_OPTIONAL, _TRANSITIVE, _PARTIAL, _EXTENDED = 0x80, 0x40, 0x20, 0x10
_FLAG_MASK = _OPTIONAL | _TRANSITIVE


class Code(IntEnum):
    """Attribute type codes."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MED = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITIES = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH = 14
    MP_UNREACH = 15
    EXTENDED_COMMUNITIES = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    PMSI_TUNNEL = 22
    LARGE_COMMUNITIES = 32
    EDGE_DISCOVERY = 241
    EDGE_FORWARDING = 242
    ORIGIN_VN_PATH = 243


class Origin(IntEnum):
    """Values of ORIGIN."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2


class Aggregator(Struct, frozen=True):
    """Who aggregated the route: AS and packed IPv4 address."""

    asn: int
    address: bytes


class PmsiTunnel(Struct, frozen=True):
    """PMSI tunnel. Type 6 is ingress replication, whose endpoint is an address."""

    type: int
    label_field: int
    endpoint: bytes
    flags: int = 0


class RawAttribute(Struct, frozen=True):
    """An attribute carried without being interpreted."""

    flags: int
    code: int
    value: bytes


class PathAttributes(Struct, frozen=True, weakref=True, cache_hash=True):
    """The attributes of a set of routes; addresses are packed, absent ones None or empty."""

    next_hop: bytes = b""
    origin: int = Origin.IGP
    as_path: tuple[Segment, ...] = ()
    med: int | None = None
    local_preference: int | None = None
    extended_communities: tuple[bytes, ...] = ()
    communities: tuple[int, ...] = ()
    large_communities: tuple[bytes, ...] = ()
    originator_id: bytes | None = None
    cluster_list: tuple[bytes, ...] = ()
    atomic_aggregate: bool = False
    aggregator: Aggregator | None = None
    pmsi_tunnel: PmsiTunnel | None = None
    origin_vn_path: tuple[bytes, ...] = ()
    opaque: tuple[RawAttribute, ...] = ()


class Remedy(IntEnum):
    """What an attribute error costs, from weakest to strongest (RFC 7606 section 2)."""

    DISCARD_ATTRIBUTE = 1
    TREAT_AS_WITHDRAW = 2
    RESET = 3


class Fault(NamedTuple):
    """An attribute error: which attribute, what was wrong, and what it costs.

    ``subcode`` and ``data`` are for the NOTIFICATION, should the fault have to reset.
    """

    code: int
    remedy: Remedy
    reason: str
    subcode: int = UpdateError.OPTIONAL_ATTRIBUTE
    data: bytes = b""


class Context(NamedTuple):
    """What a session negotiated that decoding UPDATE depends on.

    ``add_paths``: families whose routes come with path identifiers (RFC 7911).
    """

    internal: bool
    four_octet_as: bool
    add_paths: frozenset[Family] = frozenset()


# --- decoding -----------------------------------------------------------------------------------


class _Spec(NamedTuple):
    """How an attribute is decoded and what its errors cost."""

    flags: int
    remedy: Remedy
    parse: Callable[[bytes], object]
    subcode: int = UpdateError.OPTIONAL_ATTRIBUTE


def _exact(length: int) -> Callable[[bytes], bytes]:
    def parse(value: bytes) -> bytes:
        if len(value) != length:
            raise Malformed(f"length {len(value)}, expected {length}")
        return value

    return parse


def _origin(value: bytes) -> int:
    if len(value) != 1:
        raise Malformed(f"length {len(value)}, expected 1")
    if value[0] > 2:
        raise Malformed(f"value {value[0]}, expected 0, 1 or 2")
    return value[0]


def martian(address: bytes) -> bool:
    """An IPv4 next hop no route can have: 0/8, or 224/4 and above."""
    return address[0] == 0 or address[0] >= 224


def _next_hop(value: bytes) -> bytes:
    _exact(4)(value)
    if martian(value):
        raise Malformed(f"{'.'.join(map(str, value))} is not a host address")
    return value


def _number(value: bytes) -> int:
    return int.from_bytes(_exact(4)(value), "big")


def _chunks(width: int) -> Callable[[bytes], tuple[bytes, ...]]:
    def parse(value: bytes) -> tuple[bytes, ...]:
        if not value or len(value) % width:
            raise Malformed(f"length {len(value)}, expected a positive multiple of {width}")
        return tuple(value[i : i + width] for i in range(0, len(value), width))

    return parse


def _communities(value: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(c, "big") for c in _chunks(4)(value))


def _aggregator(value: bytes) -> Aggregator:
    if len(value) not in (6, 8):
        raise Malformed(f"length {len(value)}, expected 6 or 8")
    asn = int.from_bytes(value[:-4], "big")
    if asn == 0:
        raise Malformed("AS number 0")
    return Aggregator(asn, value[-4:])


def _empty(value: bytes) -> bool:
    _exact(0)(value)
    return True


def _pmsi(value: bytes) -> PmsiTunnel:
    if len(value) < 5:
        raise Malformed(f"length {len(value)}, expected 5 or more")
    tunnel = PmsiTunnel(value[1], int.from_bytes(value[2:5], "big"), value[5:], value[0])
    if tunnel.type == 6 and len(tunnel.endpoint) not in (4, 16):
        raise Malformed(f"ingress replication endpoint of {len(tunnel.endpoint)} octets")
    return tunnel


def _as_is(value: bytes) -> bytes:
    return value


_TAW, _AD = Remedy.TREAT_AS_WITHDRAW, Remedy.DISCARD_ATTRIBUTE
_WELL_KNOWN: Final = _TRANSITIVE
_OPT_TRANS: Final = _OPTIONAL | _TRANSITIVE

_SPECS: dict[int, _Spec] = {
    Code.ORIGIN: _Spec(_WELL_KNOWN, _TAW, _origin, UpdateError.INVALID_ORIGIN),
    Code.AS_PATH: _Spec(_WELL_KNOWN, _TAW, _as_is, UpdateError.MALFORMED_AS_PATH),
    Code.NEXT_HOP: _Spec(_WELL_KNOWN, _TAW, _next_hop, UpdateError.INVALID_NEXT_HOP),
    Code.MED: _Spec(_OPTIONAL, _TAW, _number, UpdateError.ATTRIBUTE_LENGTH),
    Code.LOCAL_PREF: _Spec(_WELL_KNOWN, _TAW, _number, UpdateError.ATTRIBUTE_LENGTH),
    Code.ATOMIC_AGGREGATE: _Spec(_WELL_KNOWN, _AD, _empty, UpdateError.ATTRIBUTE_LENGTH),
    Code.AGGREGATOR: _Spec(_OPT_TRANS, _AD, _aggregator),
    Code.COMMUNITIES: _Spec(_OPT_TRANS, _TAW, _communities),
    Code.ORIGINATOR_ID: _Spec(_OPTIONAL, _TAW, _exact(4)),
    Code.CLUSTER_LIST: _Spec(_OPTIONAL, _TAW, _chunks(4)),
    Code.MP_REACH: _Spec(_OPTIONAL, _TAW, _as_is),
    Code.MP_UNREACH: _Spec(_OPTIONAL, _TAW, _as_is),
    Code.EXTENDED_COMMUNITIES: _Spec(_OPT_TRANS, _TAW, _chunks(8)),
    Code.AS4_PATH: _Spec(_OPT_TRANS, _AD, _as_is),
    Code.AS4_AGGREGATOR: _Spec(_OPT_TRANS, _AD, _aggregator),
    Code.PMSI_TUNNEL: _Spec(_OPT_TRANS, _TAW, _pmsi),
    Code.LARGE_COMMUNITIES: _Spec(_OPT_TRANS, _TAW, _chunks(12)),
    Code.ORIGIN_VN_PATH: _Spec(_OPT_TRANS, _AD, _chunks(8)),
}
#: Attributes an external peer must not send; they are discarded unread (RFC 7606 7.5, 7.9, 7.10).
_INTERNAL_ONLY = frozenset({Code.LOCAL_PREF, Code.ORIGINATOR_ID, Code.CLUSTER_LIST})
_AS4 = frozenset({Code.AS4_PATH, Code.AS4_AGGREGATOR})
_MP = frozenset({Code.MP_REACH, Code.MP_UNREACH})


class SplitBlock(NamedTuple):
    """An attribute block cut into attributes, each still raw, the first of each code."""

    raw: dict[int, RawAttribute]
    faults: list[Fault]
    #: The block without MP_REACH and MP_UNREACH: the same for all routes that share attributes.
    shared: bytes


def split_block(block: bytes) -> SplitBlock:
    """Cut a path attribute block. Raises for MP attributes given twice (RFC 7606 3g)."""
    raw: dict[int, RawAttribute] = {}
    faults: list[Fault] = []
    shared = []
    pos, size = 0, len(block)
    while pos < size:
        start = pos
        header = 4 if block[pos] & _EXTENDED else 3
        if pos + header > size:
            faults.append(_cut(f"attribute header cut after {size - pos} octets"))
            break
        flags, code = block[pos], block[pos + 1]
        length = block[pos + 2] if header == 3 else block[pos + 2] << 8 | block[pos + 3]
        pos += header
        if pos + length > size:
            faults.append(_cut(f"attribute {code}: length {length} with {size - pos} octets left"))
            break
        value = block[pos : pos + length]
        pos += length
        if code in raw:
            if code in _MP:
                raise ProtocolError(
                    ErrorCode.UPDATE,
                    UpdateError.MALFORMED_ATTRIBUTE_LIST,
                    f"attribute {code} given twice",
                )
            faults.append(Fault(code, _AD, "given twice, the first is kept"))
            continue
        raw[code] = RawAttribute(flags, code, value)
        if code not in _MP:
            shared.append(block[start:pos])
    return SplitBlock(
        raw, faults, block if len(shared) == len(raw) and not faults else b"".join(shared)
    )


def _cut(reason: str) -> Fault:
    return Fault(0, _TAW, reason, UpdateError.MALFORMED_ATTRIBUTE_LIST)


class _Values(dict[int, object]):
    """Decoded values by attribute code."""


def _decode_one(
    raw: RawAttribute, context: Context, values: _Values, opaque: list[RawAttribute]
) -> Fault | None:
    code, flags = raw.code, raw.flags
    spec = _SPECS.get(code)
    if spec is None:
        if not flags & _OPTIONAL:
            return Fault(
                code, _TAW, "unrecognised well-known attribute", UpdateError.UNRECOGNIZED_WELL_KNOWN
            )
        if flags & _TRANSITIVE:
            opaque.append(RawAttribute(_OPT_TRANS | _PARTIAL, code, raw.value))
        return None
    if not context.internal and code in _INTERNAL_ONLY:
        return Fault(code, _AD, "sent by an external peer")
    if context.four_octet_as and code in _AS4:
        return None
    if flags & _FLAG_MASK != spec.flags:
        reason = f"flags {flags:#04x}, expected {spec.flags:#04x} in the upper two bits"
        return Fault(code, spec.remedy, reason, UpdateError.ATTRIBUTE_FLAGS)
    try:
        values[code] = _parse_value(code, spec, raw.value, context)
    except (Malformed, Truncated) as error:
        return Fault(code, spec.remedy, str(error), spec.subcode)
    return None


def _parse_value(code: int, spec: _Spec, value: bytes, context: Context) -> object:
    if code == Code.AS_PATH:
        if not value and not context.internal:
            raise Malformed("empty from an external peer")
        return parse_path(value, 4 if context.four_octet_as else 2)
    if code == Code.AS4_PATH:
        return parse_path(value, 4)
    if code == Code.AGGREGATOR:
        _exact(8 if context.four_octet_as else 6)(value)
    elif code == Code.AS4_AGGREGATOR:
        _exact(8)(value)
    return spec.parse(value)


def _merge_four_octet(values: _Values) -> None:
    """Apply AS4_PATH and AS4_AGGREGATOR of a two-octet peer (RFC 6793 section 4.2.3)."""
    path4, aggregator4 = values.pop(Code.AS4_PATH, None), values.pop(Code.AS4_AGGREGATOR, None)
    aggregator = values.get(Code.AGGREGATOR)
    if isinstance(aggregator, Aggregator):
        if aggregator.asn != AS_TRANS:
            return
        if isinstance(aggregator4, Aggregator):
            values[Code.AGGREGATOR] = aggregator4
    path = values.get(Code.AS_PATH)
    if isinstance(path, tuple) and isinstance(path4, tuple):
        values[Code.AS_PATH] = merge_paths(path, path4)


_FIELDS: dict[int, str] = {
    Code.ORIGIN: "origin",
    Code.AS_PATH: "as_path",
    Code.NEXT_HOP: "next_hop",
    Code.MED: "med",
    Code.LOCAL_PREF: "local_preference",
    Code.ATOMIC_AGGREGATE: "atomic_aggregate",
    Code.AGGREGATOR: "aggregator",
    Code.COMMUNITIES: "communities",
    Code.ORIGINATOR_ID: "originator_id",
    Code.CLUSTER_LIST: "cluster_list",
    Code.EXTENDED_COMMUNITIES: "extended_communities",
    Code.PMSI_TUNNEL: "pmsi_tunnel",
    Code.LARGE_COMMUNITIES: "large_communities",
    Code.ORIGIN_VN_PATH: "origin_vn_path",
}


def decode_attributes(
    split: SplitBlock, context: Context, next_hop: bytes | None = None
) -> tuple[PathAttributes, list[Fault]]:
    """Everything but the MP attributes; ``next_hop`` from MP_REACH replaces NEXT_HOP."""
    values = _Values()
    opaque: list[RawAttribute] = []
    faults = []
    for raw in split.raw.values():
        fault = _decode_one(raw, context, values, opaque)
        if fault is not None:
            faults.append(fault)
    if not context.four_octet_as:
        _merge_four_octet(values)
    fields = {name: values[code] for code, name in _FIELDS.items() if code in values}
    if next_hop is not None:
        fields["next_hop"] = next_hop
    return PathAttributes(**fields, opaque=tuple(opaque)), faults  # type: ignore[arg-type]


# --- encoding -----------------------------------------------------------------------------------


def pack_attribute(flags: int, code: int, value: bytes) -> bytes:
    """Header and value; long values get the extended length."""
    if len(value) > 0xFFFF:
        raise UsageError(f"attribute {code} of {len(value)} octets: 65535 at most")
    if len(value) > 0xFF:
        return bytes((flags | _EXTENDED, code)) + len(value).to_bytes(2, "big") + value
    return bytes((flags, code, len(value))) + value


def _optional_attributes(a: PathAttributes, four_octet_as: bool) -> list[tuple[int, int, bytes]]:
    """(code, flags, value) of what is present, besides ORIGIN, AS_PATH and next hop."""
    out: list[tuple[int, int, bytes]] = []
    if a.med is not None:
        out.append((Code.MED, _OPTIONAL, a.med.to_bytes(4, "big")))
    if a.local_preference is not None:
        out.append((Code.LOCAL_PREF, _WELL_KNOWN, a.local_preference.to_bytes(4, "big")))
    if a.atomic_aggregate:
        out.append((Code.ATOMIC_AGGREGATE, _WELL_KNOWN, b""))
    if a.aggregator is not None:
        out.extend(_pack_aggregator(a.aggregator, four_octet_as))
    if a.communities:
        value = b"".join(c.to_bytes(4, "big") for c in a.communities)
        out.append((Code.COMMUNITIES, _OPT_TRANS, value))
    if a.originator_id is not None:
        out.append((Code.ORIGINATOR_ID, _OPTIONAL, a.originator_id))
    if a.cluster_list:
        out.append((Code.CLUSTER_LIST, _OPTIONAL, b"".join(a.cluster_list)))
    if a.extended_communities:
        value = b"".join(a.extended_communities)
        out.append((Code.EXTENDED_COMMUNITIES, _OPT_TRANS, value))
    if a.pmsi_tunnel is not None:
        p = a.pmsi_tunnel
        value = bytes((p.flags, p.type)) + p.label_field.to_bytes(3, "big") + p.endpoint
        out.append((Code.PMSI_TUNNEL, _OPT_TRANS, value))
    if a.large_communities:
        out.append((Code.LARGE_COMMUNITIES, _OPT_TRANS, b"".join(a.large_communities)))
    if a.origin_vn_path:
        out.append((Code.ORIGIN_VN_PATH, _OPT_TRANS, b"".join(a.origin_vn_path)))
    out.extend((raw.code, raw.flags, raw.value) for raw in a.opaque)
    return out


def _pack_aggregator(aggregator: Aggregator, four: bool) -> list[tuple[int, int, bytes]]:
    wide = aggregator.asn.to_bytes(4, "big") + aggregator.address
    if four:
        return [(Code.AGGREGATOR, _OPT_TRANS, wide)]
    if aggregator.asn <= 0xFFFF:
        return [(Code.AGGREGATOR, _OPT_TRANS, wide[2:])]
    narrow = AS_TRANS.to_bytes(2, "big") + aggregator.address
    return [(Code.AGGREGATOR, _OPT_TRANS, narrow), (Code.AS4_AGGREGATOR, _OPT_TRANS, wide)]


def encode_attributes(
    a: PathAttributes, *, four_octet_as: bool = True, with_next_hop: bool = False
) -> bytes:
    """The attribute block in ascending code order, without MP attributes.

    ``with_next_hop`` adds NEXT_HOP, for routes in the UPDATE's own NLRI field.
    """
    parts = _optional_attributes(a, four_octet_as)
    parts.append((Code.ORIGIN, _WELL_KNOWN, bytes((a.origin,))))
    width = 4 if four_octet_as else 2
    parts.append((Code.AS_PATH, _WELL_KNOWN, pack_path(a.as_path, width)))
    if width == 2 and any(asn > 0xFFFF for s in a.as_path for asn in s.asns):
        parts.append((Code.AS4_PATH, _OPT_TRANS, pack_path(a.as_path, 4)))
    if with_next_hop:
        if len(a.next_hop) != 4:
            raise UsageError(f"NEXT_HOP of {len(a.next_hop)} octets: an IPv4 address has 4")
        parts.append((Code.NEXT_HOP, _WELL_KNOWN, a.next_hop))
    parts.sort()
    return b"".join(pack_attribute(flags, code, value) for code, flags, value in parts)


# --- sharing ------------------------------------------------------------------------------------


class AttributeStore:
    """One object for each distinct set of attributes, found by value or by received octets.

    Owned by a speaker. Holds its entries weakly. ``decode`` answers from the octets without
    parsing them again, as long as any route still uses the set.
    """

    def __init__(self) -> None:
        self._by_octets: WeakValueDictionary[tuple[bytes, bytes | None, Context], PathAttributes]
        self._by_octets = WeakValueDictionary()
        self._by_value: WeakKeyDictionary[PathAttributes, ref[PathAttributes]]
        self._by_value = WeakKeyDictionary()
        self._blocks: WeakKeyDictionary[PathAttributes, dict[tuple[bool, bool], bytes]]
        self._blocks = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._by_value)

    def intern(self, attributes: PathAttributes) -> PathAttributes:
        """The shared object equal to ``attributes``."""
        shared = self._by_value.get(attributes)
        known = shared() if shared is not None else None
        if known is None:
            self._by_value[attributes] = ref(attributes)
            return attributes
        return known

    def decode(
        self, split: SplitBlock, context: Context, next_hop: bytes | None
    ) -> tuple[PathAttributes, list[Fault]]:
        """:func:`decode_attributes`, shared. Sets with faults are not kept by their octets."""
        key = (split.shared, next_hop, context)
        if not split.faults:
            known = self._by_octets.get(key)
            if known is not None:
                return known, []
        attributes, faults = decode_attributes(split, context, next_hop)
        attributes = self.intern(attributes)
        if not faults and not split.faults:
            self._by_octets[key] = attributes
        return attributes, faults

    def block(self, attributes: PathAttributes, four_octet_as: bool, with_next_hop: bool) -> bytes:
        """:func:`encode_attributes`, encoded once for each set and form."""
        forms = self._blocks.get(attributes)
        if forms is None:
            forms = self._blocks[attributes] = {}
        form = (four_octet_as, with_next_hop)
        block = forms.get(form)
        if block is None:
            block = forms[form] = encode_attributes(
                attributes, four_octet_as=four_octet_as, with_next_hop=with_next_hop
            )
        return block
