"""The stanzas that agents and control nodes exchange, as values, and their wire form.

Routing, agent to control (``iq`` to ``.../bgp-peer``): :class:`Subscribe`,
:class:`Unsubscribe`, :class:`Publish`, :class:`Withdraw`. A publish or withdraw is a pair of
IQs on the wire, ``publish`` with the route and ``collection`` with the instance; both are
encoded at once here, and a :class:`StanzaDecoder` holds the first until the second comes.

Routing, control to agent (``message`` to ``HOST/bgp-peer``): :class:`RouteUpdate` and
:class:`RouteRetract`, never mixed in one message, at most :data:`ITEMS_PER_UPDATE` and
:data:`ITEMS_PER_RETRACT` each; :class:`EndOfRib`.

Configuration: :class:`ConfigSubscribe`, :class:`ConfigUnsubscribe` up,
:class:`ConfigMessage` and :class:`EndOfConfig` down (``iq`` to ``.../config``).

End markers take the form that upstream emits and then the one that upstream's receiver
understands, so a receiver may see :class:`EndOfRib` twice; it means the same twice. An
:class:`EndOfConfig` is our extension and ignored by upstream.

Decoding ignores what it does not know (:class:`Unknown`) and raises
:class:`~tungsten.xmpp.errors.ProtocolError` on what it knows but cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from .errors import ProtocolError
from .routes import (
    EVPN,
    INET,
    INET6,
    MULTICAST,
    EnetItem,
    Family,
    InetItem,
    Item,
    NextHop,
    TreeItem,
    decode_item,
    encode_item,
    encode_item_body,
    encode_retract,
)
from .stream import CONTROL_JID
from .text import escape

__all__ = [
    "EVPN",
    "INET",
    "INET6",
    "ITEMS_PER_RETRACT",
    "ITEMS_PER_UPDATE",
    "MULTICAST",
    "ConfigLink",
    "ConfigMessage",
    "ConfigNode",
    "ConfigOperation",
    "ConfigSubscribe",
    "ConfigUnsubscribe",
    "EndOfConfig",
    "EndOfRib",
    "EnetItem",
    "Family",
    "InetItem",
    "Item",
    "NextHop",
    "Publish",
    "RouteRetract",
    "RouteUpdate",
    "Stanza",
    "StanzaDecoder",
    "Subscribe",
    "TreeItem",
    "Unknown",
    "Unsubscribe",
    "Withdraw",
    "encode",
    "encode_item",
    "encode_retract",
    "route_envelope",
    "route_message",
]

ITEMS_PER_UPDATE = 32
ITEMS_PER_RETRACT = 256
OBJECTS_PER_CONFIG = 16
_PUBSUB = "http://jabber.org/protocol/pubsub"
_END_OF_RIB = "0/0/EndOfRib"
_END_OF_CONFIG = "0/0/EndOfConfig"
_CONFIG_FQN = "default-global-system-config:"


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Join a routing instance. ``instance_id`` is the agent's own number of it (-1: none)."""

    instance: str
    instance_id: int = -1
    no_ribout: bool = False


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Leave a routing instance; its routes of this session go with it."""

    instance: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Add or replace a route of a subscribed instance."""

    instance: str
    item: Item


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Remove a route; of ``item`` only its identity counts."""

    instance: str
    item: Item


@dataclass(frozen=True, slots=True)
class RouteUpdate:
    """Routes of one instance and family, to add or replace at the agent."""

    family: Family
    instance: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class RouteRetract:
    """Identities of routes that are gone."""

    family: Family
    instance: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """All routes of the sender have been sent once; what was stale may go."""


@dataclass(frozen=True, slots=True)
class EndOfConfig:
    """The whole configuration of the agent has been sent once."""


@dataclass(frozen=True, slots=True)
class ConfigSubscribe:
    """Ask for configuration from ``kind`` ``virtual-router`` or ``virtual-machine`` on."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ConfigUnsubscribe:
    """Take a subscription of a ``virtual-machine`` back."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ConfigNode:
    """A configuration object, or the attribute object of a link.

    Senders give the children of ``<node>`` as XML in ``body``; receivers find the parsed
    ``<node>`` in ``element`` (None when none came, as in deletes).
    """

    type: str
    name: str
    body: bytes = b""
    element: Element | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ConfigLink:
    """A link between two nodes, each (type, name), under a metadata name."""

    left: tuple[str, str]
    right: tuple[str, str]
    metadata: str


@dataclass(frozen=True, slots=True)
class ConfigOperation:
    """One change: the object is there now, or (``delete``) no longer."""

    object: ConfigNode | ConfigLink
    delete: bool = False


@dataclass(frozen=True, slots=True)
class ConfigMessage:
    """Changes of the configuration in the order they are to be applied."""

    operations: tuple[ConfigOperation, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A stanza of a kind that is not ours to know; ignored."""

    what: str


Stanza = (
    Subscribe
    | Unsubscribe
    | Publish
    | Withdraw
    | RouteUpdate
    | RouteRetract
    | EndOfRib
    | EndOfConfig
    | ConfigSubscribe
    | ConfigUnsubscribe
    | ConfigMessage
    | Unknown
)


# --- encoding -------------------------------------------------------------------------------


def encode(stanza: Stanza, sender: str, receiver: str, number: int = 0) -> bytes:
    """The wire form of a stanza.

    ``sender`` and ``receiver`` are the identities of the two stream headers (a host name and
    a JID, without resource); ``number`` makes the ids of an agent's IQs distinct.
    """
    match stanza:
        case Subscribe() | Unsubscribe():
            return _encode_subscription(stanza, sender, receiver, number)
        case Publish():
            return _pair(stanza, sender, receiver, number, "associate")
        case Withdraw():
            return _pair(stanza, sender, receiver, number, "dissociate")
        case RouteUpdate(family, instance, items):
            _check_count(len(items), ITEMS_PER_UPDATE, "items")
            return route_message(sender, receiver, family, instance, map(encode_item, items))
        case RouteRetract(family, instance, ids):
            _check_count(len(ids), ITEMS_PER_RETRACT, "retracts")
            return route_message(sender, receiver, family, instance, map(encode_retract, ids))
        case EndOfRib():
            return _encode_end_of_rib(sender, receiver, number)
        case EndOfConfig():
            return _message(sender, f"{_CONFIG_FQN}{receiver}/config", _items(_END_OF_CONFIG))
        case ConfigSubscribe(kind, name):
            body = f'<subscribe node="{escape(f"{kind}:{name}")}"/>'
            return _iq(sender, f"{receiver}/config", "", body.encode())
        case ConfigUnsubscribe(kind, name):
            body = f'<unsubscribe node="{escape(f"{kind}:{name}")}"/>'
            return _iq(sender, f"{receiver}/config", "", body.encode())
        case ConfigMessage(operations):
            return _encode_config(sender, receiver, operations)
        case Unknown(what):
            raise ValueError(f"a stanza of unknown kind {what} has no encoding")


def route_message(
    sender: str, receiver: str, family: Family, instance: str, parts: Iterable[bytes]
) -> bytes:
    """A route message of already encoded items, or of already encoded retracts."""
    head, tail = route_envelope(sender, receiver, family, instance)
    return b"".join((head, *parts, tail))


def route_envelope(
    sender: str, receiver: str, family: Family, instance: str
) -> tuple[bytes, bytes]:
    """What goes before and after the items of a route message: all that differs by receiver."""
    whole = _message(sender, f"{receiver}/bgp-peer", _items(f"{family}/{instance}"))
    at = whole.index(b"</items>")
    return whole[:at], whole[at:]


def _encode_subscription(
    stanza: Subscribe | Unsubscribe, sender: str, receiver: str, number: int
) -> bytes:
    options = ""
    verb = "unsubscribe"
    if isinstance(stanza, Subscribe):
        verb = "subscribe"
        no_ribout = "<no-ribout>true</no-ribout>" if stanza.no_ribout else ""
        options = f"<options><instance-id>{stanza.instance_id}</instance-id>{no_ribout}</options>"
    body = f'<{verb} node="{escape(stanza.instance)}">{options}</{verb}>'
    return _iq(sender, f"{receiver}/bgp-peer", f"{verb}{number}", body.encode())


def _pair(stanza: Publish | Withdraw, sender: str, receiver: str, number: int, verb: str) -> bytes:
    instance, item = stanza.instance, stanza.item
    if isinstance(item, EnetItem):
        node = escape(f"{item.family}/{item.mac},{item.address}")
    elif isinstance(item, TreeItem):
        node = escape(f"{item.family}/{instance}/{item.group}")
    else:
        node = escape(f"{item.family}/{instance}/{item.prefix}")
    to = f"{receiver}/bgp-peer"
    publish = b'<publish node="%b"><item>%b</item></publish>' % (
        node.encode(),
        encode_item_body(item),
    )
    collection = (
        f'<collection node="{escape(instance)}"><{verb} node="{node}"/></collection>'
    ).encode()
    return _iq(sender, to, f"pubsub{number}", publish) + _iq(
        sender, to, f"collection{number}", collection
    )


def _encode_end_of_rib(sender: str, receiver: str, number: int) -> bytes:
    marker = _message(sender, f"{receiver}/bgp-peer", _items(_END_OF_RIB))
    if receiver != CONTROL_JID:
        return marker + _message(sender, f"{receiver}/bgp-peer", b"")
    to = f"{receiver}/bgp-peer"
    node = f"{INET}/EndOfRib"
    return (
        marker
        + _iq(sender, to, f"pubsub{number}", f'<publish node="{node}"></publish>'.encode())
        + _iq(
            sender,
            to,
            f"collection{number}",
            f'<collection node=""><associate node="{node}"/></collection>'.encode(),
        )
    )


def _encode_config(sender: str, receiver: str, operations: Sequence[ConfigOperation]) -> bytes:
    parts: list[bytes] = []
    verb = ""
    for operation in operations:
        wanted = "delete" if operation.delete else "update"
        if wanted != verb:
            if verb:
                parts.append(f"</{verb}>".encode())
            parts.append(f"<{wanted}>".encode())
            verb = wanted
        parts.append(_encode_config_object(operation.object, operation.delete))
    if verb:
        parts.append(f"</{verb}>".encode())
    return b'<iq type="set" from="%b" to="%b/config"><config>%b</config></iq>' % (
        escape(sender).encode(),
        escape(_CONFIG_FQN + receiver).encode(),
        b"".join(parts),
    )


def _encode_config_object(item: ConfigNode | ConfigLink, delete: bool) -> bytes:
    if isinstance(item, ConfigLink):
        ends = "".join(
            f'<node type="{escape(kind)}"><name>{escape(name)}</name></node>'
            for kind, name in (item.left, item.right)
        )
        return f'<link>{ends}<metadata type="{escape(item.metadata)}"/></link>'.encode()
    body = b""
    if not delete:
        body = item.body
        if not body and item.element is not None:
            body = b"".join(
                ElementTree.tostring(child) for child in item.element if child.tag != "name"
            )
    return b'<node type="%b"><name>%b</name>%b</node>' % (
        escape(item.type).encode(),
        escape(item.name).encode(),
        body,
    )


def _iq(sender: str, to: str, ident: str, body: bytes) -> bytes:
    id_ = f' id="{ident}"' if ident else ""
    return b'<iq type="set" from="%b" to="%b"%b><pubsub xmlns="%b">%b</pubsub></iq>' % (
        escape(sender).encode(),
        escape(to).encode(),
        id_.encode(),
        _PUBSUB.encode(),
        body,
    )


def _message(sender: str, to: str, body: bytes) -> bytes:
    return b'<message from="%b" to="%b"><event xmlns="%b">%b</event></message>' % (
        escape(sender).encode(),
        escape(to).encode(),
        _PUBSUB.encode(),
        body,
    )


def _items(node: str, body: bytes = b"") -> bytes:
    return b'<items node="%b">%b</items>' % (escape(node).encode(), body)


def _check_count(count: int, limit: int, what: str) -> None:
    if not 1 <= count <= limit:
        raise ValueError(f"{count} {what} in one message; 1..{limit} are allowed")


# --- decoding -------------------------------------------------------------------------------


class StanzaDecoder:
    """Reads the stanzas of one session, in order; remembers a publish until its collection."""

    def __init__(self) -> None:
        self._published: Element | None = None

    def decode(self, stanza: Element) -> Stanza | None:
        """The value of a stanza; None for the first half of a pair.

        Raises :class:`ProtocolError` for a known kind that does not parse.
        """
        if stanza.tag == "message":
            return _decode_message(stanza)
        if stanza.tag != "iq":
            return Unknown(stanza.tag)
        resource = stanza.get("to", "").rpartition("/")[2]
        config = stanza.find("config")
        if config is not None:
            return _decode_config(config)
        pubsub = stanza.find("pubsub")
        if pubsub is None or not len(pubsub):
            return Unknown("iq without pubsub")
        action = pubsub[0]
        if resource == "config":
            return _decode_config_subscription(action)
        if resource != "bgp-peer":
            return Unknown(f"iq to {resource}")
        match action.tag:
            case "subscribe" | "unsubscribe":
                return _decode_subscription(action)
            case "publish":
                self._publish(action)
                return None
            case "collection":
                return self._collection(action)
            case other:
                return Unknown(f"pubsub {other}")

    def _publish(self, publish: Element) -> None:
        if self._published is not None:
            raise ProtocolError(
                "policy-violation",
                f"publish {_shown(publish)} before the collection of {_shown(self._published)}",
            )
        self._published = publish

    def _collection(self, collection: Element) -> Stanza:
        publish, self._published = self._published, None
        if publish is None:
            raise ProtocolError(
                "policy-violation", f"collection {_shown(collection)} without a publish"
            )
        verb = next((c for c in collection if c.tag in ("associate", "dissociate")), None)
        if verb is None:
            raise ProtocolError(
                "bad-format", f"collection {_shown(collection)} has no (dis)associate"
            )
        node = publish.get("node", "")
        if verb.get("node", "") != node:
            raise ProtocolError(
                "bad-format",
                f"{verb.tag} of {_shown(verb)} follows the publish of {_shown(publish)}",
            )
        items = publish.findall("item")
        if not items:
            return EndOfRib()
        if len(items) > 1:
            raise ProtocolError(
                "policy-violation", f"publish {_shown(publish)} has {len(items)} items, not 1"
            )
        instance = collection.get("node", "")
        if not instance:
            raise ProtocolError("bad-format", f"collection for {node!r} names no instance")
        family = _family(node)
        if family not in (INET, INET6, EVPN, MULTICAST):
            return Unknown(f"route of family {family}")
        withdraw = verb.tag == "dissociate"
        item = decode_item(family, items[0], bare=withdraw)
        return Withdraw(instance, item) if withdraw else Publish(instance, item)


def _shown(element: Element) -> str:
    return repr(element.get("node", "")[:128])


def _family(node: str) -> Family:
    parts = node.split("/", 2)
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        raise ProtocolError("bad-format", f"node {node[:128]!r} does not start with afi/safi")
    if len(parts[0]) > 5 or len(parts[1]) > 5:
        raise ProtocolError("bad-format", f"node {node[:128]!r} has no such family")
    return Family(int(parts[0]), int(parts[1]))


def _decode_subscription(action: Element) -> Stanza:
    instance = action.get("node", "")
    if not instance:
        raise ProtocolError("bad-format", f"{action.tag} names no instance")
    if action.tag == "unsubscribe":
        return Unsubscribe(instance)
    text = (action.findtext("options/instance-id") or "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) <= 9) and text != "-1":
        raise ProtocolError(
            "bad-format", f"instance-id of {instance!r} is {text[:32]!r}; expected a number"
        )
    no_ribout = (action.findtext("options/no-ribout") or "").strip() == "true"
    return Subscribe(instance, int(text) if text else -1, no_ribout)


def _decode_config_subscription(action: Element) -> Stanza:
    if action.tag not in ("subscribe", "unsubscribe"):
        return Unknown(f"config {action.tag}")
    kind, colon, name = action.get("node", "").partition(":")
    if not colon or not name:
        raise ProtocolError(
            "bad-format",
            f"config {action.tag} of {_shown(action)}; expected TYPE:NAME",
        )
    if action.tag == "subscribe":
        return ConfigSubscribe(kind, name)
    return ConfigUnsubscribe(kind, name)


def _decode_message(stanza: Element) -> Stanza:
    event = stanza.find("event")
    if event is None:
        return Unknown("message without event")
    items = event.find("items")
    if items is None:
        return EndOfRib()
    node = items.get("node", "")
    if node == _END_OF_RIB:
        return EndOfRib()
    if node == _END_OF_CONFIG:
        return EndOfConfig()
    family = _family(node)
    instance = node.split("/", 2)[2] if node.count("/") >= 2 else ""
    if family not in (INET, INET6, EVPN, MULTICAST):
        return Unknown(f"routes of family {family}")
    if not instance:
        raise ProtocolError("bad-format", f"items of {node!r} name no instance")
    retracts = items.findall("retract")
    if retracts:
        return RouteRetract(family, instance, tuple(r.get("id", "") for r in retracts))
    return RouteUpdate(
        family, instance, tuple(decode_item(family, item) for item in items.findall("item"))
    )


def _decode_config(config: Element) -> ConfigMessage:
    operations: list[ConfigOperation] = []
    for block in config:
        if block.tag not in ("update", "delete"):
            continue
        delete = block.tag == "delete"
        for child in block:
            if child.tag == "node":
                kind, name = _node_key(child)
                element = None if delete else child
                operations.append(ConfigOperation(ConfigNode(kind, name, b"", element), delete))
            elif child.tag == "link":
                operations.append(ConfigOperation(_decode_link(child), delete))
    return ConfigMessage(tuple(operations))


def _node_key(node: Element) -> tuple[str, str]:
    kind = node.get("type", "")
    name = node.findtext("name") or ""
    if not kind or not name:
        raise ProtocolError("bad-format", f"config node of type {kind!r} named {name!r}")
    return kind, name


def _decode_link(link: Element) -> ConfigLink:
    nodes = link.findall("node")
    metadata = link.find("metadata")
    if len(nodes) != 2 or metadata is None or not metadata.get("type"):
        raise ProtocolError(
            "bad-format", f"config link with {len(nodes)} nodes; expected two and a metadata type"
        )
    return ConfigLink(_node_key(nodes[0]), _node_key(nodes[1]), metadata.get("type", ""))
