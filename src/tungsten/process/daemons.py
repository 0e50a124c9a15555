"""Which services make which process. Layers are imported only by the process that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tungsten.process.runtime import Service, serve
from tungsten.process.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from tungsten.store import EtcdOptions
    from tungsten.store.base import Store


def etcd_options(store: StoreSettings) -> EtcdOptions:
    """How the settings say to reach etcd."""
    from tungsten.store import EtcdOptions

    def file(name: str) -> Path | None:
        return Path(name) if name else None

    return EtcdOptions(
        ca=file(store.etcd_ca),
        certificate=file(store.etcd_certificate),
        key=file(store.etcd_key),
        credentials=file(store.etcd_credentials),
        allow_unpatched=store.allow_unpatched_etcd,
    )


def open_configured(settings: Settings, *, readonly: bool = False) -> Store:
    """The store of the settings. Raises StoreUnusable."""
    from tungsten.store import open_store

    store = settings.store
    return open_store(store.url, readonly=readonly, etcd=etcd_options(store))


def compiling(store: Store, *, alone: bool = False) -> Service:
    """The compiler on a store: elected where several processes may write.

    ``alone``: as a process of its own, which an embedded store does not allow.
    """
    from tungsten.compiler.service import CompilerService
    from tungsten.store import SqliteStore, StoreUnusable

    if not isinstance(store, SqliteStore):
        from tungsten.process.elected import ElectedService
        from tungsten.store.etcd import EtcdStore

        assert isinstance(store, EtcdStore), "there are two engines"
        return ElectedService(store, "compiler", CompilerService)
    if alone:
        raise StoreUnusable(
            "an embedded store has one writer: run tungsten controller, or use etcd"
        )
    return CompilerService(store)


class StoreService:
    """Closes the store when all that use it have stopped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def start(self) -> None: ...

    async def stop(self) -> None:
        await self._store.close()


def serving(settings: Settings, store: Store) -> list[Service]:
    """The REST server, and the web UI's endpoints beside it where settings switch them on."""
    from tungsten.api.service import ApiService

    api = ApiService(settings.api, store)
    if not settings.webui.listen:
        return [api]
    from tungsten.webui.service import WebUiPlace, WebUiService

    place = WebUiPlace(settings.webui, settings.api)
    return [place, api, WebUiService(place, api)]


async def api(settings: Settings) -> int:
    """``tungsten api``: the REST server alone."""
    store = open_configured(settings)
    return await serve("api", [StoreService(store), *serving(settings, store)])


async def controller(settings: Settings) -> int:
    """``tungsten controller``: REST server, compiler and control node in one process."""
    from tungsten.control.service import ControlService

    store = open_configured(settings)
    services: list[Service] = [
        StoreService(store),
        *serving(settings, store),
        compiling(store),
        ControlService(settings.control, store),
    ]
    return await serve("controller", services)


async def compiler(settings: Settings) -> int:
    """``tungsten compiler``: the compiler alone, active or waiting for the active one to go."""
    store = open_configured(settings)
    return await serve("compiler", [StoreService(store), compiling(store, alone=True)])


async def control(settings: Settings) -> int:
    """``tungsten control``: one more control node, reading a store that others write."""
    from tungsten.control.service import ControlService

    store = open_configured(settings, readonly=True)
    return await serve("control", [StoreService(store), ControlService(settings.control, store)])


async def agent(settings: Settings) -> int:
    """``tungsten agent``: the vRouter agent of one host."""
    from tungsten.agent.service import AgentService

    return await serve("agent", [AgentService(settings.agent)])
