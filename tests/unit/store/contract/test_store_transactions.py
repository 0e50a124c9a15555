"""What a transaction may do, what it may not, and that it is whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.store.store_samples import Engine, record, uuid_of

from tungsten.store.base import (
    Change,
    ChangeKind,
    Commit,
    DanglingReference,
    DuplicateId,
    DuplicateName,
    Edge,
    Record,
    Snapshot,
    StillReferenced,
    Transaction,
)


async def get(engine: Engine, number: int) -> Record | None:
    return await engine.reader.read(lambda s: s.get(uuid_of(number)))


async def update(engine: Engine, new: Record) -> None:
    await engine.writer.transact(lambda tx: tx.update(new))


async def delete(engine: Engine, *numbers: int) -> None:
    def run(tx: Transaction) -> None:
        for number in numbers:
            tx.delete(uuid_of(number))

    await engine.writer.transact(run)


async def last_commit(engine: Engine) -> Commit:
    revision = await engine.reader.read(lambda s: s.revision)
    watch = engine.reader.watch(revision - 1)
    return await asyncio.wait_for(anext(watch), 5)


async def test_a_created_record_is_read_back_with_its_revisions(engine: Engine) -> None:
    one = record(1, body=b'{"mtu":1}', provenance="from x")
    await engine.create(one)
    (revision,) = await engine.revisions()
    stored = replace(one, created=revision, revision=revision)
    assert await get(engine, 1) == stored
    assert await engine.reader.read(lambda s: s.find("virtual-network", one.fq_name)) == stored
    assert await engine.reader.load() == (revision, [stored])


async def test_an_update_keeps_the_creation_and_takes_a_new_revision(engine: Engine) -> None:
    await engine.create(record(1))
    await update(engine, record(1, body=b"[]"))
    first, second = await engine.revisions()
    assert await get(engine, 1) == replace(record(1, body=b"[]"), created=first, revision=second)


async def test_writing_what_is_already_there_makes_no_commit(engine: Engine) -> None:
    await engine.create(record(1), record(2, refs=(1,)))
    await update(engine, record(2, refs=(1,)))
    assert len(await engine.revisions()) == 1


async def test_the_result_of_the_function_is_returned(engine: Engine) -> None:
    assert await engine.writer.transact(lambda tx: 41) == 41
    await engine.create(record(1))
    assert [await engine.writer.transact(lambda tx: tx.revision)] == await engine.revisions()


async def test_reads_in_a_transaction_see_its_own_writes(engine: Engine) -> None:
    def run(tx: Transaction) -> None:
        tx.create(record(1))
        tx.create(record(2, parent=1, refs=(1,)))
        assert tx.get(uuid_of(1)) is not None
        assert tx.find("virtual-network", ("d", "p", "n2")) is not None
        assert [r.uuid for r in tx.children(uuid_of(1))] == [uuid_of(2)]
        assert [r.uuid for r in tx.referrers(uuid_of(1))] == [uuid_of(2)]
        assert [r.uuid for r in tx.records("virtual-network")] == [uuid_of(1), uuid_of(2)]
        tx.delete(uuid_of(2))
        assert tx.children(uuid_of(1)) == []
        assert tx.referrers(uuid_of(1)) == []

    await engine.writer.transact(run)


@pytest.mark.parametrize("error", [RuntimeError("no"), StopIteration(), KeyError("x")])
async def test_a_transaction_that_raises_changes_nothing(engine: Engine, error: Exception) -> None:
    await engine.create(record(1))

    def run(tx: Transaction) -> None:
        tx.create(record(2))
        tx.update(record(1, body=b"[]"))
        tx.claim("s", "k", uuid_of(1))
        raise error

    with pytest.raises((RuntimeError, KeyError)):
        await engine.writer.transact(run)
    assert await get(engine, 2) is None
    (revision,) = await engine.revisions()
    assert await get(engine, 1) == replace(record(1), created=revision, revision=revision)
    assert await engine.reader.read(lambda s: s.claim_owner("s", "k")) is None


async def test_a_failed_transaction_does_not_disturb_those_beside_it(engine: Engine) -> None:
    def fail(tx: Transaction) -> None:
        tx.create(record(99))
        raise RuntimeError("no")

    jobs = [
        engine.create(record(n)) if n % 2 else engine.writer.transact(fail) for n in range(1, 41)
    ]
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert sum(isinstance(outcome, RuntimeError) for outcome in outcomes) == 20
    _, records = await engine.reader.load()
    assert len(await engine.revisions()) == 20
    assert {r.uuid for r in records} == {uuid_of(n) for n in range(1, 41, 2)}


async def test_the_same_uuid_is_refused_naming_the_holder(engine: Engine) -> None:
    await engine.create(record(1))
    with pytest.raises(DuplicateId) as caught:
        await engine.create(record(1, type_="project", name=("x",)))
    assert caught.value.type == "virtual-network"
    assert caught.value.fq_name == ("d", "p", "n1")


async def test_the_same_name_of_a_type_is_refused_naming_the_holder(engine: Engine) -> None:
    await engine.create(record(1, name=("a", "b")))
    with pytest.raises(DuplicateName) as caught:
        await engine.create(record(2, name=("a", "b")))
    assert caught.value.holder == uuid_of(1)
    await engine.create(record(3, type_="project", name=("a", "b")))


async def test_of_concurrent_creators_of_a_name_one_wins(engine: Engine) -> None:
    names = ("a", "b")
    attempts = [engine.create(record(n, name=names)) for n in range(1, 33)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, DuplicateName) for outcome in outcomes) == 31


async def test_a_name_can_be_used_again_after_its_holder_is_gone(engine: Engine) -> None:
    await engine.create(record(1, name=("a",)))

    def swap(tx: Transaction) -> None:
        tx.delete(uuid_of(1))
        tx.create(record(2, name=("a",)))

    await engine.writer.transact(swap)
    commit = await last_commit(engine)
    assert [c.kind for c in commit.changes] == [ChangeKind.DELETED, ChangeKind.CREATED]


@pytest.mark.parametrize(
    "lacking", [record(1, parent=9), record(1, refs=(9,)), record(1, weak=(9,))]
)
async def test_what_a_record_names_must_exist_at_the_commit(
    engine: Engine, lacking: Record
) -> None:
    with pytest.raises(DanglingReference) as caught:
        await engine.create(lacking)
    assert (caught.value.uuid, caught.value.target) == (uuid_of(1), uuid_of(9))
    assert await get(engine, 1) is None


async def test_an_update_may_not_add_a_dangling_reference(engine: Engine) -> None:
    await engine.create(record(1))
    with pytest.raises(DanglingReference):
        await update(engine, record(1, refs=(9,)))


async def test_child_and_parent_may_come_in_any_order(engine: Engine) -> None:
    await engine.create(record(2, parent=1, refs=(3,)), record(3, refs=(2,)), record(1))
    assert len(await engine.revisions()) == 1
    await delete(engine, 1, 3, 2)
    assert (await engine.reader.load())[1] == []


async def test_a_dangling_reference_that_is_gone_by_the_commit_is_none(engine: Engine) -> None:
    def run(tx: Transaction) -> None:
        tx.create(record(1, refs=(9,)))
        tx.create(record(2, refs=(9,)))
        tx.delete(uuid_of(1))
        tx.update(record(2))

    await engine.writer.transact(run)
    assert [r.uuid for r in (await engine.reader.load())[1]] == [uuid_of(2)]


async def test_a_second_dangling_reference_is_seen_behind_a_deleted_one(engine: Engine) -> None:
    def run(tx: Transaction) -> None:
        tx.create(record(1, refs=(9,)))
        tx.create(record(2, refs=(9,)))
        tx.delete(uuid_of(1))

    with pytest.raises(DanglingReference) as caught:
        await engine.writer.transact(run)
    assert caught.value.uuid == uuid_of(2)


async def test_what_is_used_cannot_be_deleted_and_the_users_are_named(engine: Engine) -> None:
    await engine.create(record(1), record(2, parent=1), record(3, refs=(1,)), record(4, weak=(1,)))
    with pytest.raises(StillReferenced) as caught:
        await delete(engine, 1)
    assert set(caught.value.holders) == {uuid_of(2), uuid_of(3)}
    assert await get(engine, 1) is not None


async def test_a_reference_dropped_by_update_no_longer_holds(engine: Engine) -> None:
    await engine.create(record(1), record(2, refs=(1,)))
    await update(engine, record(2))
    await delete(engine, 1)
    assert await get(engine, 1) is None


async def test_deleting_the_target_of_a_weak_edge_updates_its_holder(engine: Engine) -> None:
    await engine.create(record(1), record(3), record(2, weak=(1, 3)))
    await delete(engine, 1)
    first, second = await engine.revisions()
    holder = replace(record(2, weak=(3,)), created=first, revision=second)
    assert await get(engine, 2) == holder
    commit = await last_commit(engine)
    assert commit.changes == (
        Change(ChangeKind.DELETED, replace(record(1), created=first, revision=first)),
        Change(ChangeKind.UPDATED, holder),
    )


async def test_weak_cycles_can_be_deleted_in_one_transaction(engine: Engine) -> None:
    await engine.create(record(1, weak=(2,)), record(2, weak=(1,)))
    await delete(engine, 1, 2)
    commit = await last_commit(engine)
    assert [c.kind for c in commit.changes] == [ChangeKind.DELETED] * 2


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("type", record(1, type_="project")),
        ("fq_name", record(1, name=("x",))),
        ("parent", record(1, parent=2)),
    ],
)
async def test_identity_cannot_be_updated(engine: Engine, field: str, other: Record) -> None:
    await engine.create(record(1), record(2))
    with pytest.raises(ValueError, match=f"{field} of virtual-network"):
        await update(engine, other)


async def test_absent_records_cannot_be_updated_or_deleted(engine: Engine) -> None:
    with pytest.raises(KeyError):
        await update(engine, record(1))
    with pytest.raises(KeyError):
        await delete(engine, 1)


async def test_a_record_needs_a_name_and_a_uuid(engine: Engine) -> None:
    with pytest.raises(ValueError, match="uuid and a fq_name"):
        await engine.create(replace(record(1), fq_name=()))
    with pytest.raises(ValueError, match="uuid and a fq_name"):
        await engine.create(replace(record(1), uuid=""))


async def test_one_field_names_a_target_once(engine: Engine) -> None:
    await engine.create(record(1))
    twice = replace(record(2), edges=(Edge("f", uuid_of(1)), Edge("f", uuid_of(1), weak=True)))
    with pytest.raises(ValueError, match="names a target twice"):
        await engine.create(twice)


async def test_a_commit_holds_each_record_once_with_its_last_state(engine: Engine) -> None:
    await engine.create(record(5), record(6))

    def run(tx: Transaction) -> None:
        tx.update(record(5, body=b"1"))
        tx.create(record(1))
        tx.create(record(2))
        tx.delete(uuid_of(2))
        tx.update(record(1, body=b"2"))
        tx.delete(uuid_of(6))
        tx.update(record(5, body=b"3"))

    await engine.writer.transact(run)
    commit = await last_commit(engine)
    old, new = await engine.revisions()
    assert commit.changes == (
        Change(ChangeKind.CREATED, replace(record(1, body=b"2"), created=new, revision=new)),
        Change(ChangeKind.DELETED, replace(record(6), created=old, revision=old)),
        Change(ChangeKind.UPDATED, replace(record(5, body=b"3"), created=old, revision=new)),
    )


async def test_a_uuid_deleted_and_created_anew_shows_as_both(engine: Engine) -> None:
    await engine.create(record(1))

    def run(tx: Transaction) -> None:
        tx.delete(uuid_of(1))
        tx.create(record(1, type_="project"))

    await engine.writer.transact(run)
    kinds = [(c.kind, c.record.type) for c in (await last_commit(engine)).changes]
    assert kinds == [
        (ChangeKind.DELETED, "virtual-network"),
        (ChangeKind.CREATED, "project"),
    ]


async def test_lists_come_in_the_order_of_names(engine: Engine) -> None:
    names = [("a",), ("a", "b"), ("a\0",), ("a\1", "c"), ("ab",), ("b", "é"), ("b", "\U0001f600")]
    records = [record(n, name=name) for n, name in enumerate(names, 1)]
    await engine.create(record(50, type_="project", name=("z",)))
    await engine.create(*reversed(records))
    listed = await engine.reader.read(lambda s: [r.fq_name for r in s.records("virtual-network")])
    assert listed == sorted(names)


async def test_children_and_referrers_can_be_asked_by_type(engine: Engine) -> None:
    await engine.create(
        record(1),
        record(2, parent=1, refs=(1,)),
        record(3, parent=1, refs=(1,), type_="project"),
    )

    def look(s: Snapshot) -> tuple[list[str], list[str]]:
        children = [r.uuid for r in s.children(uuid_of(1), "project")]
        return children, [r.uuid for r in s.referrers(uuid_of(1), "virtual-network")]

    assert await engine.reader.read(look) == ([uuid_of(3)], [uuid_of(2)])


async def test_a_snapshot_does_not_move_while_others_write(engine: Engine) -> None:
    await engine.create(record(1))
    loop = asyncio.get_running_loop()

    def look(s: Snapshot) -> tuple[int, int]:
        before = len(list(s.records("virtual-network")))
        writing = asyncio.run_coroutine_threadsafe(engine.create(record(2)), loop)
        writing.result(10)
        return before, len(list(s.records("virtual-network")))

    assert await engine.reader.read(look) == (1, 1)
    assert len((await engine.reader.load())[1]) == 2
