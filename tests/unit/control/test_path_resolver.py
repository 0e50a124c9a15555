"""Paths that lead to an address in their VRF become paths over the route to it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.instances import Instance, InstanceConfig, Instances
from tungsten.control.path_resolver import PathResolver
from tungsten.control.paths import ATTRIBUTES, Path, PathFlag, Protocol, Source
from tungsten.control.tables import VPN_TABLES, Route, Table

pytestmark = both_cores

AGENTS = [
    Source(f"c{n}", Protocol.XMPP, bytes([192, 0, 2, n]), bytes([192, 0, 2, n])) for n in (1, 2)
]
WORKLOADS = [
    Source(f"10.1.1.3:5000{n}", Protocol.BGP, bytes([10, 1, 1, n]), bytes([10, 1, 1, n]), True)
    for n in (1, 2)
]
ROUTER = Source("gateway", Protocol.BGP, b"\xc6\x33\x64\x01", b"\xc6\x33\x64\x01", external=True)
TARGETS = [communities.route_target(64512, n) for n in range(1, 4)]
GRE, VXLAN = communities.encapsulation("gre"), communities.encapsulation("vxlan")
GROUP, CLAIMED = communities.security_group(64512, 9), communities.security_group(64512, 1)
SITE = communities.site_of_origin(65001, 7)
HOSTS = ["10.1.1.3", "10.1.1.4"]
PREFIX = "172.16.0.0/16"


class Vrf:
    """An instance with workloads that speak BGP; another imports what it exports."""

    def __init__(self) -> None:
        self.rib = make_rib()
        self.instances = Instances(self.rib)
        one, two, _ = TARGETS
        self.instances.put(InstanceConfig("a", frozenset({one}), frozenset({one}), "net-a", 4))
        self.instances.put(InstanceConfig("b", frozenset({one, two}), frozenset({two}), "net-b", 5))
        self.rib.process()
        #: Agents' numbers of the instance, and whose were asked for.
        self.numbers = {agent.name: 7 for agent in AGENTS}
        self.asked: list[str] = []
        self.table = self._instance("a").tables[INET]
        self.resolver = PathResolver(self.table, self._number_of)
        self.table.listeners.append(self)

    def _number_of(self, source: Source) -> int | None:
        self.asked.append(source.name)
        return self.numbers.get(source.name)

    def _instance(self, name: str) -> Instance:
        found = self.instances.get(name)
        assert found is not None
        return found

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        self.resolver.routes_changed(routes)

    def host(self, address: str, source: Source = AGENTS[0], label: int = 21, *more: bytes) -> None:
        """A host route, or none with label 0."""
        key = prefix_from_text(f"{address}/32")
        if label:
            attributes = PathAttributes(
                next_hop=source.address,
                extended_communities=(GRE, GROUP, *more),
                local_preference=200,
            )
            rd = b"\0\1" + source.address + b"\0\3"
            self.table.add(key, Path(source, ATTRIBUTES.intern(attributes), label, rd=rd))
        else:
            self.table.withdraw(key, source)
        self.rib.process()

    def say(
        self,
        prefix: str,
        address: str,
        source: Source = WORKLOADS[0],
        flags: PathFlag = PathFlag.NONE,
        **values: Any,
    ) -> None:
        path = Path(source, ATTRIBUTES.intern(PathAttributes(**values)), flags=flags)
        hop = prefix_from_text(f"{address}/32")
        self.resolver.say(prefix_from_text(prefix), path, hop)
        self.rib.process()

    def withdraw(self, prefix: str, source: Source = WORKLOADS[0]) -> None:
        self.resolver.withdraw(prefix_from_text(prefix), source)
        self.rib.process()

    def paths(self, name: str, prefix: str = PREFIX) -> list[Path]:
        route = self._instance(name).tables[INET].get(prefix_from_text(prefix))
        return list(route.paths) if route is not None else []

    def outside(self) -> list[bytes]:
        """What BGP neighbours may hear of, with distinguishers."""
        return sorted(route.key for route in self.rib.tables[VPN_TABLES[INET]].routes())

    def shown(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(
                (r.key, p.source.name, p.label, p.path_id, p.rd, p.flags.value, repr(p.attributes))
                for r in table.routes()
                for p in r.paths
            )
            for name, table in self.rib.tables.items()
        }


def test_the_way_is_the_agents_and_the_rest_as_said() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    as_path = (Segment(AS_SEQUENCE, (65001, 65009)),)
    vrf.say(
        PREFIX,
        HOSTS[0],
        next_hop=bytes([10, 1, 1, 3]),
        as_path=as_path,
        med=50,
        communities=(0xFDE90007,),
        extended_communities=(TARGETS[2], SITE, VXLAN, CLAIMED),
    )
    found, bare = vrf.paths("a")
    assert bare.flags == PathFlag.RESOLVE_NEXT_HOP
    assert bare.attributes.next_hop == bytes([10, 1, 1, 3])
    assert found.flags == PathFlag.RESOLVED
    told = found.attributes
    assert (told.next_hop, found.label) == (AGENTS[0].address, 21)
    assert found.rd == b"\0\1" + AGENTS[0].address + b"\0\7"
    assert (told.as_path, told.med, told.communities) == (as_path, 50, (0xFDE90007,))
    assert told.local_preference == 200
    assert set(told.extended_communities) == {GRE, GROUP, TARGETS[2], SITE}
    (copy,) = vrf.paths("b")
    assert (copy.label, copy.attributes.next_hop) == (21, AGENTS[0].address)
    assert copy.attributes.as_path == as_path
    assert TARGETS[2] in copy.attributes.extended_communities


def test_what_a_host_route_tells_of_itself_is_not_told_of_what_is_behind_it() -> None:
    vrf = Vrf()
    elsewhere = communities.origin_vn(64512, 77)
    vrf.host(HOSTS[0], AGENTS[0], 21, TARGETS[2], SITE, elsewhere)
    vrf.say(PREFIX, HOSTS[0], extended_communities=(communities.origin_vn(64512, 4),))
    held = vrf.paths("a")[0].attributes.extended_communities
    assert set(held) == {GRE, GROUP, communities.origin_vn(64512, 4)}
    assert TARGETS[2] not in vrf.paths("b")[0].attributes.extended_communities


def test_a_preference_that_was_said_stays() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    vrf.say(PREFIX, HOSTS[0], local_preference=50)
    assert [path.attributes.local_preference for path in vrf.paths("b")] == [50]


def test_there_is_a_path_for_each_way() -> None:
    vrf = Vrf()
    vrf.say(PREFIX, HOSTS[0])
    assert vrf.paths("b") == []
    for label, agent in enumerate(AGENTS, 31):
        vrf.host(HOSTS[0], agent, label)
    assert {path.label for path in vrf.paths("b")} == {31, 32}
    assert len([key for key in vrf.outside() if key.endswith(prefix_from_text(PREFIX))]) == 2
    vrf.host(HOSTS[0], AGENTS[1], 0)
    assert {path.label for path in vrf.paths("b")} == {31}
    vrf.host(HOSTS[0], AGENTS[0], 33)
    assert {path.label for path in vrf.paths("b")} == {33}
    vrf.host(HOSTS[0], AGENTS[0], 0)
    assert (vrf.paths("b"), vrf.outside()) == ([], [])
    assert [path.flags for path in vrf.paths("a")] == [PathFlag.RESOLVE_NEXT_HOP]


def test_two_workloads_say_the_same_prefix() -> None:
    """Each has its own way; outside both are seen, under two distinguishers."""
    vrf = Vrf()
    for agent, address, workload in zip(AGENTS, HOSTS, WORKLOADS, strict=True):
        vrf.host(address, agent)
        vrf.say(PREFIX, address, workload)
    seen = [key for key in vrf.outside() if key.endswith(prefix_from_text(PREFIX))]
    assert len(seen) == len({key[:8] for key in seen}) == 2
    vrf.withdraw(PREFIX, WORKLOADS[0])
    (left,) = vrf.paths("b")
    assert left.attributes.next_hop == AGENTS[1].address


def test_a_next_hop_that_moves_leaves_nothing_behind() -> None:
    vrf = Vrf()
    for agent, address in zip(AGENTS, HOSTS, strict=True):
        vrf.host(address, agent)
    vrf.say(PREFIX, HOSTS[0])
    vrf.say(PREFIX, HOSTS[1])
    (copy,) = vrf.paths("b")
    assert copy.attributes.next_hop == AGENTS[1].address
    vrf.host(HOSTS[0], AGENTS[0], 0)
    assert len(vrf.paths("b")) == 1
    vrf.withdraw(PREFIX)
    assert vrf.paths("a") == vrf.paths("b") == []


def test_a_next_hop_of_another_network_is_no_way() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    vrf.say(PREFIX, "192.0.2.1")
    assert vrf.paths("b") == []
    assert all(not path.is_feasible for path in vrf.paths("a"))


def test_what_must_not_be_used_is_not_used_over_a_good_way() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    vrf.say(PREFIX, HOSTS[0], flags=PathFlag.AS_PATH_LOOPED)
    assert vrf.paths("b") == []
    flags = {path.flags for path in vrf.paths("a")}
    assert PathFlag.AS_PATH_LOOPED | PathFlag.RESOLVED in flags


def test_a_workloads_route_to_itself_does_not_hold_itself_up() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    vrf.say(f"{HOSTS[0]}/32", HOSTS[0])
    vrf.say(PREFIX, HOSTS[0], WORKLOADS[1])
    assert len(vrf.paths("b")) == 1
    vrf.host(HOSTS[0], AGENTS[0], 0)
    assert (vrf.paths("b"), vrf.outside()) == ([], [])


def test_the_route_of_a_router_is_a_way_under_its_own_distinguisher() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0], ROUTER, 99)
    vrf.say(PREFIX, HOSTS[0])
    found = vrf.paths("a")[0]
    assert (found.label, found.attributes.next_hop) == (99, ROUTER.address)
    assert found.rd == b"\0\1" + ROUTER.address + b"\0\3"
    assert vrf.asked == []


def test_an_agents_new_number_is_in_the_distinguisher() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    vrf.say(PREFIX, HOSTS[0])
    vrf.numbers["c1"] = 8
    vrf.resolver.renew()
    vrf.rib.process()
    assert vrf.paths("a")[0].rd[6:] == b"\0\x08"
    assert len([key for key in vrf.outside() if key.endswith(prefix_from_text(PREFIX))]) == 1


def test_a_changed_host_route_concerns_the_paths_over_it_only() -> None:
    vrf = Vrf()
    for agent, address in zip(AGENTS, HOSTS, strict=True):
        vrf.host(address, agent)
    for number in range(200):
        vrf.say(f"172.16.{number}.0/24", HOSTS[0])
    vrf.say("172.17.0.0/24", HOSTS[1])
    vrf.asked.clear()
    vrf.host(HOSTS[1], AGENTS[1], 40)
    assert vrf.asked == ["c2"]


def test_close_takes_all_back() -> None:
    vrf = Vrf()
    vrf.host(HOSTS[0])
    before = vrf.shown()
    vrf.say(PREFIX, HOSTS[0])
    vrf.say("172.17.0.0/24", HOSTS[1], WORKLOADS[1])
    vrf.resolver.close()
    vrf.rib.process()
    assert vrf.shown() == before


def test_path_ids_belong_to_the_ways() -> None:
    vrf = Vrf()
    path = Path(WORKLOADS[0], ATTRIBUTES.intern(PathAttributes()), path_id=1)
    with pytest.raises(ValueError, match="path id"):
        vrf.resolver.say(prefix_from_text(PREFIX), path, prefix_from_text("10.1.1.3/32"))


PREFIXES = [PREFIX, "172.17.0.0/24", f"{HOSTS[0]}/32"]
EVENTS = st.one_of(
    st.tuples(st.just("host"), st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("say"), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)),
)


def act(vrf: Vrf, event: tuple[str, int, int, int]) -> None:
    what, which, who, value = event
    if what == "host":
        vrf.host(HOSTS[which], AGENTS[who], value and value + 20)
    elif value:
        vrf.say(PREFIXES[which], HOSTS[value - 1], WORKLOADS[who])
    else:
        vrf.withdraw(PREFIXES[which], WORKLOADS[who])


@settings(max_examples=80, deadline=None)
@given(st.lists(EVENTS, max_size=14), st.randoms())
def test_any_history_ends_as_a_fresh_start_does(
    history: list[tuple[str, int, int, int]], order: random.Random
) -> None:
    lived, fresh = Vrf(), Vrf()
    for event in history:
        act(lived, event)
    events = list({event[:3]: event for event in history}.values())
    order.shuffle(events)
    for event in events:
        act(fresh, event)
    assert lived.shown() == fresh.shown()
