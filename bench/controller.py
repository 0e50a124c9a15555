"""What configuration costs a controller: memory, start, one more change, creates.

A store is filled with OBJECTS ports and addresses on 500 networks of 50 projects, then a `tungsten
controller` is started on it, which compiles everything and writes what it derived; and started
again, which finds nothing to do: the time until it says that it is ready, the CPU of that, the
memory that it has then and had at most. Last it is given creates: what a port and its address cost
it, and one after another the time from a create until its routing instance is stored; that on a
store that is nearly empty too, since it must not follow the number of objects. The peer, in each
round, is `tungsten api` on the same file.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import aiohttp

from bench.api import Results, Server, make_network, started
from bench.api_load import NETWORK
from bench.report import publish
from tungsten.store.base import Record, Snapshot, Transaction
from tungsten.store.records import to_record
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.population import DOMAIN, Population

ROUNDS = 3
OBJECTS = 100_000
FEW = 1_000
"""Objects of the store that is nearly empty."""
PROJECTS, NETWORKS = 50, 500
PAIRS = 500
"""Ports and addresses of a round of creates: a thousand objects."""
CHANGES = 100
BATCH = 2_000
LOOK, LOOKS = 0.02, 30_000
"""Seconds between two looks whether a process is ready, and how many."""
API = "tungsten api alone"


@dataclass
class Started:
    """A process that has said that it is ready, and what that took."""

    server: Server
    seconds: float
    cpu: float


async def ready(directory: Path, stack: AsyncExitStack, name: str) -> Started:
    """Start a process and wait until it is ready, not only answers."""
    log = directory / "server.log"
    log.write_bytes(b"")
    begin = time.perf_counter()
    server = await started(directory, stack, name)
    for _ in range(LOOKS):
        if "process=" in log.read_text():  # which it logs when all of it has started
            return Started(server, time.perf_counter() - begin, server.cpu())
        await asyncio.sleep(LOOK)
    raise RuntimeError(f"tungsten {name} did not become ready: {log.read_text()}")


def most_megabytes(server: Server) -> float:
    """The memory it had at most."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("the kernel does not tell the peak")


async def fill(directory: Path, objects: int) -> None:
    """A store as an API server makes it, with a network for creates, and objects in it."""
    async with AsyncExitStack() as stack:
        await make_network(await started(directory, stack))
    store = SqliteStore.open(directory / "config.db")

    def domain(snapshot: Snapshot) -> str:
        found = snapshot.find("domain", (DOMAIN,))
        assert found is not None
        return found.uuid

    everything = Population(PROJECTS, NETWORKS, await store.read(domain)).objects(objects // 2)
    while batch := [to_record(one) for one in islice(everything, BATCH)]:
        await store.transact(partial(_create, batch))
    await store.close()


def _create(batch: list[Record], tx: Transaction) -> None:
    for record in batch:
        tx.create(record)


async def change(server: Server, results: Results, what: str) -> None:
    """Milliseconds from sending a create until its routing instance is stored, one at a time."""
    waits: list[float] = []
    query = "resource_type=virtual_machine_interface"
    fields = "virtual_machine_interface_fields=routing_instance_refs"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/watch?{query}&{fields}") as stream:
            # All there are are told first, in one event: it may be long.
            await _event(stream)
            for number in range(CHANGES):
                name = f"c{time.monotonic_ns()}-{number}"
                body = {
                    "fq_name": [*NETWORK[:2], name],
                    "parent_type": "project",
                    "virtual_network_refs": [{"to": NETWORK}],
                }
                begin = time.perf_counter()
                made = asyncio.create_task(
                    session.post(
                        f"{server.url}/virtual-machine-interfaces",
                        json={"virtual-machine-interface": body},
                    )
                )
                event = b""
                while not (name.encode() in event and b'"routing_instance_refs"' in event):
                    event = await _event(stream)
                waits.append(1000 * (time.perf_counter() - begin))
                (await made).release()
    results.add(what, "ms", statistics.median(waits))


async def _event(stream: aiohttp.ClientResponse) -> bytes:
    """The next event; of one that is longer than the reader takes, the end."""
    event = b""
    while not event.endswith(b"\n\n"):
        event = (event + await stream.content.readany())[-4096:]
    return event


async def creates(server: Server, first: int) -> float:
    """Microseconds of CPU of a create, with what it leads to."""
    before = server.cpu()
    outcome, _ = await server.load("create", 16, first, PAIRS)
    await server.quiet()
    return 1e6 * (server.cpu() - before) / len(outcome.waits)


async def restarts(directory: Path, results: Results) -> None:
    """Rounds of a controller, and of an API server, on a store that is compiled."""
    made = 0
    memory = f"memory of {OBJECTS:,} objects"
    for _ in range(ROUNDS):
        async with AsyncExitStack() as stack:
            one = await ready(directory, stack, "controller")
            await one.server.quiet()
            results.add("restart: until ready", "s", one.seconds)
            results.add("restart: CPU", "s", one.cpu)
            results.add(memory, "MB", one.server.megabytes())
            results.add(f"{memory}, at most", "MB", most_megabytes(one.server))
            results.add("CPU of a create", "us", await creates(one.server, made))
            await change(one.server, results, f"a change is compiled, {OBJECTS:,} objects")
            made += PAIRS
        async with AsyncExitStack() as stack:
            peer = await ready(directory, stack, "api")
            await peer.server.quiet()
            results.beside("restart: until ready", API, peer.seconds)
            results.beside("restart: CPU", API, peer.cpu)
            results.beside(memory, API, peer.server.megabytes())
            results.beside(f"{memory}, at most", API, most_megabytes(peer.server))
            results.beside("CPU of a create", API, await creates(peer.server, made))
            made += PAIRS


async def measure(results: Results) -> None:
    """Everything."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        await fill(directory, FEW)
        async with AsyncExitStack() as stack:
            few = await ready(directory, stack, "controller")
            for _ in range(ROUNDS):
                await change(few.server, results, f"a change is compiled, {FEW:,} objects")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        await fill(directory, OBJECTS)
        async with AsyncExitStack() as stack:
            first = await ready(directory, stack, "controller")
            results.add("first start: until ready", "s", first.seconds)
            results.add("first start: CPU", "s", first.cpu)
            await first.server.quiet()
        await restarts(directory, results)


def main() -> None:
    """Measure, print, write the results."""
    results = Results()
    asyncio.run(measure(results))
    publish("controller", results.measures())


if __name__ == "__main__":
    main()
