"""The fan-out of a table: each member's view follows the table, in few messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.paths import ATTRIBUTES, Path, Protocol, Source
from tungsten.control.ribout import RibOut
from tungsten.control.tables import Route
from tungsten.xmpp import stanzas
from tungsten.xmpp.framing import FrameKind, FrameReader
from tungsten.xmpp.stanzas import (
    InetItem,
    Item,
    NextHop,
    RouteRetract,
    RouteUpdate,
    StanzaDecoder,
)

pytestmark = both_cores
SOURCE = Source("c1", Protocol.XMPP)
HEADER = b'<stream:stream xmlns:stream="http://etherx.jabber.org/streams">'


class Reader:
    """A member: decodes what it is sent, and checks that retracts are of what it has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_ready = True
        self.messages = 0
        self.routes: dict[str, int] = {}
        self._frames = FrameReader()
        self._frames.feed(HEADER)
        self._decoder = StanzaDecoder()

    def deliver(self, *message: bytes) -> None:
        """Take a message."""
        assert self.is_ready
        self.messages += 1
        for frame in self._frames.feed(b"".join(message)):
            assert frame.kind is FrameKind.ELEMENT
            assert frame.element.get("to") == f"{self.name}/bgp-peer"
            stanza = self._decoder.decode(frame.element)
            if isinstance(stanza, RouteUpdate):
                assert len(stanza.items) <= 32
                for item in stanza.items:
                    self.routes[item.id] = item.next_hops[0].label
            else:
                assert isinstance(stanza, RouteRetract)
                assert len(stanza.ids) <= 256
                for ident in stanza.ids:
                    del self.routes[ident]


def show(route: Route) -> Item | None:
    if route.best is None:
        return None
    length, octets = route.key[0], route.key[1:]
    prefix = ".".join(map(str, octets.ljust(4, b"\0"))) + f"/{length}"
    hop = NextHop(address="192.0.2.1", label=route.best.label)
    return InetItem(prefix=prefix, next_hops=(hop,))


class Fan:
    """A table with a fan-out and members."""

    def __init__(self) -> None:
        self.rib = make_rib()
        self.table = self.rib.vrf_table("x", INET)
        self.out = RibOut(
            stanzas.INET,
            "x",
            "control",
            show=show,
            owner_of=lambda _: None,
            on_work=lambda _: None,
        )
        self.out.attach(self.table)
        self.members = [Reader(f"c{n}") for n in range(3)]

    def put(self, number: int, label: int) -> None:
        """Add or change a route; label 0 removes it."""
        key = prefix_from_text(f"10.{number >> 8}.{number & 255}.0/24")
        if label:
            attributes = ATTRIBUTES.intern(PathAttributes(next_hop=b"\1\2\3\4"))
            self.table.add(key, Path(SOURCE, attributes, label))
        else:
            self.table.withdraw(key, SOURCE)

    def settle(self) -> None:
        """Send all there is."""
        self.rib.process()
        while self.out.flush():
            pass

    def truth(self) -> dict[str, int]:
        """What every member should know."""
        return {
            item.id: item.next_hops[0].label
            for route in self.table.routes()
            if (item := show(route)) is not None
        }


_events = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 4), st.integers(0, 2)),
    st.tuples(st.just("settle")),
    st.tuples(st.sampled_from(["join", "leave", "pause", "resume"]), st.integers(0, 2)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_events, min_size=5, max_size=40))
def test_members_follow_the_table_through_joins_and_pauses(events: list[Any]) -> None:
    fan = Fan()
    joined = {0}
    fan.out.join(fan.members[0])
    for event in events:
        match event:
            case ("put", number, label):
                fan.put(number, label)
            case ("settle",):
                fan.settle()
            case ("join", index):
                fan.out.join(fan.members[index])
                joined.add(index)
            case ("leave", index):
                fan.out.leave(fan.members[index], retract=False)
                fan.members[index].routes.clear()
                joined.discard(index)
            case ("pause", index):
                fan.members[index].is_ready = False
            case ("resume", index):
                fan.members[index].is_ready = True
    for member in fan.members:
        member.is_ready = True
    fan.settle()
    for index in joined:
        assert fan.members[index].routes == fan.truth()
        assert not fan.out.is_behind(fan.members[index])


def test_unchanged_item_is_no_news() -> None:
    fan = Fan()
    fan.out.join(fan.members[0])
    fan.put(1, 7)
    fan.settle()
    fan.rib.mark(next(fan.table.routes()))
    fan.settle()
    assert fan.members[0].messages == 1


def test_leaving_with_retract_empties_the_member() -> None:
    fan = Fan()
    fan.out.join(fan.members[0])
    for number in range(300):
        fan.put(number, 1)
    fan.settle()
    assert len(fan.members[0].routes) == 300
    fan.out.leave(fan.members[0], retract=True)
    assert not fan.members[0].routes


@pytest.mark.parametrize(("count", "messages"), [(1, 1), (32, 1), (33, 2), (3000, 94)])
def test_messages_are_filled(count: int, messages: int) -> None:
    fan = Fan()
    fan.out.join(fan.members[0])
    for number in range(count):
        fan.put(number, 1)
    fan.settle()
    assert abs(fan.members[0].messages - messages) <= 1
    assert len(fan.members[0].routes) == count
