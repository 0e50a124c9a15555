"""Routing policies for tests: objects as people write them, and some out of few at random."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from tungsten.control.routing_policy import RoutingPolicy
from tungsten.control.routing_policy_config import routing_policy
from tungsten.model.routing_policies import RoutingPolicy as PolicyObject


def term(
    action: str | None = None, update: Any = None, next_value: Any = None, **match: Any
) -> Any:
    """A term as JSON of the configuration has it."""
    actions = {"action": action, "update": update, "action_next_value": next_value}
    return {"term_match_condition": match, "term_action_list": actions}


def policy_object(name: str, *terms: Any, **values: Any) -> PolicyObject:
    """A ``routing-policy`` of these terms."""
    body = {"fq_name": ["default-domain", "demo", name], "routing_policy_entries": {"term": terms}}
    return msgspec.convert(body | values, PolicyObject)


def policy(name: str, *terms: Any) -> RoutingPolicy:
    """The policy of these terms."""
    found = routing_policy(policy_object(name, *terms))
    assert found is not None
    return found


_MATCHES: list[dict[str, Any]] = [
    {},
    {"prefix": [{"prefix": "10.0.0.0/16", "prefix_type": "orlonger"}]},
    {"prefix": [{"prefix": "10.0.0.0/24"}, {"prefix": "10.0.0.1/32"}]},
    {"prefix": [{"prefix": "10.0.0.0/24", "prefix_type": "longer"}]},
    {"protocol": ["xmpp"]},
    {"protocol": ["bgp", "static"]},
    {"community_list": ["no-export", "64512:7"]},
    {"community_list": ["64512:*"], "community_match_all": True},
    {"extcommunity_list": ["target:64512:1"]},
    {"extcommunity_list": ["target:64512:.*", "encapsulation:udp"]},
]
_UPDATES: list[dict[str, Any] | None] = [
    None,
    {"local_pref": 200},
    {"local_pref": 50, "as_path": {"expand": {"asn_list": [65001, 65002]}}},
    {"community": {"add": {"community": ["64512:7"]}}},
    {"community": {"remove": {"community": ["no-export"]}}},
    {"extcommunity": {"add": {"community": ["target:64512:2"]}}},
    {"extcommunity": {"remove": {"community": ["target:64512:.*"]}}},
    {"extcommunity": {"set": {"community": ["target:64512:3"]}}},
]
_ACTIONS = ["reject", "accept", "next", None]


def some_policies(draw: random.Random) -> tuple[RoutingPolicy, ...]:
    """None to two policies of few terms."""
    return tuple(
        policy(
            f"p{number}",
            *(
                term(
                    draw.choice(_ACTIONS),
                    draw.choice(_UPDATES),
                    draw.choice([None, "policy"]),
                    **draw.choice(_MATCHES),
                )
                for _ in range(draw.choice([1, 1, 2, 3]))
            ),
        )
        for number in range(draw.choice([0, 1, 1, 2]))
    )
