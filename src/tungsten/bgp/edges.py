"""Edges of multicast replication trees, as erm-vpn routes carry them: attributes 241 and 242.

*Edge discovery* (241), on a control node's local route (type 1), offers places where the trees of
other control nodes may be joined to ours: an address and blocks of labels. *Edge forwarding*
(242), on a global route (type 2), tells a control node which of its places is joined to which of
another's. Both are private to Tungsten Fabric, and optional transitive: attributes carry them
raw (``PathAttributes.opaque``), and who works with trees reads them here. Addresses are packed
IPv4, labels 32 bits on the wire of which 20 are used.
"""

from __future__ import annotations

from msgspec import Struct

from tungsten.bgp.attributes import Code, PathAttributes, RawAttribute
from tungsten.bgp.wire import Cursor, Malformed, Truncated

_MAX_LABEL = (1 << 20) - 1
_FLAGS = 0xC0


class EdgeDiscovery(Struct, frozen=True):
    """A place to join: ``address``, and blocks of labels, each first and last."""

    address: bytes
    blocks: tuple[tuple[int, int], ...]


class EdgeForwarding(Struct, frozen=True):
    """A join: what comes to our ``label`` at ``address`` goes on to theirs, and back."""

    address: bytes
    label: int
    neighbor_address: bytes
    neighbor_label: int


def discovery_of(attributes: PathAttributes) -> tuple[EdgeDiscovery, ...]:
    """Where the route's trees may be joined; nothing if the attribute is bad or not there."""
    try:
        return parse_discovery(_raw(attributes, Code.EDGE_DISCOVERY))
    except (Malformed, Truncated):
        return ()


def forwarding_of(attributes: PathAttributes) -> tuple[EdgeForwarding, ...]:
    """Which places are joined; nothing if the attribute is bad or not there."""
    try:
        return parse_forwarding(_raw(attributes, Code.EDGE_FORWARDING))
    except (Malformed, Truncated):
        return ()


def discovery(edges: tuple[EdgeDiscovery, ...]) -> RawAttribute:
    """Attribute 241, for ``PathAttributes.opaque``."""
    return RawAttribute(_FLAGS, Code.EDGE_DISCOVERY, pack_discovery(edges))


def forwarding(edges: tuple[EdgeForwarding, ...]) -> RawAttribute:
    """Attribute 242, for ``PathAttributes.opaque``."""
    return RawAttribute(_FLAGS, Code.EDGE_FORWARDING, pack_forwarding(edges))


def _raw(attributes: PathAttributes, code: Code) -> bytes:
    return next((raw.value for raw in attributes.opaque if raw.code == code), b"")


def parse_discovery(value: bytes) -> tuple[EdgeDiscovery, ...]:
    """Attribute 241. Raises ``Malformed`` or ``Truncated``."""
    cursor = Cursor(value)
    edges = []
    while len(cursor):
        address = _address(cursor)
        size = cursor.uint(1)
        if size % 8:
            raise Malformed(f"labels of {size} octets, expected a multiple of 8")
        labels = cursor.sub(size)
        blocks = []
        while len(labels):
            first, last = labels.uint(4), labels.uint(4)
            if not first <= last <= _MAX_LABEL:
                raise Malformed(f"labels {first} to {last}")
            blocks.append((first, last))
        edges.append(EdgeDiscovery(address, tuple(blocks)))
    return tuple(edges)


def parse_forwarding(value: bytes) -> tuple[EdgeForwarding, ...]:
    """Attribute 242. Raises ``Malformed`` or ``Truncated``."""
    cursor = Cursor(value)
    edges = []
    while len(cursor):
        edge = EdgeForwarding(_address(cursor), cursor.uint(4), cursor.take(4), cursor.uint(4))
        if edge.label > _MAX_LABEL or edge.neighbor_label > _MAX_LABEL:
            raise Malformed(f"labels {edge.label} and {edge.neighbor_label}")
        edges.append(edge)
    return tuple(edges)


def _address(cursor: Cursor) -> bytes:
    width = cursor.uint(1)
    if width != 4:
        raise Malformed(f"address of {width} octets, expected 4")
    return cursor.take(4)


def pack_discovery(edges: tuple[EdgeDiscovery, ...]) -> bytes:
    """The value of attribute 241. At most 31 blocks to an address."""
    return b"".join(
        b"\4"
        + edge.address
        + bytes((8 * len(edge.blocks),))
        + b"".join(a.to_bytes(4, "big") + b.to_bytes(4, "big") for a, b in edge.blocks)
        for edge in edges
    )


def pack_forwarding(edges: tuple[EdgeForwarding, ...]) -> bytes:
    """The value of attribute 242."""
    return b"".join(
        b"\4"
        + edge.address
        + edge.label.to_bytes(4, "big")
        + edge.neighbor_address
        + edge.neighbor_label.to_bytes(4, "big")
        for edge in edges
    )
