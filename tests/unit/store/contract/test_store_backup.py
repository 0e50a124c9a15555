"""A backup restores to the store it was made of, or is refused."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.store.store_samples import ENGINES, Engine, record, uuid_of

from tungsten.store import backup
from tungsten.store.backup import BackupError
from tungsten.store.base import Record, Snapshot, Transaction, number_key
from tungsten.store.sqlite import SqliteStore

#: A network with a child, references that run in a circle, something derived, odd names.
RECORDS = (
    record(1, type_="project", name=("d", "p")),
    record(2, parent=1, refs=(5,), body=b'{"display_name":"\xc3\xa9\\n"}'),
    record(3, parent=1, weak=(4,)),
    record(4, parent=1, weak=(3,)),
    record(5, type_="route-target", name=("target:1:2",), provenance=f"x:{uuid_of(2)}"),
    record(6, type_="network-ipam", name=("d", "p", "\0\1:ü")),
)
CLAIMS = (
    ("ids", number_key(7), uuid_of(2)),
    ("ids", number_key(3), uuid_of(3)),
    ("address:x", "ä\n", uuid_of(2)),
)


def fill(tx: Transaction) -> None:
    for each in RECORDS:
        tx.create(each)
    for space, key, owner in CLAIMS:
        tx.claim(space, key, owner)


def bare(records: list[Record]) -> dict[str, Record]:
    return {each.uuid: replace(each, created=0, revision=0) for each in records}


def claims(snapshot: Snapshot) -> list[list[tuple[str, str]]]:
    return [list(snapshot.claims(space)) for space in ("ids", "address:x")]


@pytest.fixture
async def empty(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Engine]:
    """An empty store of the same engine."""
    name = request.node.callspec.params["engine"]
    opened = ENGINES[name](tmp_path / "other")
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", ["store.jsonl", "store.jsonl.gz"])
@pytest.mark.parametrize("at_once", [0, 1, 100])
async def test_what_is_restored_is_what_was_backed_up(
    engine: Engine, empty: Engine, tmp_path: Path, name: str, at_once: int
) -> None:
    await engine.writer.transact(fill)
    summary = await backup.backup(engine.reader, tmp_path / name)
    revision, before = await engine.reader.load()
    assert summary == backup.Summary(revision, len(RECORDS), len(CLAIMS))
    assert backup.verify(tmp_path / name) == summary
    assert await backup.restore(empty.writer, tmp_path / name, at_once=at_once) == summary
    _, after = await empty.writer.load()
    assert bare(after) == bare(before)
    assert await empty.writer.read(claims) == await engine.writer.read(claims)
    assert not list(tmp_path.glob(".store*"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "config.db")
    yield store
    await store.close()


async def test_a_store_that_is_not_empty_is_left_alone(store: SqliteStore, tmp_path: Path) -> None:
    await store.transact(fill)
    await backup.backup(store, tmp_path / "b")
    before = await store.load()
    with pytest.raises(BackupError, match="not empty: it has project d:p"):
        await backup.restore(store, tmp_path / "b")
    assert await store.load() == before


async def test_a_backup_is_never_written_over_another(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(BackupError, match="exists"):
        await backup.backup(store, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "precious"
    assert not list(tmp_path.glob(".b*"))


async def test_a_backup_is_for_its_owner_only(store: SqliteStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await backup.backup(store, tmp_path / "b.gz")
    finally:
        os.umask(before)
    assert (tmp_path / "b.gz").stat().st_mode & 0o777 == 0o600


async def test_a_backup_is_of_one_revision_while_others_write(
    store: SqliteStore, tmp_path: Path
) -> None:
    def create(number: int, tx: Transaction) -> None:
        tx.create(record(number))

    for number in range(1, 40):
        await store.transact(partial(create, number))
    writing = asyncio.gather(*(store.transact(partial(create, number)) for number in range(40, 80)))
    summary = await backup.backup(store, tmp_path / "b")
    await writing
    assert summary.records == summary.revision


async def sample(directory: Path) -> bytes:
    store = SqliteStore.open(directory / "config.db")
    await store.transact(fill)
    await backup.backup(store, directory / "b")
    await store.close()
    return (directory / "b").read_bytes()


async def test_a_file_that_is_not_whole_is_refused_and_nothing_restored(tmp_path: Path) -> None:
    data = await sample(tmp_path)
    lines = data.splitlines(keepends=True)
    head = msgspec.json.decode(lines[0])
    newer = msgspec.json.encode({**head, "version": 2}) + b"\n"
    other = msgspec.json.encode({**head, "format": "x"}) + b"\n"
    store = SqliteStore.open(tmp_path / "other.db")
    for damaged, word in (
        (b"", "line 1"),
        (data[:-1], "not whole"),
        (data[: len(data) // 2], "line"),
        (b"".join(lines[:-1]), "line"),
        (b"".join([*lines[:2], *lines[3:]]), "damaged"),
        (data.replace(b"display_name", b"display_nane"), "damaged"),
        (newer + b"".join(lines[1:]), "version 2"),
        (other + b"".join(lines[1:]), "no backup"),
        (gzip.compress(data)[:-20], "cannot be read"),
        (b"\x00\xff\xfe\n", "line 1"),
    ):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(BackupError, match=word):
            await backup.restore(store, tmp_path / "damaged")
    assert await store.load() == (0, [])
    await store.close()


@given(at=st.integers(0, 10_000), to=st.integers(0, 255))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_changed_byte_goes_unnoticed(
    at: int, to: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("b")
    data = bytearray(await sample(directory))
    at %= len(data)
    data[at], old = to, data[at]
    (directory / "b").write_bytes(data)
    if to == old:
        backup.verify(directory / "b")
        return
    with pytest.raises(BackupError):
        backup.verify(directory / "b")


async def test_a_record_with_many_claims_is_restored_into_etcd(tmp_path: Path) -> None:
    held = [
        backup.Item(record(1), tuple(("s", number_key(n)) for n in range(300))),
        *(backup.Item(record(n, refs=(1,)), ()) for n in range(2, 60)),
    ]
    engine = ENGINES["etcd"](tmp_path / "many")
    try:
        await backup.fill(engine.writer, held, at_once=100)
        assert len(await engine.writer.read(lambda s: list(s.claims("s")))) == 300
        assert len((await engine.writer.load())[1]) == 59
    finally:
        await engine.close()


async def test_a_dangling_reference_undoes_the_whole_restore(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "config.db")
    held = [backup.Item(each, ()) for each in (*RECORDS, record(9, refs=(10,)))]
    with pytest.raises(Exception, match="does not exist"):
        await backup.fill(store, held)
    assert await store.load() == (0, [])
    await store.close()
