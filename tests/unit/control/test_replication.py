"""Copies between instances: a function of what is said and configured, whatever the order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.control.cores import both_cores, make_rib
from tests.unit.control.policies import some_policies

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import EVPN, INET
from tungsten.bgp.nlri import InclusiveMulticast, MacIp, prefix_from_text
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.paths import ATTRIBUTES, NO_RD, Path, PathFlag, Protocol, Source
from tungsten.control.tables import MASTER, Rib, Table
from tungsten.control.xmpp_routes import Refused, Reporter, read_item
from tungsten.xmpp.stanzas import InetItem, NextHop

pytestmark = both_cores

NEXT_HOP = bytes([192, 0, 2, 1])
RD = b"\0\1" + NEXT_HOP + b"\0\3"
PREFIX = prefix_from_text("10.1.1.3/32")
VPN = "bgp.l3vpn.0"


def rt(number: int) -> bytes:
    return communities.route_target(64512, number)


def config(name: str, imports: set[int], exports: set[int], index: int) -> InstanceConfig:
    targets = frozenset(map(rt, imports)), frozenset(map(rt, exports))
    return InstanceConfig(name, *targets, network=f"net-{name}", network_index=index)


def attributes(*extended: bytes, **values: Any) -> PathAttributes:
    return ATTRIBUTES.intern(
        PathAttributes(next_hop=NEXT_HOP, extended_communities=extended, **values)
    )


@dataclass
class Cloud:
    """A RIB with instances and two sources."""

    rib: Rib = field(default_factory=make_rib)
    instances: Instances = field(init=False)
    agent: Source = field(default_factory=lambda: Source("c1", Protocol.XMPP, NEXT_HOP))
    router: Source = field(default_factory=lambda: Source("r1", Protocol.BGP, b"\1\2\3\4"))

    def __post_init__(self) -> None:
        self.instances = Instances(self.rib)

    def put(self, *configs: InstanceConfig) -> None:
        for each in configs:
            self.instances.put(each)
        self.rib.process()

    def table(self, name: str) -> Table:
        instance = self.instances.get(name)
        return instance.tables[INET] if instance else self.rib.tables[name]

    def say(self, where: str, key: bytes, *extended: bytes, **values: Any) -> None:
        source = self.router if where == VPN else self.agent
        rd = NO_RD if where == VPN else RD
        self.table(where).add(key, Path(source, attributes(*extended), 20, rd=rd, **values))
        self.rib.process()

    def paths(self, where: str, key: bytes = PREFIX) -> list[Path]:
        route = self.table(where).get(key)
        return route.paths if route else []

    def keys(self, where: str) -> set[bytes]:
        return {route.key for route in self.table(where).routes()}


def two_networks() -> Cloud:
    cloud = Cloud()
    cloud.put(config("a", {1}, {1}, 4), config("b", {2, 1}, {2}, 5))
    return cloud


def test_route_of_a_network_carries_its_targets_and_origin_everywhere() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX)
    (vpn,) = cloud.paths(VPN, RD + PREFIX)
    (leaked,) = cloud.paths("b")
    for copy in (vpn, leaked):
        carried = copy.attributes.extended_communities
        assert communities.route_targets_of(carried) == (rt(1),)
        assert communities.origin_vn_of(carried) == (64512, 4)
        assert copy.origin == ("a.inet.0", PREFIX)
        assert copy.source is cloud.agent
        assert copy.label == 20


def test_copies_are_not_copied_on() -> None:
    cloud = two_networks()
    cloud.put(config("c", {2}, set(), 6))
    cloud.say("a", PREFIX)
    assert cloud.paths("b")
    assert not cloud.paths("c"), "b exports 2, but the route is not b's"


def test_vpn_route_enters_importers_without_its_distinguisher() -> None:
    cloud = two_networks()
    cloud.say(VPN, RD + PREFIX, rt(2))
    (copy,) = cloud.paths("b")
    assert copy.rd == RD
    assert communities.origin_vn_of(copy.attributes.extended_communities) == (64512, 5)
    assert not cloud.paths("a")


@pytest.mark.parametrize(
    ("origin", "copy_names"),
    [
        ((64512, 4), (64512, 4)),
        ((64513, 4), (64512, 5)),
        ((64513, 8_000_001), (64513, 8_000_001)),
    ],
)
def test_number_of_a_network_in_another_as_says_nothing_here(
    origin: tuple[int, int], copy_names: tuple[int, int]
) -> None:
    """Network 4 of that AS is not network 4 of ours: else agents took one for the other."""
    cloud = two_networks()
    cloud.say(VPN, RD + PREFIX, rt(2), communities.origin_vn(*origin))
    (copy,) = cloud.paths("b")
    held = copy.attributes.extended_communities
    assert communities.origin_vn_of(held) == copy_names
    assert len([c for c in held if communities.origin_vn_of((c,))]) == 1


def test_number_of_another_as_goes_where_our_network_cannot_be_told() -> None:
    cloud = two_networks()
    cloud.put(config("c", {3}, set(), 6))
    cloud.say(VPN, RD + PREFIX, rt(3), communities.origin_vn(64513, 4))
    (copy,) = cloud.paths("c")
    assert communities.origin_vn_of(copy.attributes.extended_communities) is None


def test_mac_of_another_as_enters_the_network_that_exports_its_target() -> None:
    cloud = two_networks()
    mac = MacIp(RD, 0, bytes(5) + b"\1").key
    cloud.say("bgp.evpn.0", mac, rt(2), communities.origin_vn(64513, 4))
    table = cloud.instances.get("b")
    assert table is not None
    assert [route.key[10:] for route in table.tables[EVPN].routes()] == [mac[10:]]


def test_routes_that_differ_only_in_distinguisher_are_paths_of_one_route() -> None:
    cloud = two_networks()
    other = b"\0\1" + NEXT_HOP + b"\0\4"
    cloud.say(VPN, RD + PREFIX, rt(2))
    cloud.say(VPN, other + PREFIX, rt(2))
    assert {path.rd for path in cloud.paths("b")} == {RD, other}
    cloud.table(VPN).withdraw(RD + PREFIX, cloud.router)
    cloud.rib.process()
    assert [path.rd for path in cloud.paths("b")] == [other]


def test_only_the_best_and_its_equals_are_copied() -> None:
    cloud = two_networks()
    better = replace(cloud.agent, name="c2")
    cloud.say("a", PREFIX)
    path = Path(better, attributes(local_preference=200), 21, rd=b"\0\1\1\1\1\1\0\3")
    cloud.table("a").add(PREFIX, path)
    cloud.rib.process()
    assert [p.source.name for p in cloud.paths("b")] == ["c2"]
    assert len(cloud.table(VPN)) == 1
    cloud.table("a").withdraw(PREFIX, better)
    cloud.rib.process()
    assert [p.source.name for p in cloud.paths("b")] == ["c1"]


def test_what_a_bgp_client_said_decides_in_another_network_too() -> None:
    """AS path, MED and communities cross from one instance to another as they are."""
    cloud = two_networks()
    clients = [
        Source(f"10.1.1.{n}", Protocol.BGP, bytes([10, 1, 1, n]), external=True) for n in (1, 2)
    ]
    said = [
        attributes(as_path=(Segment(AS_SEQUENCE, path),), med=med, communities=(64512 << 16 | 7,))
        for path, med in (((65001, 65001), 10), ((65001,), 90))
    ]
    for client, each in zip(clients, said, strict=True):
        path = Path(client, each, 20, rd=RD, sub_protocol="bgpaas", path_id=client.address[3])
        cloud.table("a").add(PREFIX, path)
    cloud.rib.process()
    (copy,) = cloud.paths("b")
    assert (copy.source, copy.sub_protocol) == (clients[1], "bgpaas")
    assert copy.attributes.as_path == said[1].as_path
    assert (copy.attributes.med, copy.attributes.communities) == (90, (64512 << 16 | 7,))
    cloud.table("a").add(
        PREFIX,
        Path(clients[0], replace_med(said[1], 10), 20, rd=RD, sub_protocol="bgpaas", path_id=1),
    )
    cloud.rib.process()
    assert [path.source for path in cloud.paths("b")] == [clients[0]], "its MED is lower"


def replace_med(said: PathAttributes, med: int) -> PathAttributes:
    return ATTRIBUTES.intern(structs.replace(said, med=med))


def test_too_many_exports_do_no_harm_to_others() -> None:
    """Attributes have 65,535 octets at most; what an instance exports may be more."""
    cloud = two_networks()
    many = frozenset(rt(number) for number in range(1, 9000))
    cloud.put(replace(config("a", {1}, {1}, 4), exports=many))
    for name in ("a", "b"):
        path = Path(cloud.agent, attributes(), 20, rd=RD[:7] + name.encode())
        cloud.table(name).add(PREFIX, path)
    cloud.rib.process()
    assert [route.key[7:8] for route in cloud.table(VPN).routes()] == [b"b"]
    assert len(cloud.paths("a")) == 1
    cloud.put(config("a", {1}, {1}, 4))
    assert len(cloud.table(VPN)) == 2


@pytest.mark.parametrize("count", [512, 513])
def test_route_of_an_agent_has_so_many_communities_at_most(count: int) -> None:
    cloud = two_networks()
    instance = cloud.instances.get("a")
    assert instance is not None
    hop = NextHop(address="192.0.2.1", label=20, tags=(1, 2))
    item = InetItem(
        prefix="10.1.1.3/32",
        next_hops=(hop,),
        security_groups=tuple(range(1, count - 2)),
        communities=("64512:1",),
    )
    if count <= 512:
        assert read_item(item, Reporter(cloud.agent, 3), instance, 64512)
    else:
        with pytest.raises(Refused, match="513 communities, security groups and tags"):
            read_item(item, Reporter(cloud.agent, 3), instance, 64512)


def test_infeasible_path_is_not_copied() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX, flags=PathFlag.NO_TUNNEL_ENCAP)
    assert not cloud.paths("b")
    assert not len(cloud.table(VPN))


def test_targets_removed_long_after_the_route_was_learnt_take_the_copies_along() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX, modified=1.0)
    assert cloud.paths(VPN, RD + PREFIX)
    assert cloud.paths("b")
    cloud.put(config("a", {1}, set(), 4))
    assert not cloud.paths(VPN, RD + PREFIX)
    assert not cloud.paths("b")
    cloud.put(config("other-tenant", {1}, {1}, 9))
    assert not cloud.paths("other-tenant"), "the target went to someone else"
    cloud.put(config("a", {1}, {7}, 4))
    (vpn,) = cloud.paths(VPN, RD + PREFIX)
    assert communities.route_targets_of(vpn.attributes.extended_communities) == (rt(7),)


def test_import_that_ends_takes_just_its_copies() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX)
    cloud.say("b", prefix_from_text("10.2.0.1/32"))
    cloud.put(config("b", {2}, {2}, 5))
    assert cloud.keys("b") == {prefix_from_text("10.2.0.1/32")}
    cloud.put(config("b", {2, 1}, {2}, 5))
    assert len(cloud.keys("b")) == 2


def test_deleted_instance_leaves_nothing_behind() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX)
    cloud.say("b", prefix_from_text("10.2.0.1/32"))
    cloud.instances.delete("a")
    cloud.rib.process()
    assert cloud.keys("b") == {prefix_from_text("10.2.0.1/32")}
    assert not [name for name in cloud.rib.tables if name.startswith("a.")]
    cloud.instances.delete("b")
    cloud.rib.process()
    assert not len(cloud.table(VPN))
    assert not cloud.instances.replication.targets


def test_network_index_that_comes_late_reaches_the_copies() -> None:
    cloud = Cloud()
    cloud.put(config("a", {1}, {1}, 0), config("b", {1}, set(), 5))
    cloud.say("a", PREFIX)
    (copy,) = cloud.paths("b")
    assert communities.origin_vn_of(copy.attributes.extended_communities) is None
    cloud.put(config("a", {1}, {1}, 4))
    (copy,) = cloud.paths("b")
    assert communities.origin_vn_of(copy.attributes.extended_communities) == (64512, 4)


def test_mac_routes_enter_only_their_own_network() -> None:
    cloud = two_networks()
    mac = MacIp(RD, 0, bytes(5) + b"\1").key
    flood = InclusiveMulticast(RD, 0, NEXT_HOP).key
    vpn = cloud.rib.tables["bgp.evpn.0"]
    for key in (mac, flood):
        vpn.add(key, Path(cloud.router, attributes(rt(1)), 20))
    cloud.rib.process()
    into = {
        name: {route.key[0] for route in cloud.rib.vrf_table(name, EVPN).routes()}
        for name in ("a", "b")
    }
    assert into == {"a": {2, 3}, "b": set()}


def test_unchanged_report_is_no_work() -> None:
    cloud = two_networks()
    cloud.say("a", PREFIX, modified=1.0)
    path = cloud.paths("a")[0]
    cloud.table("a").add(PREFIX, replace(path, modified=2.0))
    assert cloud.rib.is_settled


# --- the order of events does not matter ----------------------------------------------------

NAMES = ("a", "b", "c")
_numbers = st.sets(st.integers(1, 3), max_size=2)
_prefixes = st.sampled_from([prefix_from_text(f"10.0.0.{n}/32") for n in (1, 2)])
_events = st.one_of(
    st.tuples(
        st.just("instance"), st.sampled_from(NAMES), _numbers, _numbers, st.sampled_from([0, 4, 5])
    ),
    st.tuples(st.just("policies"), st.sampled_from(NAMES), st.randoms(use_true_random=False)),
    st.tuples(st.just("mark"), st.sampled_from(NAMES), _prefixes, st.booleans()),
    st.tuples(st.just("gone"), st.sampled_from(NAMES)),
    st.tuples(st.just("say"), st.sampled_from(NAMES), _prefixes, st.sampled_from([None, 100, 200])),
    st.tuples(st.just("unsay"), st.sampled_from(NAMES), _prefixes),
    st.tuples(st.just("vpn"), _prefixes, _numbers),
    st.tuples(st.just("unvpn"), _prefixes),
    st.tuples(st.just("check"), st.booleans()),
    st.tuples(st.just("fabric"), st.sampled_from(["192.0.2.1/32", "192.0.2.0/24"]), st.booleans()),
)


class Story:
    """What was said last: instances, their routes, VPN routes."""

    def __init__(self) -> None:
        self.configs: dict[str, InstanceConfig] = {}
        self.said: dict[tuple[str, bytes], int | None] = {}
        self.vpn: dict[bytes, frozenset[int]] = {}
        self.marks: set[tuple[str, bytes]] = set()
        self.check = False
        self.fabric: set[str] = set()

    def tell(self, event: Any, cloud: Cloud) -> None:
        """Remember an event and bring it to a RIB."""
        match event:
            case ("instance", name, imports, exports, index):
                before = self.configs.get(name)
                policies = before.policies if before else ()
                now = replace(config(name, imports, exports, index), policies=policies)
                self.configs[name] = now
                cloud.instances.put(now)
            case ("policies", name, draw) if name in self.configs:
                self.configs[name] = replace(self.configs[name], policies=some_policies(draw))
                cloud.instances.put(self.configs[name])
            case ("mark", name, key, contributing) if name in self.configs:
                (self.marks.add if contributing else self.marks.discard)((name, key))
                cloud.table(name).set_contributing(key, contributing)
            case ("gone", name):
                self.configs.pop(name, None)
                self.said = {k: v for k, v in self.said.items() if k[0] != name}
                self.marks = {mark for mark in self.marks if mark[0] != name}
                cloud.instances.delete(name)
            case ("say", name, key, preference) if name in self.configs:
                self.said[name, key] = preference
                _say(cloud, name, key, preference)
            case ("unsay", name, key) if name in self.configs:
                self.said.pop((name, key), None)
                cloud.table(name).withdraw(key, cloud.agent)
            case ("vpn", key, numbers):
                self.vpn[key] = frozenset(numbers)
                _say_vpn(cloud, key, self.vpn[key])
            case ("unvpn", key):
                self.vpn.pop(key, None)
                cloud.rib.tables[VPN].withdraw(RD + key, cloud.router)
            case ("check", check):
                self.check = check
                cloud.instances.replication.set_reachability_check(check)
            case ("fabric", text, there):
                (self.fabric.add if there else self.fabric.discard)(text)
                fabric(cloud, text, there)

    def retell(self) -> Cloud:
        """A RIB that hears the end state alone, routes before instances change."""
        cloud = Cloud()
        for key, numbers in self.vpn.items():
            _say_vpn(cloud, key, numbers)
        for each in reversed(self.configs.values()):
            cloud.instances.put(each)
        for (name, key), preference in self.said.items():
            _say(cloud, name, key, preference)
        for text in self.fabric:
            fabric(cloud, text, True)
        cloud.instances.replication.set_reachability_check(self.check)
        for name, key in self.marks:
            cloud.table(name).set_contributing(key, True)
        cloud.rib.process()
        return cloud


def fabric(cloud: Cloud, text: str, there: bool) -> None:
    """A route of the fabric comes or goes."""
    table, key = cloud.rib.vrf_table(MASTER, INET), prefix_from_text(text)
    if there:
        table.add(key, Path(cloud.router, attributes(), 0))
    else:
        table.withdraw(key, cloud.router)


def _say(cloud: Cloud, name: str, key: bytes, preference: int | None) -> None:
    rd = b"\0\1" + NEXT_HOP + bytes([0, NAMES.index(name)])
    said = attributes(local_preference=preference)
    cloud.table(name).add(key, Path(cloud.agent, said, 20, rd=rd))


def _say_vpn(cloud: Cloud, key: bytes, numbers: frozenset[int]) -> None:
    said = attributes(*sorted(map(rt, numbers)))
    cloud.rib.tables[VPN].add(RD + key, Path(cloud.router, said, 30))


def dump(cloud: Cloud) -> dict[str, dict[bytes, list[Any]]]:
    """All that the tables hold, in order of preference."""
    return {
        name: {
            route.key: [
                (p.source.name, p.origin, p.attributes, p.label, p.rd, p.flags, p.original)
                for p in route.paths
            ]
            for route in table.routes()
        }
        for name, table in cloud.rib.tables.items()
        if len(table)
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_events, st.booleans()), min_size=8, max_size=30))
def test_tables_are_a_function_of_the_end_state(history: list[tuple[Any, bool]]) -> None:
    cloud, story = Cloud(), Story()
    for name in NAMES:
        story.tell(("instance", name, {1}, set(), 4), cloud)
    for event, settle in history:
        story.tell(event, cloud)
        if settle:
            cloud.rib.process()
    cloud.rib.process()
    assert dump(cloud) == dump(story.retell())
