"""The writer against tables that watch every single write, in place of the kernel's."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agent.agent_samples import World

from tungsten.agent.derive import compile_oper
from tungsten.agent.forwarding import BROADCAST_MAC, Context, Encapsulation, VrfRoutes, compile_vrf
from tungsten.agent.ids import Ids
from tungsten.agent.kernel import Neighbour
from tungsten.agent.oper import Device
from tungsten.agent.program import Host, Tables, id_spaces, number
from tungsten.agent.writer import Writer, read_tables
from tungsten.datapath.abi import NhType
from tungsten.datapath.records import Source, Vif
from tungsten.xmpp.routes import EnetItem, InetItem, NextHop

FABRIC = Device("eth0", 2, "02:aa:00:00:00:01", 1500, True, "veth")
PKT0 = Device("pkt0", 3, "02:aa:00:00:00:02", 9000, True, "tun")
ME = IPv4Address("172.30.1.2")


class WatchedTable:
    """A table that has its owner's invariants checked after every write."""

    def __init__(self, owner: "WatchedDatapath", name: str) -> None:
        self.owner, self.name = owner, name
        self.entries: dict[Any, Any] = {}
        self.refuse: set[Any] = set()

    def put(self, entries: Mapping[Any, Any]) -> None:
        for key, value in entries.items():
            if key in self.refuse:
                raise OSError(28, "no space")
            self.entries[key] = value
            self.owner.check()

    def discard(self, key: Any) -> bool:
        found = self.entries.pop(key, None) is not None
        self.owner.check()
        return found

    def dump(self) -> dict[Any, Any]:
        return dict(self.entries)


class WatchedSources:
    def __init__(self) -> None:
        self.entries: set[Source] = set()

    def add(self, source: Source) -> None:
        self.entries.add(source)

    def discard(self, source: Source) -> None:
        self.entries.discard(source)

    def __iter__(self) -> Iterator[Source]:
        return iter(set(self.entries))


class WatchedPeers:
    def __init__(self) -> None:
        self.entries: set[IPv4Address] = set()

    def add(self, address: IPv4Address) -> None:
        self.entries.add(address)

    def discard(self, address: IPv4Address) -> None:
        self.entries.remove(address)

    def __iter__(self) -> Iterator[IPv4Address]:
        return iter(set(self.entries))


class WatchedDatapath:
    """No packet may meet a hole: whatever is named is there, at every step."""

    def __init__(self) -> None:
        self.vifs = WatchedTable(self, "vifs")
        self.nexthops = WatchedTable(self, "nexthops")
        self.labels = WatchedTable(self, "labels")
        self.vnis = WatchedTable(self, "vnis")
        self.routes = WatchedTable(self, "routes")
        self.bridge = WatchedTable(self, "bridge")
        self.sources = WatchedSources()
        self.tunnel_sources = WatchedPeers()
        self.links: dict[int, int] = {}
        self.steps = 0

    def check(self) -> None:
        self.steps += 1
        nexthops = self.nexthops.entries
        for table in (self.labels, self.vnis):
            assert set(table.entries.values()) <= set(nexthops), table.name
        pointed = {*self.labels.entries.values(), *self.vnis.entries.values()}
        for table in (self.routes, self.bridge):
            pointed |= {entry.nh for entry in table.entries.values()}
        for nh_id in pointed & set(nexthops):
            if nexthops[nh_id].type is NhType.TUNNEL:
                assert nexthops[nh_id].dip in self.tunnel_sources.entries, f"nexthop {nh_id}"
        for table in (self.routes, self.bridge):
            assert {entry.nh for entry in table.entries.values()} <= set(nexthops), table.name
        for nh_id, nexthop in nexthops.items():
            for leg in nexthop.members:
                assert leg.nh in nexthops, f"nexthop {nh_id}"
            if nexthop.type in (NhType.ENCAP, NhType.TUNNEL):
                assert nexthop.oif in self.vifs.entries, f"nexthop {nh_id}"

    def attach_vif(self, vif: Vif) -> None:
        self.vifs.put({vif.id: vif})
        self.links[vif.id] = vif.ifindex

    attach_fabric = attach_pkt0 = attach_vif

    def detach(self, vif_id: int) -> bool:
        self.links.pop(vif_id, None)
        return self.vifs.discard(vif_id)

    def attached(self) -> dict[int, int]:
        return dict(self.links)

    def clear_vif_stats(self, vif_id: int) -> None:
        assert vif_id not in self.vifs.entries


class Scene:
    """A host whose interfaces, remote workloads and resolved neighbours are chosen freely."""

    def __init__(self, directory: Path) -> None:
        self.ids = Ids(directory / "ids.json", id_spaces())

    def tables(
        self, local: frozenset[int], remote: frozenset[tuple[int, int]], resolved: bool = True
    ) -> Tables:
        world = World()
        world.network("blue", "10.0.1.0/24")
        for n in range(4):
            world.interface("blue", f"10.0.1.{n + 3}")
        ports = tuple(port for n, port in enumerate(world.ports) if n in local)
        oper = compile_oper(world.graph(), ports, world.devices(), ())
        context = Context(ME, (Encapsulation.MPLS_UDP,), self.ids["label"].key_of)
        received = self._routes(remote)
        vrf_tables = {
            name: compile_vrf(vrf, oper.interfaces.values(), received, context)
            for name, vrf in oper.vrfs.items()
        }
        neighbours = {}
        if resolved:
            neighbours = {
                IPv4Address(f"172.30.2.{h}"): Neighbour(2, ME, f"02:bb:00:00:00:{h:02x}")
                for h in range(1, 6)
            }
        return number(self.ids, oper, vrf_tables, Host(FABRIC, ME, PKT0, neighbours))

    @staticmethod
    def _routes(remote: frozenset[tuple[int, int]]) -> VrfRoutes:
        inet: dict[str, InetItem] = {}
        evpn: dict[str, EnetItem] = {}
        hops: dict[int, list[NextHop]] = {}
        for workload, host in sorted(remote):
            hop = NextHop(address=f"172.30.2.{host}", label=100 + workload, encapsulations=("udp",))
            hops.setdefault(workload, []).append(hop)
        for workload, paths in hops.items():
            ip = f"10.0.1.{100 + workload}/32"
            inet[ip] = InetItem(prefix=ip, next_hops=tuple(paths))
            mac = EnetItem(mac=f"02:00:00:01:00:{workload:02x}", address=ip, next_hops=tuple(paths))
            evpn[mac.id] = mac
        flood = EnetItem(mac=BROADCAST_MAC, olist=tuple(p[0] for p in hops.values()))
        evpn[flood.id] = flood
        return VrfRoutes(inet, evpn)

    def release(self, held: Tables, wanted: Tables) -> None:
        """Free numbers as the agent does."""
        numbers = {"vif": set(held.vifs), "nh": set(held.nexthops), "label": set(held.labels)}
        for space, taken in numbers.items():
            for key, value in list(self.ids[space].by_key.items()):
                if key not in wanted.names[space] and value not in taken:
                    self.ids.release(space, key)


LOCAL = st.frozensets(st.integers(0, 3))
REMOTE = st.frozensets(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LOCAL, REMOTE, st.booleans()), min_size=1, max_size=5))
def test_no_step_of_any_change_leaves_a_hole(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[frozenset[int], frozenset[tuple[int, int]], bool]],
) -> None:
    scene = Scene(tmp_path_factory.mktemp("ids"))
    datapath = WatchedDatapath()
    writer = Writer(datapath)
    for local, remote, resolved in steps:
        wanted = scene.tables(local, remote, resolved)
        result = writer.apply(wanted, complete=True)
        assert result.failures == ()
        held = read_tables(datapath)
        for name in ("vifs", "nexthops", "labels", "vnis", "routes", "bridge", "sources"):
            assert getattr(held, name) == getattr(wanted, name), name
        scene.release(writer.held, wanted)


SOME = frozenset({0, 1}), frozenset({(1, 1), (2, 2), (2, 3)})


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    writer = Writer(WatchedDatapath())
    assert writer.apply(scene.tables(*SOME), complete=True).written > 0
    result = writer.apply(scene.tables(*SOME), complete=True)
    assert (result.written, result.removed) == (0, 0)


def test_a_restart_with_the_same_knowledge_writes_nothing(tmp_path: Path) -> None:
    datapath = WatchedDatapath()
    scene = Scene(tmp_path)
    Writer(datapath).apply(scene.tables(*SOME), complete=True)
    scene.ids.save()
    again = Writer(datapath).apply(Scene(tmp_path).tables(*SOME), complete=True)
    assert (again.written, again.removed) == (0, 0)


@pytest.mark.parametrize(
    "growing",
    [
        (frozenset(), frozenset(), False),
        (frozenset({0}), frozenset(), False),
        (frozenset({0, 1}), frozenset({(2, 2)}), False),
        (frozenset({0, 1}), frozenset({(1, 1), (2, 2), (2, 3)}), False),
    ],
)
def test_until_everything_is_known_nothing_inherited_gets_poorer(
    tmp_path: Path, growing: tuple[frozenset[int], frozenset[tuple[int, int]], bool]
) -> None:
    datapath = WatchedDatapath()
    scene = Scene(tmp_path)
    Writer(datapath).apply(scene.tables(*SOME), complete=True)
    before = read_tables(datapath)
    writer = Writer(datapath)
    assert writer.inherited > 0
    writer.apply(scene.tables(*growing), complete=False)
    after = read_tables(datapath)
    for name in ("vifs", "nexthops", "labels", "vnis", "routes", "bridge"):
        assert getattr(after, name) == getattr(before, name), name
    writer.apply(scene.tables(*growing), complete=True)
    assert read_tables(datapath).routes == scene.tables(*growing).routes
    assert writer.inherited == 0


def test_new_workloads_work_while_not_everything_is_known(tmp_path: Path) -> None:
    datapath = WatchedDatapath()
    scene = Scene(tmp_path)
    Writer(datapath).apply(scene.tables(*SOME), complete=True)
    writer = Writer(datapath)
    more = scene.tables(frozenset({0, 1, 2}), SOME[1])
    writer.apply(more, complete=False)
    held = read_tables(datapath)
    assert set(more.vifs) <= set(held.vifs)
    assert set(more.labels.items()) <= set(held.labels.items())
    fresh = IPv4Network("10.0.1.5/32")
    assert [key for key in held.routes if key[1] == fresh]


def peers_of(tables: Tables) -> set[IPv4Address | None]:
    return {it.dip for it in tables.nexthops.values() if it.type is NhType.TUNNEL}


def test_tunnels_are_taken_from_the_hosts_that_routes_name_and_no_other(tmp_path: Path) -> None:
    datapath = WatchedDatapath()
    scene = Scene(tmp_path)
    writer = Writer(datapath)
    writer.apply(scene.tables(*SOME), complete=True)
    assert datapath.tunnel_sources.entries == {IPv4Address(f"172.30.2.{h}") for h in (1, 2, 3)}
    fewer = scene.tables(SOME[0], frozenset({(2, 2)}))
    writer.apply(fewer, complete=True)
    assert datapath.tunnel_sources.entries == peers_of(fewer)


def test_hosts_stay_welcome_over_a_restart_until_everything_is_known(tmp_path: Path) -> None:
    datapath = WatchedDatapath()
    scene = Scene(tmp_path)
    before = scene.tables(*SOME)
    Writer(datapath).apply(before, complete=True)
    datapath.tunnel_sources.entries.clear()  # as before this set was kept
    writer = Writer(datapath)
    assert datapath.tunnel_sources.entries == peers_of(before)
    fewer = scene.tables(SOME[0], frozenset({(2, 2)}))
    writer.apply(fewer, complete=False)
    assert datapath.tunnel_sources.entries == peers_of(before)
    writer.apply(fewer, complete=True)
    assert datapath.tunnel_sources.entries == peers_of(fewer)


def test_a_refused_write_is_reported_and_tried_again(tmp_path: Path) -> None:
    datapath = WatchedDatapath()
    scene = Scene(tmp_path)
    wanted = scene.tables(*SOME)
    refused = next(iter(wanted.routes))
    datapath.routes.refuse = {refused}
    writer = Writer(datapath)
    result = writer.apply(wanted, complete=True)
    assert len(result.failures) == 1
    assert "routes" in result.failures[0]
    held = read_tables(datapath)
    assert set(held.routes) == set(wanted.routes) - {refused}
    assert held.bridge == wanted.bridge
    datapath.routes.refuse = set()
    assert writer.apply(wanted, complete=True).failures == ()
    assert read_tables(datapath).routes == wanted.routes
