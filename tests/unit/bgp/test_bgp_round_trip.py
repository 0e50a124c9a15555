"""Whatever can be said survives encoding and decoding; foreign bytes raise one error only."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tungsten.bgp.as_path import Segment, merge_paths, path_length
from tungsten.bgp.attributes import (
    Aggregator,
    AttributeStore,
    Context,
    PathAttributes,
    PmsiTunnel,
    RawAttribute,
)
from tungsten.bgp.capabilities import (
    FourOctetAs,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    UnknownCapability,
    decode_capability,
)
from tungsten.bgp.capabilities import RouteRefresh as RefreshCapability
from tungsten.bgp.errors import ProtocolError
from tungsten.bgp.families import (
    ERM_VPN,
    EVPN,
    FAMILIES,
    INET,
    INET6,
    INET6_VPN,
    INET_LABELED,
    INET_VPN,
    ROUTE_TARGET,
    Family,
)
from tungsten.bgp.messages import (
    Framer,
    Keepalive,
    Message,
    Notification,
    Open,
    RouteRefresh,
    decode_message,
    encode_message,
)
from tungsten.bgp.nlri import (
    ErmVpn,
    EthernetAutoDiscovery,
    EthernetSegment,
    InclusiveMulticast,
    Inet,
    IpPrefix,
    Labeled,
    MacIp,
    RouteTarget,
    UnknownEvpn,
    Vpn,
    decode_nlri,
    encode_nlri,
    nlri_text,
    pack_prefix,
    prefix_from_text,
    prefix_text,
    rd_from_text,
    rd_text,
)
from tungsten.bgp.update import Reach, Unreach, Update

ALL = frozenset(FAMILIES.values())


def octets(n: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=n, max_size=n)


def prefixes(bits: int) -> st.SearchStrategy[bytes]:
    return st.builds(pack_prefix, octets(bits // 8), st.integers(0, bits))


def built(cls: Any, *parts: Any) -> st.SearchStrategy[Any]:
    return st.builds(cls, *parts)


labels = st.integers(0, 0xFFFFF).map(lambda label: label << 4 | 1)
fields = st.integers(0, 0xFFFFFF)
tags = st.integers(0, 0xFFFFFFFF)
addresses = octets(4) | octets(16)
rts = st.integers(32, 96).flatmap(lambda n: st.builds(pack_prefix, octets(12), st.just(n)))

ROUTES: dict[Family, st.SearchStrategy[Any]] = {
    INET: built(Inet, prefixes(32)),
    INET6: built(Inet, prefixes(128)),
    INET_LABELED: built(Labeled, prefixes(32), labels),
    INET_VPN: built(Vpn, octets(8), prefixes(32), labels),
    INET6_VPN: built(Vpn, octets(8), prefixes(128), labels),
    ROUTE_TARGET: built(RouteTarget, rts | st.just(b"\0")),
    ERM_VPN: built(ErmVpn, st.sampled_from([1, 2]), octets(8), octets(4), octets(4), octets(4)),
    EVPN: st.one_of(
        built(EthernetAutoDiscovery, octets(8), octets(10), tags, fields),
        built(
            MacIp,
            octets(8),
            tags,
            octets(6),
            addresses | st.just(b""),
            fields,
            octets(10),
            fields | st.none(),
        ),
        built(InclusiveMulticast, octets(8), tags, addresses),
        built(EthernetSegment, octets(8), octets(10), addresses),
        built(IpPrefix, octets(8), tags, prefixes(32), fields, octets(4), octets(10)),
        built(IpPrefix, octets(8), tags, prefixes(128), fields, octets(16), octets(10)),
        built(UnknownEvpn, st.integers(6, 255), st.binary(max_size=40)),
    ),
}

asns = st.integers(1, 0xFFFFFFFF)
segments = built(
    Segment, st.sampled_from([1, 2]), st.lists(asns, min_size=1, max_size=5).map(tuple)
)
paths = st.lists(segments, max_size=3).map(tuple)
hops = octets(4).filter(lambda a: 0 < a[0] < 224)


def tuples(of: Any, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=least, max_size=4).map(tuple)


attribute_sets: st.SearchStrategy[PathAttributes] = st.builds(
    PathAttributes,
    next_hop=hops,
    origin=st.sampled_from([0, 1, 2]),
    as_path=paths,
    med=st.none() | tags,
    local_preference=tags,
    extended_communities=tuples(octets(8)),
    communities=tuples(tags),
    large_communities=tuples(octets(12)),
    originator_id=st.none() | octets(4),
    cluster_list=tuples(octets(4)),
    atomic_aggregate=st.booleans(),
    aggregator=st.none() | built(Aggregator, asns.filter(lambda a: a != 23456), octets(4)),
    pmsi_tunnel=st.none() | built(PmsiTunnel, st.just(6), fields, octets(4), st.integers(0, 255)),
    origin_vn_path=tuples(octets(8)),
    opaque=st.just(()) | st.tuples(built(RawAttribute, st.just(0xE0), st.just(99), octets(300))),
)


def through(message: Message, four: bool = True) -> list[Message]:
    context = Context(internal=True, four_octet_as=four)
    store = AttributeStore()
    wire = encode_message(message, four_octet_as=four)
    return [decode_message(t, b, context, ALL, store) for t, b in Framer().feed(wire)]


@given(st.data(), st.sampled_from(sorted(ALL)))
def test_routes_survive(data: st.DataObject, family: Family) -> None:
    routes = data.draw(st.lists(ROUTES[family], max_size=5))
    wire = b"".join(map(encode_nlri, routes))
    result = decode_nlri(family, wire)
    assert result.routes == routes
    assert not result.skipped
    assert all(nlri_text(family, route) for route in routes)


@given(st.data(), st.sampled_from(sorted(ALL)))
def test_equal_keys_mean_the_same_route(data: st.DataObject, family: Family) -> None:
    one, other = data.draw(ROUTES[family]), data.draw(ROUTES[family])
    assert (one.key == other.key) == (nlri_text(family, one) == nlri_text(family, other)) or (
        family == EVPN
    )


@given(st.data(), attribute_sets, st.sampled_from(sorted(ALL)), st.booleans())
def test_updates_survive(
    data: st.DataObject, attributes: PathAttributes, family: Family, four: bool
) -> None:
    routes = tuple(data.draw(st.lists(ROUTES[family], min_size=1, max_size=5)))
    sent = Update(reach=(Reach(family, attributes, routes),))
    (got,) = through(sent, four)
    assert isinstance(got, Update)
    assert got.faults == ()
    (reach,) = got.reach
    assert reach.routes == routes
    if four:
        assert got == sent
    gone = Update(unreach=(Unreach(family, routes),))
    assert through(gone) == [gone]


families = st.sampled_from(sorted(ALL))
capabilities = st.one_of(
    built(Multiprotocol, families),
    st.just(RefreshCapability()),
    built(FourOctetAs, asns),
    built(
        GracefulRestart,
        st.integers(0, 4095),
        tuples(st.tuples(families, st.booleans())),
        st.booleans(),
        st.booleans(),
    ),
    built(LongLivedGracefulRestart, tuples(st.tuples(families, st.booleans(), fields))),
    built(UnknownCapability, st.integers(100, 255), st.binary(max_size=30)),
)
opens = st.builds(
    Open,
    asn=st.integers(1, 0xFFFF),
    hold_time=st.just(0) | st.integers(3, 0xFFFF),
    router_id=octets(4).filter(any),
    capabilities=st.lists(
        capabilities.filter(lambda c: not isinstance(c, FourOctetAs)), max_size=40
    ).map(tuple),
)
messages = st.one_of(
    opens,
    st.just(Keepalive()),
    built(Notification, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60)),
    built(RouteRefresh, families, st.integers(0, 2)),
)


@given(messages)
def test_messages_survive(message: Message) -> None:
    assert through(message) == [message]


@given(st.lists(messages, max_size=6), st.data())
def test_framing_does_not_depend_on_where_the_stream_is_cut(
    sent: list[Message], data: st.DataObject
) -> None:
    wire = b"".join(map(encode_message, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    framer = Framer()
    got = []
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        got += list(framer.feed(wire[start:stop]))
    assert got == list(Framer().feed(wire))


@given(paths, paths)
def test_merging_keeps_the_length_of_the_path(
    path: tuple[Segment, ...], path4: tuple[Segment, ...]
) -> None:
    assert path_length(merge_paths(path, path4)) == path_length(path)


@given(prefixes(32), prefixes(128), octets(8).map(lambda b: b"\0" + bytes((b[0] % 3,)) + b[2:]))
def test_texts_survive(four: bytes, six: bytes, rd: bytes) -> None:
    assert prefix_from_text(prefix_text(four, 1)) == four
    assert prefix_from_text(prefix_text(six, 2)) == six
    assert rd[:2] == b"\0\2" or rd_from_text(rd_text(rd)) == rd


# --- foreign bytes ------------------------------------------------------------------------------

contexts = st.builds(Context, st.booleans(), st.booleans())


def survive(type_: int, body: bytes, context: Context) -> None:
    with contextlib.suppress(ProtocolError):
        message = decode_message(type_, body, context, ALL, AttributeStore())
        if isinstance(message, Update):
            parts: list[Reach | Unreach] = [*message.reach, *message.unreach]
            for part in parts:
                for route in part.routes:
                    nlri_text(part.family, route)
                    encode_nlri(route)


@given(st.binary(max_size=120))
def test_random_streams_raise_only_protocol_errors(data: bytes) -> None:
    for stream in (data, b"\xff" * 16 + data):
        with contextlib.suppress(ProtocolError):
            for type_, body in Framer().feed(stream):
                survive(type_, body, Context(True, True))


@given(st.sampled_from([2, 3, 4, 5]), st.binary(min_size=4, max_size=200), contexts)
def test_random_bodies_raise_only_protocol_errors(t: int, body: bytes, context: Context) -> None:
    survive(t, body, context)


@settings(max_examples=300)
@given(st.data(), attribute_sets, st.sampled_from(sorted(ALL)), contexts)
def test_mutated_updates_raise_only_protocol_errors(
    data: st.DataObject, attributes: PathAttributes, family: Family, context: Context
) -> None:
    """B-44."""
    routes = tuple(data.draw(st.lists(ROUTES[family], min_size=1, max_size=3)))
    wire = bytearray(encode_message(Update(reach=(Reach(family, attributes, routes),))))
    body = wire[19:]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    survive(2, bytes(body[: data.draw(st.integers(0, len(body)))]), context)


@given(opens)
def test_every_truncation_of_an_open_is_refused(message: Open) -> None:
    """B-07."""
    body = encode_message(message)[19:]
    for size in range(10, len(body)):
        with pytest.raises(ProtocolError) as caught:
            decode_message(1, body[:size], Context(True, True), ALL, AttributeStore())
        assert caught.value.code == 2


@given(st.integers(0, 255), st.binary(max_size=40))
def test_capabilities_never_read_outside_their_slice(code: int, value: bytes) -> None:
    """B-08."""
    with contextlib.suppress(ProtocolError):
        decode_capability(code, value)
