"""Tables of replication trees beside those of either core: who copies what, and all of a source."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import ERM_VPN, INET, INET_VPN
from tungsten.bgp.nlri import ErmVpn, Vpn, encode_nlri, mpls_field, prefix_from_text
from tungsten.bgp.update import pack_end_of_rib, pack_reach, pack_unreach
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.multicast import MulticastTrees
from tungsten.control.paths import ATTRIBUTES, NO_RD, Path, Protocol, Source
from tungsten.control.tables import Table
from tungsten.control.tree_tables import RibWithTrees, before_trees

pytestmark = both_cores

HOP = bytes((192, 0, 2, 1))
RD = b"\0\1" + HOP + b"\0\3"
US, THEM = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
ANY, ALL = bytes(4), b"\xff" * 4
PREFIX = prefix_from_text("10.1.1.3/32")
TARGET = communities.route_target(64512, 1)


def key(type_: int, rd: bytes = NO_RD, node: bytes = bytes(4)) -> bytes:
    return ErmVpn(type_, rd, node, ANY, ALL).key


@dataclass
class Cloud:
    """Two networks that import each other's target, and one more instance of the first."""

    rib: RibWithTrees = field(default_factory=lambda: RibWithTrees(make_rib()))
    instances: Instances = field(init=False)
    agent: Source = field(default_factory=lambda: Source("c1", Protocol.XMPP, HOP))
    peer: Source = field(default_factory=lambda: Source("r1", Protocol.BGP, THEM))

    def __post_init__(self) -> None:
        self.instances = Instances(self.rib)
        for name, index in (("a", 4), ("b", 5), ("a2", 4)):
            targets = frozenset((TARGET,))
            self.instances.put(InstanceConfig(name, targets, targets, f"net-{index}", index))
        self.rib.process()

    def table(self, name: str) -> Table:
        instance = self.instances.get(name)
        return instance.tables[ERM_VPN] if instance else self.rib.tables[name]

    def say(self, where: str, name: bytes, source: Source, *extended: bytes, rd: bytes) -> None:
        attributes = ATTRIBUTES.intern(PathAttributes(next_hop=HOP, extended_communities=extended))
        self.table(where).add(name, Path(source, attributes, 5, 9, rd=rd))
        self.rib.process()

    def keys(self, where: str) -> set[bytes]:
        return {route.key for route in self.table(where).routes()}


def test_an_agents_place_never_leaves_its_table() -> None:
    cloud = Cloud()
    cloud.say("a", key(0, RD), cloud.agent, rd=RD)
    assert cloud.keys("a") == {key(0, RD)}
    assert not cloud.keys("a2") | cloud.keys("b") | cloud.keys("bgp.ermvpn.0")


@pytest.mark.parametrize("type_", [1, 2])
def test_words_of_control_nodes_go_to_the_vpn_table_and_not_to_other_vrfs(type_: int) -> None:
    cloud = Cloud()
    cloud.say("a", key(type_, node=US), cloud.agent, rd=RD)
    assert cloud.keys("bgp.ermvpn.0") == {key(type_, RD, US)}
    assert not cloud.keys("a2") | cloud.keys("b")
    (route,) = cloud.table("bgp.ermvpn.0").routes()
    assert route.best is not None
    carried = route.best.attributes.extended_communities
    assert communities.origin_vn_of(carried) == (64512, 4)
    assert TARGET in carried
    cloud.table("a").withdraw(key(type_, node=US), cloud.agent)
    cloud.rib.process()
    assert not cloud.keys("bgp.ermvpn.0")


def test_words_of_others_come_into_instances_of_their_network_only() -> None:
    cloud = Cloud()
    origin = communities.origin_vn(64512, 4)
    cloud.say("bgp.ermvpn.0", key(1, RD, THEM), cloud.peer, TARGET, origin, rd=RD)
    assert cloud.keys("a") == cloud.keys("a2") == {key(1, node=THEM)}
    assert not cloud.keys("b")
    cloud.instances.put(InstanceConfig("b", frozenset((TARGET,)), frozenset(), "net-4", 4))
    cloud.rib.process()
    assert cloud.keys("b") == {key(1, node=THEM)}
    cloud.instances.delete("a2")
    assert "a2.ermvpn.0" not in cloud.rib.tables


def test_all_of_a_source_is_what_it_said_in_tables_of_both_kinds() -> None:
    cloud = Cloud()
    rib, agent = cloud.rib, cloud.agent
    cloud.say("a", key(0, RD), agent, rd=RD)
    inet = rib.vrf_table("a", INET)
    inet.add(PREFIX, Path(agent, ATTRIBUTES.intern(PathAttributes(next_hop=HOP)), 20, rd=RD))
    assert not rib.is_settled
    assert rib.process()
    assert rib.path_count(agent) == 2
    assert {route.key for route in rib.spoken(agent)} == {key(0, RD), PREFIX}
    assert [route.key for route in rib.spoken(agent, [inet])] == [PREFIX]
    rib.stale(agent, [cloud.table("a")])
    rib.process()
    rib.sweep(agent)
    rib.process()
    assert [route.key for route in rib.spoken(agent)] == [PREFIX]
    rib.drop(agent)
    rib.process()
    assert not rib.spoken(agent)
    assert not len(inet)


def test_another_identifier_takes_back_what_was_said_under_the_former() -> None:
    cloud = Cloud()
    trees = MulticastTrees(cloud.instances)
    trees.set_router_id(US)
    cloud.say("a", key(0, RD), cloud.agent, rd=RD)
    assert cloud.keys("bgp.ermvpn.0") == {key(1, RD, US)}
    trees.set_router_id(THEM)
    cloud.rib.process()
    assert cloud.keys("bgp.ermvpn.0") == {key(1, RD, THEM)}
    cloud.rib.drop(cloud.agent)
    cloud.rib.process()
    assert not cloud.keys("a") | cloud.keys("bgp.ermvpn.0")


# --- runs of messages

_ROUTES = [
    (INET_VPN, encode_nlri(Vpn(RD, PREFIX, mpls_field(20)))),
    (ERM_VPN, encode_nlri(ErmVpn(1, RD, US, ANY, ALL))),
]
_MESSAGES = [
    message
    for family, nlri in _ROUTES
    for message in (
        *pack_reach(family, bytes.fromhex("40010100"), HOP, [nlri]),
        *pack_unreach(family, [nlri]),
        pack_end_of_rib(family),
    )
]
_ABOUT_TREES = _MESSAGES[len(_MESSAGES) // 2 :]


@given(st.lists(st.sampled_from(_MESSAGES)), st.binary(max_size=5), st.binary(max_size=5))
def test_a_run_ends_before_the_first_message_about_trees(
    messages: list[bytes], before: bytes, after: bytes
) -> None:
    at = len(before)
    end = at + sum(map(len, messages))
    expected = at
    for message in messages:
        if message in _ABOUT_TREES:
            break
        expected += len(message)
    assert before_trees(before + b"".join(messages) + after, at, end) == expected


@given(st.binary(max_size=60).map(lambda octets: octets + b"\0\1\xf3"))
def test_any_octets_have_an_end(data: bytes) -> None:
    assert 0 <= before_trees(data, 0, len(data)) <= len(data)
