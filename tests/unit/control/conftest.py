from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.control.control_world import World
from tests.unit.control.cores import core

from tungsten.store.sqlite import SqliteStore

__all__ = ["core"]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "config.db")
    yield opened
    await opened.close()


@pytest.fixture
async def make_world(store: SqliteStore) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    worlds: list[World] = []

    async def make(**settings: object) -> World:
        world = await World.start(store, **settings)
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        await world.stop()


@pytest.fixture
async def world(make_world: Callable[..., Awaitable[World]]) -> World:
    return await make_world()
