"""The checker sees each kind of damage, in a store damaged behind the engine's back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.compiler.intent import TENANT, create, group, interface, network

from tungsten.compiler.pools import ROUTE_TARGETS
from tungsten.compiler.service import CompilerService
from tungsten.model import RoutingInstance
from tungsten.store.base import Record, Snapshot, Store, Transaction
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.invariants import NotWhole, assert_whole, violations

VN, VMI = network("vn"), interface("vmi", network("vn"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = SqliteStore.open(tmp_path / "config.db")
    await create(opened, VN, VMI, group("sg", 8000001))
    compiler = CompilerService(opened)
    await compiler.start()
    await compiler.stop()
    yield opened
    await opened.close()


async def rules_broken(store: Store) -> set[str]:
    found = await store.read(lambda s: violations(s, [ROUTE_TARGETS.space, "other"]))
    return {violation.rule for violation in found}


async def rewrite(store: Store, uuid: str, **changes: object) -> None:
    def work(tx: Transaction) -> None:
        record = tx.get(uuid)
        assert record is not None
        tx.update(replace(record, **changes))  # type: ignore[arg-type]

    await store.transact(work)


async def test_a_compiled_store_is_whole(store: Store) -> None:
    await assert_whole(store, [ROUTE_TARGETS.space])


async def test_an_unreadable_body_is_told(store: Store) -> None:
    await rewrite(store, VN.uuid, body=b"{]")
    assert "bodies can be read" in await rules_broken(store)
    with pytest.raises(NotWhole, match="bodies can be read: virtual-network default-domain:p:vn"):
        await assert_whole(store)


async def test_an_edge_that_the_body_does_not_say_is_told(store: Store) -> None:
    await rewrite(store, VMI.uuid, body=b"{}")
    assert await rules_broken(store) == {"edges are said in the body"}


async def test_two_objects_with_one_id_are_told(store: Store) -> None:
    await create(store, group("sg2", 8000001))
    assert await rules_broken(store) == {"ids are unique"}


async def test_a_derived_object_whose_source_is_gone_is_told(store: Store) -> None:
    source = "virtual-network:00000000-0000-0000-0000-000000000001"
    instance = await store.read(lambda s: s.find("routing-instance", (*TENANT, "vn", "vn")))
    assert instance is not None
    await rewrite(store, instance.uuid, provenance=source)
    assert await rules_broken(store) == {"what is derived has its source"}
    found = await store.read(lambda s: violations(s, compiled=False))
    assert found == []


async def test_a_derived_object_without_provenance_is_told(store: Store) -> None:
    instance = RoutingInstance(
        uuid="9e0b1e4c-0000-0000-0000-000000000003",
        fq_name=[*TENANT, "vn2", "vn2"],
        parent_type="virtual-network",
        parent_uuid=network("vn2").uuid,
    )
    await create(store, network("vn2"), instance)
    assert await rules_broken(store) == {"what is derived says from what"}


class Damaged:
    """A snapshot with records missing or another in their place, as a broken engine shows it."""

    def __init__(self, snapshot: Snapshot, hidden: str) -> None:
        self._snapshot = snapshot
        self._hidden = hidden

    def __getattr__(self, name: str) -> object:
        return getattr(self._snapshot, name)

    def records(self, type_: str) -> list[Record]:
        return [r for r in self._snapshot.records(type_) if r.uuid != self._hidden]

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        record = self._snapshot.find(type_, fq_name)
        return None if record is None or record.fq_name[-1] == "vmi" else record


async def test_dangling_parents_references_claims_and_names_are_told(store: Store) -> None:
    def work(snapshot: Snapshot) -> set[str]:
        damaged = Damaged(snapshot, hidden=VN.uuid)
        found = violations(damaged, [ROUTE_TARGETS.space])  # type: ignore[arg-type]
        return {violation.rule for violation in found}

    assert await store.read(work) == {
        "parents exist",
        "references lead to a record",
        "owners of claims exist",
        "names lead to their record",
        "what is derived has its source",
    }
