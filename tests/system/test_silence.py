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


def begun(lab: Lab, seconds: float = 60.0) -> None:
    """Wait until the agents know that they have been told everything."""
    deadline = time.monotonic() + seconds
    for name in ("compute1", "compute2"):
        log = Path(lab.state.processes[name].log)
        while "agent_complete" not in log.read_text():
            assert time.monotonic() < deadline, f"{name} is not complete"
            time.sleep(0.1)


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

    begun(lab)
    time.sleep(2)
    asyncio.run(watch())
