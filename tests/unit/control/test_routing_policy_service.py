"""Routing policies of the configuration: they act in the instances that they are attached to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.unit.control.control_world import (
    PROJECT,
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
from tests.unit.control.cores import both_cores
from tests.unit.control.policies import policy_object, term

from tungsten.bgp.families import INET
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.paths import PathFlag
from tungsten.introspect.client import Introspect, rows
from tungsten.model.bgp import BgpRouter
from tungsten.model.networks import RoutingPolicyType
from tungsten.model.nodes import SubCluster
from tungsten.store.base import Record
from tungsten.xmpp.stanzas import InetItem

pytestmark = both_cores
PREFIX = "10.1.1.3/32"


def attached(name: str, *terms: Any, **sequences: str | None) -> Record:
    """A policy of these terms, attached to networks with a sequence each."""
    found = policy_object(name, *terms)
    found.routing_instance_refs = [
        ref("routing-instance", instance_name(net), RoutingPolicyType(sequence=sequence))
        for net, sequence in sequences.items()
    ]
    return record_of(found, "project", f"{PROJECT}:{name}")


async def two_hosts(world: World) -> tuple[Any, Any]:
    """Network ``a`` with a host that publishes and one that listens."""
    await world.put(*basics("c1", "c2"), network("a", 4), target(8000001))
    await world.put(instance("a", t8000001="both"))
    one, two = await world.host("c1", "192.0.2.1"), await world.host("c2", "192.0.2.2")
    one.join("a", 3)
    two.join("a", 7)
    one.publish("a", PREFIX, 27)
    await until(lambda: two.prefixes("a") == {PREFIX})
    return one, two


def preference(host: Any) -> int | None:
    item = host.route("a", PREFIX)
    return item.local_preference if isinstance(item, InetItem) else None


async def test_attached_policies_act_in_the_order_of_their_sequence(world: World) -> None:
    _, two = await two_hosts(world)
    first = term("accept", {"local_pref": 210}), term("reject")
    await world.put(attached("first", *first, a="1.0"))
    await until(lambda: preference(two) == 210)
    await world.put(attached("before", term("accept", {"local_pref": 220}), a="0.5"))
    await until(lambda: preference(two) == 220)
    await world.put(attached("before", term("accept", {"local_pref": 220}), a="2.0"))
    await until(lambda: preference(two) == 210)
    await world.remove(attached("first", *first, a="1.0"))
    await until(lambda: preference(two) == 220)
    await world.put(attached("before", term("reject"), a="2.0"))
    await until(lambda: not two.prefixes("a"))
    await world.put(attached("before", term("reject")))
    await until(lambda: two.prefixes("a") == {PREFIX})
    assert preference(two) == 100


async def test_policy_may_come_with_the_instance_that_it_is_attached_to(world: World) -> None:
    await world.put(
        attached("p", term("reject"), a="1.0"),
        *basics("c1"),
        network("a", 4),
        target(8000001),
        instance("a", t8000001="both"),
    )
    one = await world.host("c1", "192.0.2.1")
    one.join("a", 3)
    one.publish("a", PREFIX, 27)
    table = world.service.rib.vrf_table(instance_name("a"), INET)
    await until(lambda: table.get(prefix_from_text(PREFIX)))
    route = table.get(prefix_from_text(PREFIX))
    assert route is not None
    await until(lambda: route.paths[0].flags == PathFlag.ROUTING_POLICY_REJECT)


async def test_introspect_shows_policies_and_what_they_match(
    make_world: Callable[..., Awaitable[World]],
) -> None:
    world = await make_world(introspect_listen="127.0.0.1:0")
    one, two = await two_hosts(world)
    one.publish("a", "10.1.1.4/32", 28)
    match = {
        "prefix": [{"prefix": "10.1.1.0/30", "prefix_type": "orlonger"}],
        "protocol": ["xmpp", "bgp"],
        "community_list": ["no-export"],
        "extcommunity_list": ["target:64512:1", "target:.*:2"],
        "extcommunity_match_all": True,
    }
    update = {
        "local_pref": 220,
        "med": 3,
        "as_path": {"expand": {"asn_list": [1, 2]}},
        "community": {"add": {"community": ["64512:1"]}, "remove": {"community": ["64512:*"]}},
        "extcommunity": {"set": {"community": ["target:64512:9"]}},
    }
    await world.put(
        attached("p", term("next", {"med": 7}), term("reject", prefix=match["prefix"]), a="1.0"),
        attached("q", term("accept", update, **match), term(local_pref=3)),
    )
    await until(lambda: two.prefixes("a") == {"10.1.1.4/32"})
    client = Introspect("127.0.0.1", world.service.introspect_port)
    (answer,) = await client.fetch("ShowRoutingPolicyReq", {"search_string": ":p"})
    (policy,) = rows([answer], "ShowRoutingPolicyInfo")
    assert policy.findtext("name") == f"{PROJECT}:p"
    assert policy.findtext("ref_count") == "1"
    assert policy.findtext("instances/list/element") == instance_name("a")
    terms = list(rows([answer], "PolicyTermInfo"))
    assert [each.findtext("terminal") for each in terms] == ["false", "true"]
    assert [each.findtext("paths") for each in terms] == ["2", "1"]
    assert terms[1].findtext("matches/list/element") == "prefix [ 10.1.1.0/30 orlonger ]"
    (answer,) = await client.fetch("ShowRoutingPolicyReq", {"search_string": ":q"})
    first, second = rows([answer], "PolicyTermInfo")
    assert [each.text for each in first.findall("matches/list/element")] == [
        "protocol [ bgp xmpp ]",
        "prefix [ 10.1.1.0/30 orlonger ]",
        "community (any) [ no-export ]",
        "extcommunity (all) [ target:64512:1 target:.*:2 ]",
    ]
    assert [each.text for each in first.findall("actions/list/element")] == [
        "as-path expand [ 1 2 ]",
        "community add [ 64512:1 ]",
        "community remove [ 64512:[0-9]* ]",
        "extcommunity set [ target:64512:9 ]",
        "local-pref 220",
        "med 3",
        "accept",
    ]
    assert second.findtext("problem") == "local_pref: only devices can tell"
    assert second.findtext("matches/list/element") == "nothing: local_pref: only devices can tell"
    (config,) = await client.fetch("ShowBgpRoutingPolicyConfigReq")
    found = list(rows([config], "ShowBgpRoutingPolicyConfig"))
    assert [each.findtext("name") for each in found] == [f"{PROJECT}:p", f"{PROJECT}:q"]
    assert found[0].findtext(".//action") == "med 7, next"
    (shown,) = await client.fetch("ShowRoutingInstanceReq", {"search_string": ":a:a"})
    (named,) = rows([shown], "ShowInstanceRoutingPolicyInfo")
    assert named.findtext("policy_name") == f"{PROJECT}:p"
    routes = await client.fetch("ShowRouteReq", {"routing_table": f"{instance_name('a')}.inet.0"})
    flags = {
        route.findtext("prefix"): route.findtext("paths/list/ShowRoutePath/flags/list/element")
        for route in rows(list(routes), "ShowRoute")
    }
    assert flags == {PREFIX: "RoutingPolicyReject", "10.1.1.4/32": "None"}


async def test_node_knows_its_sub_cluster(world: World) -> None:
    name = f"default-domain:default-project:ip-fabric:__default__:{world.service.settings.name}"
    cluster = SubCluster(sub_cluster_asn=64512, sub_cluster_id=7)
    router = BgpRouter(sub_cluster_refs=[ref("sub-cluster", f"{PROJECT}:s")])
    await world.put(*basics(), record_of(cluster, "", f"{PROJECT}:s"))
    await world.put(record_of(router, "", name))
    await until(lambda: world.service.instances.sub_cluster)
    assert world.service.instances.sub_cluster == b"\x80\x85\xfc\x00\x00\x00\x00\x07"
