"""SIGKILL at every step of a commit: what is left is whole, and a restart completes it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.unit.compiler import dumps

from tungsten.compiler.pools import POOLS
from tungsten.compiler.service import CompilerService
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.faultpoints import kill_at_every
from tungsten.testing.invariants import assert_whole

SCRIPT = Path(__file__).with_name("kill_compiler.py")
ROOT = SCRIPT.parents[3]


async def inspect(path: Path) -> None:
    """The store as the dead process left it, and as the next compiler makes it."""
    store = SqliteStore.open(path)
    await assert_whole(store, POOLS, compiled=False)
    service = CompilerService(store)
    await service.start()
    await service.stop()
    await assert_whole(store, POOLS)
    records, claims = await dumps.snapshot(store)
    assert dumps.compiled(records, claims) == []
    scratch = dumps.compiled(dumps.intent(records), claims)
    assert dumps.stored(records) == dumps.planned(scratch)
    await store.close()


@pytest.mark.parametrize(
    "point", ["compiler.write.before", "compiler.write.after", "store.commit.before"]
)
def test_a_compiler_killed_at_any_step_leaves_nothing_half_done(tmp_path: Path, point: str) -> None:
    def database(n: int) -> Path:
        # Two kills share a store: the second process starts on what the first one left.
        return tmp_path / f"{n // 2}.db"

    def command(n: int) -> list[str]:
        return [sys.executable, str(SCRIPT), str(database(n))]

    kills = kill_at_every(
        point,
        command,
        lambda n: asyncio.run(inspect(database(n))),
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
    )
    assert kills >= 3
