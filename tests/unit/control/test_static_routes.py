"""Static routes: a function of entries and host routes, whatever the order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.control_world import (
    World,
    basics,
    instance,
    instance_name,
    network,
    ref,
    target,
    until,
)
from tests.unit.control.control_world import record as record_of
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.config_graph import ConfigGraph
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.introspect_routes import show_path
from tungsten.control.paths import ATTRIBUTES, Path, Protocol, Source
from tungsten.control.static_routes import StaticRoutes, static_route
from tungsten.model import RoutingInstance
from tungsten.model.routing import StaticRouteEntriesType, StaticRouteType
from tungsten.store.base import Record
from tungsten.xmpp.stanzas import InetItem

pytestmark = both_cores

HOSTS = ["10.1.1.3", "10.1.1.4"]
PREFIXES = ["10.9.0.0/16", "10.1.1.4/32", "0.0.0.0/0"]
AGENTS = [
    Source(f"c{n}", Protocol.XMPP, bytes([192, 0, 2, n]), bytes([192, 0, 2, n])) for n in (1, 2)
]


class Vrf:
    """One instance that exports a target, another that imports it."""

    def __init__(self) -> None:
        self.rib = make_rib()
        self.instances = Instances(self.rib)
        self.routes = StaticRoutes(ConfigGraph(), self.instances)
        mine = frozenset({communities.route_target(64512, 1)})
        self.instances.put(InstanceConfig("a", mine, mine, "net-a", 4))
        other = frozenset({communities.route_target(64512, 2)})
        self.instances.put(InstanceConfig("b", other, other, "net-b", 5))

    def configure(self, *entries: StaticRouteType) -> None:
        self.routes.configure("a", entries)
        self.rib.process()

    def host(self, address: str, agent: Source, label: int) -> None:
        instance = self.instances.get("a")
        assert instance is not None
        key = prefix_from_text(f"{address}/32")
        if label:
            rd = b"\0\1" + agent.address + b"\0\3"
            attributes = PathAttributes(
                next_hop=agent.address, extended_communities=(communities.encapsulation("gre"),)
            )
            path = Path(agent, ATTRIBUTES.intern(attributes), label, rd=rd)
            instance.tables[INET].add(key, path)
        else:
            instance.tables[INET].withdraw(key, agent)
        self.rib.process()

    def shown(self) -> dict[str, list[tuple[bytes, str, int, int, tuple[int, ...]]]]:
        return {
            name: sorted(
                (
                    route.key,
                    path.source.name,
                    path.label,
                    path.path_id,
                    path.attributes.communities,
                )
                for route in table.routes()
                for path in route.paths
            )
            for name, table in self.rib.tables.items()
        }


def entry(prefix: str, hop: str, number: int = 0) -> StaticRouteType:
    return StaticRouteType(
        prefix=prefix,
        next_hop=hop,
        route_target=[f"target:64512:{number}"] if number else None,
        community=[f"64512:{number}"] if number else None,
    )


ENTRIES = st.lists(
    st.builds(entry, st.sampled_from(PREFIXES), st.sampled_from(HOSTS), st.integers(0, 2)),
    max_size=3,
)
WORDS = st.dictionaries(
    st.tuples(st.sampled_from(HOSTS), st.integers(0, 1)), st.integers(0, 2), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ENTRIES, WORDS), min_size=1, max_size=4), st.randoms())
def test_any_history_ends_as_a_fresh_start_does(
    history: list[tuple[list[StaticRouteType], dict[tuple[str, int], int]]],
    order: random.Random,
) -> None:
    lived, fresh = Vrf(), Vrf()
    state: dict[tuple[str, int], int] = {}
    for entries, words in history:
        steps = [*words.items(), None]
        order.shuffle(steps)
        for step in steps:
            if step is None:
                lived.configure(*entries)
            else:
                (address, agent), label = step
                lived.host(address, AGENTS[agent], label)
        state |= words
    for (address, agent), label in state.items():
        fresh.host(address, AGENTS[agent], label)
    fresh.configure(*history[-1][0])
    assert lived.shown() == fresh.shown()


def test_one_path_for_each_way_to_the_next_hop_with_the_targets_of_the_entry() -> None:
    vrf = Vrf()
    vrf.configure(entry("10.9.0.0/16", HOSTS[0], 2))
    vrf.host(HOSTS[0], AGENTS[0], 21)
    vrf.host(HOSTS[0], AGENTS[1], 22)
    for name in ("a", "b"):
        instance = vrf.instances.get(name)
        assert instance is not None
        route = instance.tables[INET].get(prefix_from_text("10.9.0.0/16"))
        assert route is not None
        assert [(p.label, p.path_id, p.sub_protocol) for p in route.equal_cost] == [
            (21, 0xC0000201, "static"),
            (22, 0xC0000202, "static"),
        ]
        assert route.paths[0].attributes.communities == (64512 << 16 | 2,)
        shown = show_path(route, route.paths[0], vrf.instances, 64512)
        assert (shown.protocol, shown.source) == ("StaticRoute (static)", "")
    vrf.instances.delete("a")
    vrf.rib.process()
    assert not any(vrf.shown().values())


def test_a_static_route_is_no_way_to_a_next_hop() -> None:
    vrf = Vrf()
    vrf.configure(entry("10.1.1.4/32", HOSTS[0]), entry("10.9.0.0/16", HOSTS[1]))
    vrf.host(HOSTS[0], AGENTS[0], 21)
    instance = vrf.instances.get("a")
    assert instance is not None
    assert instance.tables[INET].get(prefix_from_text("10.1.1.4/32")) is not None
    assert instance.tables[INET].get(prefix_from_text("10.9.0.0/16")) is None


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (StaticRouteType(prefix="10.1", next_hop="10.1.1.3"), "prefix"),
        (StaticRouteType(prefix="10.9.0.0/16"), "next_hop"),
        (StaticRouteType(prefix="10.9.0.0/16", next_hop="2001:db8::1"), "next_hop"),
        (StaticRouteType(prefix="::/0", next_hop="::1", route_target=["x"]), "route_target"),
        (StaticRouteType(prefix="::/0", next_hop="::1", community=["x"]), "community"),
        (
            StaticRouteType(
                prefix="::/0", next_hop="::1", community=[f"1:{n}" for n in range(513)]
            ),
            "route_target, community",
        ),
    ],
)
def test_an_unusable_entry_is_told_by_its_field(bad: StaticRouteType, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        static_route(bad)


def with_entries(*entries: StaticRouteType) -> Record:
    given = StaticRouteEntriesType(route=list(entries))
    refs = [ref("route-target", "target:64512:8000001")]
    refs[0].to = ["target:64512:8000001"]
    resource = RoutingInstance(static_route_entries=given, route_target_refs=refs)
    return record_of(resource, "virtual-network", instance_name("a"))


def test_a_copied_host_route_gets_the_number_that_its_agent_has_of_the_entrys_instance() -> None:
    vrf = Vrf()
    numbers = {("c1", "a"): 3, ("c1", "b"): 9}
    vrf.routes.instance_id = lambda source, name: numbers.get((source.name, name))
    given = [communities.route_target(64512, n) for n in (1, 2)]
    b = InstanceConfig("b", frozenset(given), frozenset(given[1:]), "net-b", 5)
    vrf.instances.put(b)
    vrf.routes.configure("b", [entry("10.9.0.0/16", HOSTS[0])])
    vrf.host(HOSTS[0], AGENTS[0], 21)

    def rd() -> str:
        vrf.rib.process()
        instance = vrf.instances.get("b")
        assert instance is not None
        route = instance.tables[INET].get(prefix_from_text("10.9.0.0/16"))
        assert route is not None
        vpn = vrf.rib.tables["bgp.l3vpn.0"].get(route.paths[0].rd + route.key)
        assert vpn is not None
        return route.paths[0].rd.hex()

    assert rd() == "0001c00002010009"
    numbers["c1", "b"] = 12
    vrf.routes.registered("b")
    assert rd() == "0001c0000201000c"
    assert len(list(vrf.rib.tables["bgp.l3vpn.0"].routes())) == 2
    del numbers["c1", "b"]
    vrf.routes.registered("b")
    assert rd() == "0001c00002010003", "that of the host route"


async def test_number_of_an_agent_that_joins_later_is_taken_up(world: World) -> None:
    await world.put(*basics("c1"), network("a", 4), network("b", 5), target(8000001))
    await world.put(target(8000002))
    await world.put(with_entries(entry("10.9.0.0/16", "10.1.1.3")))
    await world.put(instance("b", t8000001="export", t8000002="both"))
    one = await world.host("c1", "192.0.2.1")
    one.join("b", 9)
    one.publish("b", "10.1.1.3/32", 27)
    table = world.service.rib.vrf_table(instance_name("a"), INET)
    key = prefix_from_text("10.9.0.0/16")

    def number() -> int | None:
        route = table.get(key)
        return None if route is None else route.paths[0].rd[7]

    await until(lambda: number() == 9)
    one.join("a", 3)
    await until(lambda: number() == 3)


async def test_agents_learn_a_static_route_while_its_next_hop_is_there(world: World) -> None:
    await world.put(*basics("c1", "c2"), network("a", 4), target(8000001))
    await world.put(with_entries(entry("10.9.0.0/16", "10.1.1.3")))
    one = await world.host("c1", "192.0.2.1")
    two = await world.host("c2", "192.0.2.2")
    one.join("a", 3)
    two.join("a", 7)
    one.publish("a", "10.1.1.3/32", 27)
    await until(lambda: two.prefixes("a") == {"10.1.1.3/32", "10.9.0.0/16"})
    item = two.route("a", "10.9.0.0/16")
    assert isinstance(item, InetItem)
    assert [(hop.address, hop.label) for hop in item.next_hops] == [("192.0.2.1", 27)]
    one.withdraw("a", "10.1.1.3/32")
    await until(lambda: not two.prefixes("a"))
    one.publish("a", "10.1.1.3/32", 28)
    await until(lambda: "10.9.0.0/16" in two.prefixes("a"))
    await world.put(with_entries())
    await until(lambda: two.prefixes("a") == {"10.1.1.3/32"})
