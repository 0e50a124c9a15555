"""Killed at any moment, the store has all that it acknowledged and nothing half-written."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.store import kill_writer
from tests.unit.store.store_samples import take
from tests.unit.store.watch_properties import WatchValidator

from tungsten.store.base import Record, Snapshot, number_key
from tungsten.store.check import check as check_file
from tungsten.store.faults import VARIABLE
from tungsten.store.sqlite import SqliteStore

POINTS = ("store.transaction", "store.commit.before", "store.commit.after")


def run_until_killed(path: Path, first: int, draw: random.Random) -> set[int]:
    """The numbers that a writer acknowledged before it was killed."""
    environment = dict(os.environ)
    by_point = draw.random() < 0.6
    if by_point:
        environment[VARIABLE] = f"{draw.choice(POINTS)}:{draw.randrange(1, 30)}"
    process = subprocess.Popen(
        [sys.executable, kill_writer.__file__, str(path), str(first)],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    head = b""
    if not by_point:
        head = process.stdout.readline()
        time.sleep(draw.random() / 5)
        process.kill()
    text = head + process.stdout.read()
    process.stdout.close()
    assert process.wait(20) == -signal.SIGKILL
    return {int(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")}


def pairs_of(records: list[Record]) -> dict[int, list[Record]]:
    pairs: dict[int, list[Record]] = {}
    for record in records:
        pairs.setdefault(int(record.fq_name[0][1:]), []).append(record)
    return pairs


async def check(path: Path, acknowledged: set[int]) -> int:
    """What is in the file after a kill; returns the next number that is free."""
    store = SqliteStore.open(path)
    revision, records = await store.load()
    pairs = pairs_of(records)
    assert acknowledged <= pairs.keys()
    for number, held in pairs.items():
        stored = sorted((r.uuid, r.fq_name, r.parent, r.edges, r.body) for r in held)
        written = [(r.uuid, r.fq_name, r.parent, r.edges, r.body) for r in kill_writer.pair(number)]
        assert stored == sorted(written)

    def claims(snapshot: Snapshot) -> set[str]:
        return {key for key, _ in snapshot.claims("numbers")}

    assert await store.read(claims) == {number_key(number) for number in pairs}
    validator = WatchValidator()
    if revision:
        for commit in await take(store.watch(0), revision):
            assert len(commit.changes) == 2
            validator.receive(commit)
    validator.check_state(revision, records)
    await store.close()
    assert check_file(path) == []
    return max(pairs, default=0) + 1


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_loses_nothing_acknowledged_and_halves_nothing(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path = tmp_path / "config.db"
    acknowledged: set[int] = set()
    first = 1
    for _ in range(5):
        acknowledged |= run_until_killed(path, first, draw)
        first = asyncio.run(check(path, acknowledged))
    assert acknowledged


@pytest.mark.parametrize("setting", ["x", "x:", ":3", "x:0", "x:y"])
def test_a_fault_point_that_is_misspelt_is_refused(setting: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import tungsten.store.faults"],
        env={**os.environ, VARIABLE: setting},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "NAME:N expected" in run.stderr
