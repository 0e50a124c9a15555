"""Security groups: which rules hosts get, in the exact form they get them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.compiler.intent import ANY, LOCAL, TENANT, create, delete, group, read, rule, update

from tungsten.compiler.protocols import protocol_number
from tungsten.compiler.service import CompilerService
from tungsten.model.addressing import SubnetType
from tungsten.model.security import AclRuleType
from tungsten.model.traffic import ActionListType, AddressType, MatchConditionType, PortType
from tungsten.store.base import Store
from tungsten.testing.settling import settled

EVERYWHERE = AddressType(subnet=SubnetType(ip_prefix="0.0.0.0", ip_prefix_len=0))
ALL = PortType(start_port=0, end_port=65535)


async def rules(store: Store, name: str, way: str) -> list[AclRuleType]:
    acl: Any = await read(store, "access-control-list", *TENANT, name, f"{way}-access-control-list")
    rules: list[AclRuleType] = acl.access_control_list_entries.acl_rule
    return rules


async def conditions(store: Store, name: str, way: str) -> list[MatchConditionType]:
    found = [r.match_condition for r in await rules(store, name, way)]
    return [condition for condition in found if condition is not None]


async def test_a_group_has_two_lists_even_when_it_has_no_rules(
    store: Store, compiler: CompilerService
) -> None:
    sg = group("none", 8000001)
    await create(store, sg)
    await settled(store, compiler)
    assert await rules(store, "none", "ingress") == []
    assert await rules(store, "none", "egress") == []
    records = await store.read(lambda s: s.children(sg.uuid))
    assert {record.provenance for record in records} == {f"security-group:{sg.uuid}"}
    await delete(store, sg)
    await settled(store, compiler)
    assert await store.read(lambda s: list(s.records("access-control-list"))) == []


async def test_a_rule_towards_local_is_an_ingress_rule(
    store: Store, compiler: CompilerService
) -> None:
    await create(store, group("web", 8000003, rule(EVERYWHERE, LOCAL)))
    await settled(store, compiler)
    assert await rules(store, "web", "ingress") == [
        AclRuleType(
            match_condition=MatchConditionType(
                protocol="6",
                src_address=EVERYWHERE,
                src_port=ALL,
                dst_address=AddressType(),
                dst_port=PortType(start_port=80, end_port=80),
                ethertype="IPv4",
            ),
            action_list=ActionListType(simple_action="pass"),
            rule_uuid="11111111-0000-0000-0000-000000000001",
        )
    ]
    assert await rules(store, "web", "egress") == []


async def test_a_rule_from_local_is_an_egress_rule_and_one_with_both_is_ingress(
    store: Store, compiler: CompilerService
) -> None:
    await create(store, group("a", 8000001, rule(LOCAL, ANY)), group("b", 2, rule(LOCAL, LOCAL)))
    await settled(store, compiler)
    (egress,) = await conditions(store, "a", "egress")
    assert (egress.src_address, egress.dst_address) == (
        AddressType(),
        AddressType(security_group="-1"),
    )
    assert await rules(store, "a", "ingress") == []
    assert len(await rules(store, "b", "ingress")) == 1
    assert await rules(store, "b", "egress") == []


async def test_groups_become_ids_and_follow_them(store: Store, compiler: CompilerService) -> None:
    other = AddressType(security_group=":".join([*TENANT, "db"]))
    own = AddressType(security_group=":".join([*TENANT, "web"]))
    web = group("web", 8000001, rule(other, LOCAL), rule(own, LOCAL))
    await create(store, web)
    await settled(store, compiler)
    # db does not exist yet: its rule is left out.
    assert [c.src_address for c in await conditions(store, "web", "ingress")] == [
        AddressType(security_group="8000001")
    ]
    before = await hash_of(store)
    db = group("db", 8000002)
    await create(store, db)
    await settled(store, compiler)
    assert [c.src_address for c in await conditions(store, "web", "ingress")] == [
        AddressType(security_group="8000002"),
        AddressType(security_group="8000001"),
    ]
    db.configured_security_group_id = 77
    await update(store, db)
    await settled(store, compiler)
    assert [c.src_address for c in await conditions(store, "web", "ingress")] == [
        AddressType(security_group="77"),
        AddressType(security_group="8000001"),
    ]
    await delete(store, db)
    await settled(store, compiler)
    assert len(await conditions(store, "web", "ingress")) == 1
    assert await hash_of(store) == before


async def hash_of(store: Store) -> int:
    name = (*TENANT, "web", "ingress-access-control-list")
    acl: Any = await read(store, "access-control-list", *name)
    value: int = acl.access_control_list_hash
    return value


async def test_addresses_and_ports_are_multiplied_in_order(
    store: Store, compiler: CompilerService
) -> None:
    many = rule(LOCAL, LOCAL)
    many.src_addresses = [ANY, EVERYWHERE]
    many.src_ports = []
    many.dst_ports = [PortType(start_port=1, end_port=2), PortType(start_port=3)]
    await create(store, group("g", 8000001, many))
    await settled(store, compiler)
    found = [
        (c.src_address, c.src_port, c.dst_port) for c in await conditions(store, "g", "ingress")
    ]
    first, second = PortType(start_port=1, end_port=2), PortType(start_port=3, end_port=65535)
    assert found == [
        (AddressType(security_group="-1"), ALL, first),
        (AddressType(security_group="-1"), ALL, second),
        (EVERYWHERE, ALL, first),
        (EVERYWHERE, ALL, second),
    ]


async def test_a_rule_whose_protocol_is_not_known_is_left_out(
    store: Store, compiler: CompilerService
) -> None:
    unknown = [rule(ANY, LOCAL, protocol=p) for p in (None, "quic", "256", "")]
    known = rule(ANY, LOCAL, protocol="icmp", ethertype="IPv6")
    await create(store, group("g", 8000001, *unknown, known))
    await settled(store, compiler)
    assert [c.protocol for c in await conditions(store, "g", "ingress")] == ["58"]


@pytest.mark.parametrize(
    ("name", "ethertype", "number"),
    [
        ("any", "IPv4", "any"),
        ("ANY", None, "any"),
        ("TCP", "IPv4", "6"),
        ("udp", "IPv6", "17"),
        ("icmp", "IPv4", "1"),
        ("icmp", "IPv6", "58"),
        ("1", "IPv6", "1"),
        ("0", None, "0"),
        ("255", None, "255"),
        ("256", None, None),
        ("-1", None, None),
        ("", None, None),
        ("²", None, None),
        (None, None, None),
    ],
)
def test_protocols(name: str | None, ethertype: str | None, number: str | None) -> None:
    assert protocol_number(name, ethertype) == number
