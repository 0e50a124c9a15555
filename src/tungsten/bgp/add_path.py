"""Several paths of a route from one neighbour (RFC 7911): each NLRI follows a path identifier.

Only taken, never sent: what a control node tells of a route is its best path.
"""

from __future__ import annotations

from collections.abc import Iterator

from tungsten.bgp.errors import ErrorCode, ProtocolError, UpdateError
from tungsten.bgp.families import ERM_VPN, EVPN, INET, Family
from tungsten.bgp.nlri import NlriResult, decode_nlri

_IDENTIFIER = 4


def _split(family: Family, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Path identifier and octets of each NLRI; :class:`ProtocolError` where one is cut."""
    typed = family in (EVPN, ERM_VPN)
    pos, size = 0, len(data)
    while pos < size:
        start = pos + _IDENTIFIER
        head = start + typed
        if head >= size:
            raise _cut(family, f"{size - pos} octets left for a path identifier and a route")
        end = head + 1 + (data[head] if typed else (data[head] + 7) >> 3)
        if end > size:
            raise _cut(family, f"route runs {end - size} octets past the end")
        yield int.from_bytes(data[pos:start], "big"), data[start:end]
        pos = end


def _cut(family: Family, reason: str) -> ProtocolError:
    subcode = UpdateError.INVALID_NETWORK if family == INET else UpdateError.OPTIONAL_ATTRIBUTE
    return ProtocolError(
        ErrorCode.UPDATE, subcode, f"{family} NLRI with path identifiers: {reason}"
    )


def decode_paths(family: Family, data: bytes, *, withdraw: bool = False) -> NlriResult:
    """All NLRI in ``data``, with their path identifiers; errors as of ``decode_nlri``."""
    result = NlriResult()
    for path_id, octets in _split(family, data):
        one = decode_nlri(family, octets, withdraw=withdraw)
        result.routes += one.routes
        result.unusable += one.unusable
        result.skipped += one.skipped
        result.path_ids += [path_id] * len(one.routes)
        result.unusable_ids += [path_id] * len(one.unusable)
    return result
