"""Stanzas on the wire: round trips, upstream's own text, and what is refused."""

from __future__ import annotations

import contextlib
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tungsten.xmpp.errors import ProtocolError
from tungsten.xmpp.framing import FrameKind, FrameReader
from tungsten.xmpp.routes import canonical_prefix
from tungsten.xmpp.stanzas import (
    EVPN,
    INET,
    INET6,
    ConfigLink,
    ConfigMessage,
    ConfigNode,
    ConfigOperation,
    ConfigSubscribe,
    ConfigUnsubscribe,
    EndOfConfig,
    EndOfRib,
    EnetItem,
    InetItem,
    NextHop,
    Publish,
    RouteRetract,
    RouteUpdate,
    Stanza,
    StanzaDecoder,
    Subscribe,
    Unknown,
    Unsubscribe,
    Withdraw,
    encode,
)
from tungsten.xmpp.stream import CONTROL_JID
from tungsten.xmpp.text import escape

HEADER = b'<stream:stream xmlns:stream="http://etherx.jabber.org/streams">'
RI = "default-domain:demo:vn1:vn1"

names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=20,
).map(lambda s: s.strip() or "x")
numbers = st.integers(0, 0xFFFFFFFF)
ip4 = st.ip_addresses(v=4).map(str)
macs = st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":"))
tuples = st.lists(numbers, max_size=3).map(tuple)
encapsulations = st.lists(st.sampled_from(["gre", "udp", "vxlan"]), max_size=3).map(tuple)
inet_hops = st.builds(
    NextHop,
    address=ip4,
    label=numbers,
    encapsulations=encapsulations,
    mac=st.one_of(st.just(""), macs),
    vni=numbers,
    virtual_network=names,
    tags=tuples,
    sequence=numbers,
)
enet_hops = st.builds(
    NextHop,
    address=ip4,
    label=numbers,
    encapsulations=encapsulations,
    mac=st.one_of(st.just(""), macs),
    l3_label=numbers,
    tags=tuples,
)
prefixes = st.one_of(
    st.ip_addresses(v=4).map(lambda a: f"{a}/32"), st.ip_addresses(v=6).map(lambda a: f"{a}/128")
).map(lambda text: canonical_prefix(text, None))
inet_items = st.builds(
    InetItem,
    prefix=prefixes,
    next_hops=st.lists(inet_hops, max_size=3).map(tuple),
    virtual_network=names,
    sequence=st.integers(1, 9),
    sticky=st.booleans(),
    security_groups=tuples,
    communities=st.lists(names, max_size=2).map(tuple),
    local_preference=numbers,
    med=numbers,
    load_balance_fields=st.sampled_from([(), ("l4-protocol",)]),
    load_balance_decision=st.sampled_from(["field-hash", "source-bias"]),
    sub_protocol=names,
)
enet_items = st.builds(
    EnetItem,
    mac=macs,
    address=prefixes,
    tag=numbers,
    next_hops=st.lists(enet_hops, max_size=2).map(tuple),
    olist=st.lists(enet_hops, max_size=3).map(tuple),
    leaf_olist=st.lists(enet_hops, max_size=1).map(tuple),
    virtual_network=names,
    security_groups=tuples,
    edge_replication_not_supported=st.booleans(),
    assisted_replication_supported=st.booleans(),
    etree_leaf=st.booleans(),
)
items = st.one_of(inet_items, enet_items)


def wire(data: bytes) -> list[Element]:
    """The elements of encoded stanzas, through the real framing."""
    frames = FrameReader().feed(HEADER + data)
    return [frame.element for frame in frames if frame.kind is FrameKind.ELEMENT]


def decoded(data: bytes) -> list[Stanza]:
    decoder = StanzaDecoder()
    return [s for e in wire(data) if (s := decoder.decode(e)) is not None]


def from_agent(stanza: Stanza) -> bytes:
    return encode(stanza, "compute-7", CONTROL_JID, 41)


def from_control(stanza: Stanza) -> bytes:
    return encode(stanza, CONTROL_JID, "compute-7")


@settings(max_examples=150, deadline=None)
@given(names, items)
def test_publish_comes_back_as_sent(instance: str, item: InetItem | EnetItem) -> None:
    assert decoded(from_agent(Publish(instance, item))) == [Publish(instance, item)]


@settings(max_examples=60, deadline=None)
@given(names, items)
def test_withdraw_keeps_the_identity(instance: str, item: InetItem | EnetItem) -> None:
    (found,) = decoded(from_agent(Withdraw(instance, item)))
    assert isinstance(found, Withdraw)
    assert (found.instance, found.item.id, found.item.family) == (instance, item.id, item.family)


@settings(max_examples=60, deadline=None)
@given(names, st.lists(inet_items, min_size=1, max_size=4))
def test_update_comes_back_as_sent(instance: str, found: list[InetItem]) -> None:
    family = found[0].family
    same = tuple(item for item in found if item.family == family)
    update = RouteUpdate(family, instance, same)
    assert decoded(from_control(update)) == [update]


@pytest.mark.parametrize(
    "stanza",
    [
        Subscribe(RI, 3),
        Subscribe(RI, 0, True),
        Unsubscribe(RI),
        ConfigSubscribe("virtual-router", "default-global-system-config:compute-7"),
        ConfigUnsubscribe("virtual-machine", "6f1c0a1e-7c1b-4a55-9d1f-0c7a5be1c001"),
    ],
)
def test_subscriptions_come_back_as_sent(stanza: Stanza) -> None:
    assert decoded(from_agent(stanza)) == [stanza]


@settings(max_examples=60, deadline=None)
@given(names, names, names)
def test_configuration_comes_back_as_sent(kind: str, name: str, metadata: str) -> None:
    message = ConfigMessage(
        (
            ConfigOperation(ConfigNode(kind, name, b"<a>1</a>")),
            ConfigOperation(ConfigLink((kind, name), ("x", "y"), metadata)),
            ConfigOperation(ConfigLink((kind, name), ("x", "y"), metadata), delete=True),
            ConfigOperation(ConfigNode(kind, name), delete=True),
        )
    )
    (found,) = decoded(from_control(message))
    assert isinstance(found, ConfigMessage)
    first = found.operations[0].object
    assert isinstance(first, ConfigNode)
    assert first.element is not None
    assert (first.type, first.name, first.element.findtext("a")) == (kind, name, "1")
    assert found.operations[1:] == message.operations[1:]


def test_retract_and_markers_come_back() -> None:
    retract = RouteRetract(EVPN, RI, ("ff:ff:ff:ff:ff:ff,0.0.0.0/32",))
    assert decoded(from_control(retract)) == [retract]
    assert decoded(from_control(EndOfRib())) == [EndOfRib(), EndOfRib()]
    assert decoded(from_agent(EndOfRib())) == [EndOfRib(), EndOfRib()]
    assert decoded(from_control(EndOfConfig())) == [EndOfConfig()]


def test_second_form_of_end_of_rib_is_what_upstream_agents_understand() -> None:
    marker, plain = wire(from_control(EndOfRib()))
    items_ = marker.find("event/items")
    assert items_ is not None
    assert items_.get("node") == "0/0/EndOfRib"
    assert plain.find("event") is not None
    assert plain.find("event/items") is None


def test_publish_is_two_iqs_that_name_the_same_node() -> None:
    hop = NextHop(address="192.0.2.7", label=27, encapsulations=("gre", "udp"))
    publish = Publish(RI, InetItem(prefix="10.1.1.3/32", next_hops=(hop,)))
    first, second = wire(from_agent(publish))
    assert first.get("to") == second.get("to") == f"{CONTROL_JID}/bgp-peer"
    node = first.find("pubsub/publish")
    association = second.find("pubsub/collection/associate")
    assert node is not None
    assert association is not None
    assert node.get("node") == association.get("node") == f"1/1/{RI}/10.1.1.3/32"
    assert b"</iq>" in from_agent(publish)
    assert b"<iq/>" not in from_agent(publish)


UPSTREAM_PUBLISH = f"""
<iq type="set" from="compute-7" to="network-control@contrailsystems.com/bgp-peer" id="pubsub41">
  <pubsub xmlns="http://jabber.org/protocol/pubsub">
    <publish node="25/242/02:00:00:00:01:03,10.1.1.3/32">
      <item><entry>
        <nlri><af>25</af><safi>242</safi><ethernet-tag>0</ethernet-tag>
          <mac>02:00:00:00:01:03</mac><address>10.1.1.3/32</address><group/><source/>
          <flags>0</flags></nlri>
        <next-hops><next-hop><af>1</af><address>192.0.2.7</address><mac/><label>29</label>
          <l3-label>0</l3-label><tunnel-encapsulation-list>
          <tunnel-encapsulation>gre</tunnel-encapsulation>
          <tunnel-encapsulation>udp</tunnel-encapsulation></tunnel-encapsulation-list>
          <tag-list/><local-sequence-number>0</local-sequence-number></next-hop></next-hops>
        <olist/><virtual-network/><mobility sticky="false" seqno="0"/>
        <sequence-number>4</sequence-number>
        <security-group-list><security-group>8000001</security-group></security-group-list>
        <local-preference>100</local-preference><med>0</med><something-new>1</something-new>
      </entry></item>
    </publish>
  </pubsub>
</iq>
<iq type="set" from="compute-7" to="network-control@contrailsystems.com/bgp-peer" id="c41">
  <pubsub xmlns="http://jabber.org/protocol/pubsub">
    <collection node="{RI}"><associate node="25/242/02:00:00:00:01:03,10.1.1.3/32"/></collection>
  </pubsub>
</iq>"""


def test_publish_of_an_upstream_agent_is_read() -> None:
    (found,) = decoded(UPSTREAM_PUBLISH.encode())
    assert found == Publish(
        RI,
        EnetItem(
            mac="02:00:00:00:01:03",
            address="10.1.1.3/32",
            next_hops=(NextHop(address="192.0.2.7", label=29, encapsulations=("gre", "udp")),),
            sequence=4,
            security_groups=(8000001,),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("<label>29</label>", "<label>29x</label>", "label"),
        ("<label>29</label>", "<label>4294967296</label>", "label"),
        ("<address>192.0.2.7</address>", "<address>192.0.2</address>", "address"),
        ("<address>10.1.1.3/32</address>", "<address>10.1.1.3/33</address>", "prefix"),
        ("<mac>02:00:00:00:01:03</mac>", "<mac>02-00</mac>", "mac"),
        ("<entry>", "<entries>", "entry"),
        ("<nlri>", "<nlris>", "nlri"),
        ("<item>", "<item/><item>", "2 items"),
        ('<associate node="25/', '<associate node="1/', "follows the publish"),
        ("25/242/02", "x/y/02", "afi/safi"),
    ],
)
def test_unreadable_publish_names_what_is_wrong(old: str, new: str, cause: str) -> None:
    text = UPSTREAM_PUBLISH.replace(old, new)
    if old in ("<entry>", "<nlri>"):
        text = text.replace(old.replace("<", "</"), new.replace("<", "</"))
    with pytest.raises(ProtocolError, match=cause):
        decoded(text.encode())


def test_halves_of_a_pair_must_follow_each_other() -> None:
    first, second = wire(UPSTREAM_PUBLISH.encode())
    decoder = StanzaDecoder()
    assert decoder.decode(first) is None
    with pytest.raises(ProtocolError, match="before the collection"):
        decoder.decode(first)
    with pytest.raises(ProtocolError, match="without a publish"):
        StanzaDecoder().decode(second)


def test_what_is_not_known_is_ignored() -> None:
    for text in (
        "<presence/>",
        "<iq/>",
        '<iq to="x/other-peer"><pubsub><subscribe node="a"/></pubsub></iq>',
        '<message><event><items node="1/5/a"/></event></message>',
        f'<iq to="{CONTROL_JID}/bgp-peer"><pubsub><options/></pubsub></iq>',
    ):
        assert isinstance(StanzaDecoder().decode(ElementTree.fromstring(text)), Unknown)


def test_prefix_loses_bits_beyond_its_length() -> None:
    text = UPSTREAM_PUBLISH.replace("10.1.1.3/32</address>", "10.1.1.3/24</address>")
    (found,) = decoded(text.encode())
    assert isinstance(found, Publish)
    assert isinstance(found.item, EnetItem)
    assert found.item.address == "10.1.1.0/24"


def test_message_sizes_are_held() -> None:
    item = InetItem(prefix="10.0.0.0/8")
    with pytest.raises(ValueError, match="33 items"):
        from_control(RouteUpdate(INET, RI, (item,) * 33))
    with pytest.raises(ValueError, match="0 retracts"):
        from_control(RouteRetract(INET6, RI, ()))


_HOP = NextHop(address="192.0.2.7", label=27, encapsulations=("gre",), tags=(1,))
_SEEDS: list[bytes] = [
    from_agent(Subscribe(RI, 3)),
    from_agent(ConfigSubscribe("virtual-router", "a:b")),
    from_agent(Publish(RI, InetItem(prefix="10.1.1.3/32", next_hops=(_HOP,)))),
    UPSTREAM_PUBLISH.encode(),
    from_control(RouteUpdate(INET, RI, (InetItem(prefix="10.1.1.3/32", next_hops=(_HOP,)),))),
    from_control(RouteUpdate(EVPN, RI, (EnetItem(mac="02:00:00:00:01:03", olist=(_HOP,)),))),
    from_control(RouteRetract(INET6, RI, ("::1/128",))),
    from_control(
        ConfigMessage((ConfigOperation(ConfigLink(("a", "b"), ("c", "d"), "m"), delete=True),))
    ),
]
_VALUES = st.sampled_from(
    ["", "-1", "0", "99999999999", "x", "1/1/a", "25/242", "/", ":", "::1/129", "٣", "a:b", "\n"]
)
_MUTATIONS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from("tadrc"), _VALUES), min_size=1, max_size=4
)


def mutate(roots: list[Element], mutations: list[tuple[int, str, str]]) -> None:
    """Change, remove or repeat parts of stanzas."""
    for number, how, value in mutations:
        every = [node for root in roots for node in root.iter()]
        node = every[number % len(every)]
        if how == "t":
            node.text = value
        elif how == "a":
            for name in node.attrib:
                node.set(name, value)
        elif how == "d" and len(node):
            del node[number % len(node)]
        elif how == "r":
            node.tag = every[(number * 7) % len(every)].tag
        elif how == "c" and len(node):
            node.append(node[number % len(node)])


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(_SEEDS), _MUTATIONS)
def test_no_damaged_stanza_raises_anything_but_a_protocol_error(
    seed: bytes, mutations: list[tuple[int, str, str]]
) -> None:
    roots = wire(seed)
    mutate(roots, mutations)
    decoder = StanzaDecoder()
    for root in roots:
        with contextlib.suppress(ProtocolError):
            decoder.decode(root)


def test_names_with_markup_survive() -> None:
    name = "a<b>&\"'\n</iq>é"
    assert decoded(from_agent(Subscribe(name, 1))) == [Subscribe(name, 1)]
    assert escape("\x00\ud800x") == "x"
