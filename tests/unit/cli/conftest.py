"""A real API server on a real store, and the ``tungsten`` command that asks it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.running import Run
from typer.testing import CliRunner, Result

from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.cli.app import app
from tungsten.store import open_store


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API server that runs in a thread of its own."""
    directory: Path = tmp_path_factory.mktemp("store")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api server", daemon=True)
    thread.start()

    def wait(call: object) -> object:
        assert asyncio.iscoroutine(call)
        return asyncio.run_coroutine_threadsafe(call, loop).result(20)

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


@pytest.fixture(scope="module")
def run(api: str) -> Run:
    def run(*words: str, code: int = 0, given: str | None = None) -> Result:
        result = CliRunner().invoke(app, [words[0], "--url", api, *words[1:]], input=given)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run
