"""A network that nobody changes is silent: no writes, no route updates, no errors."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tungsten.lab import demo
from tungsten.lab.lab import Lab
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.silence import assert_silent, store_revision

#: Seconds of watching. Keepalives go on; nothing else may.
WINDOW = 10.0


def test_an_idle_network_writes_nothing(lab: Lab) -> None:
    async def watch() -> None:
        database = lab.directory("controller") / "config.db"
        store = SqliteStore.open(database, readonly=True)

        async def tables() -> str:
            def read() -> str:
                return "".join(
                    demo.tool(lab, host, *words)
                    for host in ("compute1", "compute2")
                    for words in (("nh", "--list"), ("mpls", "--dump"))
                )

            return await asyncio.to_thread(read)

        async def logs() -> dict[str, int]:
            processes = lab.state.processes.items()
            return {name: Path(one.log).stat().st_size for name, one in processes}

        try:
            await assert_silent(WINDOW, store=store_revision(store), tables=tables, logs=logs)
        finally:
            await store.close()

    time.sleep(2)
    asyncio.run(watch())
