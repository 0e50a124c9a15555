"""Watches: the six properties, coming back, coming back too late, and slow watchers."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.unit.store.store_samples import Engine, record, take, uuid_of
from tests.unit.store.watch_properties import WatchValidator

from tungsten.store import feed
from tungsten.store.base import Change, ChangeKind, Commit, Compacted, StoreClosed, Transaction


class UndoneError(Exception):
    """Raised by a transaction that shall leave nothing."""


async def write_at_random(engine: Engine, steps: int, seed: int) -> None:
    """Creates, updates, deletes, weak edges, claims and failures from eight writers."""
    draw = random.Random(seed)

    def change(tx: Transaction) -> None:
        number = draw.randrange(1, 40)
        held = tx.get(uuid_of(number))
        weak = tuple(n for n in (number - 1, number + 1) if tx.get(uuid_of(n)))
        if held is None:
            tx.create(record(number, weak=weak))
        elif draw.random() < 0.4:
            tx.delete(uuid_of(number))
        else:
            tx.update(record(number, weak=weak, body=str(draw.random()).encode()))
        if draw.random() < 0.1:
            raise UndoneError

    async def writer() -> None:
        for _ in range(steps // 8):
            with suppress(UndoneError):
                await engine.writer.transact(change)

    await asyncio.gather(*(writer() for _ in range(8)))


async def test_watchers_that_break_off_and_resume_see_the_whole_history(engine: Engine) -> None:
    validators = [WatchValidator(gapless=engine.gapless) for _ in range(4)]
    draw = random.Random(7)

    async def follow(validator: WatchValidator) -> None:
        while True:
            async for commit in engine.reader.watch(validator.revision):
                validator.receive(commit)
                if draw.random() < 0.05:
                    break
            await asyncio.sleep(draw.random() / 100)

    tasks = [asyncio.create_task(follow(validator)) for validator in validators]
    await write_at_random(engine, 800, seed=11)
    revision, records = await engine.reader.load()
    history = await take(engine.reader.watch(0), revision)
    async with asyncio.timeout(10):
        while any(validator.revision < revision for validator in validators):
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for validator in validators:
        validator.check_history(history)
        validator.check_state(revision, records)


async def test_a_watch_from_a_load_continues_it(engine: Engine) -> None:
    writing = asyncio.create_task(write_at_random(engine, 400, seed=3))
    await asyncio.sleep(0.02)
    validator = WatchValidator(*await engine.reader.load(), gapless=engine.gapless)
    watch = engine.reader.watch(validator.revision)
    await writing
    revision, records = await engine.reader.load()
    if revision > validator.revision:
        for commit in await take(watch, revision):
            validator.receive(commit)
    validator.check_state(revision, records)


async def test_a_scan_gives_what_a_load_gives_one_at_a_time(engine: Engine) -> None:
    await write_at_random(engine, 100, seed=5)
    loaded = await engine.reader.load()
    assert loaded[1]
    assert await engine.reader.scan(lambda s, records: (s.revision, list(records))) == loaded
    # What a scan leaves unread holds nothing up.
    assert await engine.reader.scan(lambda _, records: next(records)) == loaded[1][0]
    await write_at_random(engine, 10, seed=6)


async def test_a_watch_waits_for_what_comes(engine: Engine) -> None:
    first = asyncio.ensure_future(anext(engine.reader.watch(0)))
    await asyncio.sleep(0.05)
    assert not first.done()
    await engine.create(record(1))
    commit = await asyncio.wait_for(first, 5)
    assert [commit.revision] == await engine.revisions()


async def test_a_slow_watcher_hinders_nobody_and_misses_nothing(engine: Engine) -> None:
    slow = engine.reader.watch(0)
    await engine.create(record(1))
    await anext(slow)
    for n in range(2, 600):
        await engine.create(record(n))
    last = await engine.reader.read(lambda s: s.revision)
    quick = await take(engine.reader.watch(0), last)
    assert len(quick) == 599
    assert await take(slow, last) == quick[1:]


async def test_a_watcher_slower_than_the_window_reads_the_log(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "WINDOW_COMMITS", 8)
    monkeypatch.setattr(feed, "BATCH", 4)
    slow = engine.reader.watch(0)
    await engine.create(record(1))
    validator = WatchValidator(gapless=engine.gapless)
    validator.receive(await anext(slow))
    for n in range(2, 101):
        await engine.create(record(n))
        if n % 20 == 0:
            validator.receive(await anext(slow))
    state = await engine.reader.load()
    for commit in await take(slow, state[0]):
        validator.receive(commit)
    assert len(validator.commits) == 100
    validator.check_state(*state)


async def test_the_window_is_bounded_in_bytes() -> None:
    window = feed.Feed(0)
    big = replace(record(1), body=b"x" * (feed.WINDOW_BYTES // 4))
    for revision in range(1, 11):
        window.append([Commit(revision, (Change(ChangeKind.UPDATED, big),))])
    assert window.last == 10
    assert window.after(5) is None
    assert [c.revision for c in window.after(6) or []] == [7, 8, 9, 10]
    assert window.after(10) == []


async def test_a_revision_that_never_was_is_refused(engine: Engine) -> None:
    await engine.create(record(1))
    with pytest.raises(Compacted):
        await asyncio.wait_for(anext(engine.reader.watch(10**12)), 5)


async def test_watches_end_with_the_store(engine: Engine) -> None:
    waiting = asyncio.ensure_future(anext(engine.reader.watch(0)))
    await asyncio.sleep(0.02)
    await engine.close()
    with pytest.raises(StoreClosed):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(StoreClosed):
        await engine.reader.load()
    with pytest.raises(StoreClosed):
        await engine.writer.transact(lambda tx: None)


async def test_the_validator_finds_each_broken_property() -> None:
    def commit(revision: int, *numbers: int) -> Commit:
        return Commit(
            revision,
            tuple(
                Change(ChangeKind.CREATED, replace(record(n), created=revision, revision=revision))
                for n in numbers
            ),
        )

    for broken, name in (
        ([commit(1, 1), commit(1, 1)], "unique"),
        ([commit(1, 1), commit(3, 2)], "reliable"),
        ([commit(1, 1), commit(2, 1)], "unique"),
    ):
        validator = WatchValidator()
        validator.receive(broken[0])
        with pytest.raises(AssertionError, match=name):
            validator.receive(broken[1])
