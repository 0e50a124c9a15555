"""What a project may see is found by what it may see, and it is the same as looking at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.api.api_server import Api, network_body, serving
from tests.unit.api.tenants import BLUE, EVERYTHING, RED, Person, World, bare_world

from tungsten.api import audiences, authority, pairs
from tungsten.api.callers import Caller
from tungsten.model import RESOURCE_TYPES
from tungsten.model.common import PermType2, ShareType
from tungsten.store.base import Snapshot, Transaction

NETWORKS = "/virtual-networks"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with bare_world(tmp_path) as world:
        await world.allow(EVERYTHING)
        yield world


async def callers(api: Api) -> list[Caller]:
    body = {"type": "domain", "fq_name": ["default-domain"]}

    def domain(snapshot: Snapshot) -> str:
        record = snapshot.find("domain", tuple(body["fq_name"]))
        assert record is not None
        return record.uuid

    uuid = await api.store.read(domain)
    return [Caller(project_id=one, domain_id=uuid) for one in (RED, BLUE)]


async def same_as_looking_at_all(api: Api) -> None:
    for caller in await callers(api):

        def compare(snapshot: Snapshot, caller: Caller = caller) -> None:
            for type_ in RESOURCE_TYPES.keys() - audiences.DERIVED:
                found = audiences.readable(snapshot, type_, caller)
                assert found is not None
                seen = [one.uuid for one in found if authority.may_see(snapshot, caller, one)]
                whole = snapshot.records(type_)
                assert seen == [
                    one.uuid for one in whole if authority.may_see(snapshot, caller, one)
                ], type_

        await api.store.read(compare)


async def test_lists_follow_who_may_read(world: World) -> None:
    network = await world.network(world.red, "a")
    await world.network(world.blue, "b")
    assert "a" in await world.red.names(NETWORKS)
    assert "a" not in await world.blue.names(NETWORKS)
    changes: list[tuple[str, dict[str, Any], bool]] = [
        ("/chmod", {"share": [{"tenant": BLUE, "tenant_access": 4}]}, True),
        ("/chmod", {"share": [{"tenant": BLUE, "tenant_access": 3}]}, False),
        ("/chmod", {"share": [{"tenant": f"tenant:{BLUE}", "tenant_access": 7}]}, True),
        ("/chmod", {"share": []}, False),
        ("/chmod", {"global_access": 5}, True),
        ("/chmod", {"global_access": 0}, False),
        ("/chown", {"owner": BLUE}, True),
        ("/chmod", {"owner_access": 3}, False),
    ]
    for action, said, seen in changes:
        answer = await world.root.ask("POST", action, {"uuid": network, **said})
        assert answer.status == 200, answer.text
        assert ("a" in await world.blue.names(NETWORKS)) is seen, said
        await same_as_looking_at_all(world.api)


async def test_shared_adds_what_others_share(world: World) -> None:
    network = await world.network(world.red, "a")
    own = f"{NETWORKS}?parent_id={BLUE}"
    share = [{"tenant": BLUE, "tenant_access": 5}]
    assert await world.blue.names(f"{own}&shared=true") == await world.blue.names(own)
    await world.red.ask("POST", "/chmod", {"uuid": network, "share": share})
    assert await world.blue.names(f"{own}&shared=true") == ["a"]
    assert await world.blue.names(own) == []
    # An administrator names the project as the parent.
    assert await world.root.names(f"{own}&shared=true") == ["a"]
    await world.red.ask("POST", "/chmod", {"uuid": network, "share": []})
    assert await world.root.names(f"{own}&shared=true") == []
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 5})
    assert "a" in await world.root.names(f"{own}&shared=true")
    assert (await world.red.ask("DELETE", f"/virtual-network/{network}")).status == 200
    assert "a" not in await world.blue.names(f"{own}&shared=true")


async def test_a_store_from_before_is_gone_over_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.project()
        names = [f"n{at}" for at in range(60)]
        for name in names:
            perms2 = {"owner": RED, "owner_access": 7}
            await api.create("virtual-network", **network_body(name, "10.0.1.0/24"), perms2=perms2)

        def forget(tx: Transaction) -> None:
            for record in list(tx.records("virtual-network")):
                for space, key in tx.owned_claims(record.uuid):
                    if space.startswith(audiences.SPACE):
                        tx.release(space, key)
            pairs.remove(tx, audiences.SETTINGS, audiences.BUILT)

        await api.store.transact(forget)
        caller = (await callers(api))[0]

        def found(snapshot: Snapshot) -> list[str] | None:
            records = audiences.readable(snapshot, "virtual-network", caller)
            return None if records is None else [one.fq_name[-1] for one in records]

        assert await api.store.read(found) is None
    async with serving(tmp_path) as api:
        assert await api.store.read(found) == sorted(names)
        await same_as_looking_at_all(api)


def test_audiences_are_those_with_the_bit_to_read() -> None:
    of = audiences.audiences_of
    assert of(None) == set()
    assert of(PermType2(owner="cloud-admin", owner_access=7)) == set()
    assert of(PermType2(owner=RED)) == {f"tenant:{RED.replace('-', '')}"}
    assert of(PermType2(owner=RED, owner_access=3, global_access=3)) == set()
    share = [
        ShareType(tenant=f"domain:{BLUE}", tenant_access=5),
        ShareType(tenant=RED.upper(), tenant_access=4),
        ShareType(tenant=BLUE, tenant_access=2),
    ]
    said = PermType2(owner="cloud-admin", global_access=4, share=share)
    digits = RED.replace("-", "")
    assert of(said) == {f"domain:{BLUE.replace('-', '')}", f"tenant:{digits}", "global"}


async def test_a_person_without_a_project_sees_what_is_for_everybody(world: World) -> None:
    nobody = Person(world.api, world.keystone.token("nobody", "member"))
    network = await world.network(world.red, "a")
    assert "a" not in await nobody.names(NETWORKS)
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 4})
    assert "a" in await nobody.names(NETWORKS)
