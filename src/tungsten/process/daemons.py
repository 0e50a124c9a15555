"""Which services make which process. Layers are imported only by the process that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tungsten.process.runtime import Service, serve
from tungsten.process.settings import Settings

if TYPE_CHECKING:
    from tungsten.store.base import Store


class StoreService:
    """Closes the store when all that use it have stopped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def start(self) -> None: ...

    async def stop(self) -> None:
        await self._store.close()


async def api(settings: Settings) -> int:
    """``tungsten api``: the REST server alone."""
    from tungsten.api.service import ApiService
    from tungsten.store import open_store

    store = open_store(settings.store.url)
    return await serve("api", [StoreService(store), ApiService(settings.api, store)])


async def controller(settings: Settings) -> int:
    """``tungsten controller``: REST server, compiler and control node on the embedded store."""
    from tungsten.api.service import ApiService
    from tungsten.compiler.service import CompilerService
    from tungsten.control.service import ControlService
    from tungsten.store import open_store

    store = open_store(settings.store.url)
    services: list[Service] = [
        StoreService(store),
        ApiService(settings.api, store),
        CompilerService(store),
        ControlService(settings.control, store),
    ]
    return await serve("controller", services)


async def control(settings: Settings) -> int:
    """``tungsten control``: one more control node, reading a store that others write."""
    from tungsten.control.service import ControlService
    from tungsten.store import open_store

    store = open_store(settings.store.url, readonly=True)
    return await serve("control", [StoreService(store), ControlService(settings.control, store)])


async def agent(settings: Settings) -> int:
    """``tungsten agent``: the vRouter agent of one host."""
    from tungsten.agent.service import AgentService

    return await serve("agent", [AgentService(settings.agent)])
