"""AS paths: tuples of segments, with AS numbers always four octets wide.

Towards and from a two-octet peer the path is split into and merged from AS_PATH and AS4_PATH
(RFC 6793 section 4.2). Confederation segments are not accepted: no speaker here is in one. A
path of more than 1,000 AS numbers is refused, so that no peer can make us do unbounded work.

Sources: RFC 4271 4.3, 5.1.2 and 9.1.2.2; RFC 6793; RFC 7606 7.2; RFC 7607 (AS 0).
"""

from __future__ import annotations

from msgspec import Struct

from tungsten.bgp.wire import Cursor, Malformed

AS_TRANS = 23456
AS_SET, AS_SEQUENCE = 1, 2
MAX_PATH_LENGTH = 1000


class Segment(Struct, frozen=True):
    """One AS_PATH segment: ``kind`` is AS_SET or AS_SEQUENCE."""

    kind: int
    asns: tuple[int, ...]


def path_length(path: tuple[Segment, ...]) -> int:
    """Length for best path selection: an AS_SET counts once (RFC 4271 section 9.1.2.2)."""
    return sum(len(s.asns) if s.kind == AS_SEQUENCE else 1 for s in path)


def path_text(path: tuple[Segment, ...]) -> str:
    """``64512 64513 {64514,64515}``."""
    return " ".join(
        " ".join(map(str, s.asns))
        if s.kind == AS_SEQUENCE
        else "{" + ",".join(map(str, s.asns)) + "}"
        for s in path
    )


def prepend(path: tuple[Segment, ...], asn: int) -> tuple[Segment, ...]:
    """``path`` with ``asn`` in front (RFC 4271 section 5.1.2)."""
    if path and path[0].kind == AS_SEQUENCE and len(path[0].asns) < 255:
        return (Segment(AS_SEQUENCE, (asn, *path[0].asns)), *path[1:])
    return (Segment(AS_SEQUENCE, (asn,)), *path)


def parse_path(value: bytes, width: int) -> tuple[Segment, ...]:
    """Segments from an attribute value; raises :class:`Malformed` or :class:`Truncated`."""
    cursor = Cursor(value)
    segments = []
    hops = 0
    while len(cursor):
        kind, count = cursor.uint(1), cursor.uint(1)
        if kind not in (AS_SET, AS_SEQUENCE):
            raise Malformed(f"segment type {kind}, expected AS_SET 1 or AS_SEQUENCE 2")
        if count == 0:
            raise Malformed("segment without AS numbers")
        raw = cursor.take(count * width)
        asns = tuple(int.from_bytes(raw[i : i + width], "big") for i in range(0, len(raw), width))
        if 0 in asns:
            raise Malformed("AS number 0")
        hops += count
        if hops > MAX_PATH_LENGTH:
            raise Malformed(f"more than {MAX_PATH_LENGTH} AS numbers")
        segments.append(Segment(kind, asns))
    return tuple(segments)


def merge_paths(path: tuple[Segment, ...], path4: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """AS_PATH of a two-octet peer completed by AS4_PATH (RFC 6793 section 4.2.3)."""
    lead = path_length(path) - path_length(path4)
    if lead < 0:
        return path
    head: list[Segment] = []
    for segment in path:
        if lead <= 0:
            break
        if segment.kind == AS_SET:
            head.append(segment)
            lead -= 1
        else:
            head.append(Segment(AS_SEQUENCE, segment.asns[:lead]))
            lead -= len(segment.asns)
    if head and path4 and head[-1].kind == path4[0].kind == AS_SEQUENCE:
        joined = head[-1].asns + path4[0].asns
        if len(joined) <= 255:
            return (*head[:-1], Segment(AS_SEQUENCE, joined), *path4[1:])
    return (*head, *path4)


def pack_path(path: tuple[Segment, ...], width: int) -> bytes:
    """The attribute value; with ``width`` 2 a wide AS number shows as AS_TRANS."""
    packed = []
    for segment in path:
        packed.append(bytes((segment.kind, len(segment.asns))))
        for asn in segment.asns:
            shown = AS_TRANS if width == 2 and asn > 0xFFFF else asn
            packed.append(shown.to_bytes(width, "big"))
    return b"".join(packed)
