"""Service chains: what is offered in front of a service, whatever came first."""

from __future__ import annotations

import random
from dataclasses import replace
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
    target,
    until,
    uuid_of,
)
from tests.unit.control.cores import both_cores, make_rib

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.config_graph import ConfigGraph
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.paths import ATTRIBUTES, Path, Protocol, Source
from tungsten.control.service_chain import service_chain
from tungsten.control.service_chains import ServiceChains
from tungsten.control.tables import Route
from tungsten.introspect.client import Introspect, rows
from tungsten.model import Ref, RoutingInstance
from tungsten.model.routing import InstanceTargetType, ServiceChainInfo
from tungsten.store.base import Record
from tungsten.xmpp.stanzas import InetItem, Publish, Subscribe

pytestmark = both_cores

SERVICES = ["10.1.1.3", "10.1.1.4"]
LEFT, RIGHT, OTHER = 4, 5, 6
AGENTS = [
    Source(f"c{n}", Protocol.XMPP, bytes([192, 0, 2, n]), bytes([192, 0, 2, n])) for n in (1, 2)
]
ROUTER = Source("mx", Protocol.BGP, bytes([10, 0, 0, 9]), bytes([10, 0, 0, 9]))
INSIDE = ["10.2.0.5/32", "10.2.0.6/32", "10.2.4.0/24"]
OUTSIDE = ["172.16.0.0/16", "10.3.0.5/32"]


def targets(number: int) -> frozenset[bytes]:
    return frozenset({communities.route_target(64512, number)})


def info(**values: Any) -> ServiceChainInfo:
    made = {
        "routing_instance": "right",
        "prefix": ["10.2.0.0/16"],
        "service_chain_address": SERVICES[0],
        "service_instance": "default-domain:demo:si",
    }
    return ServiceChainInfo(**{**made, **values})


class Cloud:
    """A network on either side; ``front`` is the left side of the service between them."""

    def __init__(self) -> None:
        self.rib = make_rib()
        self.instances = Instances(self.rib)
        self.chains = ServiceChains(ConfigGraph(), self.instances)
        self.configs = {
            "left": InstanceConfig("left", targets(1) | targets(3), targets(1), "left", LEFT),
            "front": InstanceConfig("front", targets(3) | targets(1), targets(3), "left", LEFT),
            "right": InstanceConfig("right", targets(2), targets(2), "right", RIGHT),
        }
        for name in self.configs:
            self.exists(name)

    def exists(self, name: str, there: bool = True, **values: Any) -> None:
        if there:
            self.instances.put(replace(self.configs[name], **values))
        else:
            self.instances.delete(name)
        self.rib.process()

    def configure(self, given: ServiceChainInfo | None) -> None:
        self.chains.configure("front", INET, given)
        self.rib.process()

    def say(self, where: str, prefix: str, agent: Source, label: int, **values: Any) -> None:
        """An agent's route; none with label 0, or where there is no such instance."""
        found = self.instances.get(where)
        if found is None:
            return
        key, table = prefix_from_text(prefix), found.tables[INET]
        if label:
            attributes = PathAttributes(next_hop=agent.address, **values)
            rd = b"\0\1" + agent.address + b"\0\3"
            path = Path(agent, ATTRIBUTES.intern(attributes), label, rd=rd)
            table.add(key, replace(path, sub_protocol="interface"))
        else:
            table.withdraw(key, agent)
        self.rib.process()

    def hear(self, prefix: str, label: int, *extended: bytes, **values: Any) -> None:
        """A route of the router's for the right network."""
        table = self.rib.vpn_table(INET)
        key = b"\0\1\x0a\0\0\x09\0\1" + prefix_from_text(prefix)
        if label:
            attributes = PathAttributes(
                next_hop=ROUTER.address,
                extended_communities=(*targets(2), *extended),
                **values,
            )
            table.add(key, Path(ROUTER, ATTRIBUTES.intern(attributes), label))
        else:
            table.withdraw(key, ROUTER)
        self.rib.process()

    def route(self, where: str, prefix: str) -> Route | None:
        found = self.instances.get(where)
        assert found is not None
        return found.tables[INET].get(prefix_from_text(prefix))

    def only(self, where: str, prefix: str) -> Path:
        route = self.route(where, prefix)
        assert route is not None
        (path,) = route.paths
        return path

    def shown(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(
                (
                    (r.key, p.source.name, p.label, p.path_id, p.rd, repr(p.attributes))
                    for r in table.routes()
                    for p in r.paths
                ),
            )
            for name, table in self.rib.tables.items()
        }


def test_a_prefix_is_offered_while_it_has_routes_and_the_service_lives() -> None:
    cloud = Cloud()
    cloud.configure(info())
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 20)
    assert cloud.route("left", "10.2.0.0/16") is None
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 30)
    path = cloud.only("left", "10.2.0.0/16")
    assert (path.source.protocol, path.label, path.sub_protocol) == (
        Protocol.SERVICE_CHAIN,
        20,
        "interface",
    )
    assert path.attributes.next_hop == AGENTS[0].address
    assert path.attributes.communities == (communities.ACCEPT_OWN_NEXT_HOP,)
    mine = communities.origin_vn(64512, RIGHT)
    assert path.attributes.origin_vn_path == (mine,)
    assert communities.origin_vn_of(path.attributes.extended_communities) == (64512, RIGHT)
    assert cloud.route("left", "10.2.0.5/32") is None
    assert cloud.route("right", "10.1.1.3/32") is None
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 0)
    assert cloud.route("left", "10.2.0.0/16") is None
    cloud.say("right", "10.2.0.6/32", AGENTS[1], 30)
    assert cloud.route("left", "10.2.0.0/16") is not None
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 0)
    assert cloud.route("left", "10.2.0.0/16") is None
    assert cloud.route("front", "10.2.0.0/16") is None


def test_the_prefix_itself_makes_nothing() -> None:
    cloud = Cloud()
    cloud.configure(info())
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 20)
    cloud.say("right", "10.2.0.0/16", AGENTS[1], 30)
    assert cloud.route("front", "10.2.0.0/16") is None


def test_every_instance_of_the_service_is_a_way() -> None:
    cloud = Cloud()
    cloud.configure(info())
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 30)
    for number, agent in enumerate(AGENTS):
        cloud.say("front", "10.1.1.3/32", agent, 20 + number)
    route = cloud.route("left", "10.2.0.0/16")
    assert route is not None
    assert {path.label for path in route.equal_cost} == {20, 21}
    vpn = [key for key, *_ in cloud.shown()["bgp.l3vpn.0"] if key.endswith(b"\x10\x0a\x02")]
    assert len(vpn) == 2
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 0)
    assert cloud.only("left", "10.2.0.0/16").label == 21


def test_a_route_from_elsewhere_is_offered_one_for_one_with_what_it_says_of_itself() -> None:
    cloud = Cloud()
    cloud.configure(info())
    cloud.say(
        "front",
        "10.1.1.3/32",
        AGENTS[0],
        20,
        extended_communities=(
            communities.security_group(64512, 8),
            communities.encapsulation("udp"),
        ),
    )
    theirs = communities.security_group(64512, 9)
    cloud.hear(
        "172.16.0.0/16",
        99,
        theirs,
        communities.tag(64512, 7),
        communities=(64512 << 16 | 1,),
        as_path=(Segment(AS_SEQUENCE, (65001,)),),
    )
    attributes = cloud.only("front", "172.16.0.0/16").attributes
    assert communities.security_groups_of(attributes.extended_communities) == (9,)
    assert communities.tags_of(attributes.extended_communities) == (7,)
    assert communities.encapsulations_of(attributes.extended_communities) == ("udp",)
    assert not communities.route_targets_of(attributes.extended_communities)
    assert set(attributes.communities) == {64512 << 16 | 1, communities.ACCEPT_OWN_NEXT_HOP}
    assert attributes.as_path == ()
    cloud.configure(info(retain_as_path=True))
    held = cloud.only("front", "172.16.0.0/16").attributes
    assert held.as_path == (Segment(AS_SEQUENCE, (65001,)),)


def origin(index: int) -> bytes:
    return communities.origin_vn(64512, index)


@pytest.mark.parametrize(
    ("extended", "values", "transit", "offered"),
    [
        ((), {}, False, True),
        ((origin(RIGHT),), {}, False, True),
        ((origin(LEFT),), {}, False, False),
        ((origin(LEFT),), {}, True, False),
        ((origin(OTHER),), {}, False, False),
        ((origin(OTHER),), {}, True, True),
        ((), {"communities": (communities.NO_REORIGINATE,)}, False, False),
        ((), {"communities": (communities.NO_ADVERTISE,)}, False, False),
        ((origin(OTHER),), {"origin_vn_path": (origin(OTHER), origin(LEFT))}, True, False),
        ((origin(OTHER),), {"origin_vn_path": (origin(OTHER), origin(7))}, True, True),
    ],
)
def test_which_routes_from_elsewhere_are_offered(
    extended: tuple[bytes, ...], values: dict[str, Any], transit: bool, offered: bool
) -> None:
    """Nothing comes back to where it has been, nothing leaks through a network."""
    cloud = Cloud()
    cloud.exists("right", allow_transit=transit)
    cloud.configure(info())
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 20)
    cloud.hear("172.16.0.0/16", 99, *extended, **values)
    assert (cloud.route("front", "172.16.0.0/16") is not None) == offered
    cloud.exists("right", allow_transit=not transit)
    cloud.exists("right", allow_transit=transit)
    assert (cloud.route("front", "172.16.0.0/16") is not None) == offered


def test_the_service_may_be_known_in_another_instance_than_the_one_in_front() -> None:
    cloud = Cloud()
    cloud.configure(info(source_routing_instance="left"))
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 30)
    cloud.say("left", "10.1.1.3/32", AGENTS[0], 20)
    cloud.chains.instance_id = lambda source, name: 77 if name == "front" else None
    cloud.chains.registered("front")
    cloud.rib.process()
    path = cloud.only("front", "10.2.0.0/16")
    assert (path.label, path.rd[-2:]) == (20, b"\0\x4d")


def test_a_pending_chain_says_why_and_runs_when_it_can() -> None:
    cloud = Cloud()
    cloud.exists("right", there=False)
    cloud.configure(info())
    (chain,) = cloud.chains.configured.values()
    assert cloud.chains.why_pending(chain) == "Destination routing-instance right does not exist"
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 20)
    cloud.exists("right")
    assert not cloud.chains.why_pending(chain)
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 30)
    assert cloud.route("left", "10.2.0.0/16") is not None
    cloud.exists("right", there=False)
    assert cloud.route("left", "10.2.0.0/16") is None
    cloud.exists("front", there=False)
    assert not cloud.chains.running


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (info(routing_instance=None), "routing_instance"),
        (info(routing_instance="front"), "routing_instance"),
        (info(service_chain_address=None), "service_chain_address"),
        (info(service_chain_address="2001:db8::1"), "service_chain_address"),
        (info(prefix=["10.2"]), "prefix"),
        (info(prefix=["2001:db8::/64"]), "prefix"),
    ],
)
def test_a_refusal_names_the_field(bad: ServiceChainInfo, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        service_chain("front", INET, bad)
    cloud = Cloud()
    cloud.configure(bad)
    assert not cloud.chains.configured


class Counting(ServiceChains):
    """Counts the keys that are said anew."""

    keys = 0

    def _say(self, chain: Any, keys: Any) -> None:
        keys = list(keys)
        self.keys += len(keys)
        super()._say(chain, keys)


def test_a_changed_route_costs_what_it_changes() -> None:
    """Not a walk of all that the chain has."""
    cloud = Cloud()
    cloud.chains = chains = Counting(ConfigGraph(), cloud.instances)
    cloud.configure(info(prefix=[f"10.2.{n}.0/24" for n in range(256)]))
    cloud.say("front", "10.1.1.3/32", AGENTS[0], 20)
    found = cloud.instances.get("right")
    assert found is not None
    attributes = ATTRIBUTES.intern(PathAttributes(next_hop=AGENTS[1].address))
    for number in range(10_000):
        key = prefix_from_text(f"10.2.{number // 200}.{number % 200}/32")
        found.tables[INET].add(key, Path(AGENTS[1], attributes, 30))
    cloud.rib.process()
    chains.keys = 0
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 31)
    cloud.say("right", "10.2.0.5/32", AGENTS[1], 0)
    assert chains.keys == 0
    cloud.say("right", "10.2.250.1/32", AGENTS[1], 31)
    assert chains.keys == 1
    cloud.hear("172.16.0.0/16", 99)
    assert chains.keys == 2


SHOWN = (
    "src_virtual_network",
    "dest_virtual_network",
    "service_instance",
    "family",
    "src_rt_instance",
    "dest_rt_instance",
    "service_chain_addr",
    "state",
    "pending_reason",
)
EVENTS = st.one_of(
    st.tuples(st.just("service"), st.sampled_from(SERVICES), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("inside"), st.sampled_from(INSIDE), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("outside"), st.sampled_from(OUTSIDE), st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("transit"), st.just(""), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("chain"), st.sampled_from(SERVICES), st.integers(0, 3), st.just(0)),
)
ORIGINS: list[tuple[bytes, ...]] = [(), (origin(LEFT),), (origin(OTHER),), (origin(RIGHT),)]
CHAINS: list[list[str] | None] = [None, ["10.2.0.0/16"], ["10.2.4.0/22", "10.2.0.0/24"], []]


def act(cloud: Cloud, event: tuple[str, str, int, int]) -> None:
    what, text, which, label = event
    match what:
        case "service":
            cloud.say("front", f"{text}/32", AGENTS[which], label and label + 20)
        case "inside":
            cloud.say("right", text, AGENTS[which], label and label + 30)
        case "outside":
            cloud.hear(text, label and label + 40, *ORIGINS[which])
        case "transit":
            cloud.exists("right", allow_transit=bool(which))
        case "chain":
            prefixes = CHAINS[which]
            given = info(prefix=prefixes, service_chain_address=text)
            cloud.configure(given if prefixes is not None else None)


def slot(event: tuple[str, str, int, int]) -> tuple[Any, ...]:
    """What an event is about: the last of those about the same thing counts."""
    what, text, which, _ = event
    if what in ("transit", "chain"):
        return (what,)
    return (what, text) if what == "outside" else (what, text, which)


@settings(max_examples=80, deadline=None)
@given(st.lists(EVENTS, max_size=14), st.randoms())
def test_any_history_ends_as_a_fresh_start_does(
    history: list[tuple[str, str, int, int]], order: random.Random
) -> None:
    lived, fresh = Cloud(), Cloud()
    for event in history:
        act(lived, event)
    last = list({slot(event): event for event in history}.values())
    order.shuffle(last)
    for event in last:
        act(fresh, event)
    assert lived.shown() == fresh.shown()


async def test_chains_of_the_store_lead_agents_through_the_service(make_world: Any) -> None:
    """Objects in, routes out: two networks, the service's left side in an instance of its own."""
    left = f"{PROJECT}:left:front"

    def front(*prefixes: str) -> Record:
        chain = info(
            routing_instance=instance_name("right"),
            prefix=list(prefixes),
            service_chain_address="10.1.1.3",
        )
        of_six = info(
            routing_instance=instance_name("right"),
            prefix=["2001:db8:2::/64"],
            service_chain_address="2001:db8:1::3",
        )
        attr = InstanceTargetType()
        text = "target:64512:8000003"
        made = RoutingInstance(
            route_target_refs=[Ref(to=[text], uuid=uuid_of("route-target", text), attr=attr)],
            service_chain_information=chain,
            ipv6_service_chain_information=of_six,
        )
        return record(made, "virtual-network", left)

    world: World = await make_world()
    await world.put(
        *basics("c1", "c2"),
        network("left", LEFT),
        network("right", RIGHT),
        *(target(number) for number in (8000001, 8000002, 8000003)),
        instance("left", t8000001="both", t8000003="import"),
        instance("right", t8000002="both"),
        front("10.2.0.0/16"),
    )
    one, two = await world.host("c1", "192.0.2.1"), await world.host("c2", "192.0.2.2")
    one.join("left", 3)
    one.client.send(Subscribe(left, 8))
    two.join("right", 4)
    for address, label in (("10.1.1.3/32", 21), ("2001:db8:1::3/128", 22)):
        one.client.send(Publish(left, one.item(address, label)))
    two.publish("right", "10.2.0.5/32", 31)
    two.publish("right", "2001:db8:2::5/128", 32)
    await until(lambda: {"10.2.0.0/16", "2001:db8:2::/64"} <= one.prefixes("left"))
    item = one.route("left", "10.2.0.0/16")
    assert isinstance(item, InetItem)
    assert [(hop.address, hop.label) for hop in item.next_hops] == [("192.0.2.1", 21)]
    assert item.virtual_network == f"{PROJECT}:right"
    found = world.service.instances.get(left)
    assert found is not None
    route = found.tables[INET].get(prefix_from_text("10.2.0.0/16"))
    assert route is not None
    assert route.paths[0].rd == bytes((0, 1, 192, 0, 2, 1, 0, 8))
    client = Introspect("127.0.0.1", world.service.introspect_port)
    (answer,) = await client.fetch("ShowServiceChainReq", {"search_string": ":front"})
    shown, of_six = rows([answer], "ShowServicechainInfo")
    assert {name: shown.findtext(name) for name in SHOWN} == {
        "src_virtual_network": f"{PROJECT}:left",
        "dest_virtual_network": f"{PROJECT}:right",
        "service_instance": "default-domain:demo:si",
        "family": "inet",
        "src_rt_instance": left,
        "dest_rt_instance": instance_name("right"),
        "service_chain_addr": "10.1.1.3",
        "state": "active",
        "pending_reason": "",
    }
    assert of_six.findtext("family") == "inet6"
    assert shown.findtext("connected_route//ShowRoute/prefix") == "10.1.1.3/32"
    (prefix,) = shown.iterfind("more_specifics/list/PrefixToRouteListInfo")
    assert prefix.findtext("aggregate") == "true"
    assert prefix.findtext("more_specific_list/list/element") == "10.2.0.5/32"
    assert (
        prefix.findtext("aggregate_rt/ShowRoute/paths/list/ShowRoutePath/protocol")
        == "ServiceChain"
    )
    await world.put(front("10.2.0.0/24"))
    await until(lambda: "10.2.0.0/24" in one.prefixes("left"))
    assert "10.2.0.0/16" not in one.prefixes("left")
    two.withdraw("right", "10.2.0.5/32")
    await until(lambda: "10.2.0.0/24" not in one.prefixes("left"))
    await one.stop()
    two.join("left", 5)
    await world.remove(front())
    await until(lambda: not two.prefixes("left"))
