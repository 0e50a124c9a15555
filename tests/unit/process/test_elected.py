"""The compiler runs in one process of several on a cluster store, and nowhere twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest
from tests.unit.store.store_samples import OLD_ETCD, etcd_place

from tungsten.process import daemons
from tungsten.process.elected import ElectedService
from tungsten.process.settings import Settings, StoreSettings
from tungsten.store import EtcdOptions, SqliteStore, StoreUnusable
from tungsten.store.base import Store
from tungsten.store.etcd import EtcdStore


class Part:
    """A service that says when it runs."""

    running: ClassVar[list[str]] = []

    def __init__(self, name: str, store: Store) -> None:
        self.name = name
        self.store = store

    async def start(self) -> None:
        self.running.append(self.name)

    async def stop(self) -> None:
        if self.name in self.running:
            self.running.remove(self.name)


async def test_one_runs_and_the_other_takes_over(tmp_path: Path) -> None:
    stores = [EtcdStore.open(etcd_place(tmp_path), options=OLD_ETCD) for _ in range(2)]
    one = ElectedService(stores[0], "r", lambda store: Part("one", store))
    two = ElectedService(stores[1], "r", lambda store: Part("two", store))
    await one.start()
    await two.start()
    assert Part.running == ["one"]
    assert one.active.is_set()
    await one.stop()
    await asyncio.wait_for(two.active.wait(), 3)
    assert Part.running == ["two"]
    await two.stop()
    assert Part.running == []
    for store in stores:
        await store.close()


async def test_settings_reach_etcd(tmp_path: Path) -> None:
    url = f"etcd:{etcd_place(tmp_path)}"
    old = Settings(store=StoreSettings(url=url))
    with pytest.raises(StoreUnusable, match=r"allow_unpatched_etcd"):
        daemons.open_configured(old)
    store = daemons.open_configured(
        Settings(store=StoreSettings(url=url, allow_unpatched_etcd=True))
    )
    assert isinstance(daemons.compiling(store), ElectedService)
    await store.close()
    missing = Settings(store=StoreSettings(url=url, etcd_ca="/nowhere/ca.pem"))
    with pytest.raises(StoreUnusable, match=r"CA file /nowhere/ca\.pem cannot be read"):
        daemons.open_configured(missing)
    assert EtcdOptions() == EtcdOptions(allow_unpatched=False)


async def test_on_an_embedded_store_the_compiler_is_the_controllers(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "config.db")
    with pytest.raises(StoreUnusable, match="one writer"):
        daemons.compiling(store, alone=True)
    assert not isinstance(daemons.compiling(store), ElectedService)
    await store.close()
