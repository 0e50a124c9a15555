"""A process that edits a store while a compiler follows it: ``kill_compiler.py FILE``.

Tests arm a fault point, so that it dies on the way; started again it does the rest.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.unit.compiler.intent import (
    create,
    delete,
    group,
    interface,
    network,
    system,
    targets,
    update,
)

from tungsten.compiler.service import CompilerService
from tungsten.store.base import DuplicateId, Store
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.settling import settled


async def edit(store: Store, service: CompilerService) -> None:
    """Edits that can be repeated from the start, wherever they were broken off."""
    one = network("vn1", route_target_list=targets("target:65000:1"))
    two = network("vn2", route_target_list=targets("target:65000:1"))
    everything = (system(64512), one, two, interface("vmi", one), group("sg", 8000001))
    for resource in everything:
        try:
            await create(store, resource)
        except DuplicateId:
            await update(store, resource)
    await settled(store, service)
    await update(store, system(4200000000))
    await settled(store, service)
    await update(store, interface("vmi", two))
    await delete(store, one)
    await settled(store, service)


async def main(path: Path) -> None:
    store = SqliteStore.open(path)
    service = CompilerService(store)
    await service.start()
    await edit(store, service)
    await service.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
