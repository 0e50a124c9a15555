from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tungsten.compiler.service import CompilerService
from tungsten.store.base import Store
from tungsten.store.sqlite import SqliteStore

Settle = Callable[[], Awaitable[None]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = SqliteStore.open(tmp_path / "config.db")
    yield opened
    await opened.close()


@pytest.fixture
async def compiler(store: Store) -> AsyncIterator[CompilerService]:
    """A compiler that follows the store."""
    service = CompilerService(store)
    await service.start()
    yield service
    await service.stop()
