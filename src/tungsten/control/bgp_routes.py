"""Between BGP updates and paths: what is taken from a neighbour, and what is told to one.

Taking (:func:`read_route`). Labels become numbers as the encapsulation means them: in EVPN with
VXLAN the whole field, or the Ethernet tag when one is given; otherwise the upper 20 bits. Loops
(our AS, our identifier, our cluster), and an external path that does not start with the
neighbour's AS, make a path infeasible: it is kept and shown, not used. From another cluster's
control nodes MED carries local preference over eBGP.

Telling (:class:`Exporter`). iBGP: LOCAL_PREF (100 if there is none), nothing else changed; what
came by iBGP goes on by iBGP only if we are a route reflector, with ORIGINATOR_ID and
CLUSTER_LIST, from clients to all and from others to clients (RFC 4456). eBGP: our AS in front,
LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST removed, MED only on routes born here, non-transitive
communities removed, and nothing that has passed the neighbour's AS. The next hop never changes:
it is the tunnel's end. Plain inet routes carry no extended communities.

Sources: RFC 4271 5.1 and 9.1.2, RFC 4360 6, RFC 4456, RFC 1997; upstream's rules for MED.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

import msgspec

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment, prepend
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import EVPN, INET, INET6, VPN_FAMILIES, Family
from tungsten.bgp.nlri import (
    ESI_ZERO,
    EthernetAutoDiscovery,
    InclusiveMulticast,
    Inet,
    IpPrefix,
    MacIp,
    Nlri,
    RouteTarget,
    UnknownEvpn,
    Vpn,
    encode_nlri,
    mpls_field,
)

from .bgp_config import NeighborConfig, OwnBgp
from .bgp_long_lived import told_without_long_lived
from .paths import ATTRIBUTES, DEFAULT_LOCAL_PREFERENCE, NO_RD, Path, PathFlag, Protocol, Source
from .tables import Table, nlri_of

_MAX_MPLS = 0xFFFFF
_LEAST_SERVICE_LABEL = 16
_VXLAN = communities.encapsulation("vxlan")
_INTERNET = (INET, INET6)


class Unusable(Exception):
    """A route that is not taken, or not told; the text is a short reason to count by."""


@dataclass(frozen=True, slots=True)
class TakingPolicy:
    """What decides how a neighbour's routes are taken, and into which tables by family."""

    own: OwnBgp
    neighbor: NeighborConfig
    four_octet_as: bool
    tables: dict[Family, Table]


# --- taking -------------------------------------------------------------------------------------


def path_flags(attributes: PathAttributes, own: OwnBgp, neighbor: NeighborConfig) -> PathFlag:
    """What makes these attributes infeasible from this neighbour."""
    session = neighbor.peer.session
    flags = PathFlag.NONE
    path = attributes.as_path
    if path and sum(s.asns.count(session.local_as) for s in path) > neighbor.loop_count:
        flags |= PathFlag.AS_PATH_LOOPED
    if not session.internal:
        first = path[0] if path else None
        if first is None or first.kind != AS_SEQUENCE or first.asns[0] != session.peer_as:
            flags |= PathFlag.NO_NEIGHBOR_AS
    if attributes.originator_id == own.router_id:
        flags |= PathFlag.ORIGINATOR_ID_LOOPED
    if own.cluster_id is not None and own.cluster_id in attributes.cluster_list:
        flags |= PathFlag.CLUSTER_LIST_LOOPED
    return flags


def taken_attributes(
    attributes: PathAttributes, neighbor: NeighborConfig, family: Family
) -> PathAttributes:
    """Attributes as we keep them.

    ORIGIN may be overridden, and an encapsulation added where there is none; from an external
    control node preference comes from MED.
    """
    changes: dict[str, object] = {}
    if neighbor.origin is not None:
        changes["origin"] = neighbor.origin
    held = attributes.extended_communities
    default = neighbor.encapsulations_of(family)
    if default and not communities.encapsulations_of(held):
        changes["extended_communities"] = held + default
    med = attributes.med
    if neighbor.control_node and not neighbor.peer.session.internal and med is not None:
        changes["local_preference"] = {100: 200, 200: 100}.get(med, 0xFFFFFFFF - med)
    if changes:
        attributes = msgspec.structs.replace(attributes, **changes)
    return ATTRIBUTES.intern(attributes)


def read_route(
    route: Nlri, attributes: PathAttributes, flags: PathFlag, source: Source, path_id: int = 0
) -> Path:
    """The path a neighbour's route makes. Raises :class:`Unusable`."""
    label, label2, rd, esi = 0, 0, NO_RD, ESI_ZERO
    vxlan = _VXLAN in attributes.extended_communities
    match route:
        case Vpn(rd, _, label_field):
            label = label_field >> 4
            if label < _LEAST_SERVICE_LABEL:
                raise Unusable("reserved label")
        case MacIp(rd, tag, _, _, label_field, esi, label2_field):
            label = _number(label_field, tag, vxlan)
            label2 = _number(label2_field, 0, vxlan) if label2_field else 0
        case InclusiveMulticast(rd, tag, _):
            tunnel = attributes.pmsi_tunnel
            label = _number(tunnel.label_field, tag, vxlan) if tunnel else 0
        case IpPrefix(rd, _, _, label_field, gateway, esi):
            if any(gateway) or any(esi):
                raise Unusable("prefix route with gateway or ESI")
            label = _number(label_field, 0, vxlan)
        case EthernetAutoDiscovery(rd, esi, _, label_field):
            label = _number(label_field, 0, vxlan)
        case Inet() | RouteTarget():
            pass
        case _:
            rd = getattr(route, "rd", NO_RD)
    return Path(
        source,
        attributes,
        label,
        label2,
        rd,
        path_id,
        flags=flags,
        esi=esi,
        modified=time.time(),
    )


def _number(label_field: int, tag: int, vxlan: bool) -> int:
    if not vxlan:
        return label_field >> 4
    if 0 < tag <= 0xFFFFFF:
        return tag
    return 0 if tag == 0xFFFFFFFF else label_field


# --- telling ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """What decides how a route is told: neighbours with equal policies are told the same.

    ``long_lived`` neighbours know what long-lived stale routes are (RFC 9494).
    """

    internal: bool
    four_octet_as: bool
    client: bool
    local_as: int
    peer_as: int
    as_override: bool = False
    private_as: str = ""
    encapsulations: tuple[bytes, ...] = ()
    long_lived: bool = True


class Exporter:
    """Makes attributes and NLRI for the neighbours of one policy and family."""

    def __init__(self, family: Family, policy: ExportPolicy, own: OwnBgp) -> None:
        self.family = family
        self.policy = policy
        self.own = own
        self._known: WeakKeyDictionary[PathAttributes, dict[bytes, ref[PathAttributes]]]
        self._known = WeakKeyDictionary()

    def attributes(self, path: Path, reflects_to_all: bool) -> PathAttributes | None:
        """What is said about a path, or None if it is not for these neighbours.

        ``reflects_to_all`` tells that the path's source is a client of ours.
        """
        learnt = path.source.protocol is Protocol.BGP and not path.source.external
        reflects = self.own.cluster_id is not None and (reflects_to_all or self.policy.client)
        if learnt and self.policy.internal and not reflects:
            return None
        known = self._known.get(path.attributes)
        if known is None:
            known = self._known[path.attributes] = {}
        originator = path.source.router_id if learnt else b""
        made_before = known.get(originator)
        told = made_before() if made_before is not None else None
        if told is None:
            told = self._make(path.attributes, originator)
            if told is not None:
                told = ATTRIBUTES.intern(told)
                known[originator] = ref(told)
        return told

    def _make(self, a: PathAttributes, originator: bytes) -> PathAttributes | None:
        if communities.NO_ADVERTISE in a.communities:
            return None
        usable = a if self.policy.long_lived else told_without_long_lived(a, self.policy.internal)
        if usable is None:
            return None
        extended = () if self.family in _INTERNET else self._encapsulated(a.extended_communities)
        if self.policy.internal:
            return self._internal(usable, extended, originator)
        return self._external(usable, extended)

    def _encapsulated(self, carried: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Communities with the neighbours' own encapsulations, if any are set."""
        wanted = self.policy.encapsulations
        if not wanted:
            return carried
        return tuple(c for c in carried if c[:2] != _VXLAN[:2]) + wanted

    def _internal(
        self, a: PathAttributes, extended: tuple[bytes, ...], originator: bytes
    ) -> PathAttributes:
        preference = a.local_preference
        changes: dict[str, object] = {
            "local_preference": DEFAULT_LOCAL_PREFERENCE if preference is None else preference,
            "extended_communities": extended,
        }
        if originator and self.own.cluster_id is not None:
            changes["originator_id"] = a.originator_id or originator
            changes["cluster_list"] = (self.own.cluster_id, *a.cluster_list)
        return msgspec.structs.replace(a, **changes)

    def _external(self, a: PathAttributes, extended: tuple[bytes, ...]) -> PathAttributes | None:
        held_back = (communities.NO_EXPORT, communities.NO_EXPORT_SUBCONFED)
        if any(each in a.communities for each in held_back):
            return None
        policy = self.policy
        path = a.as_path
        if any(policy.peer_as in segment.asns for segment in path):
            if not policy.as_override:
                return None
            path = _override(path, policy.peer_as, policy.local_as)
        if policy.private_as:
            path = _without_private(path, policy.private_as, policy.local_as)
        return msgspec.structs.replace(
            a,
            local_preference=None,
            originator_id=None,
            cluster_list=(),
            med=None if a.as_path else a.med,
            as_path=prepend(path, policy.local_as),
            extended_communities=tuple(c for c in extended if communities.is_transitive(c)),
        )


def _override(path: tuple[Segment, ...], theirs: int, ours: int) -> tuple[Segment, ...]:
    return tuple(
        Segment(s.kind, tuple(ours if asn == theirs else asn for asn in s.asns)) for s in path
    )


def _is_private(asn: int) -> bool:
    """RFC 6996."""
    return 64512 <= asn <= 65534 or 4200000000 <= asn <= 4294967294


def _without_private(path: tuple[Segment, ...], action: str, local_as: int) -> tuple[Segment, ...]:
    """``remove`` takes private AS numbers up to the first public one, ``remove-all`` all of them;
    ``replace-all`` puts ours in their place.
    """
    made, taking = [], True
    for segment in path:
        asns = []
        for asn in segment.asns:
            if not _is_private(asn):
                taking = taking and action != "remove"
                asns.append(asn)
            elif action == "replace-all":
                asns.append(local_as)
            elif not taking:
                asns.append(asn)
        if asns:
            made.append(Segment(segment.kind, tuple(asns)))
    return tuple(made)


def told_nlri(family: Family, key: bytes, path: Path) -> bytes:
    """The octets of a route with a path's labels. Raises :class:`Unusable`."""
    route = nlri_of(family, key)
    if family in VPN_FAMILIES:
        assert isinstance(route, Vpn)
        return encode_nlri(Vpn(route.rd, route.prefix, _mpls(path.label)))
    if family != EVPN:
        return encode_nlri(route)
    vxlan = _VXLAN in path.attributes.extended_communities
    write: Callable[[int], int] = _vni if vxlan else _mpls
    match route:
        case MacIp(rd, tag, mac, ip):
            second = write(path.label2) if path.label2 else None
            return encode_nlri(MacIp(rd, tag, mac, ip, write(path.label), path.esi, second))
        case IpPrefix(rd, tag, prefix, _, gateway):
            return encode_nlri(IpPrefix(rd, tag, prefix, write(path.label), gateway))
        case EthernetAutoDiscovery(rd, esi, tag):
            return encode_nlri(EthernetAutoDiscovery(rd, esi, tag, write(path.label)))
        case UnknownEvpn() | _:
            return encode_nlri(route)


def _mpls(label: int) -> int:
    if label > _MAX_MPLS:
        raise Unusable("label above 20 bits")
    return mpls_field(label)


def _vni(label: int) -> int:
    return label
