"""Items of replication trees (1/241): upstream's own text, round trips, and what is refused."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.xmpp.errors import ProtocolError
from tungsten.xmpp.routes import (
    MULTICAST,
    NextHop,
    TreeItem,
    decode_item,
    encode_item,
    encode_item_body,
)
from tungsten.xmpp.stanzas import Publish, StanzaDecoder, encode

INSTANCE = "default-domain:demo:vn1:vn1"
PUBLISHED = (
    "<entry><nlri><af>1</af><safi>241</safi><group>255.255.255.255</group>"
    "<source>0.0.0.0</source><source-label>0</source-label><source-address></source-address>"
    "</nlri><next-hops><next-hop><af>1</af><address>192.0.2.7</address>"
    "<label>4609-5119</label><tunnel-encapsulation-list>"
    "<tunnel-encapsulation>gre</tunnel-encapsulation>"
    "<tunnel-encapsulation>udp</tunnel-encapsulation></tunnel-encapsulation-list>"
    "</next-hop></next-hops><olist></olist></entry>"
)
TOLD = (
    '<item id="192.0.2.7:3:255.255.255.255,0.0.0.0"><entry>'
    "<nlri><af>1</af><safi>241</safi><group>255.255.255.255</group><source>0.0.0.0</source>"
    "<source-label>4609</source-label><source-address></source-address></nlri>"
    "<next-hops></next-hops><olist><next-hop><af>1</af><address>192.0.2.9</address>"
    "<label>5003</label><tunnel-encapsulation-list>"
    "<tunnel-encapsulation>gre</tunnel-encapsulation>"
    "<tunnel-encapsulation>udp</tunnel-encapsulation></tunnel-encapsulation-list>"
    "</next-hop></olist></entry></item>"
)
OFFER = TreeItem(
    group="255.255.255.255",
    address="192.0.2.7",
    labels=(4609, 5119),
    encapsulations=("gre", "udp"),
)
PLACE = TreeItem(
    group="255.255.255.255",
    rd="192.0.2.7:3",
    source_label=4609,
    olist=(NextHop(address="192.0.2.9", label=5003, encapsulations=("gre", "udp")),),
)

addresses = st.ip_addresses(v=4).map(str)
encapsulations = st.sampled_from([(), ("gre",), ("gre", "udp")])
labels = st.integers(0, 0xFFFFF)
items = st.builds(
    TreeItem,
    group=addresses,
    source=addresses,
    source_label=labels,
    olist=st.lists(
        st.builds(NextHop, address=addresses, label=labels, encapsulations=encapsulations),
        max_size=6,
    ).map(tuple),
)


def test_offer_is_written_as_upstream_writes_it() -> None:
    assert encode_item_body(OFFER).decode() == PUBLISHED
    item = ElementTree.fromstring(f"<item>{PUBLISHED}</item>")
    assert decode_item(MULTICAST, item) == OFFER


def test_place_is_written_as_upstream_writes_it() -> None:
    assert encode_item(PLACE).decode() == TOLD
    assert decode_item(MULTICAST, ElementTree.fromstring(TOLD)) == PLACE


def test_offer_is_published_and_taken_back() -> None:
    decoder = StanzaDecoder()
    wire = encode(Publish(INSTANCE, OFFER), "host", "control")
    assert f'<publish node="1/241/{INSTANCE}/255.255.255.255">'.encode() in wire
    found = [decoder.decode(each) for each in ElementTree.fromstring(b"<x>%b</x>" % _plain(wire))]
    assert found == [None, Publish(INSTANCE, OFFER)]


def _plain(wire: bytes) -> bytes:
    return wire.replace(b' xmlns="http://jabber.org/protocol/pubsub"', b"")


@given(items, addresses, st.integers(0, 0xFFFF))
def test_items_come_back_as_sent(item: TreeItem, address: str, number: int) -> None:
    whole = ElementTree.fromstring(encode_item(item))
    assert decode_item(MULTICAST, whole) == item
    whole.set("id", f"{address}:{number}:{item.group},{item.source}")
    assert decode_item(MULTICAST, whole).id == whole.get("id")


@pytest.mark.parametrize("block", ["4609", "4609-", "-5", "a-b", "1-99999999999"])
def test_a_block_of_labels_has_two_ends(block: str) -> None:
    item = ElementTree.fromstring(f"<item>{PUBLISHED.replace('4609-5119', block)}</item>")
    with pytest.raises(ProtocolError, match="label"):
        decode_item(MULTICAST, item)
