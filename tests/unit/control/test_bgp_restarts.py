"""Restarts, refreshes and several paths, with neighbours whose sockets and clock are ours.

They hold for both cores.
"""

from __future__ import annotations

import gc
import resource
from dataclasses import replace
from typing import cast

import pytest
from tests.unit.control.core_worlds import CoreWorld, Wire, negotiated
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import AttributeStore, Context, PathAttributes
from tungsten.bgp.capabilities import GracefulRestart, LongLivedGracefulRestart
from tungsten.bgp.families import EVPN, INET_VPN, Family
from tungsten.bgp.fsm import Down
from tungsten.bgp.messages import ROUTE_REFRESH_TYPE, Framer, RouteRefresh
from tungsten.bgp.negotiation import Negotiated
from tungsten.bgp.nlri import MacIp, Nlri, UnknownEvpn, Vpn, mpls_field, prefix_from_text
from tungsten.bgp.transport import Peer
from tungsten.bgp.update import Reach, Unreach, Update, encode_update
from tungsten.control.bgp_peers import Neighbor
from tungsten.control.instances import InstanceConfig
from tungsten.control.paths import ATTRIBUTES, PathFlag

pytestmark = both_cores

TARGET = communities.route_target(64512, 8000001)
RD = b"\0\1\xc0\0\2\7\0\3"
FAMILIES = frozenset({INET_VPN, EVPN})
INSIDE = PathAttributes(
    next_hop=bytes((192, 0, 2, 7)), local_preference=150, extended_communities=(TARGET,)
)
LAST_RESORT = LongLivedGracefulRestart(((INET_VPN, True, 600),))


def vpn(n: int, label: int = 100) -> Vpn:
    return Vpn(RD, prefix_from_text(f"10.1.{n}.0/24"), mpls_field(label))


class Heard(Wire):
    """Keeps ROUTE-REFRESH messages as well, in order with the number of routes held then."""

    def __init__(self, context: Context, families: frozenset[Family]) -> None:
        super().__init__(context, families)
        self.updates = 0
        self.marks: list[tuple[int, int]] = []

    def send(self, data: bytes) -> None:
        super().send(data)
        for type_, body in Framer().feed(data):
            self.updates += type_ == 2
            if type_ == ROUTE_REFRESH_TYPE:
                self.marks.append((body[2], self.updates))


class World(CoreWorld):
    """Neighbours whose sessions came to what a test says."""

    def connect(self, number: int, said: Negotiated | None = None, **changes: object) -> Heard:
        neighbor = self.neighbors[number]
        session = neighbor.config.peer.session
        if said is None:
            context = Context(session.internal, True)
            router_id = bytes((10, 0, 0, 11 + number))
            said = negotiated(session.peer_as, router_id, FAMILIES, context)
        said = replace(said, **changes)  # type: ignore[arg-type]
        wire = Heard(said.context, said.families)
        self.wires[neighbor] = wire
        neighbor.peer = cast(Peer, wire)
        neighbor.up(neighbor.peer, said)
        return wire

    def hear(
        self, number: int, *routes: Nlri, family: Family = INET_VPN, **changes: object
    ) -> None:
        """It announces routes."""
        attributes = replace_attributes(**changes)
        self._say(number, Update(reach=(Reach(family, attributes, routes),)))

    def unhear(self, number: int, *routes: Nlri, family: Family = INET_VPN) -> None:
        """It withdraws routes."""
        self._say(number, Update(unreach=(Unreach(family, routes),)))

    def _say(self, number: int, update: Update) -> None:
        bodies = [octets[19:] for octets in encode_update(update)]
        assert self.update(number, bodies) == ""
        self.work(None)

    def lose(self, number: int, last: tuple[tuple[Family, int], ...] = ()) -> None:  # type: ignore[override]
        """Its session is lost, and its VPN routes are kept for a minute."""
        neighbor = self.neighbors[number]
        wire = self.wires.pop(neighbor)
        wire.established = False
        assert neighbor.peer is not None
        keep = frozenset({INET_VPN})
        neighbor.down(neighbor.peer, Down("lost", None, None, keep, 60.0, last))
        self.work(None)

    def pass_time(self, seconds: float) -> None:
        """Time passes, and what falls due is done."""
        self.wait(seconds)
        self.work(None)


def replace_attributes(**changes: object) -> PathAttributes:
    values = {name: getattr(INSIDE, name) for name in INSIDE.__struct_fields__}
    return ATTRIBUTES.intern(PathAttributes(**{**values, **changes}))


@pytest.fixture
def world() -> World:
    made = World(make_rib())
    made.put(InstanceConfig("a", imports=frozenset({TARGET}), exports=frozenset({TARGET})))
    return made


def told(wire: Wire, route: Nlri) -> PathAttributes | None:
    found = wire.held.get((INET_VPN, route.key))
    return found[1] if found is not None else None


def test_lost_neighbours_routes_become_the_last_resort(world: World) -> None:
    """RFC 9494: to who knows llgr-stale, to who does not inside, and to who does not outside."""
    knows = world.connect(1, long_lived=LAST_RESORT)
    plain = world.connect(4)
    outside = world.connect(3)
    world.connect(0)
    world.hear(0, vpn(1))
    world.hear(0, vpn(2), communities=(communities.NO_LLGR,))
    world.work(None)
    before = told(knows, vpn(1))
    assert before is not None
    assert before.communities == ()
    world.lose(0, ((INET_VPN, 600),))
    assert told(knows, vpn(1)) == before
    world.pass_time(61)
    marked = told(knows, vpn(1))
    assert marked is not None
    assert marked.communities == (communities.LLGR_STALE,)
    assert marked.local_preference == 150
    assert told(knows, vpn(2)) is None
    assert told(outside, vpn(1)) is None
    assert told(plain, vpn(1)) is None
    (path,) = next(r for r in world.rib.tables["bgp.l3vpn.0"].routes() if r.key == vpn(1).key).paths
    assert path.flags & PathFlag.LLGR_STALE
    world.pass_time(599)
    assert told(knows, vpn(1)) is not None
    world.pass_time(2)
    assert told(knows, vpn(1)) is None


def test_neighbour_inside_that_does_not_know_gets_it_as_the_worst(world: World) -> None:
    plain = world.connect(1)
    world.connect(0)
    world.hear(0, vpn(1))
    world.lose(0, ((INET_VPN, 600),))
    world.pass_time(61)
    marked = told(plain, vpn(1))
    assert marked is not None
    assert marked.local_preference == 0
    assert set(marked.communities) == {communities.LLGR_STALE, communities.NO_EXPORT}


def test_any_other_path_is_better_than_a_last_resort(world: World) -> None:
    hears = world.connect(2)
    world.connect(0)
    world.connect(1)
    world.hear(0, vpn(1), local_preference=150, med=1)
    world.hear(1, vpn(1, 200), local_preference=150, med=9)
    world.lose(0, ((INET_VPN, 600),))
    world.pass_time(61)
    route, _ = hears.held[INET_VPN, vpn(1).key]
    assert route.label == 200


def test_neighbour_that_returns_takes_its_last_resorts_back(world: World) -> None:
    knows = world.connect(1, long_lived=LAST_RESORT)
    world.connect(0)
    world.hear(0, vpn(1), vpn(2))
    world.lose(0, ((INET_VPN, 600),))
    world.pass_time(61)
    world.connect(0, long_lived=LAST_RESORT)
    world.hear(0, vpn(1))
    news = told(knows, vpn(1))
    assert news is not None
    assert news.communities == ()
    assert told(knows, vpn(2)) is not None
    world.pass_time(301)
    assert told(knows, vpn(2)) is None
    assert told(knows, vpn(1)) is not None


def test_restart_in_time_is_no_news_to_others(world: World) -> None:
    """What another neighbour hears meanwhile is nothing at all."""
    other = world.connect(1)
    world.connect(0)
    world.hear(0, vpn(1), vpn(2))
    count = other.updates
    world.lose(0)
    world.pass_time(30)
    restart = GracefulRestart(60, ((INET_VPN, True),), restarting=True)
    world.connect(0, graceful_restart=restart)
    world.hear(0, vpn(1), vpn(2))
    assert world.update(0, [bytes.fromhex("00000006800f03000180")]) == ""
    world.work(None)
    world.pass_time(400)
    assert other.updates == count
    assert set(other.held) == {(INET_VPN, vpn(n).key) for n in (1, 2)}


# --- refresh ------------------------------------------------------------------------------------


def test_answer_to_a_refresh_is_between_its_marks(world: World) -> None:
    wire = world.connect(1, enhanced_refresh=True)
    world.connect(0)
    world.hear(0, vpn(1))
    said = wire.updates
    world.refresh(1, INET_VPN)
    world.work(None)
    assert wire.marks == [(1, said), (2, said + 1)]


def test_what_an_answer_leaves_out_is_gone(world: World) -> None:
    """RFC 7313."""
    other = world.connect(1)
    neighbor: Neighbor = world.neighbors[0]
    world.connect(0, enhanced_refresh=True)
    world.hear(0, vpn(1), vpn(2))
    peer = neighbor.peer
    assert peer is not None
    neighbor.received(peer, RouteRefresh(INET_VPN, 1))
    world.hear(0, vpn(1))
    assert len(other.held) == 2
    neighbor.received(peer, RouteRefresh(INET_VPN, 2))
    world.work(None)
    assert set(other.held) == {(INET_VPN, vpn(1).key)}
    assert neighbor.route_count == 1


# --- several paths ------------------------------------------------------------------------------


def test_paths_with_identifiers_stand_side_by_side(world: World) -> None:
    """RFC 7911: the best is told on; when it goes the next one is."""
    other = world.connect(1)
    context = Context(True, True, frozenset({INET_VPN}))
    world.connect(0, context=context)
    neighbor = world.neighbors[0]
    peer = neighbor.peer
    assert peer is not None
    for path_id, label, preference in ((1, 100, 200), (2, 200, 150)):
        attributes = replace_attributes(local_preference=preference)
        news = Reach(INET_VPN, attributes, (vpn(1, label),), (path_id,))
        neighbor.received(peer, Update(reach=(news,)))
    world.work(None)
    assert neighbor.route_count == 2
    assert other.held[INET_VPN, vpn(1).key][0].label == 100
    neighbor.received(peer, Update(unreach=(Unreach(INET_VPN, (vpn(1),), (1,)),)))
    world.work(None)
    assert other.held[INET_VPN, vpn(1).key][0].label == 200
    assert neighbor.route_count == 1


# --- field problems -----------------------------------------------------------------------------


def test_targets_changed_long_after_a_route_was_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-C1: a route is 31 minutes old; a target that is used anew elsewhere takes nothing over."""
    other = world.connect(1)
    monkeypatch.setattr("time.time", lambda: 1e9)
    world.say(0, "a", 0, replace_attributes(extended_communities=()), 100)
    world.work(None)
    ((route, attributes),) = other.held.values()
    assert attributes.extended_communities == (TARGET,)
    monkeypatch.setattr("time.time", lambda: 1e9 + 31 * 60)
    fresh = communities.route_target(64512, 8000002)
    world.put(InstanceConfig("a", imports=frozenset({fresh}), exports=frozenset({fresh})))
    world.put(InstanceConfig("b", imports=frozenset({TARGET}), exports=frozenset({TARGET})))
    world.work(None)
    ((again, changed),) = other.held.values()
    assert again == route
    assert changed.extended_communities == (fresh,)
    assert not list(world.rib.tables["b.inet.0"].routes())


def test_tables_say_what_neighbours_hear(world: World) -> None:
    """T-C2: after a target was added and taken away, for a route old and one new."""
    other = world.connect(1)
    more = communities.route_target(64512, 8000002)
    world.say(0, "a", 0, replace_attributes(extended_communities=()), 100)
    world.work(None)
    for exports in ({TARGET, more}, {TARGET}, {more}):
        world.put(InstanceConfig("a", imports=frozenset(), exports=frozenset(exports)))
        world.say(1, "a", 1, replace_attributes(extended_communities=()), 100)
        world.work(None)
        shown = {
            route.key: set(route.paths[0].attributes.extended_communities)
            for route in world.rib.tables["bgp.l3vpn.0"].routes()
        }
        heard = {key: set(a.extended_communities) for (_, key), (_, a) in other.held.items()}
        assert shown == heard
        assert all(targets == exports for targets in shown.values())


def test_churn_leaves_nothing_behind(world: World) -> None:
    """T-C9: each round says other attributes, and takes all back."""
    world.connect(1)
    world.connect(0)

    def churn(rounds: int) -> int:
        for number in range(rounds):
            routes = [vpn(n) for n in range(200)]
            world.hear(0, *routes, med=number)
            world.unhear(0, *routes)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = churn(20)
    assert churn(60) < before * 1.05 + 2048
    assert len(world.rib.tables["bgp.l3vpn.0"]) == 0


def test_mac_that_moves(world: World) -> None:
    """E-05: the higher sequence wins, the highest there is included; sticky wins over all."""
    hears = world.connect(2)
    world.connect(0)
    world.connect(1)
    mac = MacIp(RD, 0, bytes(5) + b"\1", b"", mpls_field(100))
    moved = MacIp(RD, 0, bytes(5) + b"\1", b"", mpls_field(200))
    key = (EVPN, mac.key)

    def label() -> int:
        return int(hears.held[key][0].label_field >> 4)

    def say(number: int, route: MacIp, sequence: int, sticky: bool = False) -> None:
        mobility = communities.mac_mobility(sequence, sticky=sticky)
        world.hear(number, route, family=EVPN, extended_communities=(TARGET, mobility))

    say(0, mac, 1)
    say(1, moved, 2)
    assert label() == 200
    say(0, mac, 0xFFFFFFFF)
    assert label() == 100
    say(1, moved, 3)
    assert label() == 100
    say(1, moved, 0, sticky=True)
    assert label() == 200


def test_outside_path_needs_the_neighbours_as_first(world: World) -> None:
    """B-28: of what a neighbour outside says, that with another AS in front is not used."""
    other = world.connect(1)
    world.connect(3)
    for asn, used in ((64999, False), (64513, True)):
        path = (Segment(AS_SEQUENCE, (asn,)),)
        world.hear(3, vpn(1), as_path=path, local_preference=None)
        assert bool(other.held) == used


def test_store_of_attributes_is_shared() -> None:
    """B-45: what differs in nothing is one object, and is forgotten with its last user."""
    store = AttributeStore()
    one = store.intern(PathAttributes(next_hop=bytes((192, 0, 2, 1)), med=1))
    assert store.intern(PathAttributes(next_hop=bytes((192, 0, 2, 1)), med=1)) is one


def test_unknown_evpn_types_pass_only_through_a_reflector(world: World) -> None:
    """E-04."""
    strange = UnknownEvpn(9, b"abc")
    for cluster_id, passes in ((world.peers.own.cluster_id, True), (None, False)):
        world.peers.own = replace(world.peers.own, cluster_id=cluster_id)
        other = world.connect(3)
        world.connect(0)
        world.hear(0, strange, family=EVPN)
        assert ((EVPN, strange.key) in other.held) == passes
        for number in (0, 3):
            world.down(number, frozenset())
        world.work(None)


def test_agents_own_word_is_used_before_a_neighbours(world: World) -> None:
    """E-06: a neighbour that claims an address of a local machine, as good as its agent's."""
    other = world.connect(1)
    world.connect(0)
    world.say(0, "a", 0, replace_attributes(extended_communities=()), 300)
    world.work(None)
    ((_, key),) = other.held
    route = Vpn(key[:8], key[8:], mpls_field(666))
    world.hear(0, route)
    world.work(None)
    table = world.rib.tables["bgp.l3vpn.0"]
    found = table.get(key)
    assert found is not None
    assert len(found.paths) == 2
    assert found.best is not None
    assert found.best.label == 300
    instance = world.rib.tables["a.inet.0"].get(key[8:])
    assert instance is not None
    assert instance.paths[0].label == 300
