"""Names of IP protocols in rules.

Numbers from the IANA registry of assigned Internet protocol numbers; names as the orchestrators
write them.
"""

from __future__ import annotations

NUMBERS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6-encap": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmp6": 58,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ospf": 89,
    "vrrp": 112,
    "pgm": 113,
    "sctp": 132,
    "udplite": 136,
}

ICMP_OF_IPV6 = "58"


def protocol_number(name: str | None, ethertype: str | None = None) -> str | None:
    """The protocol as compiled rules say it: ``any`` or a number in decimal.

    ``icmp`` of IPv6 is ICMPv6. None for no name and for one that is not known.
    """
    if name is None:
        return None
    lowered = name.lower()
    if lowered == "any":
        return lowered
    if lowered.isdecimal() and lowered.isascii():
        return str(int(lowered)) if int(lowered) <= 255 else None
    if lowered == "icmp" and ethertype == "IPv6":
        return ICMP_OF_IPV6
    number = NUMBERS.get(lowered)
    return None if number is None else str(number)
