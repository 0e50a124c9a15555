"""Security groups: the access control lists that hosts apply.

A rule of a security group names its own interfaces ``local``, on one side. Where the source is
local the rule concerns what leaves them and goes to the group's *egress* list, where the
destination is local to its *ingress* list; a rule with both is one of ingress. The local side
becomes an empty address. Lists are whitelists: every rule of theirs passes, and what matches
none is dropped, so a rule that cannot be understood is left out.

Groups named in a rule become their numeric ids, which is what routes carry: ``any`` is -1. A
name that no group has (yet) takes its address out of the rule; the rule is compiled again when
such a group appears.
"""

from __future__ import annotations

import hashlib

import msgspec

from tungsten.compiler.derived import Object, Output
from tungsten.compiler.engine import query
from tungsten.compiler.graph import Graph
from tungsten.compiler.protocols import protocol_number
from tungsten.model import AccessControlList, SecurityGroup
from tungsten.model.security import AclEntriesType, AclRuleType, PolicyRuleType
from tungsten.model.traffic import ActionListType, AddressType, MatchConditionType, PortType

LOCAL = "local"
ANY = "any"
ANY_ID = "-1"
INGRESS = "ingress-access-control-list"
EGRESS = "egress-access-control-list"
ALL_PORTS = PortType(start_port=0, end_port=65535)


@query
def group_id(graph: Graph, name: tuple[str, ...]) -> str | None:
    """The numeric id, as text, of the security group of this name."""
    uuid = graph.named(SecurityGroup, name)
    group = None if uuid is None else graph.get(SecurityGroup, uuid)
    if group is None:
        return None
    number = group.configured_security_group_id or group.security_group_id
    return None if number is None else str(number)


@query
def security_group(graph: Graph, uuid: str) -> Output:
    """Root: a security group's two access control lists, which always exist."""
    group = graph.get(SecurityGroup, uuid)
    if group is None:
        return ()
    entries = group.security_group_entries
    lists: dict[str, list[AclRuleType]] = {INGRESS: [], EGRESS: []}
    for rule in (entries.policy_rule if entries is not None else None) or ():
        for name, compiled in _compile(graph, rule):
            lists[name].append(compiled)
    return tuple(_list(group, uuid, name, rules) for name, rules in lists.items())


def _list(group: SecurityGroup, uuid: str, name: str, rules: list[AclRuleType]) -> Object:
    entries = AclEntriesType(acl_rule=rules)
    return Object(
        AccessControlList(
            fq_name=[*group.fq_name, name],
            parent_type="security-group",
            parent_uuid=uuid,
            access_control_list_entries=entries,
            access_control_list_hash=entries_hash(entries),
        )
    )


def entries_hash(entries: AclEntriesType) -> int:
    """64 bits that tell one list of rules from another, the same in every process."""
    body = msgspec.json.encode(entries, order="deterministic")
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big")


def _compile(graph: Graph, rule: PolicyRuleType) -> list[tuple[str, AclRuleType]]:
    """A rule as (list's name, list's rule), one for each pair of addresses and of ports."""
    protocol = protocol_number(rule.protocol, rule.ethertype)
    if protocol is None:
        return []
    compiled = []
    for source in rule.src_addresses or ():
        for destination in rule.dst_addresses or ():
            name = _direction(source, destination)
            from_, to = _resolve(graph, source), _resolve(graph, destination)
            if name is None or from_ is None or to is None:
                continue
            compiled += [
                (name, _acl_rule(rule, protocol, (from_, from_port), (to, to_port)))
                for from_port in rule.src_ports or (ALL_PORTS,)
                for to_port in rule.dst_ports or (ALL_PORTS,)
            ]
    return compiled


def _direction(source: AddressType, destination: AddressType) -> str | None:
    if destination.security_group == LOCAL:
        return INGRESS
    return EGRESS if source.security_group == LOCAL else None


def _resolve(graph: Graph, address: AddressType) -> AddressType | None:
    """The address with ids for names; None when it names a group that is not there."""
    group = address.security_group
    if not group:
        return address
    if group == LOCAL:
        return AddressType()
    number = ANY_ID if group == ANY else group_id(graph, tuple(group.split(":")))
    return None if number is None else AddressType(security_group=number)


def _acl_rule(
    rule: PolicyRuleType,
    protocol: str,
    source: tuple[AddressType, PortType],
    destination: tuple[AddressType, PortType],
) -> AclRuleType:
    return AclRuleType(
        match_condition=MatchConditionType(
            protocol=protocol,
            src_address=source[0],
            src_port=_ports(source[1]),
            dst_address=destination[0],
            dst_port=_ports(destination[1]),
            ethertype=rule.ethertype,
        ),
        action_list=ActionListType(simple_action="pass"),
        rule_uuid=rule.rule_uuid,
    )


def _ports(ports: PortType) -> PortType:
    """The range with its ends said."""
    return PortType(
        start_port=0 if ports.start_port is None else ports.start_port,
        end_port=65535 if ports.end_port is None else ports.end_port,
    )
