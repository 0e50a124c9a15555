"""Capabilities a speaker announces in its OPEN (RFC 5492), each decoded inside its own slice.

A known capability with a wrong length is an OPEN error; an unknown one is kept as it is and
otherwise ignored. Codes: 1 multiprotocol (RFC 4760), 2 route refresh (RFC 2918), 64 graceful
restart (RFC 4724, N bit RFC 8538), 65 four-octet AS (RFC 6793), 69 several paths of a route
(RFC 7911), 70 enhanced route refresh (RFC 7313), 71 long-lived graceful restart (RFC 9494).
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from tungsten.bgp.errors import ErrorCode, OpenError, ProtocolError
from tungsten.bgp.families import Family
from tungsten.bgp.wire import Cursor, Truncated

_MULTIPROTOCOL, _ROUTE_REFRESH, _GRACEFUL_RESTART, _FOUR_OCTET_AS, _LONG_LIVED = 1, 2, 64, 65, 71
_ADD_PATH, _ENHANCED_REFRESH = 69, 70
_RESTARTING, _NOTIFICATION, _FORWARDING = 0x8000, 0x4000, 0x80


class Multiprotocol(Struct, frozen=True):
    """The speaker exchanges routes of a family."""

    family: Family


class RouteRefresh(Struct, frozen=True):
    """The speaker answers ROUTE-REFRESH."""


class FourOctetAs(Struct, frozen=True):
    """The speaker's AS number, and that its AS_PATHs have four octets an AS."""

    asn: int


class GracefulRestart(Struct, frozen=True):
    """``families`` maps each family to its F bit: forwarding state was kept."""

    restart_time: int = 0
    families: tuple[tuple[Family, bool], ...] = ()
    restarting: bool = False
    notification: bool = False


class LongLivedGracefulRestart(Struct, frozen=True):
    """``families``: each family with its F bit and stale time in seconds."""

    families: tuple[tuple[Family, bool, int], ...] = ()


class AddPath(Struct, frozen=True):
    """``families``: each with whether the speaker takes, and sends, several paths of a route."""

    families: tuple[tuple[Family, bool, bool], ...] = ()


class EnhancedRouteRefresh(Struct, frozen=True):
    """The speaker says where its answer to ROUTE-REFRESH begins and ends."""


class UnknownCapability(Struct, frozen=True):
    """A capability this library does not know."""

    code: int
    value: bytes


Capability: TypeAlias = (
    Multiprotocol
    | RouteRefresh
    | FourOctetAs
    | GracefulRestart
    | LongLivedGracefulRestart
    | AddPath
    | EnhancedRouteRefresh
    | UnknownCapability
)


def _family(cursor: Cursor) -> Family:
    return Family(cursor.uint(2), cursor.uint(1))


def _multiprotocol(cursor: Cursor) -> Capability:
    afi, _reserved, safi = cursor.uint(2), cursor.uint(1), cursor.uint(1)
    return Multiprotocol(Family(afi, safi))


def _graceful_restart(cursor: Cursor) -> Capability:
    head = cursor.uint(2)
    families = []
    while len(cursor):
        families.append((_family(cursor), bool(cursor.uint(1) & _FORWARDING)))
    return GracefulRestart(
        head & 0x0FFF, tuple(families), bool(head & _RESTARTING), bool(head & _NOTIFICATION)
    )


def _long_lived(cursor: Cursor) -> Capability:
    families = []
    while len(cursor):
        family, flags = _family(cursor), cursor.uint(1)
        families.append((family, bool(flags & _FORWARDING), cursor.uint(3)))
    return LongLivedGracefulRestart(tuple(families))


def _add_path(cursor: Cursor) -> Capability:
    """A family with another value than 1 to 3 is ignored (RFC 7911 section 4)."""
    families = []
    while len(cursor):
        family, ways = _family(cursor), cursor.uint(1)
        if 1 <= ways <= 3:
            families.append((family, bool(ways & 1), bool(ways & 2)))
    return AddPath(tuple(families))


def decode_capability(code: int, value: bytes) -> Capability:
    """One capability from its own octets. Raises :class:`ProtocolError` 2/0 if malformed."""
    cursor = Cursor(value)
    try:
        match code:
            case 1:
                capability = _multiprotocol(cursor)
            case 2:
                capability = RouteRefresh()
            case 64:
                capability = _graceful_restart(cursor)
            case 65:
                capability = FourOctetAs(cursor.uint(4))
            case 69:
                capability = _add_path(cursor)
            case 70:
                capability = EnhancedRouteRefresh()
            case 71:
                capability = _long_lived(cursor)
            case _:
                return UnknownCapability(code, value)
    except Truncated as error:
        raise ProtocolError(
            ErrorCode.OPEN, OpenError.UNSPECIFIC, f"capability {code}: {error}"
        ) from error
    if len(cursor):
        raise ProtocolError(
            ErrorCode.OPEN,
            OpenError.UNSPECIFIC,
            f"capability {code}: {len(cursor)} octets too many",
        )
    return capability


def encode_capability(capability: Capability) -> bytes:
    """Code, length and value."""
    match capability:
        case Multiprotocol(family):
            value = family.afi.to_bytes(2, "big") + bytes((0, family.safi))
            code = _MULTIPROTOCOL
        case RouteRefresh():
            code, value = _ROUTE_REFRESH, b""
        case FourOctetAs(asn):
            code, value = _FOUR_OCTET_AS, asn.to_bytes(4, "big")
        case GracefulRestart(time, families, restarting, notification):
            head = time | _RESTARTING * restarting | _NOTIFICATION * notification
            code, value = _GRACEFUL_RESTART, head.to_bytes(2, "big")
            for family, forwarding in families:
                value += family.afi.to_bytes(2, "big")
                value += bytes((family.safi, _FORWARDING * forwarding))
        case LongLivedGracefulRestart(long_lived):
            code, value = _LONG_LIVED, b""
            for family, forwarding, stale in long_lived:
                value += family.afi.to_bytes(2, "big")
                value += bytes((family.safi, _FORWARDING * forwarding)) + stale.to_bytes(3, "big")
        case AddPath(several):
            code, value = _ADD_PATH, b""
            for family, takes, sends in several:
                value += family.afi.to_bytes(2, "big") + bytes((family.safi, takes | sends << 1))
        case EnhancedRouteRefresh():
            code, value = _ENHANCED_REFRESH, b""
        case UnknownCapability(code, value):
            pass
    return bytes((code, len(value))) + value
