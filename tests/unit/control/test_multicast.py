"""Replication trees of agents, and of control nodes joined by BGP, over real sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from tests.unit.control.bgp_world import FAMILIES, Node, fabric
from tests.unit.control.control_world import (
    FakeHost,
    World,
    basics,
    instance,
    network,
    target,
    until,
)
from tests.unit.control.cores import both_cores

from tungsten.bgp import edges
from tungsten.store.sqlite import SqliteStore
from tungsten.xmpp.routes import TreeItem

pytestmark = both_cores
TREES = [*FAMILIES, "erm-vpn"]


async def prepare(world: World) -> None:
    """A network with its instance."""
    await world.put(*basics(), target(1), network("a", 4), instance("a", t1="both"))


def places(hosts: list[FakeHost]) -> dict[tuple[str, int], TreeItem]:
    """What each host was told, by its address and label."""
    found = {}
    for host in hosts:
        place = host.place("a")
        if place is not None:
            found[host.address, place.source_label] = place
    return found


def copies(hosts: list[FakeHost], origin: FakeHost) -> dict[str, int]:
    """How often each host gets a frame of one, as they were told to hand it on."""
    table = places(hosts)
    place = origin.place("a")
    assert place is not None
    counts = {host.address: 0 for host in hosts}
    work = [(origin.address, hop.address, hop.label) for hop in place.olist]
    while work:
        sender, address, label = work.pop()
        counts[address] += 1
        assert counts[address] < 3, f"a ring at {address}"
        assert sender in [hop.address for hop in table[address, label].olist]
        work += [
            (address, hop.address, hop.label)
            for hop in table[address, label].olist
            if hop.address != sender
        ]
    return counts


def is_whole(hosts: list[FakeHost], most: int = 5) -> bool:
    """Whether a frame of each host reaches every other just once, with few copies."""
    if any(host.place("a") is None for host in hosts):
        return False
    try:
        return all(
            copies(hosts, origin) == {h.address: int(h is not origin) for h in hosts}
            for origin in hosts
        ) and all(len(place.olist) <= most for place in places(hosts).values())
    except (KeyError, AssertionError):
        return False


def lists(host: FakeHost, addresses: list[str]) -> bool:
    """Whether a host is to send its broadcasts to these itself."""
    return host.flood_list("a") == addresses


async def members(world: World, count: int, first: int = 1) -> list[FakeHost]:
    """Hosts that take part."""
    hosts = []
    for number in range(first, first + count):
        host = await world.host(f"c{number}", f"192.0.2.{number}")
        host.join("a", number)
        host.offer("a")
        hosts.append(host)
    return hosts


async def test_every_member_gets_each_broadcast_once(world: World) -> None:
    await prepare(world)
    hosts = await members(world, 9)
    await until(lambda: is_whole(hosts), "one tree")
    assert all(host.flood_list("a") == [] for host in hosts)
    labels = {host.place("a").source_label for host in hosts}  # type: ignore[union-attr]
    assert labels == {4609}


async def test_a_place_is_named_and_labelled_as_upstream_does(world: World) -> None:
    await prepare(world)
    first, second = await members(world, 2)
    await until(lambda: first.place("a") and second.place("a"))
    place = first.place("a")
    assert place is not None
    assert place.id == "192.0.2.1:1:255.255.255.255,0.0.0.0"
    assert [(hop.address, hop.label, hop.encapsulations) for hop in place.olist] == [
        ("192.0.2.2", 4609, ("gre", "udp"))
    ]


async def test_a_leave_tells_only_neighbours(world: World) -> None:
    await prepare(world)
    hosts = await members(world, 12)
    await until(lambda: is_whole(hosts))
    heard = {host.name: len(host.heard) for host in hosts}
    gone = hosts.pop(2)
    gone.take_back_offer("a")
    await until(lambda: gone.place("a") is None, "told to leave")
    await until(lambda: is_whole(hosts), "mended")
    told = [host for host in hosts if len(host.heard) > heard[host.name]]
    assert len(told) <= 9
    assert all(len(host.heard) <= heard[host.name] + 2 for host in hosts)


async def test_a_join_of_one_more_is_told_to_few(world: World) -> None:
    await prepare(world)
    hosts = await members(world, 12)
    await until(lambda: is_whole(hosts))
    heard = {host.name: len(host.heard) for host in hosts}
    hosts += await members(world, 1, first=13)
    await until(lambda: is_whole(hosts))
    told = [host for host in hosts[:-1] if len(host.heard) > heard[host.name]]
    assert len(told) == 1


async def test_pairs_of_which_one_has_no_trees_use_ingress_replication(world: World) -> None:
    await prepare(world)
    hosts = await members(world, 3)
    plain = await world.host("p1", "192.0.2.101")
    plain.join("a", 7)
    plain.flood("a")
    await until(lambda: plain.flood_list("a") == [host.address for host in hosts])
    await until(lambda: all(host.flood_list("a") == [plain.address] for host in hosts))
    await until(lambda: is_whole(hosts))
    plain.flood("a", trees=True)
    await until(lambda: not any(host.flood_list("a") for host in [*hosts, plain]), "all on trees")


async def test_a_lost_agent_keeps_its_place_and_label(
    make_world: Callable[..., Awaitable[World]],
) -> None:
    world = await make_world(restart_time=60.0, end_of_rib_time=60.0)
    await prepare(world)
    hosts = await members(world, 7)
    await until(lambda: is_whole(hosts))
    lost = hosts[2]
    before = lost.place("a")
    heard = {host.name: len(host.heard) for host in hosts if host is not lost}
    await lost.stop()
    lost.routes.clear()
    await lost.start()
    lost.join("a", 3)
    lost.offer("a")
    await until(lambda: lost.place("a") == before, "the same place")
    assert is_whole(hosts)
    assert {h.name: len(h.heard) for h in hosts if h is not lost} == heard


async def test_without_graceful_restart_the_tree_closes_over_a_lost_agent(
    make_world: Callable[..., Awaitable[World]],
) -> None:
    world = await make_world(graceful_restart=False)
    await prepare(world)
    hosts = await members(world, 7)
    await until(lambda: is_whole(hosts))
    await hosts.pop(1).stop()
    await until(lambda: is_whole(hosts), "mended")


async def test_a_block_without_labels_is_refused_alone(world: World) -> None:
    await prepare(world)
    host = await world.host("c1", "192.0.2.1")
    host.join("a")
    host.offer("a", (0, 0))
    host.publish("a", "10.0.0.1/32")
    await until(lambda: host.prefixes("a"), "the other route is taken")
    assert world.service.peers.refused["label"] == 1
    assert not host.closed


async def test_an_instance_that_comes_later_has_its_tree(world: World) -> None:
    hosts = await members(world, 3)
    await prepare(world)
    await until(lambda: is_whole(hosts))
    await world.remove(instance("a", t1="both"))
    await until(lambda: not places(hosts), "no instance, no tree")
    await world.put(instance("a", t1="both"))
    await until(lambda: is_whole(hosts))


# --- two control nodes and more


@pytest.fixture
async def nodes(store: SqliteStore) -> AsyncIterator[list[Node]]:
    made = sorted((Node(name) for name in ("one", "two", "three")), key=_router_id)
    yield made
    for node in made:
        await node.stop()


def _router_id(node: Node) -> tuple[int, ...]:
    return tuple(map(int, node.address.split(".")))


async def start(nodes: list[Node], store: SqliteStore, families: list[str]) -> list[World]:
    """Control nodes in a full mesh, on one configuration."""
    worlds = [await node.start(store) for node in nodes]
    await prepare(worlds[0])
    records = [
        node.record(*(other.name for other in nodes if other is not node), families=families)
        for node in nodes
    ]
    await worlds[0].put(*fabric(), *records)
    for node in nodes:
        for other in nodes:
            if other is not node:
                await until(partial(node.is_up, other.name), "peering", 15.0)
    return worlds


async def test_agents_of_two_control_nodes_share_a_tree(
    nodes: list[Node], store: SqliteStore
) -> None:
    worlds = await start(nodes[:2], store, TREES)
    hosts = await members(worlds[0], 6) + await members(worlds[1], 5, first=11)
    await until(lambda: is_whole(hosts), "joined trees", 10.0)
    assert not any(host.flood_list("a") for host in hosts)
    table = nodes[1].routes("bgp.ermvpn.0")
    assert len([text for text in table if text.startswith("1-")]) == 2
    assert len([text for text in table if text.startswith("2-")]) == 2
    assert not [text for text in table if text.startswith("0-")]


async def test_edges_are_written_as_upstream_reads_them(
    nodes: list[Node], store: SqliteStore
) -> None:
    worlds = await start(nodes[:2], store, TREES)
    hosts = await members(worlds[0], 1) + await members(worlds[1], 1, first=11)
    await until(lambda: is_whole(hosts), "joined trees", 10.0)
    table = worlds[1].service.rib.tables["bgp.ermvpn.0"]
    local, answer = sorted(
        (r for r in table.routes() if r.key[9:13] == worlds[0].service.peers.router_id),
        key=lambda route: route.key,
    )
    assert local.best is not None
    assert answer.best is not None
    assert local.key[:9] == answer.key[0:1].replace(b"\2", b"\1") + b"\0\1\xc0\0\2\1\0\1"
    (place, *same) = edges.discovery_of(local.best.attributes)
    assert place == edges.EdgeDiscovery(b"\xc0\0\2\1", ((4609, 4609),))
    assert same == [place, place]
    assert edges.forwarding_of(answer.best.attributes) == (
        edges.EdgeForwarding(b"\xc0\0\2\1", 4609, b"\xc0\0\2\x0b", 4609),
    )


async def test_three_control_nodes_and_the_loss_of_the_builder(
    nodes: list[Node], store: SqliteStore
) -> None:
    worlds = await start(nodes, store, TREES)
    hosts = []
    for number, world in enumerate(worlds):
        hosts.append(await members(world, 3, first=1 + 10 * number))
    await until(lambda: is_whole([h for some in hosts for h in some]), "one tree", 10.0)
    for host in hosts[0]:
        host.take_back_offer("a")
    left = hosts[1] + hosts[2]
    await until(lambda: is_whole(left), "another builder", 10.0)


async def test_without_trees_on_bgp_agents_list_each_other(
    nodes: list[Node], store: SqliteStore
) -> None:
    worlds = await start(nodes[:2], store, FAMILIES)
    here, there = await members(worlds[0], 2), await members(worlds[1], 2, first=11)
    for some, others in ((here, there), (there, here)):
        expected = [host.address for host in others]
        for host in some:
            await until(partial(lists, host, expected), "ingress replication", 10.0)
        await until(partial(is_whole, some), "a tree each")
