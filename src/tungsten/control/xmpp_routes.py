"""Between the route items of agents and the paths of tables.

:func:`read_item` turns what an agent published into entries of the instance's table, or says
why it is refused; :func:`show_route` turns a route back into the item that every subscriber of
the instance gets.

The mapping of fields to communities is upstream's: encapsulations, security groups, tags,
router MAC, mobility, load balancing and sequence become extended communities; the distinguisher
is the next hop with the agent's number of the instance. A published MED of zero is derived from
local preference, so that preference survives eBGP between clusters. Routes of the master
instance carry neither distinguisher nor extended communities.

A broadcast MAC means "flood to me": it is kept as the agent's own route, and beside it as the
inclusive multicast route (RFC 7432 section 7.3) that other control nodes and gateways see.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes, PmsiTunnel
from tungsten.bgp.families import ERM_VPN, EVPN, INET, INET6, Family
from tungsten.bgp.nlri import ErmVpn, InclusiveMulticast, IpPrefix, MacIp, mpls_field, pack_prefix
from tungsten.xmpp.routes import (
    MAX_NEXT_HOPS,
    EnetItem,
    InetItem,
    Item,
    NextHop,
    RouteItem,
    TreeItem,
)

from .instances import Instance, Instances
from .paths import ATTRIBUTES, NO_RD, Path, PathFlag, Source
from .tables import Route, Table

INGRESS_REPLICATION = 6
EDGE_REPLICATION = 0x80
MAX_LABEL = 0xFFFFFF
#: Most communities, security groups and tags of a route together.
MAX_COMMUNITIES = 512
MAX_MPLS = 0xFFFFF
#: Type of an erm-vpn route that is an agent's place in a tree; it never leaves the node.
NATIVE = 0
_BROADCAST = b"\xff" * 6
_NO_MAC = bytes(6)
_DEFAULT_BALANCE = 0xF8
_BALANCE_BITS = {
    "l3-source-address": 0x80,
    "l3-destination-address": 0x40,
    "l4-protocol": 0x20,
    "l4-source-port": 0x10,
    "l4-destination-port": 0x08,
}
_ENCAPSULATIONS = {
    "gre": (2,),
    "udp": (13,),
    "vxlan": (8,),
    "native": (16,),
    "mpls": (10,),
    "nvgre": (9,),
    "vxlan-gpe": (12,),
}
_SPELLED = {"mpls-o-gre": "gre"}
#: Community names as agents write them, besides the well-known ones.
_COMMUNITY_NAMES = {"LlgrStale": communities.LLGR_STALE, "NoLlgr": communities.NO_LLGR}


class Refused(Exception):
    """A route that is not taken. ``reason`` is a short name to count by; the text says more."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who publishes: the agent's source, and its number of the instance."""

    source: Source
    instance_id: int


def family_of(item: Item) -> Family:
    """The table family of an item."""
    if isinstance(item, EnetItem):
        return EVPN
    if isinstance(item, TreeItem):
        return ERM_VPN
    return INET6 if ":" in item.prefix else INET


def read_item(
    item: Item, reporter: Reporter, instance: Instance, asn: int
) -> list[tuple[bytes, Path]]:
    """Entries for the instance's table of the item's family. Raises :class:`Refused`."""
    if isinstance(item, TreeItem):
        return [read_offer(item, reporter)]
    if len(item.next_hops) != 1:
        raise Refused("next-hops", f"{item.id} has {len(item.next_hops)} next hops, not 1")
    hop = item.next_hops[0]
    if ":" in hop.address or hop.address == "0.0.0.0":  # noqa: S104 (compared, not bound)
        raise Refused("next-hop", f"{item.id} has next hop {hop.address}; expected IPv4")
    master = instance.is_master
    if not master and not 0 <= reporter.instance_id <= 0xFFFF:
        raise Refused(
            "instance-id",
            f"{item.id} in {instance.name} whose instance-id is {reporter.instance_id}; "
            "expected 0..65535",
        )
    if (hop.label == 0) != master and not (isinstance(item, EnetItem) and item.etree_leaf):
        raise Refused("label", f"{item.id} in {instance.name} has label {hop.label}")
    if hop.label > MAX_LABEL or hop.l3_label > MAX_LABEL:
        raise Refused("label", f"{item.id} has label {hop.label}; expected up to {MAX_LABEL}")
    count = len(item.security_groups) + len(hop.tags)
    count += len(item.communities) if isinstance(item, InetItem) else 0
    if count > MAX_COMMUNITIES:
        raise Refused(
            "communities",
            f"{item.id} has {count} communities, security groups and tags; "
            f"expected up to {MAX_COMMUNITIES}",
        )
    next_hop = socket.inet_aton(hop.address)
    rd = NO_RD if master else b"\0\1" + next_hop + reporter.instance_id.to_bytes(2, "big")
    attributes = _attributes(item, hop, next_hop, asn, master)
    flags = PathFlag.NONE
    if hop.encapsulations and not any(n in _ENCAPSULATIONS for n in hop.encapsulations):
        flags = PathFlag.NO_TUNNEL_ENCAP
    path = Path(
        reporter.source,
        ATTRIBUTES.intern(attributes),
        hop.label,
        hop.l3_label,
        rd,
        flags=flags,
        sub_protocol=item.sub_protocol if isinstance(item, InetItem) else "",
        modified=time.time(),
    )
    keys = keys_of(item, rd)
    if isinstance(item, EnetItem) and item.is_broadcast:
        return [(keys[0], path), (keys[1], _inclusive(item, hop, path))]
    return [(keys[0], path)]


def read_offer(item: TreeItem, reporter: Reporter) -> tuple[bytes, Path]:
    """The entry of a place in a replication tree: its labels are the path's two labels."""
    first, last = item.labels
    if not 0 < first <= last <= MAX_MPLS:
        raise Refused("label", f"{item.id} has labels {first} to {last}")
    if not 0 <= reporter.instance_id <= 0xFFFF:
        raise Refused("instance-id", f"{item.id} whose instance-id is {reporter.instance_id}")
    if not item.address or item.address == "0.0.0.0":  # noqa: S104 (compared, not bound)
        raise Refused("next-hop", f"{item.id} has next hop {item.address!r}; expected IPv4")
    next_hop = socket.inet_aton(item.address)
    rd = b"\0\1" + next_hop + reporter.instance_id.to_bytes(2, "big")
    encapsulations = {c for name in item.encapsulations for c in _encapsulation(name)}
    attributes = PathAttributes(
        next_hop=next_hop, extended_communities=tuple(sorted(encapsulations))
    )
    group, source = socket.inet_aton(item.group), socket.inet_aton(item.source)
    path = Path(
        reporter.source, ATTRIBUTES.intern(attributes), first, last, rd, modified=time.time()
    )
    return ErmVpn(NATIVE, rd, bytes(4), source, group).key, path


def keys_of(item: RouteItem, rd: bytes) -> list[bytes]:
    """Route keys of an item; two for a broadcast. Raises :class:`Refused` for other types."""
    if isinstance(item, InetItem):
        return [_prefix(item.prefix)]
    if item.group:
        raise Refused("evpn-type", f"{item.id} is a multicast route (type 6), which is not taken")
    mac = bytes.fromhex(item.mac.replace(":", ""))
    prefix = _prefix(item.address)
    if mac == _NO_MAC:
        gateway = bytes(16 if ":" in item.address else 4)
        return [IpPrefix(NO_RD, item.tag, prefix, 0, gateway).key]
    full = 128 if ":" in item.address else 32
    address = prefix[1:].ljust(full // 8, b"\0")
    if not any(address):
        address = b""
    elif prefix[0] != full:
        raise Refused("address", f"{item.id}: a MAC has one address, /32 or /128")
    if mac == _BROADCAST:
        originator = rd[2:6]
        return [
            MacIp(rd, item.tag, mac, address).key,
            InclusiveMulticast(rd, item.tag, originator).key,
        ]
    return [MacIp(NO_RD, item.tag, mac, address).key]


def _prefix(text: str) -> bytes:
    address, _, length = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return pack_prefix(socket.inet_pton(family, address), int(length))


def _attributes(
    item: RouteItem, hop: NextHop, next_hop: bytes, asn: int, master: bool
) -> PathAttributes:
    preference = item.local_preference
    med = item.med or _derived_med(preference)
    extended: tuple[bytes, ...] = ()
    if not master:
        extended = tuple(dict.fromkeys(sorted(_extended(item, hop, asn))))
    plain: tuple[int, ...] = ()
    if isinstance(item, InetItem):
        plain = tuple(sorted({_community(item, text) for text in item.communities}))
    return PathAttributes(
        next_hop=next_hop,
        med=med or None,
        local_preference=preference or None,
        extended_communities=extended,
        communities=plain,
        large_communities=_large_tags(hop, asn) if not master else (),
    )


def _large_tags(hop: NextHop, asn: int) -> tuple[bytes, ...]:
    """Tags in their newer form, for neighbours that read only that one."""
    return tuple(sorted({communities.large_tag(asn, number) for number in hop.tags}))


def _derived_med(preference: int) -> int:
    if preference == 0:
        return 0
    return {100: 200, 200: 100}.get(preference, 0xFFFFFFFF - preference)


def _community(item: InetItem, text: str) -> int:
    known = _COMMUNITY_NAMES.get(text)
    if known is not None:
        return known
    try:
        return communities.parse_community(text)
    except ValueError as error:
        raise Refused("community", f"{item.id}: {error}") from error


def _extended(item: RouteItem, hop: NextHop, asn: int) -> Iterable[bytes]:
    for name in hop.encapsulations:
        yield from _encapsulation(name)
        if name == "gre" and isinstance(item, EnetItem):
            yield communities.encapsulation(11)
    for link, number in enumerate(item.security_groups, 1):
        yield from communities.with_private_number(0x04, asn, number, link)
    for link, number in enumerate(hop.tags, 1):
        yield from communities.with_private_number(0x84, asn, number, link)
    if hop.mac:
        yield b"\x06\x03" + bytes.fromhex(hop.mac.replace(":", ""))
    if item.sequence:
        yield communities.mac_mobility(item.sequence, sticky=item.sticky)
    if hop.sequence:
        yield communities.local_sequence(hop.sequence)
    if isinstance(item, EnetItem):
        yield b"\x06\x05" + bytes((int(item.etree_leaf),)) + bytes(5)
    else:
        yield from _load_balance(item)


def _encapsulation(name: str) -> list[bytes]:
    return [communities.encapsulation(number) for number in _ENCAPSULATIONS.get(name, ())]


def _load_balance(item: InetItem) -> Iterable[bytes]:
    bits = sum(_BALANCE_BITS.get(name, 0) for name in set(item.load_balance_fields))
    bits = bits or _DEFAULT_BALANCE
    biased = item.load_balance_decision == "source-bias"
    if bits != _DEFAULT_BALANCE or biased:
        yield b"\x03\xaa" + bytes((bits, 0, 0x80 if biased else 0, 0, 0, 0))


def _inclusive(item: EnetItem, hop: NextHop, path: Path) -> Path:
    vxlan = "vxlan" in hop.encapsulations
    tunnel = PmsiTunnel(
        INGRESS_REPLICATION,
        hop.label if vxlan else mpls_field(hop.label),
        path.attributes.next_hop,
        0 if item.edge_replication_not_supported else EDGE_REPLICATION,
    )
    values = {name: getattr(path.attributes, name) for name in path.attributes.__struct_fields__}
    values["pmsi_tunnel"] = tunnel
    attributes = ATTRIBUTES.intern(PathAttributes(**values))
    return Path(
        path.source, attributes, hop.label, 0, path.rd, flags=path.flags, modified=path.modified
    )


# --- towards agents -------------------------------------------------------------------------


def is_broadcast(key: bytes) -> bool:
    """Whether an EVPN key is the broadcast MAC of an agent."""
    return key[0] == 2 and key[13:19] == _BROADCAST


def show_route(route: Route, instance: Instance, instances: Instances) -> Item | None:
    """The item for subscribers; None when there is nothing to tell them."""
    paths = route.equal_cost
    if not paths:
        return None
    if route.table.family == EVPN:
        return _show_enet(route, paths, instances)
    hops = _next_hops(paths, instance, instances)
    best = paths[0].attributes
    mobility = communities.mac_mobility_of(best.extended_communities) or (0, False)
    fields, decision = _balance_of(best.extended_communities)
    afi = 2 if route.table.family == INET6 else 1
    return InetItem(
        prefix=_prefix_text(route.key, afi),
        next_hops=hops,
        virtual_network=hops[0].virtual_network,
        sequence=mobility[0],
        sticky=mobility[1],
        security_groups=_security_groups(best.extended_communities, instances.replication.asn),
        communities=tuple(communities.community_text(c) for c in best.communities),
        local_preference=best.local_preference or 0,
        med=best.med or 0,
        load_balance_fields=fields,
        load_balance_decision=decision,
        sub_protocol=paths[0].sub_protocol,
    )


def _show_enet(route: Route, paths: list[Path], instances: Instances) -> EnetItem | None:
    nlri = route.nlri
    if isinstance(nlri, MacIp):
        mac, tag = nlri.mac.hex(":"), nlri.tag
        address = _address_text(nlri.ip) if nlri.ip else "0.0.0.0/32"
    elif isinstance(nlri, IpPrefix):
        mac, tag = _NO_MAC.hex(":"), nlri.tag
        address = _prefix_text(nlri.prefix, nlri.afi)
    else:
        return None
    best = paths[0].attributes
    mobility = communities.mac_mobility_of(best.extended_communities) or (0, False)
    return EnetItem(
        mac=mac,
        address=address,
        tag=tag,
        next_hops=_next_hops(paths, None, instances),
        sequence=mobility[0],
        sticky=mobility[1],
        security_groups=_security_groups(best.extended_communities, instances.replication.asn),
        local_preference=best.local_preference or 0,
        med=best.med or 0,
        etree_leaf=any(c[:3] == b"\x06\x05\x01" for c in best.extended_communities),
    )


def _next_hops(
    paths: list[Path], instance: Instance | None, instances: Instances
) -> tuple[NextHop, ...]:
    hops = dict.fromkeys(_next_hop(path, instance, instances) for path in paths)
    return tuple(hops)[:MAX_NEXT_HOPS]


def _next_hop(path: Path, instance: Instance | None, instances: Instances) -> NextHop:
    extended = path.attributes.extended_communities
    mac = next((c[2:].hex(":") for c in extended if c[:2] == b"\x06\x03"), "")
    sequence = next((int.from_bytes(c[2:6], "big") for c in extended if c[:2] == b"\xc0\x00"), 0)
    network = ""
    if instance is not None:
        network = _network_of(path, instance, instances)
    return NextHop(
        address=_packed_text(path.attributes.next_hop),
        label=path.label,
        l3_label=path.label2 if instance is None else 0,
        encapsulations=encapsulations_of(path),
        mac=mac,
        virtual_network=network,
        tags=_tags(path),
        sequence=sequence,
    )


def _tags(path: Path) -> tuple[int, ...]:
    """Tags in either form."""
    attributes = path.attributes
    found = communities.tags_of(attributes.extended_communities)
    if attributes.large_communities:
        found += communities.large_tags_of(attributes.large_communities)
    return tuple(sorted(set(found)))


def _network_of(path: Path, instance: Instance, instances: Instances) -> str:
    origin = communities.origin_vn_of(path.attributes.extended_communities)
    if origin is not None:
        return instances.network_name(origin[1]) or "unresolved"
    if path.is_primary:
        return instance.config.network
    return "unresolved"


def encapsulations_of(path: Path) -> tuple[str, ...]:
    """Names of a path's encapsulations as agents spell them; ``gre`` if it names none."""
    names = communities.encapsulations_of(path.attributes.extended_communities)
    spelled = sorted({_SPELLED.get(name, name) for name in names})
    if not spelled and path.label:
        return ("gre",)
    return tuple(spelled)


def _security_groups(extended: tuple[bytes, ...], asn: int) -> tuple[int, ...]:
    """Groups of our AS, and those of the global range (1..7999999) of any."""
    if asn > 0xFFFF:
        return communities.security_groups_of(extended)
    found = {
        number
        for c in extended
        if c[:2] == b"\x80\x04"
        and (int.from_bytes(c[2:4], "big") == asn or 1 <= int.from_bytes(c[4:], "big") <= 7999999)
        for number in (int.from_bytes(c[4:], "big"),)
    }
    return tuple(sorted(found))


def _balance_of(extended: tuple[bytes, ...]) -> tuple[tuple[str, ...], str]:
    for c in extended:
        if c[:2] == b"\x03\xaa":
            names = tuple(name for name, bit in _BALANCE_BITS.items() if c[2] & bit)
            return names, "source-bias" if c[4] & 0x80 else "field-hash"
    return (), "field-hash"


def _packed_text(packed: bytes) -> str:
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed)


def _address_text(packed: bytes) -> str:
    return f"{_packed_text(packed)}/{len(packed) * 8}"


def _prefix_text(prefix: bytes, afi: int) -> str:
    width = 4 if afi == 1 else 16
    return f"{_packed_text(prefix[1:].ljust(width, bytes(1)))}/{prefix[0]}"


__all__ = ["Refused", "Reporter", "Table", "read_item", "show_route"]
