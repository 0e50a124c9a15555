"""Attributes 241 and 242: octets as Tungsten Fabric has them, round trips, and bad ones."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.bgp.attributes import (
    Context,
    PathAttributes,
    RawAttribute,
    decode_attributes,
    encode_attributes,
    split_block,
)
from tungsten.bgp.edges import (
    EdgeDiscovery,
    EdgeForwarding,
    discovery,
    discovery_of,
    forwarding,
    forwarding_of,
    pack_discovery,
    pack_forwarding,
    parse_discovery,
    parse_forwarding,
)
from tungsten.bgp.wire import Malformed, Truncated

IBGP = Context(internal=True, four_octet_as=True)
AGENT = bytes((192, 0, 2, 7))
OTHER = bytes((192, 0, 2, 9))
DISCOVERY = bytes.fromhex("04 c0000207 08 00001201 00001201")
FORWARDING = bytes.fromhex("04 c0000207 00001201 c0000209 0000138b")

labels = st.integers(0, (1 << 20) - 1)
blocks = st.tuples(labels, labels).map(lambda pair: (min(pair), max(pair)))
addresses = st.binary(min_size=4, max_size=4)
discoveries = st.builds(EdgeDiscovery, addresses, st.lists(blocks, max_size=31).map(tuple))
forwardings = st.builds(EdgeForwarding, addresses, labels, addresses, labels)


def through(*raw: RawAttribute) -> PathAttributes:
    """Attributes as a neighbour reads them."""
    block = encode_attributes(PathAttributes(opaque=raw))
    decoded, faults = decode_attributes(split_block(block), IBGP)
    assert not faults
    return decoded


def test_discovery_octets() -> None:
    edges = (EdgeDiscovery(AGENT, ((4609, 4609),)),)
    assert pack_discovery(edges) == DISCOVERY
    assert parse_discovery(DISCOVERY) == edges
    block = encode_attributes(PathAttributes(opaque=(discovery(edges * 3),)))
    assert bytes.fromhex("c0 f1 2a") + DISCOVERY * 3 in block


def test_forwarding_octets() -> None:
    edges = (EdgeForwarding(AGENT, 4609, OTHER, 5003),)
    assert pack_forwarding(edges) == FORWARDING
    assert parse_forwarding(FORWARDING) == edges
    block = encode_attributes(PathAttributes(opaque=(forwarding(edges),)))
    assert bytes.fromhex("c0 f2 11") + FORWARDING in block


@given(st.lists(discoveries, max_size=5).map(tuple), st.lists(forwardings, max_size=20).map(tuple))
def test_edges_come_back_as_sent(
    offered: tuple[EdgeDiscovery, ...], joined: tuple[EdgeForwarding, ...]
) -> None:
    attributes = through(discovery(offered), forwarding(joined))
    assert discovery_of(attributes) == offered
    assert forwarding_of(attributes) == joined


@pytest.mark.parametrize(
    "value",
    [
        DISCOVERY[:-1],
        b"\x10" + DISCOVERY[1:],
        DISCOVERY[:5] + b"\4" + DISCOVERY[6:10],
        DISCOVERY[:6] + b"\0\0\x12\2\0\0\x12\1",
        DISCOVERY[:-4] + b"\xff" * 4,
    ],
)
def test_a_bad_discovery_offers_nothing(value: bytes) -> None:
    assert discovery_of(through(RawAttribute(0xC0, 241, value))) == ()


@pytest.mark.parametrize(
    "value",
    [
        FORWARDING + b"\4",
        b"\6" + FORWARDING[1:],
        FORWARDING[:5] + b"\xff" * 4 + FORWARDING[9:],
    ],
)
def test_a_bad_forwarding_joins_nothing(value: bytes) -> None:
    assert forwarding_of(through(RawAttribute(0xC0, 242, value))) == ()


@given(st.binary(max_size=80))
def test_no_octets_raise_anything_else(value: bytes) -> None:
    for parse in (parse_discovery, parse_forwarding):
        with contextlib.suppress(Malformed, Truncated):
            parse(value)
