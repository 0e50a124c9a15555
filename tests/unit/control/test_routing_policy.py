"""Routing policies: conditions, actions, and that only what is said and configured counts."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from tests.unit.control.cores import both_cores
from tests.unit.control.policies import policy, policy_object, term
from tests.unit.control.test_replication import (
    NEXT_HOP,
    PREFIX,
    RD,
    VPN,
    Cloud,
    attributes,
    config,
    dump,
    rt,
    two_networks,
)

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SET, Segment, path_text, prepend
from tungsten.bgp.families import INET6
from tungsten.bgp.nlri import prefix_from_text
from tungsten.control.paths import Path, PathFlag, Protocol, Source
from tungsten.control.routing_policy import MOST_COMMUNITIES, RoutingPolicy, problems
from tungsten.control.routing_policy_config import place, routing_policy

pytestmark = both_cores
REJECTED = PathFlag.ROUTING_POLICY_REJECT
A = config("a", {1}, {1}, 4)
B = config("b", {1, 2}, {2}, 5)


def with_policies(*policies: RoutingPolicy) -> Cloud:
    cloud = two_networks()
    cloud.put(replace(A, policies=policies))
    return cloud


def judged(cloud: Cloud, key: bytes = PREFIX) -> tuple[int | None, bool]:
    """Local preference of the path in ``a``, and whether it is used."""
    (path,) = cloud.paths("a", key)
    return path.attributes.local_preference, path.is_feasible


def matches(condition: dict[str, Any], *extended: bytes, **said: Any) -> bool:
    """Whether a path of an agent is one that a condition describes."""
    cloud = with_policies(policy("p", term("reject", **condition)))
    values = {name: said.pop(name) for name in ("sub_protocol", "flags") if name in said}
    path = Path(cloud.agent, attributes(*extended, **said), 20, rd=RD, **values)
    cloud.table("a").add(PREFIX, path)
    cloud.rib.process()
    (found,) = cloud.paths("a")
    assert found.attributes == attributes(*extended, **said)
    return found.flags == REJECTED


# --- conditions


@pytest.mark.parametrize(
    ("prefix", "kind", "wanted"),
    [
        ("10.1.1.3/32", "exact", True),
        ("10.1.1.0/24", "exact", False),
        ("10.1.1.0/24", None, False),
        ("10.1.1.0/24", "longer", True),
        ("10.1.1.3/32", "longer", False),
        ("10.1.1.3/32", "orlonger", True),
        ("10.1.0.0/20", "orlonger", True),
        ("10.1.2.0/23", "orlonger", False),
        ("0.0.0.0/0", "orlonger", True),
        ("10.1.1.2/31", "longer", True),
        ("::/0", "orlonger", False),
    ],
)
def test_prefixes(prefix: str, kind: str | None, wanted: bool) -> None:
    assert matches({"prefix": [{"prefix": prefix, "prefix_type": kind}]}) is wanted
    other = {"prefix": "192.168.0.0/16"}
    assert matches({"prefix": [other, {"prefix": prefix, "prefix_type": kind}]}) is wanted


def test_prefixes_of_ipv6_are_matched_in_its_table() -> None:
    cloud = with_policies(
        policy("p", term("reject", prefix=[{"prefix": "fd00::/8", "prefix_type": "longer"}]))
    )
    table = cloud.rib.vrf_table("a", INET6)
    for text in ("fd00::3/128", "2001:db8::3/128"):
        table.add(prefix_from_text(text), Path(cloud.agent, attributes(), 20, rd=RD))
    cloud.rib.process()
    found = {route.key: route.paths[0].is_feasible for route in table.routes()}
    assert found == {
        prefix_from_text("fd00::3/128"): False,
        prefix_from_text("2001:db8::3/128"): True,
    }
    assert not with_ipv4(cloud)


def with_ipv4(cloud: Cloud) -> bool:
    """Whether a key of IPv4 with the octets of that prefix is taken for one of IPv6."""
    key = prefix_from_text("253.0.0.3/32")
    cloud.say("a", key)
    (path,) = cloud.paths("a", key)
    return not path.is_feasible


@pytest.mark.parametrize(
    ("protocol", "speaker", "sub_protocol", "wanted"),
    [
        ("xmpp", Protocol.XMPP, "interface", True),
        ("xmpp", Protocol.BGP, "", False),
        ("bgp", Protocol.BGP, "", True),
        ("bgp", Protocol.XMPP, "", False),
        ("static", Protocol.STATIC, "static", True),
        ("service-chain", Protocol.SERVICE_CHAIN, "service-interface", True),
        ("aggregate", Protocol.AGGREGATE, "", True),
        ("interface", Protocol.XMPP, "interface", True),
        ("interface", Protocol.XMPP, "interface-static", False),
        ("interface-static", Protocol.XMPP, "interface-static", True),
        ("service-interface", Protocol.SERVICE_CHAIN, "service-interface", True),
        ("bgpaas", Protocol.BGP, "bgpaas", True),
        ("bgpaas", Protocol.BGP, "", False),
    ],
)
def test_protocols(protocol: str, speaker: Protocol, sub_protocol: str, wanted: bool) -> None:
    cloud = with_policies(policy("p", term("reject", protocol=[protocol])))
    source = Source("s", speaker, NEXT_HOP)
    path = Path(source, attributes(), 20, rd=RD, sub_protocol=sub_protocol)
    cloud.table("a").add(PREFIX, path)
    cloud.rib.process()
    assert judged(cloud)[1] is not wanted
    cloud.put(replace(A, policies=(policy("p", term("reject", protocol=["bgpaas", protocol])),)))
    assert judged(cloud)[1] is not wanted


@pytest.mark.parametrize(
    ("listed", "all_of", "wanted"),
    [
        (["no-export"], False, True),
        (["no-advertise", "no-export"], False, True),
        (["no-advertise", "no-export"], True, False),
        (["64512:7", "no-export"], True, True),
        (["64512:8"], False, False),
        (["64512:*"], True, True),
        (["6451.:[0-9]"], False, True),
        (["645:.*"], False, False),
        (["64512:.*", "65000:.*"], True, False),
    ],
)
def test_communities(listed: list[str], all_of: bool, wanted: bool) -> None:
    said = (communities.NO_EXPORT, 64512 << 16 | 7)
    condition = {"community_list": listed, "community_match_all": all_of}
    assert matches(condition, communities=said) is wanted
    assert matches({"community": listed[0]}, communities=()) is False


@pytest.mark.parametrize(
    ("listed", "all_of", "wanted"),
    [
        (["target:64512:1"], False, True),
        (["target:64512:2"], False, False),
        (["target:64512:1", "encapsulation:udp"], True, True),
        (["target:64512:1", "encapsulation:vxlan"], True, False),
        (["target:64512:.*"], False, True),
        (["target:.*:(1|2)", "encapsulation:(udp|gre)"], True, True),
        (["target:64512"], False, False),
    ],
)
def test_extended_communities(listed: list[str], all_of: bool, wanted: bool) -> None:
    carried = [communities.route_target(64512, 1), communities.encapsulation("udp")]
    condition = {"extcommunity_list": listed, "extcommunity_match_all": all_of}
    assert matches(condition, *carried) is wanted


def test_all_that_a_condition_says_must_fit() -> None:
    said: dict[str, Any] = {"communities": (communities.NO_EXPORT,), "sub_protocol": "interface"}
    condition = {
        "prefix": [{"prefix": "10.0.0.0/8", "prefix_type": "longer"}],
        "protocol": ["interface"],
        "community_list": ["no-export"],
    }
    assert matches(condition, **said)
    for name, other in (
        ("prefix", [{"prefix": "11.0.0.0/8", "prefix_type": "longer"}]),
        ("protocol", ["bgp"]),
        ("community_list", ["no-advertise"]),
    ):
        assert not matches(condition | {name: other}, **said), name


# --- actions


def updated(*updates: Any, **said: Any) -> Any:
    """The attributes of a path after terms with these updates; ``x`` are its extended ones."""
    extended = said.pop("x", ())
    cloud = with_policies(policy("p", *(term("next", update) for update in updates)))
    cloud.table("a").add(PREFIX, Path(cloud.agent, attributes(*extended, **said), 20, rd=RD))
    cloud.rib.process()
    (path,) = cloud.paths("a")
    return path.attributes


def test_numbers_are_set() -> None:
    found = updated({"local_pref": 300, "med": 0}, med=9)
    assert (found.local_preference, found.med) == (300, 0)


def test_as_path_is_expanded_in_the_order_given() -> None:
    expand = {"as_path": {"expand": {"asn_list": [65001, 70000]}}}
    assert path_text(updated(expand).as_path) == "65001 70000"
    assert path_text(updated(expand, as_path=prepend((), 64513)).as_path) == "65001 70000 64513"
    behind_a_set = updated(expand, as_path=(Segment(AS_SET, (1, 2)),))
    assert path_text(behind_a_set.as_path) == "65001 70000 {1,2}"
    long = {"as_path": {"expand": {"asn_list": [65001] * 255}}}
    assert len(updated(long, long).as_path) == 2
    assert len(path_text(updated(*[long] * 9).as_path).split()) <= 1000


def test_communities_are_added_removed_and_set() -> None:
    seven, eight = 64512 << 16 | 7, 64512 << 16 | 8
    said = (communities.NO_EXPORT, seven)

    def of(**change: list[str]) -> tuple[int, ...]:
        named = {name: {"community": listed} for name, listed in change.items()}
        return tuple(updated({"community": named}, communities=said).communities)

    assert of(add=["64512:8", "64512:7"]) == (*said, eight)
    assert of(remove=["no-export", "64512:9"]) == (seven,)
    assert of(remove=["64512:*"]) == (communities.NO_EXPORT,)
    assert of(set=["64512:8", "accept-own"]) == (eight, communities.ACCEPT_OWN)


def test_change_that_would_make_too_many_communities_is_not_made() -> None:
    def added(count: int) -> int:
        listed = [f"target:64512:{number}" for number in range(count)]
        change = {"extcommunity": {"add": {"community": listed}}, "local_pref": 7}
        found = updated(change)
        assert found.local_preference == 7
        return len(found.extended_communities)

    assert added(MOST_COMMUNITIES) == MOST_COMMUNITIES
    assert added(MOST_COMMUNITIES + 1) == 0


def test_extended_communities_are_added_removed_and_set() -> None:
    said = (rt(1), communities.encapsulation("udp"))

    def of(**change: list[str]) -> tuple[bytes, ...]:
        named = {name: {"community": listed} for name, listed in change.items()}
        return tuple(updated({"extcommunity": named}, x=said).extended_communities)

    assert of(add=["target:64512:3"]) == (*said, rt(3))
    assert of(remove=["target:64512:1"]) == said[1:]
    assert of(remove=["target:.*"]) == said[1:]
    assert of(set=["target:64512:3"]) == (rt(3),)


def test_a_term_sees_what_the_terms_before_it_made() -> None:
    found = updated({"community": {"add": {"community": ["64512:7"]}}})
    assert found.communities
    cloud = with_policies(
        policy(
            "p",
            term("next", {"community": {"add": {"community": ["64512:7"]}}}),
            term("accept", {"local_pref": 200}, community_list=["64512:7"]),
        )
    )
    cloud.say("a", PREFIX)
    assert judged(cloud) == (200, True)


def test_the_first_term_that_decides_ends_it_all() -> None:
    cloud = with_policies(
        policy("p", term("accept", {"local_pref": 150}), term("reject")),
        policy("q", term("accept", {"local_pref": 250})),
    )
    cloud.say("a", PREFIX)
    assert judged(cloud) == (150, True)


def test_next_goes_on_with_what_was_made() -> None:
    cloud = with_policies(
        policy("p", term("next", {"local_pref": 150}), term(None, {"med": 5})),
        policy("q", term("accept", {"local_pref": 250}, protocol=["bgp"])),
    )
    cloud.say("a", PREFIX)
    assert judged(cloud) == (150, True)
    assert cloud.paths("a")[0].attributes.med == 5


def test_next_policy_passes_over_the_rest_of_its_own() -> None:
    cloud = with_policies(
        policy("p", term("next", {"local_pref": 150}, "policy"), term("reject")),
        policy("q", term("next", {"med": 6})),
    )
    cloud.say("a", PREFIX)
    assert judged(cloud) == (150, True)
    assert cloud.paths("a")[0].attributes.med == 6


def test_what_no_term_matches_is_unchanged() -> None:
    cloud = with_policies(policy("p", term("reject", {"local_pref": 1}, protocol=["bgp"])))
    cloud.say("a", PREFIX)
    (path,) = cloud.paths("a")
    assert path.attributes is attributes()
    assert path.original is None
    assert path.flags is PathFlag.NONE


# --- what it does to routes


def test_rejected_path_stays_visible_and_is_copied_nowhere() -> None:
    cloud = with_policies(policy("p", term("reject", {"local_pref": 300})))
    cloud.say("a", PREFIX)
    (path,) = cloud.paths("a")
    assert path.flags == REJECTED
    assert path.attributes is attributes()
    assert not cloud.paths("b")
    assert not len(cloud.table(VPN))


def test_copies_carry_what_policy_made() -> None:
    add = {"extcommunity": {"add": {"community": ["target:64512:9"]}}, "local_pref": 300}
    cloud = with_policies(policy("p", term("accept", add)))
    cloud.put(config("c", {9}, set(), 6))
    cloud.say("a", PREFIX)
    (own,) = cloud.paths("a")
    assert own.original is attributes()
    for copy in (*cloud.paths("b"), *cloud.paths("c"), *cloud.paths(VPN, RD + PREFIX)):
        assert copy.attributes.local_preference == 300
        assert rt(9) in copy.attributes.extended_communities
        assert copy.original is None
    assert cloud.paths("c")
    cloud.put(A)
    assert not cloud.paths("c"), "the target was the policy's"
    assert cloud.paths("a")[0].attributes is attributes()
    assert cloud.paths("a")[0].original is None


def test_policy_acts_on_copies_from_elsewhere() -> None:
    cloud = with_policies(policy("p", term("reject", protocol=["bgp"])))
    cloud.say(VPN, RD + PREFIX, rt(1))
    (into_a,) = cloud.paths("a")
    assert into_a.flags == REJECTED
    (into_b,) = cloud.paths("b")
    assert into_b.is_feasible, "it is not b's policy"
    cloud.put(A)
    assert cloud.paths("a")[0].is_feasible


def test_copies_of_service_chain_routes_are_left_alone() -> None:
    cloud = with_policies(policy("p", term("reject")))
    chain = Source("chain", Protocol.SERVICE_CHAIN)
    for name in ("a", "b"):
        path = Path(chain, attributes(rt(1)), 20, rd=RD)
        cloud.table(name).add(PREFIX, path)
    cloud.rib.process()
    found = {path.is_primary: path.is_feasible for path in cloud.paths("a")}
    assert found == {True: False, False: True}


def test_copies_from_ones_own_sub_cluster_are_left_alone() -> None:
    own, other = (communities.parse_extended(f"subcluster:64512:{n}") for n in (1, 2))
    cloud = with_policies(policy("p", term("reject")))
    cloud.instances.set_sub_cluster(own)
    cloud.say(VPN, RD + PREFIX, rt(1), own)
    key = prefix_from_text("10.1.1.4/32")
    cloud.say(VPN, RD + key, rt(1), other)
    cloud.say("a", prefix_from_text("10.1.1.5/32"), own)
    assert {route.key[4]: route.paths[0].is_feasible for route in cloud.table("a").routes()} == {
        3: True,
        4: False,
        5: False,
    }
    cloud.instances.set_sub_cluster(other)
    cloud.rib.process()
    assert {route.key[4]: route.paths[0].is_feasible for route in cloud.table("a").routes()} == {
        3: False,
        4: True,
        5: False,
    }


def test_stale_and_long_lived_paths_remember_what_was_said() -> None:
    cloud = with_policies(policy("p", term("accept", {"local_pref": 300})))
    cloud.say("a", PREFIX)
    cloud.rib.stale(cloud.agent)
    cloud.rib.process()
    (path,) = cloud.paths("a")
    assert (path.flags, path.attributes.local_preference) == (PathFlag.STALE, 300)
    cloud.put(A)
    (path,) = cloud.paths("a")
    assert (path.flags, path.attributes) == (PathFlag.STALE, attributes())
    cloud.say("a", PREFIX)
    assert cloud.paths("a")[0].flags is PathFlag.NONE


def test_saying_the_same_again_is_no_work() -> None:
    cloud = with_policies(policy("p", term("accept", {"local_pref": 300})))
    cloud.say("a", PREFIX)
    cloud.table("a").add(PREFIX, Path(cloud.agent, attributes(), 20, rd=RD))
    assert cloud.rib.is_settled
    (path,) = cloud.paths("a")
    cloud.table("a").add(PREFIX, replace(path.as_said(), modified=2.0))
    assert cloud.rib.is_settled


def test_policy_decides_which_path_is_best() -> None:
    cloud = with_policies(
        policy("p", term("accept", {"local_pref": 50}, community_list=["64512:7"]))
    )
    other = Source("c2", Protocol.XMPP, bytes([192, 0, 2, 2]))
    cloud.table("a").add(
        PREFIX, Path(cloud.agent, attributes(communities=(64512 << 16 | 7,)), 20, rd=RD)
    )
    cloud.table("a").add(PREFIX, Path(other, attributes(), 21, rd=RD[:7] + b"\4"))
    cloud.rib.process()
    assert [path.source.name for path in cloud.paths("a")] == ["c2", "c1"]
    assert {path.source.name for path in cloud.paths("b")} == {"c2"}
    cloud.put(A)
    assert len(cloud.paths("b")) == 2


def test_instance_that_is_made_anew_has_no_policy() -> None:
    cloud = with_policies(policy("p", term("reject")))
    cloud.say("a", PREFIX)
    cloud.instances.delete("a")
    cloud.rib.process()
    cloud.put(A)
    cloud.say("a", PREFIX)
    assert judged(cloud) == (None, True)


# --- order


EVENTS = ("policy", "config", "agent", "router", "mark", "other policy")


@pytest.mark.parametrize("order", list(permutations(EVENTS)))
def test_order_of_configuration_and_routes_does_not_matter(order: tuple[str, ...]) -> None:
    told = happened(order)
    assert told == happened(EVENTS)
    rejected = [path for path in told["b.inet.0"][PREFIX] if path[5] & REJECTED]
    assert len(rejected) == 1, "the router's copy"


def happened(order: tuple[str, ...]) -> Any:
    """What tables hold after these events in this order, dealt with one by one at random."""
    mine = policy("mine", term("next", {"local_pref": 300, "med": 4}, protocol=["xmpp"]))
    theirs = policy("theirs", term("reject", protocol=["bgp"]), term("next", {"local_pref": 120}))
    cloud, draw = Cloud(), random.Random(repr(order))
    now = {"a": A, "b": B}
    cloud.put(*now.values())
    for what in order:
        match what:
            case "policy":
                now["a"] = replace(now["a"], policies=(mine,))
            case "config":
                now["a"] = replace(now["a"], exports=frozenset({rt(1), rt(5)}))
            case "other policy":
                now["b"] = replace(now["b"], policies=(theirs,))
            case "agent":
                cloud.table("a").add(PREFIX, Path(cloud.agent, attributes(), 20, rd=RD))
            case "router":
                said = Path(cloud.router, attributes(rt(2)), 30)
                cloud.table(VPN).add(RD[:7] + b"\7" + PREFIX, said)
            case "mark":
                cloud.table("a").set_contributing(prefix_from_text("10.1.1.9/32"), True)
        for each in now.values():
            cloud.instances.put(each)
        if draw.random() < 0.5:
            cloud.rib.process(draw.choice([1, 2, None]))
    cloud.rib.process()
    return dump(cloud)


def test_many_routes_are_judged_anew_in_slices() -> None:
    cloud = two_networks()
    keys = [prefix_from_text(f"10.{n >> 8}.{n & 255}.0/24") for n in range(500)]
    for key in keys:
        cloud.table("a").add(key, Path(cloud.agent, attributes(), 20, rd=RD))
    cloud.rib.process()
    reject = policy(
        "p", term("reject", prefix=[{"prefix": "10.0.0.0/16", "prefix_type": "longer"}])
    )
    cloud.instances.put(replace(A, policies=(reject,)))
    slices = 1
    while not cloud.rib.process(100):
        slices += 1
    assert slices > 4
    assert len(cloud.keys("b")) == 500 - 256


@pytest.mark.parametrize("count", [513, 3000])
def test_many_sets_of_attributes_are_judged_in_slices(count: int) -> None:
    cloud = with_policies(policy("p", term("accept", {"local_pref": 300})))
    table = cloud.table("a")
    for n in range(count):
        key = prefix_from_text(f"10.{n >> 8}.{n & 255}.0/24")
        table.add(key, Path(cloud.agent, attributes(med=n), 20, rd=RD))
    for _ in range(3):
        cloud.rib.process(2048)
    cloud.rib.process()
    found = [route.paths[0] for route in table.routes()]
    assert {path.attributes.local_preference for path in found} == {300}
    assert {path.attributes.med for path in found} == set(range(count))
    assert len(cloud.keys("b")) == count


# --- configuration


def test_policies_stand_in_the_order_of_their_sequence() -> None:
    given = ["2", None, "1.10", "1", "10", "1.9", "x"]
    assert sorted(given, key=place) == ["1", "1.9", "1.10", "2", "10", None, "x"]


def test_policy_for_devices_does_not_act_here() -> None:
    assert routing_policy(policy_object("p", term("reject"), term_type="network-device")) is None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (term(prefix=[{"prefix": "10.0.0.0/33"}]), "prefix: "),
        (term(prefix=[{"prefix": "10.0.0.0/8", "prefix_type": "upto"}]), "prefix_type: upto"),
        (term(protocol=["ospf"]), "protocol: ospf"),
        (term(community_list=["(64512"]), "community: a ( that is not closed"),
        (term(extcommunity_list=["target:\\1"]), "extcommunity: \\1 is not understood"),
        (term(local_pref=5), "local_pref: only devices"),
        (term(as_path=[5]), "as_path: only devices"),
        (term(update={"local_pref": -1}), "local_pref: -1"),
        (term(update={"med": 1 << 32}), "med: 4294967296"),
        (term(update={"as_path": {"expand": {"asn_list": [0]}}}), "as_path: "),
        (term(update={"community": {"add": {"community": ["64512:*"]}}}), "community add: "),
        (term(update={"extcommunity": {"set": {"community": ["tgt:1"]}}}), "extcommunity set: "),
        (term("drop"), "action: drop"),
    ],
)
def test_term_that_cannot_be_read_matches_nothing(given: Any, problem: str) -> None:
    found = policy("p", given, term("next", {"local_pref": 200}))
    (text,) = problems([found])
    assert text.startswith(f"default-domain:demo:p term 1: {problem}")
    cloud = with_policies(found)
    cloud.say("a", PREFIX)
    assert judged(cloud) == (200, True), "the other terms hold"
