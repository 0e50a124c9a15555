"""Route targets: their syntax, and the range that is kept for the automatic ones.

``target:<asn>:<number>`` or ``target:<ip>:<number>`` (RFC 4360, types 0, 1 and 2). An asn
with the suffix ``L`` is a 4-byte one, whose number has only two bytes. Numbers from 8000000
up, under the system's own asn, belong to the compiler, which gives one to each
routing-instance; with 4-byte asns these begin at 8000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from tungsten.api.errors import BadRequest, echo

AUTOMATIC_2BYTE = range(8_000_000, 8_000_000 + 2**24)
AUTOMATIC_4BYTE = range(8_000, 8_000 + 2**15)
MAX_ASN_2BYTE = 0xFFFF
MAX_ASN_4BYTE = 0xFFFF_FFFF

_ASN = re.compile(r"([0-9]{1,10})([Ll]?)")
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """A route target: ``administrator`` is an asn or an address."""

    administrator: int | IPv4Address
    number: int

    def __str__(self) -> str:
        return f"target:{self.administrator}:{self.number}"


def _malformed(text: str) -> BadRequest:
    return BadRequest(
        "Route target must be of the format 'target:<asn>:<number>' or 'target:<ip>:<number>', "
        f"not '{echo(text)}'"
    )


def parse(text: str) -> RouteTarget:
    """Read a route target. Raises :class:`BadRequest`."""
    parts = text.split(":")
    if len(parts) != 3 or parts[0] != "target" or not _NUMBER.fullmatch(parts[2]):
        raise _malformed(text)
    number = int(parts[2])
    asn = _ASN.fullmatch(parts[1])
    if asn is None:
        try:
            address = IPv4Address(parts[1])
        except ValueError as error:
            raise _malformed(text) from error
        if number > 0xFFFF:
            raise BadRequest(f"Route Target index value must be less than 0xFFFF in '{echo(text)}'")
        return RouteTarget(address, number)
    value, four_byte = int(asn[1]), bool(asn[2]) or int(asn[1]) > MAX_ASN_2BYTE
    if not 1 <= value <= MAX_ASN_4BYTE or number > 0xFFFF_FFFF:
        raise _malformed(text)
    if four_byte and number > 0xFFFF:
        raise BadRequest(
            "Route Target index value must be less than 0xFFFF in case of 4 byte ASN"
            f": '{echo(text)}'"
        )
    return RouteTarget(value, number)


def check_asn(asn: int, four_byte: bool) -> None:
    """Refuse an asn outside the range that the system uses."""
    limit = MAX_ASN_4BYTE if four_byte else MAX_ASN_2BYTE
    if not 1 <= asn <= limit:
        raise BadRequest(f"ASN out of range, should be between 1-0x{limit:X}, is {asn}")


def check_configured(target: RouteTarget, system_asn: int, four_byte: bool) -> None:
    """Refuse a configured target that lies in the range of the automatic ones."""
    if isinstance(target.administrator, IPv4Address):
        return
    check_asn(target.administrator, four_byte)
    if target.administrator != system_asn:
        return
    wide = four_byte and system_asn > MAX_ASN_2BYTE
    automatic = AUTOMATIC_4BYTE if wide else AUTOMATIC_2BYTE
    if target.number in automatic:
        raise BadRequest(
            "Configured route target must use ASN that is different from global ASN or route "
            f"target value must be less than {automatic.start} and greater than "
            f"{automatic.stop}: '{target}'"
        )


def normalise(text: str, system_asn: int, four_byte: bool) -> str:
    """A configured route target as it is stored: integers without suffix, range checked."""
    target = parse(text)
    check_configured(target, system_asn, four_byte)
    return str(target)
