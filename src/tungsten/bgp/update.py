"""The UPDATE message: decoding with revised error handling, and packing routes into messages.

Decoding gives an :class:`Update`: routes withdrawn, then routes announced, each set with its
attributes. Apply ``unreach`` before ``reach``: a route in both is announced (RFC 4271 section
4.3). What went wrong and was survived is in ``faults`` (attributes) and ``skipped`` (typed
NLRI); routes whose attributes could not be used are already among ``unreach``, as RFC 7606
asks. What cannot be survived raises :class:`ProtocolError`:

* the lengths of the message's own parts do not fit it (RFC 7606 section 3a);
* MP_REACH_NLRI or MP_UNREACH_NLRI twice (3g), or cut so that its NLRI cannot be found (7.11);
* a prefix that cannot be delimited (5.3);
* an attribute error worse than a discard in a message that has no route to withdraw (5.2).

A family that was not negotiated is ignored and named in ``ignored``.

Packing takes a block of attributes that is already encoded and any number of NLRI, and fills
messages up to the limit, so that the attributes are encoded once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct

from tungsten.bgp.add_path import decode_paths
from tungsten.bgp.attributes import (
    AttributeStore,
    Code,
    Context,
    Fault,
    PathAttributes,
    RawAttribute,
    Remedy,
    SplitBlock,
    martian,
    pack_attribute,
    split_block,
)
from tungsten.bgp.errors import ErrorCode, ProtocolError, UpdateError, UsageError
from tungsten.bgp.families import INET, INET6, NEXT_HOP_LENGTHS, VPN_FAMILIES, Family
from tungsten.bgp.nlri import Nlri, NlriResult, decode_nlri, encode_nlri

MAX_MESSAGE = 4096
HEADER_SIZE = 19
MARKER = b"\xff" * 16
UPDATE_TYPE = 2

_V4_MAPPED = bytes(10) + b"\xff\xff"
_RD_ZERO = bytes(8)
_NO_ATTRIBUTES = SplitBlock({}, [], b"")


class Reach(Struct, frozen=True):
    """Announced routes of one family that share their attributes.

    ``path_ids`` are the routes' path identifiers, empty where none were negotiated.
    """

    family: Family
    attributes: PathAttributes
    routes: tuple[Nlri, ...]
    path_ids: tuple[int, ...] = ()


class Unreach(Struct, frozen=True):
    """Withdrawn routes of one family; ``path_ids`` as of :class:`Reach`."""

    family: Family
    routes: tuple[Nlri, ...]
    path_ids: tuple[int, ...] = ()


class Update(Struct, frozen=True):
    """One UPDATE. Apply ``unreach`` first. ``end_of_rib`` names the family whose dump ended."""

    reach: tuple[Reach, ...] = ()
    unreach: tuple[Unreach, ...] = ()
    end_of_rib: Family | None = None
    faults: tuple[Fault, ...] = ()
    skipped: tuple[str, ...] = ()
    ignored: tuple[Family, ...] = ()


# --- decoding -----------------------------------------------------------------------------------


class _Mp(NamedTuple):
    """A decoded MP attribute; ``result`` is None if the family was not negotiated."""

    family: Family
    next_hop: bytes
    result: NlriResult | None


def _mp_error(code: int, value: bytes, reason: str) -> ProtocolError:
    data = pack_attribute(0x80, code, value)
    return ProtocolError(
        ErrorCode.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, f"attribute {code}: {reason}", data
    )


def _nlri(family: Family, data: bytes, context: Context, *, withdraw: bool = False) -> NlriResult:
    decode = decode_paths if family in context.add_paths else decode_nlri
    return decode(family, data, withdraw=withdraw)


def _mp_reach(value: bytes, families: frozenset[Family], context: Context) -> _Mp:
    if len(value) < 5:
        raise _mp_error(Code.MP_REACH, value, f"length {len(value)}, expected 5 or more")
    family = Family(value[0] << 8 | value[1], value[2])
    if family not in families:
        return _Mp(family, b"", None)
    size, end = value[3], 4 + value[3]
    legal = NEXT_HOP_LENGTHS[family]
    if size not in legal or end + 1 > len(value):
        reason = f"{family} next hop length {size}, expected one of {sorted(legal)} that fits"
        raise _mp_error(Code.MP_REACH, value, reason)
    next_hop = _unpack_next_hop(family, value[4:end])
    return _Mp(family, next_hop, _nlri(family, value[end + 1 :], context))


def _unpack_next_hop(family: Family, field: bytes) -> bytes:
    """The global address in a next hop field: no RD, no link-local, v4-mapped unwrapped."""
    address = field[8:24] if family in VPN_FAMILIES else field[:16]
    return address[12:] if address[:12] == _V4_MAPPED else address


def _mp_unreach(value: bytes, families: frozenset[Family], context: Context) -> _Mp:
    if len(value) < 3:
        raise _mp_error(Code.MP_UNREACH, value, f"length {len(value)}, expected 3 or more")
    family = Family(value[0] << 8 | value[1], value[2])
    if family not in families:
        return _Mp(family, b"", None)
    return _Mp(family, b"", _nlri(family, value[3:], context, withdraw=True))


def _sections(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Withdrawn routes, path attributes and NLRI of an UPDATE body."""
    size = len(body)
    withdrawn_end = 2 + (body[0] << 8 | body[1]) if size >= 4 else size + 1
    if withdrawn_end + 2 <= size:
        attributes_at = withdrawn_end + 2
        attributes_end = attributes_at + (body[withdrawn_end] << 8 | body[withdrawn_end + 1])
        if attributes_end <= size:
            return (
                body[2:withdrawn_end],
                body[attributes_at:attributes_end],
                body[attributes_end:],
            )
    raise ProtocolError(
        ErrorCode.UPDATE,
        UpdateError.MALFORMED_ATTRIBUTE_LIST,
        f"withdrawn and attribute lengths exceed the {size} octets of the body",
    )


def _end_of_rib(body: bytes) -> Family | None:
    """The family of a message that has exactly the End-of-RIB form (RFC 4724 section 2)."""
    if body == b"\0\0\0\0":
        return INET
    if len(body) in (10, 11) and body[5] == Code.MP_UNREACH and body[:2] == b"\0\0":
        split = split_block(body[4:])
        value = split.raw[Code.MP_UNREACH].value if Code.MP_UNREACH in split.raw else b""
        if len(value) == 3 and not split.faults and len(body) == 4 + (body[2] << 8 | body[3]):
            return Family(value[0] << 8 | value[1], value[2])
    return None


def _missing(split: SplitBlock, context: Context, plain: bool, faulty: set[int]) -> list[Fault]:
    needed: list[int] = [Code.ORIGIN, Code.AS_PATH]
    if plain:
        needed.append(Code.NEXT_HOP)
    if context.internal:
        needed.append(Code.LOCAL_PREF)
    return [
        Fault(
            code,
            Remedy.TREAT_AS_WITHDRAW,
            "mandatory, but missing",
            UpdateError.MISSING_WELL_KNOWN,
            bytes((code,)),
        )
        for code in needed
        if code not in split.raw and code not in faulty
    ]


class _Builder:
    """Collects the parts of an :class:`Update` while one message is decoded."""

    def __init__(self, context: Context, families: frozenset[Family], store: AttributeStore):
        self.context = context
        self.families = families
        self.store = store
        self.faults: list[Fault] = []
        self.skipped: list[str] = []
        self.ignored: list[Family] = []
        self.unreach: list[Unreach] = []
        self.reach: list[Reach] = []

    def withdraw(self, family: Family, routes: list[Nlri], ids: list[int]) -> None:
        if routes:
            self.unreach.append(Unreach(family, tuple(routes), tuple(ids)))

    def parsed(self, mp: _Mp) -> NlriResult | None:
        if mp.result is None:
            self.ignored.append(mp.family)
        else:
            self.skipped.extend(mp.result.skipped)
        return mp.result

    def plain(self, data: bytes, withdraw: bool) -> NlriResult:
        """The UPDATE's own (IPv4 unicast) routes."""
        if data and INET not in self.families:
            self.ignored.append(INET)
            return NlriResult()
        return _nlri(INET, data, self.context, withdraw=withdraw)

    def announce(self, split: SplitBlock, own: NlriResult, mp: _Mp | None) -> None:
        """Decode the attributes for the routes found, and withdraw them if they are unusable."""
        plain = own.routes
        mp_routes = mp.result.routes if mp and mp.result else []
        parts: list[tuple[Family, bytes | None, NlriResult]] = []
        if mp and mp.result and mp_routes:
            parts.append((mp.family, mp.next_hop, mp.result))
        if plain or not parts:
            parts.append((INET, None, own))
        sets = []
        faults: list[Fault] = []
        for family, next_hop, found in parts:
            attributes, faults = self.store.decode(split, self.context, next_hop)
            sets.append((family, attributes, found))
        if not plain:
            faults = [f for f in faults if f.code != Code.NEXT_HOP]
        if mp and mp_routes and _martian_next_hop(mp):
            reason = f"next hop {mp.next_hop.hex()} is not a host address"
            faults.append(Fault(Code.MP_REACH, Remedy.TREAT_AS_WITHDRAW, reason))
        self.faults = [*split.faults, *faults]
        if plain or mp_routes:
            faulty = {f.code for f in self.faults}
            self.faults += _missing(split, self.context, bool(plain), faulty)
        usable = all(f.remedy < Remedy.TREAT_AS_WITHDRAW for f in self.faults)
        for family, attributes, found in sets:
            if usable and found.routes:
                ids = tuple(found.path_ids)
                self.reach.append(Reach(family, attributes, tuple(found.routes), ids))
            elif not usable:
                self.withdraw(family, found.routes, found.path_ids)


def _martian_next_hop(mp: _Mp) -> bool:
    if len(mp.next_hop) == 4:
        return martian(mp.next_hop)
    return not any(mp.next_hop) or mp.next_hop[0] == 0xFF


def decode_update(
    body: bytes, context: Context, families: frozenset[Family], store: AttributeStore
) -> Update:
    """An UPDATE from its octets after the header. See the module for errors."""
    end_of_rib = _end_of_rib(body)
    if end_of_rib is not None:
        if end_of_rib in families:
            return Update(end_of_rib=end_of_rib)
        return Update(ignored=(end_of_rib,))
    withdrawn, block, nlri = _sections(body)
    builder = _Builder(context, families, store)
    split = split_block(block) if block else _NO_ATTRIBUTES
    gone = builder.plain(withdrawn, withdraw=True)
    builder.withdraw(INET, gone.routes, gone.path_ids)
    raw = split.raw
    if Code.MP_UNREACH in raw:
        mp_withdrawn = _mp_unreach(raw[Code.MP_UNREACH].value, families, context)
        result = builder.parsed(mp_withdrawn)
        if result is not None:
            builder.withdraw(mp_withdrawn.family, result.routes, result.path_ids)
    reach = _mp_reach(raw[Code.MP_REACH].value, families, context) if Code.MP_REACH in raw else None
    plain = builder.plain(nlri, withdraw=False)
    if reach is not None:
        result = builder.parsed(reach)
        if result is not None:
            builder.withdraw(reach.family, result.unusable, result.unusable_ids)
    has_routes = bool(nlri) or reach is not None
    if has_routes or _more_than_unreach(raw) or split.faults:
        builder.announce(split, plain, reach)
    if not has_routes:
        _refuse_lost_routes(builder.faults)
    return Update(
        reach=tuple(builder.reach),
        unreach=tuple(builder.unreach),
        faults=tuple(builder.faults),
        skipped=tuple(builder.skipped),
        ignored=tuple(builder.ignored),
    )


def _more_than_unreach(raw: dict[int, RawAttribute]) -> bool:
    return len(raw) > (Code.MP_UNREACH in raw)


def _refuse_lost_routes(faults: list[Fault]) -> None:
    """Errors in a message with no route to withdraw may hide lost routes (RFC 7606 5.2)."""
    for fault in faults:
        if fault.remedy > Remedy.DISCARD_ATTRIBUTE:
            raise ProtocolError(
                ErrorCode.UPDATE,
                fault.subcode,
                f"attribute {fault.code}: {fault.reason}, and no route to withdraw",
                fault.data,
            )


# --- packing ------------------------------------------------------------------------------------


def frame(type_: int, body: bytes) -> bytes:
    """A whole message: marker, length, type and body."""
    size = HEADER_SIZE + len(body)
    if size > MAX_MESSAGE:
        raise UsageError(f"message type {type_} of {size} octets: {MAX_MESSAGE} at most")
    return MARKER + size.to_bytes(2, "big") + bytes((type_,)) + body


def _runs(nlris: Iterable[bytes], room: int) -> Iterator[bytes]:
    """Concatenations of ``nlris`` that fit in ``room`` octets each."""
    run: list[bytes] = []
    used = 0
    for nlri in nlris:
        size = len(nlri)
        if used + size > room:
            if not run:
                raise UsageError(f"attributes leave {room} octets for an NLRI of {size}")
            yield b"".join(run)
            run, used = [], 0
            if size > room:
                raise UsageError(f"attributes leave {room} octets for an NLRI of {size}")
        run.append(nlri)
        used += size
    if run:
        yield b"".join(run)


def pack_next_hop(family: Family, address: bytes) -> bytes:
    """The next hop field of MP_REACH_NLRI for a packed address of 4 or 16 octets."""
    if len(address) not in (4, 16):
        raise UsageError(f"{family} next hop of {len(address)} octets: expected 4 or 16")
    if family in (INET6,) or (family.afi == INET6.afi and family in VPN_FAMILIES):
        address = _V4_MAPPED + address if len(address) == 4 else address
    elif family == INET and len(address) == 16:
        raise UsageError("an IPv6 next hop for inet was not negotiated")
    return _RD_ZERO + address if family in VPN_FAMILIES else address


def pack_reach(
    family: Family, block: bytes, next_hop: bytes, nlris: Iterable[bytes]
) -> list[bytes]:
    """UPDATE messages that announce ``nlris`` with the encoded attributes ``block``.

    For inet, ``block`` must hold NEXT_HOP, and the routes go to the UPDATE's own NLRI field,
    which every speaker reads. For other families they go to MP_REACH_NLRI, placed first as
    RFC 7606 section 5.1 asks.
    """
    messages = []
    if family == INET:
        head = b"\0\0" + len(block).to_bytes(2, "big") + block
        for run in _runs(nlris, MAX_MESSAGE - HEADER_SIZE - len(head)):
            messages.append(frame(UPDATE_TYPE, head + run))
        return messages
    field = pack_next_hop(family, next_hop)
    fixed = family.afi.to_bytes(2, "big") + bytes((family.safi, len(field))) + field + b"\0"
    for run in _runs(nlris, MAX_MESSAGE - HEADER_SIZE - 8 - len(fixed) - len(block)):
        size = len(fixed) + len(run)
        attributes = b"\x90\x0e" + size.to_bytes(2, "big") + fixed + run + block
        messages.append(
            frame(UPDATE_TYPE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes)
        )
    return messages


def pack_unreach(family: Family, nlris: Iterable[bytes]) -> list[bytes]:
    """UPDATE messages that withdraw ``nlris``."""
    if family == INET:
        return [
            frame(UPDATE_TYPE, len(run).to_bytes(2, "big") + run + b"\0\0")
            for run in _runs(nlris, MAX_MESSAGE - HEADER_SIZE - 4)
        ]
    head = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    messages = []
    for run in _runs(nlris, MAX_MESSAGE - HEADER_SIZE - 8 - len(head)):
        attribute = b"\x90\x0f" + (len(head) + len(run)).to_bytes(2, "big") + head + run
        messages.append(frame(UPDATE_TYPE, b"\0\0" + len(attribute).to_bytes(2, "big") + attribute))
    return messages


def pack_end_of_rib(family: Family) -> bytes:
    """The End-of-RIB marker of a family (RFC 4724 section 2)."""
    if family == INET:
        return frame(UPDATE_TYPE, b"\0\0\0\0")
    value = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    return frame(UPDATE_TYPE, b"\0\0\0\x06\x80\x0f\x03" + value)


def encode_update(update: Update, *, four_octet_as: bool = True) -> list[bytes]:
    """An :class:`Update` as messages; the cold path, for tests and single routes."""
    messages: list[bytes] = []
    store = AttributeStore()
    for unreach in update.unreach:
        messages += pack_unreach(unreach.family, map(encode_nlri, unreach.routes))
    for reach in update.reach:
        block = store.block(reach.attributes, four_octet_as, reach.family == INET)
        nlris = map(encode_nlri, reach.routes)
        messages += pack_reach(reach.family, block, reach.attributes.next_hop, nlris)
    if update.end_of_rib is not None:
        messages.append(pack_end_of_rib(update.end_of_rib))
    return messages
