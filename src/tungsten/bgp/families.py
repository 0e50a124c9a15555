"""Address families: the (AFI, SAFI) pairs this library can carry, and their names.

Names are the ones of ``bgp-router`` objects (``inet-vpn``, ``e-vpn``...). Sources: IANA AFI and
SAFI registries; RFC 4760, 4364, 4659, 7432, 4684, 8277. ``erm-vpn`` is the private edge
replicated multicast family, SAFI 243 on BGP.
"""

from __future__ import annotations

from typing import NamedTuple

AFI_INET = 1
AFI_INET6 = 2
AFI_L2VPN = 25


class Family(NamedTuple):
    """An address family: AFI and SAFI numbers."""

    afi: int
    safi: int

    def __str__(self) -> str:
        return FAMILY_NAMES.get(self, f"{self.afi}/{self.safi}")


INET = Family(1, 1)
INET_LABELED = Family(1, 4)
INET_VPN = Family(1, 128)
ROUTE_TARGET = Family(1, 132)
ERM_VPN = Family(1, 243)
INET6 = Family(2, 1)
INET6_VPN = Family(2, 128)
EVPN = Family(25, 70)

FAMILIES: dict[str, Family] = {
    "inet": INET,
    "inet-labeled": INET_LABELED,
    "inet-vpn": INET_VPN,
    "route-target": ROUTE_TARGET,
    "erm-vpn": ERM_VPN,
    "inet6": INET6,
    "inet6-vpn": INET6_VPN,
    "e-vpn": EVPN,
}
FAMILY_NAMES: dict[Family, str] = {family: name for name, family in FAMILIES.items()}

#: Legal lengths of the MP_REACH_NLRI next hop field, and how many octets of route
#: distinguisher precede each address in it (RFC 4760 section 3, 4364 4.3.2, 4659 3.2.1, 8950).
NEXT_HOP_LENGTHS: dict[Family, frozenset[int]] = {
    INET: frozenset({4, 16, 32}),
    INET_LABELED: frozenset({4, 16, 32}),
    INET_VPN: frozenset({12, 24, 48}),
    ROUTE_TARGET: frozenset({4, 16}),
    ERM_VPN: frozenset({4}),
    INET6: frozenset({16, 32}),
    INET6_VPN: frozenset({24, 48}),
    EVPN: frozenset({4, 16}),
}
VPN_FAMILIES = frozenset({INET_VPN, INET6_VPN})
