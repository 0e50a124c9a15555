"""One process writes, another watches, is killed, and comes back where it was."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.unit.store import reading_process
from tests.unit.store.store_samples import record

from tungsten.store.sqlite import SqliteStore


async def start(path: Path, after: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        reading_process.__file__,
        str(path),
        str(after),
        stdout=asyncio.subprocess.PIPE,
    )


async def next_revision(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    return int(await asyncio.wait_for(process.stdout.readline(), 20))


async def create(store: SqliteStore, number: int) -> None:
    await store.transact(lambda tx: tx.create(record(number)))


async def test_a_watching_process_that_is_killed_resumes_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    store = SqliteStore.open(path)
    await create(store, 1)
    seen = [0]
    for number in (2, 3, 4):
        process = await start(path, seen[-1])
        seen.append(await next_revision(process))
        await create(store, number)
        seen.append(await next_revision(process))
        process.kill()
        await process.wait()
        await create(store, number + 10)
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    await store.close()


async def test_a_watching_process_outlives_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    store = SqliteStore.open(path)
    await create(store, 1)
    process = await start(path, 0)
    assert await next_revision(process) == 1
    await store.close()
    store = SqliteStore.open(path)
    await create(store, 2)
    assert await next_revision(process) == 2
    process.kill()
    await process.wait()
    await store.close()
