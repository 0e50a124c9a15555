"""Aggregates: a prefix in place of what is in it, whatever came first."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.control_world import (
    PROJECT,
    World,
    basics,
    instance,
    instance_name,
    network,
    record,
    ref,
    target,
    until,
)
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET, INET6
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.aggregates import Aggregates, aggregates
from tungsten.control.config_graph import ConfigGraph, GraphDelta
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.introspect_routes import show_path
from tungsten.control.paths import ATTRIBUTES, Path, PathFlag, Protocol, Source
from tungsten.control.tables import VPN_TABLES, Route
from tungsten.model.routing_policies import RouteAggregate, RouteListType
from tungsten.store.base import Record

pytestmark = both_cores

HOP = "10.1.0.9"
ROUTES = ["10.1.1.3/32", "10.1.2.3/32", "10.2.0.3/32", f"{HOP}/32"]
PREFIXES = [["10.1.0.0/16"], ["10.1.0.0/16", "10.1.1.0/24"], ["0.0.0.0/0"], []]
AGENTS = [
    Source(f"c{n}", Protocol.XMPP, bytes([192, 0, 2, n]), bytes([192, 0, 2, n])) for n in (1, 2)
]


def resource(prefixes: list[str], hop: str = HOP, *instances: str) -> RouteAggregate:
    refs = [ref("routing-instance", name) for name in instances or ("a",)]
    return RouteAggregate(
        aggregate_route_entries=RouteListType(route=prefixes),
        aggregate_route_nexthop=hop,
        routing_instance_refs=refs,
    )


class Vrf:
    """An instance with aggregates; another imports what it exports."""

    def __init__(self) -> None:
        self.rib = make_rib()
        self.instances = Instances(self.rib)
        self.aggregates = Aggregates(ConfigGraph(), self.instances)
        self.exists("a")
        one, two = communities.route_target(64512, 1), communities.route_target(64512, 2)
        self.instances.put(InstanceConfig("b", frozenset({one, two}), frozenset({two}), "net-b", 5))

    def exists(self, name: str, there: bool = True) -> None:
        mine = frozenset({communities.route_target(64512, 1)})
        if there:
            self.instances.put(InstanceConfig(name, mine, mine, "net-a", 4))
        else:
            self.instances.delete(name)
        self.rib.process()

    def configure(self, made: RouteAggregate | None, name: str = "g") -> None:
        self.aggregates.configure(name, made)
        self.rib.process()

    def say(self, prefix: str, agent: Source, label: int) -> None:
        found = self.instances.get("a")
        if found is None:
            return
        key, table = prefix_from_text(prefix), found.tables[INET]
        if label:
            attributes = PathAttributes(
                next_hop=agent.address,
                extended_communities=(
                    communities.encapsulation("gre"),
                    communities.security_group(64512, 9),
                ),
            )
            rd = b"\0\1" + agent.address + b"\0\3"
            table.add(key, Path(agent, ATTRIBUTES.intern(attributes), label, rd=rd))
        else:
            table.withdraw(key, agent)
        self.rib.process()

    def route(self, where: str, prefix: str) -> Route | None:
        found = self.instances.get(where)
        assert found is not None
        return found.tables[INET].get(prefix_from_text(prefix))

    def outside(self) -> set[bytes]:
        """What BGP neighbours may hear of, without distinguishers."""
        return {route.key[8:] for route in self.rib.tables[VPN_TABLES[INET]].routes()}

    def shown(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(
                (r.key, p.source.name, p.label, p.path_id, p.rd, p.flags.value, repr(p.attributes))
                for r in table.routes()
                for p in r.paths
            )
            for name, table in self.rib.tables.items()
        }


def keys(*prefixes: str) -> set[bytes]:
    return {prefix_from_text(prefix) for prefix in prefixes}


def test_the_prefix_is_told_in_place_of_what_is_in_it() -> None:
    vrf = Vrf()
    vrf.configure(resource(["10.1.0.0/16"]))
    vrf.say("10.1.1.3/32", AGENTS[0], 21)
    assert vrf.outside() == set()
    vrf.say("10.2.0.3/32", AGENTS[0], 22)
    vrf.say(f"{HOP}/32", AGENTS[1], 23)
    assert vrf.outside() == keys("10.1.0.0/16", "10.2.0.3/32")
    route = vrf.route("b", "10.1.0.0/16")
    assert route is not None
    (path,) = route.paths
    assert (path.label, path.attributes.next_hop) == (23, AGENTS[1].address)
    held = path.attributes.extended_communities
    assert communities.origin_vn_of(held) == (64512, 4)
    assert communities.security_groups_of(held) == (9,)
    own = vrf.route("a", "10.1.0.0/16")
    assert own is not None
    assert [each.flags for each in own.paths] == [PathFlag.RESOLVED, PathFlag.RESOLVE_NEXT_HOP]
    shown = show_path(own, own.paths[0], vrf.instances, 64512)
    assert (shown.protocol, list(shown.flags)) == ("Aggregate", ["ResolvedPath"])
    assert vrf.route("b", "10.1.1.3/32") is None
    assert vrf.route("a", "10.1.1.3/32") is not None
    vrf.say("10.1.1.3/32", AGENTS[0], 0)
    vrf.say(f"{HOP}/32", AGENTS[1], 0)
    assert vrf.outside() == keys("10.2.0.3/32")
    assert vrf.route("a", "10.1.0.0/16") is None


def test_without_aggregate_all_is_told_again() -> None:
    vrf = Vrf()
    vrf.say("10.1.1.3/32", AGENTS[0], 21)
    vrf.say(f"{HOP}/32", AGENTS[1], 23)
    vrf.configure(resource(["10.1.0.0/16"]))
    assert vrf.outside() == keys("10.1.0.0/16")
    vrf.configure(resource(["10.1.1.0/24"]))
    assert vrf.outside() == keys("10.1.1.0/24", f"{HOP}/32")
    vrf.configure(None)
    assert vrf.outside() == keys("10.1.1.3/32", f"{HOP}/32")


def test_an_aggregate_is_a_route_in_the_next() -> None:
    vrf = Vrf()
    vrf.configure(resource(["10.1.0.0/16", "10.1.1.0/24"], "10.9.0.1"))
    vrf.say("10.9.0.1/32", AGENTS[1], 23)
    vrf.say("10.1.1.3/32", AGENTS[0], 21)
    assert vrf.outside() == keys("10.1.0.0/16", "10.9.0.1/32")
    vrf.configure(resource(["10.1.1.0/24"], "10.9.0.1"))
    assert vrf.outside() == keys("10.1.1.0/24", "10.9.0.1/32")


def test_every_way_to_the_address_is_a_way_to_the_prefix() -> None:
    vrf = Vrf()
    vrf.configure(resource(["10.1.0.0/16"]))
    for number, agent in enumerate(AGENTS):
        vrf.say(f"{HOP}/32", agent, 30 + number)
    route = vrf.route("b", "10.1.0.0/16")
    assert route is not None
    assert {path.label for path in route.equal_cost} == {30, 31}


def test_an_instance_that_goes_and_comes_back() -> None:
    vrf = Vrf()
    vrf.configure(resource(["10.1.0.0/16"]))
    vrf.say(f"{HOP}/32", AGENTS[0], 21)
    vrf.exists("a", False)
    assert vrf.outside() == set()
    vrf.exists("a")
    vrf.say(f"{HOP}/32", AGENTS[0], 21)
    assert vrf.outside() == keys("10.1.0.0/16")


def test_prefixes_of_ipv6() -> None:
    vrf = Vrf()
    vrf.configure(resource(["2001:db8::/32", "::/0"], "2001:db8::9"))
    mine = vrf.instances.get("a")
    assert mine is not None
    table = mine.tables[INET6]
    for number, prefix in enumerate(["2001:db8:1::3/128", "2001:db8::9/128"], 21):
        told = ATTRIBUTES.intern(PathAttributes(next_hop=AGENTS[0].address))
        rd = b"\0\1" + AGENTS[0].address + b"\0\3"
        table.add(prefix_from_text(prefix), Path(AGENTS[0], told, number, rd=rd))
    vrf.rib.process()
    outside = vrf.rib.tables[VPN_TABLES[INET6]]
    assert {route.key[8:] for route in outside.routes()} == keys("::/0")
    found = table.get(prefix_from_text("2001:db8::/32"))
    assert found is not None
    assert found.best is not None
    assert (found.best.label, found.best.attributes.next_hop) == (22, AGENTS[0].address)


def test_the_origin_follows_the_as_of_the_node() -> None:
    vrf = Vrf()
    vrf.configure(resource(["10.1.0.0/16"]))
    vrf.say(f"{HOP}/32", AGENTS[0], 21)
    vrf.instances.replication.set_asn(64999)
    vrf.aggregates.graph_changed(GraphDelta({("global-system-config", "c")}))
    vrf.rib.process()
    route = vrf.route("b", "10.1.0.0/16")
    assert route is not None
    origins = [communities.origin_vn_of(p.attributes.extended_communities) for p in route.paths]
    assert origins == [(64999, 4)]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (resource(["10.1"]), "aggregate_route_entries"),
        (resource(["10.1.0.0/16"], "x"), "aggregate_route_nexthop"),
        (resource(["2001:db8::/32"]), "aggregate_route_nexthop"),
    ],
)
def test_a_refusal_names_the_field(bad: RouteAggregate, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        aggregates(bad)
    vrf = Vrf()
    vrf.configure(bad)
    vrf.say("10.1.1.3/32", AGENTS[0], 21)
    assert vrf.outside() == keys("10.1.1.3/32")


EVENTS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(ROUTES), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("aggregate"), st.sampled_from("gh"), st.integers(0, 4), st.just(0)),
)


def act(vrf: Vrf, event: tuple[str, str, int, int]) -> None:
    what, text, which, label = event
    if what == "say":
        vrf.say(text, AGENTS[which], label and label + 20)
    else:
        vrf.configure(resource(PREFIXES[which]) if which < len(PREFIXES) else None, text)


@settings(max_examples=80, deadline=None)
@given(st.lists(EVENTS, max_size=14), st.randoms())
def test_any_history_ends_as_a_fresh_start_does(
    history: list[tuple[str, str, int, int]], order: random.Random
) -> None:
    lived, fresh = Vrf(), Vrf()
    for event in history:
        act(lived, event)
    last = {event[:2] if event[0] == "aggregate" else event[:3]: event for event in history}
    events = list(last.values())
    order.shuffle(events)
    for event in events:
        act(fresh, event)
    assert lived.shown() == fresh.shown()


async def test_aggregates_of_the_store(make_world: Any) -> None:
    def aggregate(*prefixes: str) -> Record:
        made = resource(list(prefixes), HOP, instance_name("a"))
        return record(made, "project", f"{PROJECT}:g")

    world: World = await make_world()
    await world.put(
        *basics("c1", "c2"),
        network("a", 4),
        network("b", 5),
        target(8000001),
        target(8000002),
        instance("a", t8000001="both"),
        instance("b", t8000002="both", t8000001="import"),
        aggregate("10.1.0.0/16"),
    )
    one, two = await world.host("c1", "192.0.2.1"), await world.host("c2", "192.0.2.2")
    one.join("a", 3)
    two.join("b", 4)
    for number, prefix in enumerate(["10.1.1.3/32", f"{HOP}/32"], 21):
        one.publish("a", prefix, number)
    await until(lambda: two.prefixes("b") == {"10.1.0.0/16"})
    await until(lambda: one.prefixes("a") == {"10.1.0.0/16", "10.1.1.3/32", f"{HOP}/32"})
    await world.put(aggregate("10.1.1.0/24"))
    await until(lambda: two.prefixes("b") == {"10.1.1.0/24", f"{HOP}/32"})
    await world.remove(aggregate())
    await until(lambda: two.prefixes("b") == {"10.1.1.3/32", f"{HOP}/32"})
