"""The past of a store: what it keeps it tells truly, what it does not keep it refuses to tell."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.store.store_samples import Engine, record, uuid_of

from tungsten.store import history
from tungsten.store.base import ChangeKind, Commit, Compacted, Record, Transaction
from tungsten.store.origin import ORIGIN, UNKNOWN, origin_of
from tungsten.store.sqlite import Limits, SqliteStore
from tungsten.store.sqlite_rows import _to_row, decode_commit

TYPE = "virtual-network"


async def write(engine: Engine, *steps: tuple[str, int, bytes]) -> None:
    """Transactions of one step each."""

    for step in steps:
        await engine.writer.transact(partial(_do, step))


def _do(step: tuple[str, int, bytes], tx: Transaction) -> None:
    what, number, body = step
    new = record(number, body=body)
    match what:
        case "delete":
            tx.delete(new.uuid)
        case "create":
            tx.create(new)
        case "update":
            tx.update(new)


def plain(records: list[Record]) -> dict[str, bytes]:
    return {each.uuid: each.body for each in records}


async def test_commits_are_read_backwards(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(engine, *(("create", n, b"{}") for n in range(1, 8)))
    whole = [commit async for commit in history.backwards(engine.writer)]
    assert [c.changes[0].record.uuid for c in whole] == [uuid_of(n) for n in range(7, 0, -1)]
    monkeypatch.setattr(history, "PIECE", 2)
    assert [commit async for commit in history.backwards(engine.writer)] == whole
    older = [commit async for commit in history.backwards(engine.writer, whole[2].revision)]
    assert older == whole[3:]
    assert await history.kept_since(engine.writer) < whole[-1].revision


async def test_what_happened_to_a_record_is_told_with_what_it_was_before(engine: Engine) -> None:
    await write(
        engine,
        ("create", 1, b"1"),
        ("create", 2, b"x"),
        ("update", 1, b"2"),
        ("update", 2, b"y"),
        ("delete", 1, b""),
        ("create", 1, b"3"),
    )
    told = await history.changes(engine.writer, lambda r: r.uuid == uuid_of(1))
    assert [
        (e.change.kind, e.before and e.before.body, e.change.record.body, e.known) for e in told
    ] == [
        (ChangeKind.CREATED, None, b"3", True),
        (ChangeKind.DELETED, b"2", b"2", True),
        (ChangeKind.UPDATED, b"1", b"2", True),
        (ChangeKind.CREATED, None, b"1", True),
    ]
    newest = await history.changes(engine.writer, lambda r: True, limit=2)
    assert [e.revision for e in newest] == [e.revision for e in told[:2]]
    older = await history.changes(engine.writer, lambda r: True, before=told[1].revision, limit=1)
    assert older[0].change.record.uuid == uuid_of(2)
    assert older[0].before is not None
    assert older[0].before.body == b"x"


async def test_each_revision_reads_as_it_was(engine: Engine) -> None:
    steps = [
        ("create", 1, b"1"),
        ("create", 2, b"1"),
        ("update", 1, b"2"),
        ("delete", 2, b""),
        ("create", 3, b"1"),
        ("delete", 1, b""),
        ("create", 1, b"4"),
    ]
    seen: list[tuple[int, dict[str, bytes]]] = [(await history.revision_of(engine.writer), {})]
    for step in steps:
        await write(engine, step)
        revision, records = await engine.writer.load()
        seen.append((revision, plain(records)))
    for revision, state in seen:
        assert plain(await history.records_at(engine.writer, revision, TYPE)) == state
    one = await history.records_at(engine.writer, seen[3][0], TYPE, lambda r: r.uuid == uuid_of(2))
    assert plain(one) == {uuid_of(2): b"1"}
    assert await history.records_at(engine.writer, seen[3][0], "project") == []


async def test_a_revision_that_is_not_reached_is_refused(engine: Engine) -> None:
    last = await history.revision_of(engine.writer)
    with pytest.raises(Compacted, match=f"stands at revision {last}"):
        await history.records_at(engine.writer, last + 1, TYPE)


kinds = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([b"1", b"2", b"3"]), st.booleans()), max_size=14
)


@given(steps=kinds, kept=st.integers(1, 8))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_a_short_log_tells_the_truth_or_nothing(
    steps: list[tuple[int, bytes, bool]], kept: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("store") / "config.db"
    store = SqliteStore.open(path, limits=Limits(commits=kept))
    engine = Engine(store, store)
    states: dict[int, dict[str, bytes]] = {0: {}}
    for number, body, deleting in steps:
        held = states[max(states)]
        there = uuid_of(number) in held
        if deleting and not there:
            continue
        what = "delete" if deleting else "update" if there else "create"
        await write(engine, (what, number, body))
        revision, records = await store.load()
        states[revision] = plain(records)
    await store.close()  # which still knows the newest commits
    store = SqliteStore.open(path, limits=Limits(commits=kept))
    told = 0
    for revision, state in states.items():
        try:
            assert plain(await history.records_at(store, revision, TYPE)) == state
            told += 1
        except Compacted:
            assert await history.kept_since(store) > 0
            assert revision < max(states)
    assert told >= 1
    for entry in await history.changes(store, lambda r: True):
        if entry.known and entry.before is not None:
            before = states[entry.revision - 1]
            assert before[entry.before.uuid] == entry.before.body
    await store.close()


async def test_a_commit_says_when_for_whom_and_by_what_it_was_made(engine: Engine) -> None:
    began = time.time() - 1e-6
    token = ORIGIN.set(origin_of("alice", "DELETE /virtual-network/" + "x" * 500, "192.0.2.1"))
    try:
        await write(engine, ("create", 1, b"1"), ("delete", 1, b""))
    finally:
        ORIGIN.reset(token)
    await write(engine, ("create", 2, b"2"))
    seen = [commit async for commit in _three(engine)]
    told = [entry.origin for entry in await history.changes(engine.writer, lambda r: True)]
    assert told[::-1] == [commit.origin for commit in seen]
    system, deleted, created = told
    assert (deleted.user, deleted.client) == ("alice", "192.0.2.1") == (created.user, "192.0.2.1")
    assert deleted.request.startswith("DELETE /virtual-network/x")
    assert len(deleted.request) == 200
    assert (system.user, system.request) == ("system", "")
    assert began <= created.time <= deleted.time <= system.time <= time.time() + 1e-6


async def _three(engine: Engine) -> AsyncIterator[Commit]:
    """The first commits, as a watcher that begins anew gets them."""
    seen = 0
    async for commit in engine.writer.watch(await history.kept_since(engine.writer)):
        yield commit
        seen += 1
        if seen == 3:
            return


async def test_changes_are_found_by_time(engine: Engine) -> None:
    await write(engine, *(("create", n, b"{}") for n in range(1, 6)))
    commits = [commit async for commit in history.backwards(engine.writer)][::-1]
    second, fourth = commits[1], commits[3]
    between = await history.changes(
        engine.writer, lambda r: True, since=second.time, until=fourth.time
    )
    assert [e.revision for e in between] == [c.revision for c in commits[3:0:-1]]
    for commit in commits:
        assert await history.revision_at(engine.writer, commit.time) == commit.revision
    assert await history.revision_at(engine.writer, time.time()) == commits[-1].revision
    at = (second.time + commits[2].time) / 2
    there = await history.revision_at(engine.writer, at)
    stood = await history.records_at(engine.writer, there, TYPE)
    assert plain(stood).keys() == {uuid_of(1), uuid_of(2)}


async def test_a_time_before_what_is_kept_is_refused(tmp_path: Path) -> None:
    began = time.time() - 1e-6
    store = SqliteStore.open(tmp_path / "config.db", limits=Limits(commits=3))
    for number in range(1, 8):
        await store.transact(partial(_do, ("create", number, b"{}")))
    await store.close()
    store = SqliteStore.open(tmp_path / "config.db")
    with pytest.raises(Compacted, match="later than that"):
        await history.revision_at(store, began)
    await store.close()


async def test_logs_of_the_first_versions_are_read(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "config.db")
    await store.transact(partial(_do, ("create", 1, b"{}")))
    await store.close()
    (commit,) = [decode_commit(r, d) for r, d in _log(tmp_path / "config.db")]
    data = msgspec.msgpack.encode([(c.kind.value, _to_row(c.record)) for c in commit.changes])
    old = crc32(data).to_bytes(4, "big") + data
    with sqlite3.connect(tmp_path / "config.db") as connection:
        connection.execute("UPDATE log SET changes = ?", (old,))
    connection.close()
    store = SqliteStore.open(tmp_path / "config.db")
    (entry,) = await history.changes(store, lambda r: True)
    assert entry.change == commit.changes[0]
    assert entry.origin == UNKNOWN
    with pytest.raises(Compacted, match="is not known"):
        await history.revision_at(store, time.time())
    await store.close()


def _log(path: Path) -> list[tuple[int, bytes]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT revision, changes FROM log").fetchall()
    finally:
        connection.close()
