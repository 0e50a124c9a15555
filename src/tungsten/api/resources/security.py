"""Rules of security-group and network-policy: ids, and what a rule may say."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import msgspec

from tungsten.api.errors import BadRequest, Conflict, Forbidden, echo
from tungsten.api.ids import SECURITY_GROUP_IDS
from tungsten.api.resources.hooks import Hooks
from tungsten.api.transactions import Write
from tungsten.model import NetworkPolicy, SecurityGroup
from tungsten.model.addressing import SubnetType
from tungsten.model.security import PolicyEntriesType, PolicyRuleType
from tungsten.model.traffic import AddressType

PROTOCOLS = {
    "any": 0,
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "gre": 47,
    "ospf": 89,
    "pim": 103,
    "vrrp": 112,
    "sctp": 132,
    "udplite": 136,
    "esp": 50,
    "ah": 51,
    "rsvp": 46,
    "pgm": 113,
    "ipip": 4,
    "icmp6": 58,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "dccp": 33,
}
"""Names of IP protocols that rules may use (IANA's, as OpenStack and this model write them), and
their numbers; ``any`` is 0."""

IPV6_PROTOCOLS = frozenset(
    {
        "icmp6",
        "ipv6-icmp",
        "icmpv6",
        "ipv6-frag",
        "ipv6-nonxt",
        "ipv6-opts",
        "ipv6-route",
        *("43", "44", "58", "59", "60"),
    }
)
"""Protocols that only IPv6 carries: its extension headers and its ICMP. (41 is not one of them:
it is IPv6 inside of something else.)"""


# -- ids ------------------------------------------------------------------------------------


def give_group_id(write: Write, group: SecurityGroup) -> None:
    """A group has the id that its maker configured, or one given by the system."""
    if group.security_group_id is not None:
        raise Forbidden("Cannot set the security group ID")
    if group.configured_security_group_id:
        group.security_group_id = group.configured_security_group_id
        return
    group.configured_security_group_id = 0
    group.security_group_id = SECURITY_GROUP_IDS.allocate(write.tx, group.uuid)


def settle_group_id(write: Write, old: SecurityGroup, new: SecurityGroup) -> None:
    """The id follows the configured one; back at 0 the system gives one again."""
    if new.security_group_id != old.security_group_id:
        raise Forbidden("Cannot update the security group ID")
    before, after = old.configured_security_group_id or 0, new.configured_security_group_id or 0
    if before == after:
        return
    if after:
        if not before and old.security_group_id is not None:
            SECURITY_GROUP_IDS.release(write.tx, old.security_group_id, new.uuid)
        new.security_group_id = after
    else:
        new.security_group_id = SECURITY_GROUP_IDS.allocate(write.tx, new.uuid)


# -- rules ----------------------------------------------------------------------------------


def rules_of(entries: PolicyEntriesType | None) -> list[PolicyRuleType]:
    """The rules of a group or policy."""
    return (entries.policy_rule if entries is not None else None) or []


def settle_rules(rules: list[PolicyRuleType]) -> None:
    """Rules have a uuid each, a protocol that exists, and none stands twice."""
    seen: dict[bytes, str] = {}
    for rule in rules:
        check_protocol(rule.protocol)
        check_carrier(rule)
        if not rule.rule_uuid:
            rule.rule_uuid = str(uuid4())
        key = msgspec.json.encode(
            msgspec.structs.replace(rule, rule_uuid=None, created=None, last_modified=None)
        )
        if key in seen:
            raise Conflict(f"Rule already exists : {seen[key]}")
        seen[key] = rule.rule_uuid


def check_protocol(protocol: str | None) -> None:
    """A protocol is a number from 0 to 255 or a known name."""
    name = (protocol or "").lower()
    if name in PROTOCOLS or (
        name.isascii() and name.isdecimal() and len(name) <= 3 and int(name) <= 255
    ):
        return
    raise BadRequest(f"Rule with invalid protocol : {echo(protocol or '')}")


def check_carrier(rule: PolicyRuleType) -> None:
    """A rule about IPv4 has a protocol that IPv4 carries."""
    if rule.ethertype == "IPv4" and (rule.protocol or "").lower() in IPV6_PROTOCOLS:
        raise BadRequest(f"IPv4 rule with IPv6 protocol : {rule.protocol}")


def subnets_of(addresses: Iterable[AddressType]) -> Iterable[SubnetType]:
    """The subnets that one side of a rule names."""
    for address in addresses:
        if address.subnet is not None:
            yield address.subnet
        yield from address.subnet_list or []


def check_ethertype(rule: PolicyRuleType) -> None:
    """The subnets of a rule are of its ethertype's family."""
    if not rule.ethertype:
        return
    version = 6 if rule.ethertype == "IPv6" else 4
    for subnet in subnets_of([*(rule.src_addresses or []), *(rule.dst_addresses or [])]):
        if not subnet.ip_prefix:
            continue
        text = f"{subnet.ip_prefix}/{subnet.ip_prefix_len}"
        if ip_network(text, strict=False).version != version:
            raise BadRequest(f"Rule subnet {text} doesn't match ethertype {rule.ethertype}")


def check_local_side(rule: PolicyRuleType) -> None:
    """One side of a group's rule is the interface that it protects."""
    sides = [*(rule.src_addresses or []), *(rule.dst_addresses or [])]
    if not any(address.security_group == "local" for address in sides):
        raise BadRequest("At least one of source or destination addresses must be 'local'")


def check_group_rules(write: Write, group: SecurityGroup) -> None:
    """The rules of a security group."""
    rules = rules_of(group.security_group_entries)
    settle_rules(rules)
    for rule in rules:
        check_ethertype(rule)
        check_local_side(rule)


def check_policy_rules(write: Write, policy: NetworkPolicy) -> None:
    """The rules of a network policy: each has an action, none is about a security group."""
    rules = rules_of(policy.network_policy_entries)
    settle_rules(rules)
    for rule in rules:
        if rule.action_list is None:
            raise BadRequest("Action is required")
        for address in [*(rule.src_addresses or []), *(rule.dst_addresses or [])]:
            if address.security_group:
                raise BadRequest(
                    "Config Error: policy rule refering to security group is not allowed"
                )


HOOKS: dict[str, Hooks[Any]] = {
    "security-group": Hooks[SecurityGroup](
        create=(give_group_id, check_group_rules),
        update=(settle_group_id, lambda write, old, new: check_group_rules(write, new)),
    ),
    "network-policy": Hooks[NetworkPolicy](
        create=(check_policy_rules,),
        update=(lambda write, old, new: check_policy_rules(write, new),),
    ),
}
