"""Routing policies that networks name act in their routing instances."""

from __future__ import annotations

from tests.unit.compiler.intent import TENANT, create, delete, network, read, uid, update

from tungsten.compiler.service import CompilerService
from tungsten.model import Ref
from tungsten.model.networks import RoutingPolicyType
from tungsten.model.routing_policies import RoutingPolicy
from tungsten.store.base import Store
from tungsten.testing.invariants import assert_whole
from tungsten.testing.settling import settled

POLICIES = [
    RoutingPolicy(uuid=uid("rp", name), fq_name=[*TENANT, name]) for name in ("first", "second")
]


def named(*sequences: tuple[int, str | None]) -> list[Ref[RoutingPolicyType]]:
    """References of a network to policies, by number, with where they stand."""
    return [
        Ref(
            to=POLICIES[number].fq_name,
            uuid=POLICIES[number].uuid,
            attr=RoutingPolicyType(sequence=sequence),
        )
        for number, sequence in sequences
    ]


async def attached(store: Store, name: str) -> dict[str, str | None]:
    """The instances that a policy acts in, and its sequence there."""
    policy = await read(store, "routing-policy", *TENANT, name)
    return {
        ref.to[-1]: ref.attr.sequence if ref.attr is not None else None
        for ref in policy.routing_instance_refs
    }


async def test_policy_acts_in_the_instances_of_networks_that_name_it(
    store: Store, compiler: CompilerService
) -> None:
    await create(store, *POLICIES)
    one = network("vn1", routing_policy_refs=named((0, "1.0"), (1, "2.0")))
    two = network("vn2", routing_policy_refs=named((1, "7")))
    await create(store, one, two)
    await settled(store, compiler)
    assert await attached(store, "first") == {"vn1": "1.0"}
    assert await attached(store, "second") == {"vn1": "2.0", "vn2": "7"}
    await assert_whole(store)


async def test_attachment_follows_the_network(store: Store, compiler: CompilerService) -> None:
    await create(store, *POLICIES, network("vn1", routing_policy_refs=named((0, "1.0"))))
    await settled(store, compiler)
    await update(store, network("vn1", routing_policy_refs=named((0, "3.0"), (1, None))))
    await settled(store, compiler)
    assert await attached(store, "first") == {"vn1": "3.0"}
    assert await attached(store, "second") == {"vn1": None}
    await update(store, network("vn1"))
    await settled(store, compiler)
    assert await attached(store, "first") == {}


async def test_network_can_go_with_its_policies_attached(
    store: Store, compiler: CompilerService
) -> None:
    vn = network("vn1", routing_policy_refs=named((0, "1.0")))
    await create(store, *POLICIES, vn)
    await settled(store, compiler)
    await delete(store, vn)
    await settled(store, compiler)
    assert await attached(store, "first") == {}
    await delete(store, POLICIES[0])
    await settled(store, compiler)
    await assert_whole(store)
