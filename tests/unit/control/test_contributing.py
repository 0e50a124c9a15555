"""Routes that only make up an aggregate: not copied, not told to neighbours, on both cores."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from tests.unit.control.core_worlds import CoreWorld
from tests.unit.control.cores import both_cores, make_rib
from tests.unit.control.test_replication import (
    PREFIX,
    RD,
    VPN,
    Cloud,
    attributes,
    rt,
    two_networks,
)

from tungsten.bgp.families import INET, INET_VPN
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.paths import Path, PathFlag, Source
from tungsten.control.tables import Route, Table

pytestmark = both_cores
OTHER = prefix_from_text("10.1.1.4/32")


class Agents:
    """Who follows a table as agents do."""

    def __init__(self, table: Table) -> None:
        self.heard: dict[bytes, int] = {}
        table.listeners.append(self)

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        for route in routes:
            self.heard[route.key] = len(route.paths)


def test_marked_route_has_no_copies_but_agents_of_its_own_instance_hear_of_it() -> None:
    cloud = two_networks()
    agents = Agents(cloud.table("a"))
    cloud.say("a", PREFIX)
    cloud.say("a", OTHER)
    assert cloud.paths("b")
    cloud.table("a").set_contributing(PREFIX, True)
    cloud.rib.process()
    assert cloud.keys(VPN) == {RD + OTHER}
    assert cloud.keys("b") == {OTHER}
    assert len(cloud.paths("a")) == 1
    assert agents.heard == {PREFIX: 1, OTHER: 1}


@pytest.mark.parametrize("order", list(permutations(["say", "mark", "import"])))
def test_mark_holds_whenever_it_is_set(order: tuple[str, ...]) -> None:
    cloud = two_networks()
    for what in order:
        if what == "say":
            cloud.say("a", PREFIX)
        elif what == "mark":
            cloud.table("a").set_contributing(PREFIX, True)
        else:
            cloud.say(VPN, RD + OTHER, rt(1))
    cloud.rib.process()
    assert cloud.keys(VPN) == {RD + OTHER}
    assert cloud.keys("b") == {OTHER}


def test_mark_stays_with_the_key_until_cleared() -> None:
    cloud = two_networks()
    table = cloud.table("a")
    table.set_contributing(PREFIX, True)
    cloud.say("a", PREFIX)
    table.withdraw(PREFIX, cloud.agent)
    cloud.rib.process()
    assert table.get(PREFIX) is None
    cloud.say("a", PREFIX)
    assert not cloud.paths("b")
    assert table.contributing == {PREFIX}
    table.set_contributing(PREFIX, False)
    assert not cloud.rib.is_settled, "clearing the mark has the route looked at"
    cloud.rib.process()
    assert cloud.paths("b")
    assert cloud.paths(VPN, RD + PREFIX)
    assert not table.contributing


def test_table_that_is_asked_for_again_is_the_same_while_it_is_empty() -> None:
    cloud = two_networks()
    assert cloud.rib.vrf_table("a", INET) is cloud.table("a")


def test_marking_what_is_marked_is_no_work() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX)
    cloud.table("a").set_contributing(PREFIX, False)
    cloud.table("a").set_contributing(OTHER, True)
    assert cloud.rib.is_settled


def test_copies_in_a_marked_route_are_not_told_on() -> None:
    """The mark is on the route: paths of others that import into it stay visible there."""
    cloud = two_networks()
    cloud.table("b").set_contributing(PREFIX, True)
    cloud.say("a", PREFIX)
    assert cloud.paths("b")
    assert cloud.paths(VPN, RD + PREFIX)


def test_neighbours_are_not_told_of_a_marked_route() -> None:
    world = CoreWorld(make_rib())
    world.up(0, frozenset({INET_VPN}), True)
    table = world.rib.tables["bgp.l3vpn.0"]
    source: Source = world.agents[0]
    said: Any = attributes(rt(1))
    keys = [RD + PREFIX, RD + OTHER]
    table.set_contributing(keys[0], True)
    for key in keys:
        table.add(key, Path(source, said, 20))
    world.wait(100.0)
    world.work(None)
    (wire,) = world.wires.values()
    held = {key for _, key in wire.held}
    assert held == {keys[1]}
    table.set_contributing(keys[0], False)
    table.set_contributing(keys[1], True)
    world.work(None)
    assert {key for _, key in wire.held} == {keys[0]}
    table.withdraw(keys[0], source)
    table.withdraw(keys[1], source)
    world.work(None)
    assert not wire.held
    assert not len(table)


def test_unresolved_path_is_kept_and_its_resolved_ones_are_used() -> None:
    """One source says a route with a next hop to be looked up, and what came of that."""
    cloud: Cloud = two_networks()
    cloud.say("a", PREFIX, flags=PathFlag.RESOLVE_NEXT_HOP)
    assert not cloud.paths("b")
    for path_id in (1, 2):
        cloud.say("a", PREFIX, path_id=path_id, flags=PathFlag.RESOLVED)
    assert [path.path_id for path in cloud.paths("a")] == [1, 2, 0]
    assert [path.flags for path in cloud.paths("b")] == [PathFlag.RESOLVED] * 2
    cloud.table("a").withdraw(PREFIX, cloud.agent, 1)
    cloud.table("a").withdraw(PREFIX, cloud.agent, 2)
    cloud.rib.process()
    assert not cloud.paths("b")
    assert len(cloud.paths("a")) == 1
