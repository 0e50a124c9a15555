"""What BGP neighbours are told, against a model: whatever happens, and in whatever order.

A neighbour that has been ready, and was flushed to, holds exactly the routes that it should: the
best ones, not its own, of the route targets it asked for. It is never told to withdraw what it
does not hold.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import AttributeStore, Context, PathAttributes
from tungsten.bgp.families import INET_VPN, Family
from tungsten.bgp.messages import Framer
from tungsten.bgp.nlri import RouteTarget, Vpn, prefix_from_text, rd_from_text
from tungsten.bgp.update import decode_update
from tungsten.control.bgp_config import OwnBgp
from tungsten.control.bgp_routes import Exporter, ExportPolicy
from tungsten.control.bgp_targets import Wishes
from tungsten.control.paths import ATTRIBUTES, Path, Protocol, Source
from tungsten.control.tables import Route

pytestmark = both_cores

OWN = OwnBgp(64512, bytes((10, 0, 0, 1)), cluster_id=bytes((0, 0, 0, 9)))
RD = rd_from_text("192.0.2.7:3")
KEYS = [Vpn(RD, prefix_from_text(f"10.0.{i}.0/24")).key for i in range(3)]
TARGETS = [communities.route_target(64512, 8000000 + i) for i in range(3)]


class Neighbour:
    """A member that keeps what it was told, and its wishes."""

    def __init__(self, name: str, number: int, internal: bool) -> None:
        self.context = Context(internal, four_octet_as=True)
        self.source = Source(name, Protocol.BGP, bytes((10, 0, 0, number)), external=not internal)
        self.source.router_id = bytes((10, 0, 0, number))
        self.ready = True
        self.wishes: Wishes | None = None
        self.held: dict[bytes, tuple[int, PathAttributes]] = {}

    def is_ready(self, family: Family) -> bool:
        return self.ready

    @property
    def is_choosy(self) -> bool:
        return self.wishes is not None

    def wants(self, targets: frozenset[bytes]) -> bool:
        return self.wishes is None or self.wishes.wants(targets)

    def deliver(self, octets: bytes, messages: int) -> None:
        bodies = [body for _, body in Framer().feed(octets)]
        assert len(bodies) == messages
        for body in bodies:
            families = frozenset({INET_VPN})
            update = decode_update(body, self.context, families, AttributeStore())
            assert not update.faults
            for gone in update.unreach:
                for route in gone.routes:
                    assert route.key in self.held, "withdrawal of what was never announced"
                    del self.held[route.key]
            for news in update.reach:
                for route in news.routes:
                    assert isinstance(route, Vpn)
                    self.held[route.key] = (route.label, news.attributes)


def expected(member: Neighbour, route: Route, exporter: Exporter) -> PathAttributes | None:
    """What a member should be told of a route."""
    best = route.best
    if best is None or best.source is member.source:
        return None
    carried = frozenset(communities.route_targets_of(best.attributes.extended_communities))
    if carried and not member.wants(carried):
        return None
    return exporter.attributes(best, True)


class World:
    """One RIB-out, three neighbours, two agents, and what can happen to them at random."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        inside = self.draw.random() < 0.5
        policy = ExportPolicy(inside, True, True, 64512, 0 if inside else 64513)
        self.rib = make_rib()
        self.table = self.rib.tables["bgp.l3vpn.0"]
        self.exporter = Exporter(INET_VPN, policy, OWN)
        self.out = self.rib.bgp_rib_out(
            self.table, self.exporter, lambda source: True, lambda: None
        )
        self.members = [Neighbour(f"peer-{i}", 10 + i, inside) for i in range(3)]
        self.joined: set[Neighbour] = set()
        agents = [Source(f"agent-{i}", Protocol.XMPP, bytes((192, 0, 2, i))) for i in (1, 2)]
        self.sources = [*agents, *(member.source for member in self.members)]

    def step(self) -> None:
        """Something happens."""
        steps = {
            self.say: 6,
            self.take_back: 3,
            self.join_or_leave: 1,
            self.become_ready: 2,
            self.wish: 3,
            self.refresh: 1,
            self.work: 5,
        }
        self.draw.choices(list(steps), list(steps.values()))[0]()

    def say(self) -> None:
        who = self.draw.randrange(5)
        attributes = PathAttributes(
            next_hop=bytes((192, 0, 2, 1 + who // 3)),
            local_preference=self.draw.choice([100, 200]),
            extended_communities=tuple(sorted(self.draw.sample(TARGETS, self.draw.randrange(3)))),
        )
        path = Path(self.sources[who], ATTRIBUTES.intern(attributes), self.draw.choice([16, 17]))
        self.table.add(self.draw.choice(KEYS), path)

    def take_back(self) -> None:
        self.table.withdraw(self.draw.choice(KEYS), self.draw.choice(self.sources))

    def join_or_leave(self) -> None:
        member = self.draw.choice(self.members)
        member.held.clear()
        if member in self.joined:
            self.out.leave(member)
            self.joined.remove(member)
        else:
            self.out.join(member)
            self.joined.add(member)

    def become_ready(self) -> None:
        self.draw.choice(self.members).ready = self.draw.random() < 0.7

    def wish(self) -> None:
        member, target = self.draw.choice(self.members), self.draw.choice(TARGETS)
        if member.wishes is None:
            member.wishes = Wishes()
            member.wishes.changed = None
        wish = RouteTarget.of(64512, target)
        if member.wishes.wants(frozenset({target})):
            member.wishes.remove(wish)
        else:
            member.wishes.add(wish)
        self.out.refilter(member, member.wishes.take_changed())

    def refresh(self) -> None:
        member = self.draw.choice(self.members)
        if member in self.joined:
            self.out.refresh(member)

    def work(self) -> None:
        self.rib.process()
        while self.out.flush():
            pass
        for member in self.joined:
            if member.ready:
                self.check(member)

    def check(self, member: Neighbour) -> None:
        """A member that was ready holds what it should."""
        wanted: dict[bytes, tuple[int, PathAttributes]] = {}
        for route in self.table.routes():
            attributes = expected(member, route, self.exporter)
            if attributes is not None and route.best is not None:
                wanted[route.key] = (route.best.label, attributes)
        assert member.held == wanted
        assert not self.out.is_behind(member)
        assert self.out.count(member) == len(wanted)


@pytest.mark.parametrize("seed", range(40))
def test_neighbours_hold_what_they_should(seed: int) -> None:
    """R-03."""
    world = World(seed)
    for _ in range(400):
        world.step()


def told(exporter: Exporter, **values: object) -> PathAttributes | None:
    """What an exporter makes of an agent's route."""
    source = Source("agent", Protocol.XMPP)
    path = Path(source, ATTRIBUTES.intern(PathAttributes(**values)))  # type: ignore[arg-type]
    return exporter.attributes(path, False)


def external(peer_as: int = 64513, **values: Any) -> Exporter:
    policy = ExportPolicy(False, True, True, 64512, peer_as, **values)
    return Exporter(INET_VPN, policy, OWN)


def internal() -> Exporter:
    return Exporter(INET_VPN, ExportPolicy(True, True, True, 64512, 0), OWN)


def test_external_neighbour_gets_our_as_and_no_local_preference() -> None:
    made = told(external(), local_preference=200, med=100, next_hop=bytes((192, 0, 2, 1)))
    assert made is not None
    assert made.local_preference is None
    assert made.med == 100
    assert made.as_path == (Segment(AS_SEQUENCE, (64512,)),)
    assert made.next_hop == bytes((192, 0, 2, 1))


def test_med_of_a_route_from_elsewhere_stays_here() -> None:
    path = (Segment(AS_SEQUENCE, (64999,)),)
    made = told(external(), med=100, as_path=path)
    assert made is not None
    assert made.med is None
    assert made.as_path == (Segment(AS_SEQUENCE, (64512, 64999)),)


def test_route_that_passed_the_neighbours_as_is_not_told_unless_overridden() -> None:
    path = (Segment(AS_SEQUENCE, (64999, 64513)),)
    assert told(external(), as_path=path) is None
    made = told(external(as_override=True), as_path=path)
    assert made is not None
    assert made.as_path == (Segment(AS_SEQUENCE, (64512, 64999, 64512)),)


def test_communities_that_hold_a_route_back() -> None:
    cases: list[tuple[int, Callable[[], Exporter], bool]] = [
        (communities.NO_ADVERTISE, internal, False),
        (communities.NO_ADVERTISE, external, False),
        (communities.NO_EXPORT, internal, True),
        (communities.NO_EXPORT, external, False),
        (communities.NO_EXPORT_SUBCONFED, external, False),
    ]
    for community, exporter, passes in cases:
        assert (told(exporter(), communities=(community,)) is not None) == passes


def test_non_transitive_communities_stay_inside() -> None:
    carried = (communities.route_target(64512, 1), communities.local_sequence(7))
    inside = told(internal(), extended_communities=carried)
    outside = told(external(), extended_communities=carried)
    assert inside is not None
    assert outside is not None
    assert inside.extended_communities == carried
    assert outside.extended_communities == carried[:1]


@pytest.mark.parametrize(
    ("action", "left"),
    [
        ("remove", (64512, 3356, 64601)),
        ("remove-all", (64512, 3356)),
        ("replace-all", (64512, 64512, 3356, 64512)),
    ],
)
def test_private_as_numbers_are_taken_out(action: str, left: tuple[int, ...]) -> None:
    path = (Segment(AS_SEQUENCE, (64600, 3356, 64601)),)
    made = told(external(private_as=action), as_path=path)
    assert made is not None
    assert made.as_path == (Segment(AS_SEQUENCE, left),)


def test_neighbour_with_its_own_encapsulation_hears_only_that() -> None:
    gre, udp = communities.encapsulation("gre"), communities.encapsulation("udp")
    target = communities.route_target(64512, 1)
    made = told(external(encapsulations=(gre,)), extended_communities=(udp, target))
    assert made is not None
    assert made.extended_communities == (target, gre)


def test_internal_neighbour_gets_the_default_preference() -> None:
    made = told(internal())
    assert made is not None
    assert made.local_preference == 100
    assert made.as_path == ()


def test_wishes_by_prefix_and_default() -> None:
    """R-01."""
    wishes = Wishes()
    one, other = TARGETS[0], communities.route_target(65000, 1)
    assert not wishes.wants(frozenset({one}))
    wishes.add(RouteTarget(b"\x40" + (64512).to_bytes(4, "big") + one[:4]))
    assert wishes.wants(frozenset({one, other}))
    assert not wishes.wants(frozenset({other}))
    default = RouteTarget(b"\0")
    wishes.add(default)
    assert wishes.wants(frozenset({other}))
    wishes.remove(default)
    assert not wishes.wants(frozenset({other}))
