"""Files that are no stores, damaged ones, locks, limits of the log, disks that fail."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.store import limited_writer
from tests.unit.store.store_samples import record, take, uuid_of

from tungsten.store import open_store
from tungsten.store.base import (
    Compacted,
    Record,
    Snapshot,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
)
from tungsten.store.check import check
from tungsten.store.sqlite import Limits, SqliteStore


async def create(store: SqliteStore, new: Record) -> None:
    await store.transact(lambda tx: tx.create(new))


async def fill(path: Path, count: int = 20) -> None:
    store = SqliteStore.open(path)
    for n in range(1, count + 1):
        new = record(n, body=b'"' + b"x" * 500 + b'"')
        await create(store, new)
    await store.close()


async def test_directories_made_for_a_store_are_for_nobody_else(tmp_path: Path) -> None:
    await SqliteStore.open(tmp_path / "one/two/config.db").close()
    modes = [oct((tmp_path / name).stat().st_mode & 0o777) for name in ("one", "one/two")]
    assert modes == ["0o700", "0o700"]


def refusal(path: Path, *, readonly: bool = False) -> str:
    with pytest.raises(StoreUnusable) as caught:
        SqliteStore.open(path, readonly=readonly)
    return str(caught.value)


async def test_a_store_keeps_everything_over_close_and_open(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.db"
    await fill(path)
    store = SqliteStore.open(path)
    revision, records = await store.load()
    assert (revision, len(records)) == (20, 20)
    assert len(await take(store.watch(0), 20)) == 20
    await store.close()
    await store.close()


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    await fill(tmp_path / "config.db")
    store = SqliteStore.open(tmp_path / "config.db")
    await store.transact(lambda tx: tx.delete(uuid_of(1)))
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    await store.close()
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


async def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    store = SqliteStore.open(path)
    code = f"from tungsten.store import open_store; open_store('sqlite:{path}')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    await store.close()
    assert run.returncode == 1
    assert "StoreUnusable" in run.stderr
    assert "is being written by process" in run.stderr
    SqliteStore.open(path)


async def test_one_process_writes_whatever_the_path(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "linked").symlink_to(tmp_path)
    store = SqliteStore.open(tmp_path / "link.db")
    for other in (path, tmp_path / "linked/config.db", tmp_path / "folder/../config.db"):
        assert "is being written by process" in refusal(other)
    await store.close()


def test_files_that_are_no_stores_are_refused_with_the_reason(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database " * 100)
    assert "is not a store or is damaged" in refusal(text)
    assert text.read_text() == "not a database " * 100

    foreign = tmp_path / "foreign"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert "another program's database" in refusal(foreign)

    assert "not a regular file" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "absent", readonly=True)
    (tmp_path / "empty").touch()
    assert "is empty" in refusal(tmp_path / "empty", readonly=True)
    (tmp_path / "file").touch()
    assert "cannot be opened" in refusal(tmp_path / "file" / "config.db")


async def test_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    await fill(path)
    for version, word in ((7, "newer"), (0, "older")):
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        for readonly in (False, True):
            message = refusal(path, readonly=readonly)
            assert f"has layout {version} of a {word} version; this one reads 1" in message


def test_a_url_that_names_no_store_is_refused() -> None:
    for url in ("", "sqlite", "sqlite:", "/var/lib/x", "etcd:h:2379"):
        with pytest.raises(StoreUnusable, match="expected"):
            open_store(url)


async def test_flipped_bits_are_found_and_never_believed(tmp_path: Path) -> None:
    """Opening or reading refuses, or the flip was where nothing is kept."""
    original = tmp_path / "original.db"
    await fill(original)
    store = SqliteStore.open(original)
    truth = await store.load()
    await store.close()
    draw = random.Random(5)
    size = original.stat().st_size
    path = tmp_path / "flipped.db"
    reasons: list[str] = []
    for _ in range(300):
        shutil.copyfile(original, path)
        with path.open("r+b") as file:
            at = draw.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << draw.randrange(8)]))
        try:
            damaged = SqliteStore.open(path)
            try:
                assert await damaged.load() == truth
                for commit in await take(damaged.watch(0), truth[0]):
                    assert len(commit.changes) == 1
            finally:
                await damaged.close()
        except StoreUnusable as error:
            reasons.append(str(error))
    assert len(reasons) > 80
    assert all(
        "damaged" in r or "cannot be opened" in r or "layout" in r or "another program" in r
        for r in reasons
    )


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    await fill(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    assert "damaged" in refusal(path)


async def test_the_log_is_bounded_and_says_when_a_watcher_is_too_late(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    store = SqliteStore.open(path, limits=Limits(commits=10))
    for n in range(1, 31):
        await create(store, record(n))
    await store.close()
    store = SqliteStore.open(path, limits=Limits(commits=10))
    with pytest.raises(Compacted, match="keeps commits from 21 on, not 20"):
        await anext(store.watch(19))
    assert [c.revision for c in await take(store.watch(20), 30)] == list(range(21, 31))
    await store.close()


async def test_the_log_is_bounded_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    store = SqliteStore.open(path, limits=Limits(bytes=50_000))
    for n in range(1, 31):
        new = record(n, body=b"x" * 10_000)
        await create(store, new)
    await store.close()
    with sqlite3.connect(path) as connection:
        ((kept, size),) = connection.execute("SELECT count(*), sum(length(changes)) FROM log")
    connection.close()
    assert kept == 4
    assert size < 50_000


async def test_a_store_for_reading_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    await fill(path, 1)
    store = SqliteStore.open(path, readonly=True)
    with pytest.raises(StoreUnavailable, match="reading only"):
        await store.transact(lambda tx: tx.delete(uuid_of(1)))
    assert (await store.load())[0] == 1
    await store.close()


async def test_a_reader_sees_a_writer_that_died_and_came_back(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    await fill(path, 3)
    reader = SqliteStore.open(path, readonly=True)
    watch = reader.watch(3)
    for n in (11, 12):
        writer = SqliteStore.open(path)
        await create(writer, record(n))
        await writer.close()
        (commit,) = await take(watch, 1)
        assert commit.changes[0].record.uuid == uuid_of(n)
    await reader.close()


async def test_a_cancelled_caller_leaves_the_store_in_order(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "config.db")
    tasks = [asyncio.create_task(create(store, record(n))) for n in range(1, 200)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    _, records = await store.load()
    assert {uuid_of(n) for n in range(2, 200, 2)} <= {r.uuid for r in records}
    assert {r.uuid for r in records} <= {uuid_of(n) for n in range(1, 200)}
    await store.close()


async def test_a_full_disk_refuses_writes_and_recovers(tmp_path: Path) -> None:
    """SQLite's own page limit stands for the disk's."""
    store = SqliteStore.open(tmp_path / "config.db")
    await store.transact(lambda tx: tx.create(record(1)))
    writer = store._writer
    assert writer is not None

    def limit(tx: object) -> None:
        (pages,) = writer._db.execute("PRAGMA page_count").fetchone()
        writer._db.execute(f"PRAGMA max_page_count = {pages + 4}")

    await store.transact(limit)
    big = [replace(record(n), body=b"x" * 9000) for n in range(2, 12)]
    outcomes = await asyncio.gather(*(create(store, one) for one in big), return_exceptions=True)
    assert any(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert all(outcome is None or isinstance(outcome, StoreError) for outcome in outcomes)
    _, records = await store.load()
    kept = {one.uuid for one, outcome in zip(big, outcomes, strict=True) if outcome is None}
    assert {r.uuid for r in records} == kept | {uuid_of(1)}

    def lift(tx: object) -> None:
        writer._db.execute("PRAGMA max_page_count = 1000000")

    await store.transact(lift)
    for one in big:
        if one.uuid not in kept:
            await create(store, one)
    revision, records = await store.load()
    assert len(records) == 11
    assert [c.revision for c in await take(store.watch(0), revision)] == list(range(1, 12))
    await store.close()


def test_a_refused_write_to_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    run = subprocess.run(
        [sys.executable, "-m", limited_writer.__name__, str(path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = json.loads(run.stdout.splitlines()[-1])
    assert 0 < len(outcome["acknowledged"]) < 100
    assert set(outcome["acknowledged"]) <= set(outcome["readable"])
    assert outcome["at_last"] == 100
    assert check(path) == []


async def test_the_check_finds_what_was_changed_behind_the_store(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    store = SqliteStore.open(path)
    await create(store, record(1))
    await create(store, record(2, parent=1, refs=(1,)))
    await store.transact(lambda tx: tx.claim("s", "k", uuid_of(1)))
    await store.close()
    assert check(path) == []
    one = uuid_of(1)
    for change, finding in (
        (f"DELETE FROM records WHERE uuid = '{one}'", f"is below {one}, which does not exist"),
        ("DELETE FROM edges", "in the index or in the record"),
        ("UPDATE claims SET owner = 'x'", "belongs to x, which does not exist"),
        ("DELETE FROM log WHERE revision = 2", "commits 2 to 2 are missing in the log"),
        ("DELETE FROM log WHERE revision > 1", "of revision 2, after the log's last"),
        ("UPDATE records SET body = '1'", "is damaged in the file"),
    ):
        broken = tmp_path / "broken.db"
        shutil.copyfile(path, broken)
        with sqlite3.connect(broken) as connection:
            connection.execute(change)
        connection.close()
        assert any(finding in line for line in check(broken))
    with pytest.raises(StoreUnusable):
        check(tmp_path / "absent")


async def test_a_glance_reads_little_at_once_and_much_in_a_thread(tmp_path: Path) -> None:
    await fill(tmp_path / "a.db", 100)
    store = SqliteStore.open(tmp_path / "a.db")
    here = threading.get_ident()

    def first(snapshot: Snapshot) -> tuple[int, bool]:
        return threading.get_ident(), snapshot.get(uuid_of(1)) is not None

    def every(snapshot: Snapshot) -> tuple[int, int]:
        return threading.get_ident(), sum(1 for _ in snapshot.records("virtual-network"))

    def each(snapshot: Snapshot) -> int:
        for _ in range(100):
            snapshot.get(uuid_of(1))
        return threading.get_ident()

    thread, found = await store.glance(first)
    assert thread == here
    assert found
    thread, count = await store.glance(every)
    assert thread != here
    assert count == 100
    assert await store.glance(each) != here
    await store.close()
