"""Two and three control nodes that peer over BGP, with agents behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.unit.control.bgp_world import Node, fabric, router, session
from tests.unit.control.control_world import (
    FakeHost,
    World,
    basics,
    instance,
    network,
    put,
    record,
    target,
    until,
)
from tests.unit.control.cores import both_cores

from tungsten.bgp.families import INET_VPN
from tungsten.model import GlobalSystemConfig
from tungsten.model.bgp import BgpFamilyAttributes, BgpPrefixLimit
from tungsten.model.system import GracefulRestartParametersType
from tungsten.store.sqlite import SqliteStore
from tungsten.xmpp.stanzas import InetItem, RouteRetract

pytestmark = both_cores


VPN, EVPN, TARGETS = "bgp.l3vpn.0", "bgp.evpn.0", "bgp.rtarget.0"
MakeNode = Callable[[str], Node]


@pytest.fixture
async def make_node() -> AsyncIterator[MakeNode]:
    made: list[Node] = []

    def make(name: str) -> Node:
        made.append(Node(name))
        return made[-1]

    yield make
    for node in made:
        await node.stop()


async def cloud(store: SqliteStore, *nodes: Node, **values: object) -> list[World]:
    """Nodes in full mesh, two hosts, network a, and network b that only exports."""
    records = [*basics("c1", "c2"), *fabric(), network("a", 4), network("b", 5)]
    records += [target(8000001), target(8000002)]
    records += [instance("a", t8000001="both"), instance("b", t8000002="both")]
    for at, node in enumerate(nodes):
        later = [other.name for other in nodes[at + 1 :]]
        records.append(node.record(*later, **values))
    await store.transact(put(*records))
    return [await node.start(store) for node in nodes]


async def all_up(*nodes: Node) -> None:
    def missing() -> list[str]:
        pairs = ((one, two) for one in nodes for two in nodes if one is not two)
        return [f"{one.name}-{two.name}" for one, two in pairs if not one.is_up(two.name)]

    await until(lambda: not missing(), "sessions of all with all")


def retracts(host: FakeHost) -> list[RouteRetract]:
    return [stanza for stanza in host.heard if isinstance(stanza, RouteRetract)]


async def test_route_of_an_agent_reaches_an_agent_of_another_control(
    store: SqliteStore, make_node: MakeNode
) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    one, two = await cloud(store, a, b)
    await all_up(a, b)
    here = await one.host("c1", "192.0.2.1")
    there = await two.host("c2", "192.0.2.2")
    here.join("a", 3)
    there.join("a", 7)
    here.publish("a", "10.1.1.3/32", 27, security_groups=(8000001,))
    await until(lambda: there.prefixes("a") == {"10.1.1.3/32"}, "route crosses")
    item = there.route("a", "10.1.1.3/32")
    assert isinstance(item, InetItem)
    assert [(hop.address, hop.label) for hop in item.next_hops] == [("192.0.2.1", 27)]
    assert item.next_hops[0].encapsulations == ("gre", "udp")
    assert item.virtual_network == "default-domain:demo:a"
    assert item.security_groups == (8000001,)
    assert b.routes(VPN) == {"192.0.2.1:3:10.1.1.3/32": ["control-a"]}
    there.publish("a", "10.1.1.4/32", 28)
    await until(lambda: here.prefixes("a") == {"10.1.1.3/32", "10.1.1.4/32"}, "and back")
    here.withdraw("a", "10.1.1.3/32")
    await until(lambda: there.prefixes("a") == {"10.1.1.4/32"}, "withdrawal crosses")


async def test_flooding_members_are_known_across_controls(
    store: SqliteStore, make_node: MakeNode
) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    one, two = await cloud(store, a, b)
    here = await one.host("c1", "192.0.2.1")
    there = await two.host("c2", "192.0.2.2")
    for host in (here, there):
        host.join("a", 3)
        host.flood("a")
    await until(lambda: here.flood_list("a") == ["192.0.2.2"], "here floods there")
    await until(lambda: there.flood_list("a") == ["192.0.2.1"], "there floods here")


async def test_both_controls_of_an_agent_agree_and_hear_no_echo(
    store: SqliteStore, make_node: MakeNode
) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    one, two = await cloud(store, a, b)
    await all_up(a, b)
    for world in (one, two):
        host = await world.host("c1", "192.0.2.1")
        host.join("a", 3)
        host.publish("a", "10.1.1.3/32", 27)
    both = {"192.0.2.1:3:10.1.1.3/32": ["c1", "control-b"]}
    await until(lambda: a.routes(VPN) == both, "a has both")
    other = {"192.0.2.1:3:10.1.1.3/32": ["c1", "control-a"]}
    await until(lambda: b.routes(VPN) == other, "b has both")
    neighbor = a.neighbor("control-b")
    assert neighbor is not None
    sent = neighbor.counters["updates sent"]
    await asyncio.sleep(0.3)
    assert neighbor.counters["updates sent"] == sent


async def test_session_lost_takes_its_routes_along(store: SqliteStore, make_node: MakeNode) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    one, two = await cloud(store, a, b)
    here = await one.host("c1", "192.0.2.1")
    there = await two.host("c2", "192.0.2.2")
    here.join("a", 3)
    there.join("a", 7)
    here.publish("a", "10.1.1.3/32", 27)
    await until(lambda: there.prefixes("a"), "route crosses")
    await here.stop()
    one.hosts.clear()
    await a.stop()
    await until(lambda: not there.prefixes("a"), "route is gone")
    assert b.routes(VPN) == {}


async def test_routes_nobody_here_imports_are_not_sent(
    store: SqliteStore, make_node: MakeNode
) -> None:
    """Both nodes have both instances, so each asks for both targets, and for no third."""
    a, b = make_node("control-a"), make_node("control-b")
    one, two = await cloud(store, a, b)
    await all_up(a, b)
    wanted = {
        "64512:target:64512:8000001": ["rtarget", "control-b"],
        "64512:target:64512:8000002": ["rtarget", "control-b"],
    }
    await until(lambda: a.routes(TARGETS) == wanted, "wishes cross")
    here = await one.host("c1", "192.0.2.1")
    here.join("b", 3)
    here.publish("b", "10.2.1.3/32", 27)
    await until(lambda: "192.0.2.1:3:10.2.1.3/32" in b.routes(VPN), "asked for")
    await one.put(target(8000009), instance("b", t8000009="export", t8000002="import"))
    await until(lambda: not b.routes(VPN), "not asked for any more")
    assert "192.0.2.1:3:10.2.1.3/32" in a.routes(VPN)
    await two.put(instance("a", t8000001="both", t8000009="import"))
    await until(lambda: "192.0.2.1:3:10.2.1.3/32" in b.routes(VPN), "asked for again")


async def test_ibgp_routes_are_not_passed_on_without_a_reflector(
    store: SqliteStore, make_node: MakeNode
) -> None:
    a, b, c = (make_node(f"control-{x}") for x in "abc")
    records = [*basics("c1"), *fabric(), network("a", 4), target(8000001)]
    records.append(instance("a", t8000001="both"))
    records += [a.record(), c.record(), b.record("control-a", "control-c")]
    await store.transact(put(*records))
    one, _, _ = [await node.start(store) for node in (a, b, c)]
    here = await one.host("c1", "192.0.2.1")
    here.join("a", 3)
    here.publish("a", "10.1.1.3/32", 27)
    await until(lambda: b.routes(VPN) == {"192.0.2.1:3:10.1.1.3/32": ["control-a"]})
    await until(lambda: c.is_up("control-b"))
    await asyncio.sleep(0.2)
    assert c.routes(VPN) == {}
    await one.put(b.record("control-a", "control-c", cluster_id=77))
    await until(lambda: c.routes(VPN) == {"192.0.2.1:3:10.1.1.3/32": ["control-b"]}, "reflected")
    assert c.world is not None
    ((route),) = c.world.service.rib.tables[VPN].routes()
    attributes = route.paths[0].attributes
    assert attributes.cluster_list == ((77).to_bytes(4, "big"),)
    assert attributes.originator_id is not None
    assert list(attributes.originator_id) == [int(part) for part in a.address.split(".")]


async def test_preference_survives_ebgp_between_clusters(
    store: SqliteStore, make_node: MakeNode
) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    records = [*basics("c1"), *fabric(), network("a", 4), target(8000001)]
    records.append(instance("a", t8000001="both"))
    records += [a.record(asn=64513), b.record("control-a")]
    await store.transact(put(*records))
    one, two = [await node.start(store) for node in (a, b)]
    here = await one.host("c1", "192.0.2.1")
    here.join("a", 3)
    here.publish("a", "10.1.1.3/32", 27, local_preference=200)
    await until(lambda: b.routes(VPN) == {"192.0.2.1:3:10.1.1.3/32": ["control-a"]})
    ((route),) = two.service.rib.tables[VPN].routes()
    attributes = route.paths[0].attributes
    assert attributes.local_preference == 200
    assert attributes.as_path[0].asns == (64513,)
    assert list(attributes.next_hop) == [192, 0, 2, 1]


async def test_neighbour_follows_its_configuration(store: SqliteStore, make_node: MakeNode) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    one, _ = await cloud(store, a, b)
    await all_up(a, b)
    await one.put(a.record("control-b", peering=session(admin_down=True)))
    await until(lambda: not a.is_up("control-b") and not b.is_up("control-a"), "admin down")
    await one.put(a.record("control-b"))
    await until(lambda: a.is_up("control-b"), "up again")
    await one.put(a.record())
    await until(lambda: a.neighbor("control-b") is None, "peering removed")
    await until(lambda: b.neighbor("control-a") is None, "at both ends")


async def test_unrelated_change_leaves_the_session_alone(
    store: SqliteStore, make_node: MakeNode
) -> None:
    a, b = make_node("control-a"), make_node("control-b")
    one, _ = await cloud(store, a, b)
    await all_up(a, b)
    await one.put(router("gateway", "127.9.9.9", 179, router_type="router", vendor="mx"))
    await one.put(network("z", 9))
    await asyncio.sleep(0.2)
    neighbor = a.neighbor("control-b")
    assert neighbor is not None
    assert neighbor.peer is not None
    assert neighbor.peer.counters["established"] == 1
    assert neighbor.flaps == 0


async def test_too_many_routes_close_the_session(store: SqliteStore, make_node: MakeNode) -> None:
    """B-14, R-02."""
    limit = BgpFamilyAttributes(
        address_family="inet-vpn", prefix_limit=BgpPrefixLimit(maximum=3, idle_timeout=60)
    )
    a, b = make_node("control-a"), make_node("control-b")
    one, _ = await cloud(store, a, b, peering=session(family_attributes=[limit]))
    await all_up(a, b)
    here = await one.host("c1", "192.0.2.1")
    here.join("a", 3)
    for last in range(3):
        here.publish("a", f"10.1.1.{last}/32", 27)
    await until(lambda: len(b.routes(VPN)) == 3, "three are allowed")
    neighbor = b.neighbor("control-a")
    assert neighbor is not None
    assert neighbor.near_limit == {INET_VPN}, "four fifths are told of"
    here.withdraw("a", "10.1.1.0/32")
    await until(lambda: not neighbor.near_limit, "two are far from it")
    here.publish("a", "10.1.1.0/32", 27)
    await until(lambda: len(b.routes(VPN)) == 3, "three again")
    here.publish("a", "10.1.1.9/32", 27)
    await until(lambda: not b.is_up("control-a"), "the fourth is not")
    await until(lambda: b.routes(VPN) == {}, "all go with the session")
    assert neighbor.peer is not None
    assert "maximum prefixes" in neighbor.peer.last_error


async def test_routes_survive_a_lost_session_of_a_node_that_can_restart(
    store: SqliteStore, make_node: MakeNode
) -> None:
    """Nothing is withdrawn from agents but what was withdrawn while the session was away."""
    restart = GracefulRestartParametersType(enable=True, restart_time=30, bgp_helper_enable=True)
    a, b = make_node("control-a"), make_node("control-b")
    one, two = await cloud(store, a, b)
    name = "default-global-system-config"
    changed = GlobalSystemConfig(autonomous_system=64512, graceful_restart_parameters=restart)
    await one.put(record(changed, "", name))
    await until(lambda: a.is_up("control-b") and b.is_up("control-a"), "up with restart")
    here = await one.host("c1", "192.0.2.1")
    there = await two.host("c2", "192.0.2.2")
    here.join("a", 3)
    there.join("a", 7)
    here.publish("a", "10.1.1.3/32", 27)
    here.publish("a", "10.1.1.4/32", 28)
    await until(lambda: len(there.prefixes("a")) == 2, "routes cross")
    neighbor = a.neighbor("control-b")
    assert neighbor is not None
    assert neighbor.peer is not None
    link = neighbor.peer.session.established
    assert link is not None
    link.id.transport.abort()  # type: ignore[attr-defined]
    await until(lambda: b.flags(VPN) == {"STALE"}, "kept as stale")
    here.withdraw("a", "10.1.1.4/32")
    assert len(there.prefixes("a")) == 2
    await until(lambda: b.flags(VPN) == {"NONE"}, "confirmed, and the rest swept", 20.0)
    await until(lambda: there.prefixes("a") == {"10.1.1.3/32"}, "agents follow")
    assert not any("10.1.1.3/32" in str(heard) for heard in retracts(there))
