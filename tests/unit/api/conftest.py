from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.api.api_server import Api, serving
from tests.unit.api.tenants import EVERYTHING, World, bare_world

from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.store import open_store


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A server with a project to work in."""
    async with serving(tmp_path) as api:
        await api.project()
        yield api


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which only the default rules hold."""
    async with bare_world(tmp_path) as world:
        yield world


@pytest.fixture
async def world(bare: World) -> World:
    """A world in which rules allow members everything, so that objects decide."""
    await bare.allow(EVERYTHING)
    return bare


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API server that runs in a thread of its own."""
    directory: Path = tmp_path_factory.mktemp("store")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api server", daemon=True)
    thread.start()

    def wait(call: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(call, loop).result(20)

    store = open_store(f"sqlite:{directory / 'config.db'}")
    service = ApiService(ApiSettings(listen="127.0.0.1:0", introspect_listen=""), store)
    try:
        wait(service.start())
        yield f"http://127.0.0.1:{service.port}"
        wait(service.stop())
        wait(store.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
