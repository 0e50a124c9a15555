"""What an overlay says would happen is what happens, and nothing has happened."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.store.store_samples import record, uuid_of
from tests.unit.store.test_store_against_oracle import operations, run

from tungsten.store.base import ChangeKind, Snapshot, StillReferenced, StoreError
from tungsten.store.overlay import Difference, Overlay
from tungsten.store.sqlite import SqliteStore

lists = st.lists(operations, min_size=1, max_size=6)


def state(snapshot: Snapshot) -> Any:
    """Everything that reads tell of the samples' uuids."""
    plain = {}
    for number in range(1, 6):
        found = snapshot.get(uuid_of(number))
        plain[number] = (
            None if found is None else replace(found, created=0, revision=0),
            None if found is None else snapshot.find(found.type, found.fq_name) == found,
            [child.uuid for child in snapshot.children(uuid_of(number))],
            [holder.uuid for holder in snapshot.referrers(uuid_of(number))],
            [holder.uuid for holder in snapshot.referrers(uuid_of(number), "project")],
            snapshot.owned_claims(uuid_of(number)),
        )
    types = {
        type_: [each.uuid for each in snapshot.records(type_)]
        for type_ in ("seed", "project", "virtual-network")
    }
    return plain, types, list(snapshot.claims("s"))


def outcome(overlay: Overlay, batch: list[tuple[Any, ...]]) -> list[Difference] | None:
    """What a batch would change; None when it would be refused."""
    try:
        run(overlay, batch)
        return overlay.commit()
    except (StoreError, KeyError):
        return None


@given(before=lists, first=lists, second=lists)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_overlay_foretells_what_a_transaction_does(
    before: list[tuple[Any, ...]], first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]
) -> None:
    async def compare() -> None:
        with tempfile.TemporaryDirectory() as directory:
            store = SqliteStore.open(Path(directory) / "config.db")
            seeds = [("create", record(n, type_="seed", name=(str(n),))) for n in (1, 2)]
            await store.transact(lambda tx: run(tx, seeds))
            with suppress(StoreError, KeyError):
                await store.transact(lambda tx: run(tx, before))
            at, untouched = await store.read(lambda s: (s.revision, state(s)))

            def foretell(snapshot: Snapshot) -> tuple[bool, Any]:
                overlay = Overlay(snapshot)
                done = outcome(overlay, first) is not None
                if done:
                    done = outcome(overlay, second) is not None
                return done, state(overlay)

            done, foretold = await store.read(foretell)
            assert await store.read(lambda s: (s.revision, state(s))) == (at, untouched)
            try:
                await store.transact(lambda tx: run(tx, first))
                await store.transact(lambda tx: run(tx, second))
                assert done
                assert await store.read(state) == foretold
            except (StoreError, KeyError):
                assert not done
            await store.close()

    asyncio.run(compare())


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    store = SqliteStore.open(tmp_path / "config.db")
    yield store
    await store.close()


async def test_numbers_are_the_ones_that_the_store_would_give(store: SqliteStore) -> None:
    numbers = range(10, 15)

    def prepare(tx: Any) -> None:
        tx.create(record(1))
        for _ in range(3):
            tx.claim_number("n", numbers, uuid_of(1))
        tx.release("n", f"{11:032x}")

    await store.transact(prepare)

    def give(snapshot: Snapshot) -> list[int | None]:
        overlay = Overlay(snapshot)
        overlay.create(record(2))
        given = [overlay.claim_number("n", numbers, uuid_of(2)) for _ in range(4)]
        overlay.release("n", f"{12:032x}")
        return [*given, overlay.claim_number("n", numbers, uuid_of(2))]

    assert await store.read(give) == [11, 13, 14, None, 12]


async def test_differences_are_told_once_and_with_both_states(store: SqliteStore) -> None:
    await store.transact(lambda tx: tx.create(record(1, body=b"1")))

    def write(snapshot: Snapshot) -> list[list[Difference]]:
        overlay = Overlay(snapshot)
        overlay.create(record(2, parent=1))
        overlay.update(record(1, body=b"2"))
        told = [overlay.commit()]
        overlay.delete(uuid_of(2))
        overlay.delete(uuid_of(1))
        told.append(overlay.commit())
        overlay.create(record(3))
        overlay.delete(uuid_of(3))
        return [*told, overlay.commit()]

    first, second, third = await store.read(write)
    kinds = [each.change.kind for each in [*first, *second]]
    deleted = ChangeKind.DELETED
    assert kinds == [ChangeKind.CREATED, ChangeKind.UPDATED, deleted, deleted]
    assert [(d.before and d.before.body, d.record.body) for d in first] == [
        (None, b"{}"),
        (b"1", b"2"),
    ]
    assert third == []


async def test_what_a_commit_would_refuse_is_refused(store: SqliteStore) -> None:
    await store.transact(lambda tx: tx.create(record(1)))
    await store.transact(lambda tx: tx.create(record(2, refs=(1,))))

    def delete(snapshot: Snapshot) -> None:
        overlay = Overlay(snapshot)
        overlay.delete(uuid_of(1))
        overlay.commit()

    with pytest.raises(StillReferenced):
        await store.read(delete)
