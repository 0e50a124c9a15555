"""Route items: what an agent publishes and what a control node sends, as values and as XML.

An item is one route of a family with its next hops. The same entry shape goes both ways: an
agent publishes one item with one next hop; a control node sends up to 32 items a message, each
with every equal-cost next hop. Families are numbered as on XMPP, which differs from BGP:
EVPN is 25/242.

Encoding writes every scalar in the schema's order, even when empty or zero, as upstream's
generated code does; decoding takes any order, ignores unknown elements, and reads a missing
one as zero, empty or false. A number that does not parse, or an address that is none, refuses
the whole item with a :class:`~tungsten.xmpp.errors.ProtocolError`.

Addresses are text in canonical form (``10.1.1.3/32``, ``2001:db8::3/128``,
``02:00:00:00:01:03``); a prefix has no bits beyond its length.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element

from .errors import ProtocolError
from .text import escape

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
#: Most next hops of a route, and most members of a flooding list, in one item.
MAX_NEXT_HOPS = 1024
MAX_MEMBERS = 4096
_U32 = 0xFFFFFFFF
_NO_GROUP = (socket.inet_ntoa(bytes(4)), "::")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Family(NamedTuple):
    """Address family as numbered in the ``node`` attribute on XMPP."""

    afi: int
    safi: int

    def __str__(self) -> str:
        return f"{self.afi}/{self.safi}"


INET = Family(1, 1)
INET6 = Family(2, 1)
EVPN = Family(25, 242)
MULTICAST = Family(1, 241)

LOAD_BALANCE_FIELDS = (
    "l3-source-address",
    "l3-destination-address",
    "l4-protocol",
    "l4-source-port",
    "l4-destination-port",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    """One way to reach a route.

    ``address`` is the tunnel end; ``label`` an MPLS label, or a VNI when the encapsulation is
    ``vxlan``; ``l3_label`` is EVPN's second label; ``vni`` is inet's. ``sequence`` is
    upstream's local-sequence-number.
    """

    address: str
    label: int = 0
    encapsulations: tuple[str, ...] = ()
    mac: str = ""
    vni: int = 0
    l3_label: int = 0
    virtual_network: str = ""
    tags: tuple[int, ...] = ()
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InetItem:
    """A route of inet (1/1) or inet6 (2/1)."""

    prefix: str
    next_hops: tuple[NextHop, ...] = ()
    virtual_network: str = ""
    sequence: int = 0
    sticky: bool = False
    security_groups: tuple[int, ...] = ()
    communities: tuple[str, ...] = ()
    local_preference: int = 100
    med: int = 0
    load_balance_fields: tuple[str, ...] = ()
    load_balance_decision: str = "field-hash"
    sub_protocol: str = ""

    @property
    def family(self) -> Family:
        """inet or inet6, by the prefix."""
        return INET6 if ":" in self.prefix else INET

    @property
    def id(self) -> str:
        """The item's identity within an instance and family."""
        return self.prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class EnetItem:
    """A route of evpn (25/242).

    A MAC route (type 2) unless ``mac`` is zero (an IP prefix, type 5) or ``group`` is set
    (type 6). The broadcast MAC joins the instance's flooding: a published item carries the
    flood label in its next hop, a received one the other members in ``olist``.
    ``address`` is ``0.0.0.0/32`` for a MAC without address.
    """

    mac: str
    address: str = "0.0.0.0/32"
    tag: int = 0
    group: str = ""
    source: str = ""
    flags: int = 0
    next_hops: tuple[NextHop, ...] = ()
    olist: tuple[NextHop, ...] = ()
    leaf_olist: tuple[NextHop, ...] = ()
    virtual_network: str = ""
    sequence: int = 0
    sticky: bool = False
    security_groups: tuple[int, ...] = ()
    local_preference: int = 100
    med: int = 0
    edge_replication_not_supported: bool = False
    assisted_replication_supported: bool = False
    replicator_address: str = ""
    etree_leaf: bool = False

    @property
    def family(self) -> Family:
        """evpn."""
        return EVPN

    @property
    def is_broadcast(self) -> bool:
        """Whether this item is about flooding."""
        return self.mac == BROADCAST_MAC

    @property
    def id(self) -> str:
        """``[tag-]mac,ip/plen[,group,source]``: the item's identity within an instance."""
        tag = f"{self.tag}-" if self.tag else ""
        suffix = f",{self.group},{self.source}" if self.group else ""
        return f"{tag}{self.mac},{self.address}{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeItem:
    """A place in a replication tree (1/241), of a group and source, 0.0.0.0 for any.

    Published, it offers ``labels``, first and last, at ``address``; received, it is the agent's
    own: what comes with ``source_label`` goes to each of ``olist`` but where it came from.
    ``source_address`` is a sender outside that is let in. ``rd`` is part of a received item's
    identity, ``ADDRESS:NUMBER`` of the agent.
    """

    group: str
    source: str = "0.0.0.0"  # noqa: S104 (any source, not bound)
    rd: str = ""
    address: str = ""
    labels: tuple[int, int] = (0, 0)
    encapsulations: tuple[str, ...] = ()
    source_label: int = 0
    source_address: str = ""
    olist: tuple[NextHop, ...] = ()

    @property
    def family(self) -> Family:
        """erm-vpn as XMPP numbers it."""
        return MULTICAST

    @property
    def id(self) -> str:
        """``ADDRESS:NUMBER:GROUP,SOURCE``, or without the distinguisher as published."""
        name = f"{self.group},{self.source}"
        return f"{self.rd}:{name}" if self.rd else name

    @property
    def next_hops(self) -> tuple[NextHop, ...]:
        """Where a published item leads: the agent itself."""
        return (NextHop(address=self.address),) if self.address else ()


RouteItem = InetItem | EnetItem
Item = RouteItem | TreeItem


# --- encoding -------------------------------------------------------------------------------


def encode_item_body(item: Item) -> bytes:
    """The ``<entry>`` of an item."""
    if isinstance(item, TreeItem):
        return _tree_entry(item)
    return _inet_entry(item) if isinstance(item, InetItem) else _enet_entry(item)


def encode_item(item: Item) -> bytes:
    """The whole ``<item id=...>``, as a control node sends it; to be cached per route."""
    return b'<item id="%b">%b</item>' % (escape(item.id).encode(), encode_item_body(item))


def encode_retract(item_id: str) -> bytes:
    """The ``<retract id=.../>`` of an item."""
    return b'<retract id="%b"/>' % escape(item_id).encode()


def _inet_entry(item: InetItem) -> bytes:
    family = item.family
    hops = "".join(_next_hop(hop, enet=False) for hop in item.next_hops)
    fields = "".join(
        f"<load-balance-field-list>{escape(name)}</load-balance-field-list>"
        for name in item.load_balance_fields
    )
    return (
        f"<entry><nlri><af>{family.afi}</af><safi>{family.safi}</safi>"
        f"<address>{escape(item.prefix)}</address></nlri><next-hops>{hops}</next-hops>"
        f"<version>1</version><virtual-network>{escape(item.virtual_network)}</virtual-network>"
        f"{_mobility(item)}{_values('security-group', item.security_groups)}"
        f"{_values('community-tag', item.communities)}"
        f"<local-preference>{item.local_preference}</local-preference><med>{item.med}</med>"
        f"<load-balance><load-balance-fields>{fields}</load-balance-fields>"
        f"<load-balance-decision>{escape(item.load_balance_decision)}</load-balance-decision>"
        f"</load-balance><sub-protocol>{escape(item.sub_protocol)}</sub-protocol></entry>"
    ).encode()


def _enet_entry(item: EnetItem) -> bytes:
    return (
        f"<entry><nlri><af>25</af><safi>242</safi><ethernet-tag>{item.tag}</ethernet-tag>"
        f"<mac>{escape(item.mac)}</mac><address>{escape(item.address)}</address>"
        f"<group>{escape(item.group)}</group><source>{escape(item.source)}</source>"
        f"<flags>{item.flags}</flags></nlri>{_hops('next-hops', item.next_hops)}"
        f"{_hops('olist', item.olist)}"
        f"<virtual-network>{escape(item.virtual_network)}</virtual-network>{_mobility(item)}"
        f"{_values('security-group', item.security_groups)}"
        f"<local-preference>{item.local_preference}</local-preference><med>{item.med}</med>"
        "<edge-replication-not-supported>"
        f"{_flag(item.edge_replication_not_supported)}</edge-replication-not-supported>"
        "<assisted-replication-supported>"
        f"{_flag(item.assisted_replication_supported)}</assisted-replication-supported>"
        f"{_hops('leaf-olist', item.leaf_olist)}"
        f"<replicator-address>{escape(item.replicator_address)}</replicator-address>"
        f"<etree-leaf>{_flag(item.etree_leaf)}</etree-leaf></entry>"
    ).encode()


def _tree_entry(item: TreeItem) -> bytes:
    block = ""
    if item.address:
        first, last = item.labels
        block = _tree_hop(item.address, f"{first}-{last}", item.encapsulations)
    hops = (_tree_hop(hop.address, str(hop.label), hop.encapsulations) for hop in item.olist)
    return (
        f"<entry><nlri><af>1</af><safi>241</safi><group>{escape(item.group)}</group>"
        f"<source>{escape(item.source)}</source><source-label>{item.source_label}</source-label>"
        f"<source-address>{escape(item.source_address)}</source-address></nlri>"
        f"<next-hops>{block}</next-hops><olist>{''.join(hops)}</olist></entry>"
    ).encode()


def _tree_hop(address: str, label: str, encapsulations: tuple[str, ...]) -> str:
    listed = "".join(
        f"<tunnel-encapsulation>{escape(name)}</tunnel-encapsulation>" for name in encapsulations
    )
    return (
        f"<next-hop><af>1</af><address>{escape(address)}</address><label>{label}</label>"
        f"<tunnel-encapsulation-list>{listed}</tunnel-encapsulation-list></next-hop>"
    )


def _hops(tag: str, hops: tuple[NextHop, ...]) -> str:
    return f"<{tag}>{''.join(_next_hop(hop, enet=True) for hop in hops)}</{tag}>"


def _next_hop(hop: NextHop, *, enet: bool) -> str:
    encapsulations = "".join(
        f"<tunnel-encapsulation>{escape(name)}</tunnel-encapsulation>"
        for name in hop.encapsulations
    )
    second = f"<l3-label>{hop.l3_label}</l3-label>" if enet else f"<vni>{hop.vni}</vni>"
    network = "" if enet else f"<virtual-network>{escape(hop.virtual_network)}</virtual-network>"
    return (
        f"<next-hop><af>{2 if ':' in hop.address else 1}</af>"
        f"<address>{escape(hop.address)}</address><mac>{escape(hop.mac)}</mac>"
        f"<label>{hop.label}</label>{second}"
        f"<tunnel-encapsulation-list>{encapsulations}</tunnel-encapsulation-list>{network}"
        f"{_values('tag', hop.tags)}"
        f"<local-sequence-number>{hop.sequence}</local-sequence-number></next-hop>"
    )


def _values(tag: str, values: tuple[int, ...] | tuple[str, ...]) -> str:
    inner = "".join(f"<{tag}>{escape(str(value))}</{tag}>" for value in values)
    return f"<{tag}-list>{inner}</{tag}-list>"


def _mobility(item: RouteItem) -> str:
    return (
        f'<mobility sticky="{_flag(item.sticky)}" seqno="{item.sequence}"/>'
        f"<sequence-number>{item.sequence}</sequence-number>"
    )


def _flag(value: bool) -> str:
    return "true" if value else "false"


# --- decoding -------------------------------------------------------------------------------


def decode_item(family: Family, item: Element, *, bare: bool = False) -> Item:
    """Read an ``<item>``. ``bare`` reads the nlri alone, as a withdraw wants.

    Raises :class:`ProtocolError` naming the element and the value.
    """
    entry = item.find("entry")
    if entry is None:
        raise ProtocolError("bad-format", "item without entry")
    nlri = entry.find("nlri")
    if nlri is None:
        raise ProtocolError("bad-format", "entry without nlri")
    if family == EVPN:
        return _decode_enet(entry, nlri, bare)
    if family == MULTICAST:
        return _decode_tree(entry, nlri, bare, item.get("id", ""))
    if family in (INET, INET6):
        return _decode_inet(family, entry, nlri, bare)
    raise ProtocolError("bad-format", f"family {family}; expected 1/1, 2/1, 1/241 or 25/242")


def _decode_inet(family: Family, entry: Element, nlri: Element, bare: bool) -> InetItem:
    prefix = canonical_prefix(_text(nlri, "address"), family.afi)
    if bare:
        return InetItem(prefix=prefix)
    balance = entry.find("load-balance")
    fields: tuple[str, ...] = ()
    decision = "field-hash"
    if balance is not None:
        fields = tuple(
            text for node in balance.iter("load-balance-field-list") if (text := _own(node))
        )
        decision = _text(balance, "load-balance-decision") or decision
    sequence, sticky = _decode_mobility(entry)
    return InetItem(
        prefix=prefix,
        next_hops=_decode_hops(entry, "next-hops"),
        virtual_network=_text(entry, "virtual-network"),
        sequence=sequence,
        sticky=sticky,
        security_groups=_numbers(entry, "security-group"),
        communities=_texts(entry, "community-tag"),
        local_preference=_number(entry, "local-preference"),
        med=_number(entry, "med"),
        load_balance_fields=fields,
        load_balance_decision=decision,
        sub_protocol=_text(entry, "sub-protocol"),
    )


def _decode_enet(entry: Element, nlri: Element, bare: bool) -> EnetItem:
    mac = canonical_mac(_text(nlri, "mac") or "00:00:00:00:00:00")
    address = canonical_prefix(_text(nlri, "address") or "0.0.0.0/32", None)
    tag = _number(nlri, "ethernet-tag")
    group = _text(nlri, "group")
    source = _text(nlri, "source")
    if group in _NO_GROUP:
        group = source = ""
    if bare:
        return EnetItem(mac=mac, address=address, tag=tag, group=group, source=source)
    sequence, sticky = _decode_mobility(entry)
    replicator = _text(entry, "replicator-address")
    return EnetItem(
        mac=mac,
        address=address,
        tag=tag,
        group=group,
        source=source,
        flags=_number(nlri, "flags"),
        next_hops=_decode_hops(entry, "next-hops"),
        olist=_decode_hops(entry, "olist", MAX_MEMBERS),
        leaf_olist=_decode_hops(entry, "leaf-olist", MAX_MEMBERS),
        virtual_network=_text(entry, "virtual-network"),
        sequence=sequence,
        sticky=sticky,
        security_groups=_numbers(entry, "security-group"),
        local_preference=_number(entry, "local-preference"),
        med=_number(entry, "med"),
        edge_replication_not_supported=_truth(entry, "edge-replication-not-supported"),
        assisted_replication_supported=_truth(entry, "assisted-replication-supported"),
        replicator_address=canonical_address(replicator) if replicator else "",
        etree_leaf=_truth(entry, "etree-leaf"),
    )


def _decode_tree(entry: Element, nlri: Element, bare: bool, ident: str) -> TreeItem:
    group, source = (_address4(_text(nlri, tag) or _NO_GROUP[0]) for tag in ("group", "source"))
    if bare:
        return TreeItem(group=group, source=source)
    suffix = f":{group},{source}"
    rd = ident.removesuffix(suffix) if ident.endswith(suffix) else ""
    address, labels = "", (0, 0)
    encapsulations: tuple[str, ...] = ()
    hops = entry.findall("next-hops/next-hop")
    if len(hops) > 1:
        raise ProtocolError("policy-violation", f"{len(hops)} next hops in next-hops; at most 1")
    if hops:
        address = _address4(_text(hops[0], "address"))
        labels = _block(_text(hops[0], "label"))
        encapsulations = _texts(hops[0], "tunnel-encapsulation")
    sender = _text(nlri, "source-address")
    return TreeItem(
        group=group,
        source=source,
        rd=rd,
        address=address,
        labels=labels,
        encapsulations=encapsulations,
        source_label=_number(nlri, "source-label"),
        source_address=_address4(sender) if sender else "",
        olist=_decode_hops(entry, "olist"),
    )


def _address4(text: str) -> str:
    if ":" in text:
        raise ProtocolError("bad-format", f"address is {text[:64]!r}; expected IPv4")
    return canonical_address(text)


def _block(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (first and dash and last):
        raise ProtocolError("bad-format", f"label is {text[:32]!r}; expected FIRST-LAST")
    return _parse_number("label", first), _parse_number("label", last)


def _decode_hops(entry: Element, tag: str, most: int = MAX_NEXT_HOPS) -> tuple[NextHop, ...]:
    parent = entry.find(tag)
    if parent is None or not len(parent):
        return ()
    nodes = parent.findall("next-hop")
    if len(nodes) > most:
        raise ProtocolError("policy-violation", f"{len(nodes)} next hops in {tag}; at most {most}")
    return tuple(_decode_hop(node) for node in nodes)


def _decode_hop(node: Element) -> NextHop:
    mac = _text(node, "mac")
    return NextHop(
        address=canonical_address(_text(node, "address")),
        label=_number(node, "label"),
        encapsulations=_texts(node, "tunnel-encapsulation"),
        mac=canonical_mac(mac) if mac else "",
        vni=_number(node, "vni"),
        l3_label=_number(node, "l3-label"),
        virtual_network=_text(node, "virtual-network"),
        tags=_numbers(node, "tag"),
        sequence=_number(node, "local-sequence-number"),
    )


def _decode_mobility(entry: Element) -> tuple[int, bool]:
    mobility = entry.find("mobility")
    if mobility is not None:
        sequence = _parse_number("mobility seqno", mobility.get("seqno", ""))
        if sequence:
            return sequence, mobility.get("sticky") == "true"
    return _number(entry, "sequence-number"), False


def _own(node: Element) -> str:
    return (node.text or "").strip()


def _text(parent: Element, tag: str) -> str:
    return (parent.findtext(tag) or "").strip()


def _truth(parent: Element, tag: str) -> bool:
    return _text(parent, tag) == "true"


def _number(parent: Element, tag: str) -> int:
    return _parse_number(tag, _text(parent, tag))


def _texts(parent: Element, tag: str) -> tuple[str, ...]:
    holder = parent.find(f"{tag}-list")
    if holder is None or not len(holder):
        return ()
    return tuple(_own(node) for node in holder.findall(tag))


def _numbers(parent: Element, tag: str) -> tuple[int, ...]:
    return tuple(_parse_number(tag, text) for text in _texts(parent, tag))


def _parse_number(name: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > _U32:
        raise ProtocolError("bad-format", f"{name} is {text[:32]!r}; expected 0..{_U32}")
    return int(text)


def canonical_address(text: str) -> str:
    """An IPv4 or IPv6 address in canonical text. Raises :class:`ProtocolError`."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError) as error:
        raise ProtocolError("bad-format", f"address is {text[:64]!r}") from error


def canonical_prefix(text: str, afi: int | None) -> str:
    """A prefix in canonical text, bits beyond its length cleared; ``afi`` 1 or 2 if it matters."""
    address, slash, length = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if afi is not None and (afi == 2) != (family == socket.AF_INET6):
        raise ProtocolError("bad-format", f"address {text[:64]!r} in a family with afi {afi}")
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError) as error:
        raise ProtocolError("bad-format", f"prefix is {text[:64]!r}") from error
    bits = len(packed) * 8
    plen = _parse_number("prefix length", length) if slash else bits
    if plen > bits or (slash and not length):
        raise ProtocolError("bad-format", f"prefix is {text[:64]!r}; length is 0..{bits}")
    if plen < bits:
        mask = ((1 << plen) - 1) << (bits - plen)
        packed = (int.from_bytes(packed, "big") & mask).to_bytes(bits // 8, "big")
    return f"{socket.inet_ntop(family, packed)}/{plen}"


def canonical_mac(text: str) -> str:
    """A MAC address in lower case with colons. Raises :class:`ProtocolError`."""
    lower = text.lower()
    if not _MAC.fullmatch(lower):
        raise ProtocolError("bad-format", f"mac is {text[:32]!r}; expected aa:bb:cc:dd:ee:ff")
    return lower
