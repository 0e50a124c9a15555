"""BGP messages: framing of the byte stream, and every message except UPDATE's inside.

:class:`Framer` turns a stream of octets into (type, body) pairs and holds at most one partial
message. :func:`decode_message` makes a message of a pair; :func:`encode_message` the reverse.
UPDATE is in :mod:`tungsten.bgp.update`.

Sources: RFC 4271 section 4 and 6.1, 6.2; RFC 5492 (capabilities), RFC 9072 (extended optional
parameters), RFC 2918 and 7313 (ROUTE-REFRESH), RFC 9003 (shutdown text). The extended message
size of RFC 8654 is not offered, so 4096 octets is the limit for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import TypeAlias

from msgspec import Struct

from tungsten.bgp.as_path import AS_TRANS
from tungsten.bgp.attributes import AttributeStore, Context
from tungsten.bgp.capabilities import (
    Capability,
    FourOctetAs,
    decode_capability,
    encode_capability,
)
from tungsten.bgp.errors import (
    CeaseError,
    ErrorCode,
    HeaderError,
    OpenError,
    ProtocolError,
    UsageError,
    describe,
)
from tungsten.bgp.families import Family
from tungsten.bgp.update import (
    HEADER_SIZE,
    MARKER,
    MAX_MESSAGE,
    UPDATE_TYPE,
    Update,
    decode_update,
    encode_update,
    frame,
)
from tungsten.bgp.wire import Cursor, Truncated

OPEN_TYPE, NOTIFICATION_TYPE, KEEPALIVE_TYPE, ROUTE_REFRESH_TYPE = 1, 3, 4, 5
#: Instead of a message type: a run of whole UPDATE messages with their headers.
UPDATE_RUN = 256
#: Finds where the whole UPDATE messages in a buffer end that begin at a position.
FindRun: TypeAlias = Callable[[bytes, int], int]
VERSION = 4

#: Legal whole-message lengths by type: least and most (RFC 4271 section 6.1).
_LENGTHS: dict[int, tuple[int, int]] = {
    OPEN_TYPE: (29, MAX_MESSAGE),
    UPDATE_TYPE: (23, MAX_MESSAGE),
    NOTIFICATION_TYPE: (21, MAX_MESSAGE),
    KEEPALIVE_TYPE: (19, 19),
    ROUTE_REFRESH_TYPE: (23, MAX_MESSAGE),
}


class Open(Struct, frozen=True):
    """OPEN. ``asn`` is the true AS number; the two-octet field follows from it.

    ``hold_time`` in seconds; ``router_id`` 4 octets.
    """

    asn: int
    hold_time: int
    router_id: bytes
    capabilities: tuple[Capability, ...] = ()


class Notification(Struct, frozen=True):
    """NOTIFICATION: why the sender closes the session."""

    code: int
    subcode: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        text = self.shutdown_text
        return describe(self.code, self.subcode) + (f" ({text!r})" if text else "")

    @property
    def shutdown_text(self) -> str:
        """The operator's words in an administrative Cease (RFC 9003); bad UTF-8 is replaced.

        A hard reset (RFC 8538) is read for what it says inside.
        """
        code, subcode, data = self.code, self.subcode, self.data
        if (code, subcode) == (ErrorCode.CEASE, CeaseError.HARD_RESET) and len(data) >= 2:
            code, subcode, data = data[0], data[1], data[2:]
        administrative = (CeaseError.ADMINISTRATIVE_SHUTDOWN, CeaseError.ADMINISTRATIVE_RESET)
        if code != ErrorCode.CEASE or subcode not in administrative or not data:
            return ""
        return data[1 : 1 + data[0]].decode("utf-8", "replace")


def shutdown(text: str, subcode: int = CeaseError.ADMINISTRATIVE_SHUTDOWN) -> Notification:
    """An administrative Cease that tells the other operator why (RFC 9003), in 255 octets."""
    octets = text.encode()[:255].decode(errors="ignore").encode()
    return Notification(ErrorCode.CEASE, subcode, bytes((len(octets),)) + octets)


class Keepalive(Struct, frozen=True):
    """KEEPALIVE."""


class RouteRefresh(Struct, frozen=True):
    """ROUTE-REFRESH: the sender wants all routes of a family again (``subtype`` 0).

    1 and 2 say that an answer to one begins, and that it ended (RFC 7313).
    """

    family: Family
    subtype: int = 0


Message: TypeAlias = Open | Update | Notification | Keepalive | RouteRefresh


class Framer:
    """Cuts a byte stream into messages. Buffers at most one incomplete message."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes, find_run: FindRun | None = None) -> Iterator[tuple[int, bytes]]:
        """(type, body) of each complete message; raises :class:`ProtocolError` 1/x.

        With ``find_run`` the UPDATE messages that it finds come as runs, under
        :data:`UPDATE_RUN`. Consume it whole before feeding again; what is incomplete waits for
        the next call.
        """
        buffer = self._rest + data if self._rest else data
        pos, size = 0, len(buffer)
        self._rest = b""
        while size - pos >= HEADER_SIZE:
            end = find_run(buffer, pos) if find_run is not None else pos
            if end > pos:
                yield UPDATE_RUN, buffer[pos:end]
                pos = end
                continue
            length, type_ = _check_header(buffer, pos)
            if size - pos < length:
                break
            yield type_, buffer[pos + HEADER_SIZE : pos + length]
            pos += length
        self._rest = buffer[pos:]


def _check_header(buffer: bytes, pos: int) -> tuple[int, int]:
    """Length and type of the message at ``pos``."""
    if buffer[pos : pos + 16] != MARKER:
        raise ProtocolError(
            ErrorCode.HEADER, HeaderError.NOT_SYNCHRONIZED, "marker is not all ones"
        )
    raw = buffer[pos + 16 : pos + 18]
    length, type_ = int.from_bytes(raw, "big"), buffer[pos + 18]
    limits = _LENGTHS.get(type_)
    if not HEADER_SIZE <= length <= MAX_MESSAGE:
        limits = (HEADER_SIZE, MAX_MESSAGE)
    elif limits is None:
        raise ProtocolError(
            ErrorCode.HEADER,
            HeaderError.BAD_TYPE,
            f"message type {type_}, expected 1 to 5",
            bytes((type_,)),
        )
    if not limits[0] <= length <= limits[1]:
        if type_ == ROUTE_REFRESH_TYPE and length >= HEADER_SIZE:
            raise ProtocolError(
                ErrorCode.ROUTE_REFRESH, 1, f"ROUTE-REFRESH length {length}, expected 23"
            )
        raise ProtocolError(
            ErrorCode.HEADER,
            HeaderError.BAD_LENGTH,
            f"message type {type_} length {length}, expected {limits[0]} to {limits[1]}",
            raw,
        )
    return length, type_


# --- OPEN ---------------------------------------------------------------------------------------


def _open_error(subcode: int, reason: str, data: bytes = b"") -> ProtocolError:
    return ProtocolError(ErrorCode.OPEN, subcode, reason, data)


def _optional_parameters(cursor: Cursor) -> Iterator[Capability]:
    """Capabilities in the optional parameters, of either form (RFC 5492, RFC 9072)."""
    total, width = cursor.uint(1), 1
    if total == 0xFF and len(cursor) and cursor.data[cursor.pos] == 0xFF:
        cursor.take(1)
        total, width = cursor.uint(2), 2
    if total != len(cursor):
        raise _open_error(
            OpenError.UNSPECIFIC,
            f"optional parameters: length {total} with {len(cursor)} octets left",
        )
    while len(cursor):
        kind = cursor.uint(1)
        parameter = cursor.sub(cursor.uint(width))
        if kind != 2:
            raise _open_error(
                OpenError.UNSUPPORTED_PARAMETER, f"optional parameter {kind}, expected 2"
            )
        while len(parameter):
            code = parameter.uint(1)
            yield decode_capability(code, parameter.sub(parameter.uint(1)).rest())


def _decode_open(body: bytes) -> Open:
    cursor = Cursor(body)
    try:
        version = cursor.uint(1)
        if version != VERSION:
            raise _open_error(
                OpenError.UNSUPPORTED_VERSION, f"version {version}, expected 4", b"\0\4"
            )
        asn, hold_time, router_id = cursor.uint(2), cursor.uint(2), cursor.take(4)
        capabilities = tuple(_optional_parameters(cursor))
    except Truncated as error:
        raise _open_error(OpenError.UNSPECIFIC, str(error)) from error
    for capability in capabilities:
        if isinstance(capability, FourOctetAs):
            asn = capability.asn
    if asn == 0:
        raise _open_error(OpenError.BAD_PEER_AS, "AS number 0")
    if hold_time in (1, 2):
        raise _open_error(
            OpenError.UNACCEPTABLE_HOLD_TIME, f"hold time {hold_time} s, expected 0, 3 or more"
        )
    if not any(router_id):
        raise _open_error(OpenError.BAD_IDENTIFIER, "BGP identifier 0.0.0.0")
    return Open(asn, hold_time, router_id, capabilities)


def _encode_open(message: Open) -> bytes:
    parameters = b"".join(
        b"\2" + bytes((len(packed),)) + packed
        for packed in map(encode_capability, message.capabilities)
    )
    if len(parameters) >= 0xFF:
        parameters = b"".join(
            b"\2" + len(packed).to_bytes(2, "big") + packed
            for packed in map(encode_capability, message.capabilities)
        )
        head = b"\xff\xff" + len(parameters).to_bytes(2, "big")
    else:
        head = bytes((len(parameters),))
    asn = message.asn if message.asn <= 0xFFFF else AS_TRANS
    fixed = bytes((VERSION,)) + asn.to_bytes(2, "big") + message.hold_time.to_bytes(2, "big")
    return fixed + message.router_id + head + parameters


# --- all ----------------------------------------------------------------------------------------


def _decode_refresh(body: bytes) -> RouteRefresh:
    return RouteRefresh(Family(body[0] << 8 | body[1], body[3]), body[2])


def decode_message(
    type_: int,
    body: bytes,
    context: Context,
    families: frozenset[Family],
    store: AttributeStore,
) -> Message:
    """A message from a pair of :class:`Framer`. Raises only :class:`ProtocolError`.

    ``context``, ``families`` and ``store`` matter to UPDATE alone. A ROUTE-REFRESH longer than
    its four octets carries filters that were not negotiated; they are not read.
    """
    if type_ == UPDATE_TYPE:
        return decode_update(body, context, families, store)
    if type_ == KEEPALIVE_TYPE:
        return Keepalive()
    if type_ == OPEN_TYPE:
        return _decode_open(body)
    if type_ == NOTIFICATION_TYPE:
        return Notification(body[0], body[1], body[2:])
    if type_ == ROUTE_REFRESH_TYPE:
        return _decode_refresh(body)
    raise UsageError(f"message type {type_}: the framer gives 1 to 5")


def encode_message(message: Message, *, four_octet_as: bool = True) -> bytes:
    """All octets of a message (of several, for an UPDATE that does not fit in one)."""
    match message:
        case Keepalive():
            return frame(KEEPALIVE_TYPE, b"")
        case Open():
            return frame(OPEN_TYPE, _encode_open(message))
        case Notification(code, subcode, data):
            room = MAX_MESSAGE - HEADER_SIZE - 2
            return frame(NOTIFICATION_TYPE, bytes((code, subcode)) + data[:room])
        case RouteRefresh(family, subtype):
            body = family.afi.to_bytes(2, "big") + bytes((subtype, family.safi))
            return frame(ROUTE_REFRESH_TYPE, body)
        case Update():
            return b"".join(encode_update(message, four_octet_as=four_octet_as))


def router_id_text(router_id: bytes) -> str:
    """A BGP identifier in dotted form."""
    return str(IPv4Address(router_id))
