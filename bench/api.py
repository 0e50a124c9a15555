"""What the REST API costs: creates, reads, lists, watch latency, memory.

A `tungsten api` on an SQLite file, and its clients in another process (:mod:`bench.api_load`). A
*pair* is a virtual-machine-interface of a network and the instance-ip that gives it an address: two
creates, each a transaction that is durable when acknowledged. Beside rates by the clock stand the
seconds of CPU that the server and the clients used, since a busy machine gives neither a whole
processor.

First rounds of creates and reads over one connection and over sixteen. Every read is of another
object: once each right after they were made, which no earlier read has helped, and then several
times each. The floor is the same HTTP stack that answers the same reads with constant bytes of the
size of such an answer (:mod:`bench.api_floor`). Then the same server is
filled with 100,000 objects, timing each tenth, for the memory it takes, for a detailed list of
10,000, and for a `tungsten controller` started on the file. The peer of creates is the embedded
store alone, given the same number of records by as many writers in the same run: what of the time
is the API's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench import store as bare
from bench.api_load import NETWORK, Load, Outcome
from bench.report import Measure, publish

ROUNDS = 3
PAIRS = {1: 400, 16: 1200}
ONCE = 1000
AGAIN = {1: 2, 16: 8}
FLOOR = "HTTP alone: the same reads answered with constant bytes"
WATCHED = 200
OBJECTS = 100_000
LISTED = 10_000
TENTH = OBJECTS // 2 // 10
STORE = "the store alone"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Server:
    """A process that serves the API, on a port of its own."""

    def __init__(self, directory: Path, *argv: str, module: str = "tungsten") -> None:
        command = [sys.executable, "-m", module, *argv]
        with (directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        self.pid = self._process.pid
        self.port = 0

    async def serving(self, port: int) -> Server:
        """Wait until it answers."""
        self.port = port
        async with aiohttp.ClientSession() as session:
            while self._process.poll() is None:
                try:
                    async with session.get(f"{self.url}/healthz") as answer:
                        if answer.status == 200:
                            return self
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        raise RuntimeError(f"the server ended with {self._process.returncode}")

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICK

    def megabytes(self) -> float:
        """Memory resident now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE / 1e6

    async def load(
        self, kind: Any, connections: int, first: int, count: int, times: int = 1
    ) -> tuple[Outcome, float]:
        """Let clients send; the outcome, and the server's seconds of CPU."""
        load = Load(self.port, kind, connections, first, count, times)
        clients = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.api_load", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        before = self.cpu()
        out, _ = await clients.communicate(msgspec.json.encode(load))
        if clients.returncode:
            raise RuntimeError("the clients failed")
        return msgspec.json.decode(out, type=Outcome), self.cpu() - before

    async def quiet(self) -> None:
        """Wait until it has nothing more to do."""
        before = -1.0
        while self.cpu() - before > 0.05:
            before = self.cpu()
            await asyncio.sleep(1)

    async def stop(self) -> None:
        """End it."""
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)


async def started(directory: Path, stack: AsyncExitStack, name: str = "api") -> Server:
    """A server on ``config.db`` in a directory; a controller listens for nobody else."""
    port = _free_port()
    address, url = f"127.0.0.1:{port}", f"sqlite:{directory / 'config.db'}"
    if name == "api":
        more = ("--set", "api.introspect_listen=")
        server = Server(directory, "api", "--listen", address, "--store", url, *more)
    else:
        sets = [f"api.listen={address}", f"store.url={url}"]
        sets += [f"control.{key}=127.0.0.1:{_free_port()}" for key in ("xmpp_listen", "bgp_listen")]
        sets += ["control.introspect_listen=", "api.introspect_listen="]
        server = Server(directory, name, *(part for one in sets for part in ("--set", one)))
    stack.push_async_callback(server.stop)
    return await server.serving(port)


async def floor_of(directory: Path, stack: AsyncExitStack) -> Server:
    """The same HTTP stack with nothing behind it."""
    port = _free_port()
    floor = Server(directory, str(port), module="bench.api_floor")
    stack.push_async_callback(floor.stop)
    return await floor.serving(port)


async def make_network(server: Server) -> None:
    """The network of all ports."""
    subnet = {"subnet": {"ip_prefix": "10.0.0.0", "ip_prefix_len": 12}}
    ipam = {"to": [*NETWORK[:2], "default-network-ipam"], "attr": {"ipam_subnets": [subnet]}}
    body = {"fq_name": NETWORK, "parent_type": "project", "network_ipam_refs": [ipam]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/virtual-networks", json={"virtual-network": body}) as answer,
    ):
        answer.raise_for_status()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Results:
    """Rounds by metric."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[float]] = {}
        self._peers: dict[str, dict[str, list[float]]] = {}

    def add(self, metric: str, unit: str, value: float) -> None:
        """One round of a metric."""
        self._rounds.setdefault((metric, unit), []).append(value)

    def beside(self, metric: str, peer: str, value: float) -> None:
        """What a peer did in the same round."""
        self._peers.setdefault(metric, {}).setdefault(peer, []).append(value)

    def measures(self) -> list[Measure]:
        """As they are published."""
        return [
            Measure(metric, unit, rounds, self._peers.get(metric, {}))
            for (metric, unit), rounds in self._rounds.items()
        ]


def note(results: Results, what: str, outcome: Outcome, cpu: float) -> None:
    """Rates and costs of a load."""
    count = len(outcome.waits)
    results.add(what, "1/s", count / outcome.seconds)
    results.add(f"{what}: server CPU", "us", 1e6 * cpu / count)
    results.add(f"{what}: clients' CPU", "us", 1e6 * outcome.cpu / count)
    results.add(f"{what}: median wait", "ms", outcome.waits[count // 2])
    results.add(f"{what}: 99th percentile", "ms", outcome.waits[count * 99 // 100])


async def rounds(server: Server, floor: Server, results: Results) -> int:
    """Creates and reads; how many ports there are afterwards."""
    made = 0
    for _ in range(ROUNDS):
        for connections, count in PAIRS.items():
            outcome, cpu = await server.load("create", connections, made, count)
            made += count
            what = f"creates, {connections} client{'s' * (connections > 1)}"
            note(results, what, outcome, cpu)
            if connections > 1:
                with tempfile.TemporaryDirectory() as directory:
                    rate = await bare.ours(Path(directory) / "bare.db")
                results.beside(what, STORE, rate)
        outcome, cpu = await server.load("pair", 16, made, PAIRS[16])
        made += PAIRS[16]
        note(results, "pairs in one POST /transaction, 16 clients", outcome, cpu)
        await reads(server, floor, made - ONCE, results)
        await watch(server, results)
    return made


async def reads(server: Server, floor: Server, first: int, results: Results) -> None:
    """Reads of ONCE ports that nobody has read yet, and again."""
    note(results, "reads, the first, 16 clients", *await server.load("read", 16, first, ONCE))
    for connections, times in AGAIN.items():
        clients = f"{connections} client{'s' * (connections > 1)}"
        again = await server.load("read", connections, first, ONCE, times)
        note(results, f"reads, again, {clients}", *again)
        outcome, cpu = await floor.load("read", connections, first, ONCE, times)
        what = f"reads, again, {clients}"
        results.beside(what, FLOOR, len(outcome.waits) / outcome.seconds)
        results.beside(f"{what}: server CPU", FLOOR, 1e6 * cpu / len(outcome.waits))


async def watch(server: Server, results: Results) -> None:
    """Milliseconds from sending a create until a watcher has its event, one at a time."""
    sent: dict[str, float] = {}
    waits: list[float] = []
    async with aiohttp.ClientSession() as session:
        query = "resource_type=route_table&route_table_fields=display_name"
        async with session.get(f"{server.url}/watch?{query}") as stream:
            await stream.content.readuntil(b"\n\n")
            for number in range(WATCHED):
                name = f"t{time.monotonic_ns()}-{number}"
                body = {"fq_name": [*NETWORK[:2], name], "parent_type": "project"}
                sent[name] = time.perf_counter()
                made = asyncio.create_task(
                    session.post(f"{server.url}/route-tables", json={"route-table": body})
                )
                while name.encode() not in await stream.content.readuntil(b"\n\n"):
                    pass
                waits.append(1000 * (time.perf_counter() - sent[name]))
                (await made).release()
    results.add("create sent to event received, median", "ms", statistics.median(waits))


async def fill(server: Server, ports: int, made: int) -> list[float]:
    """Create up to a number of ports; microseconds of the server's CPU a create, by TENTHs."""
    costs = []
    while made < ports:
        count = min(TENTH, ports - made)
        outcome, cpu = await server.load("create", 16, made, count)
        costs.append(1e6 * cpu / len(outcome.waits))
        made += count
    return costs


async def lists(server: Server, results: Results) -> None:
    """Lists of all ports there are, LISTED."""
    paths = {"list of 10,000 ports": "", "detailed list of 10,000 ports": "?detail=true"}
    async with aiohttp.ClientSession() as session:
        for what, query in paths.items():
            for _ in range(ROUNDS):
                cpu, begin = server.cpu(), time.perf_counter()
                url = f"{server.url}/virtual-machine-interfaces{query}"
                async with session.get(url) as answer:
                    await answer.read()
                results.add(what, "ms", 1000 * (time.perf_counter() - begin))
                results.add(f"{what}: server CPU", "ms", 1000 * (server.cpu() - cpu))


async def measure(results: Results) -> None:
    """Everything."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with AsyncExitStack() as stack:
            server = await started(directory, stack)
            await make_network(server)
            floor = await floor_of(directory, stack)
            made = await rounds(server, floor, results)
            costs = await fill(server, LISTED, made)
            results.add("memory of tungsten api, 20,000 objects", "MB", server.megabytes())
            await lists(server, results)
            costs += await fill(server, OBJECTS // 2, LISTED)
            results.add("server CPU of a create, the first of the fill", "us", costs[0])
            results.add(f"server CPU of a create, the last of {OBJECTS:,}", "us", costs[-1])
            results.add(f"memory of tungsten api, {OBJECTS:,} objects", "MB", server.megabytes())
        async with AsyncExitStack() as stack:
            begin = time.perf_counter()
            controller = await started(directory, stack, "controller")
            results.add("start of tungsten controller on them", "s", time.perf_counter() - begin)
            await controller.quiet()
            results.add(
                f"memory of tungsten controller, {OBJECTS:,} objects", "MB", controller.megabytes()
            )


def main() -> None:
    """Measure, print, write the results."""
    results = Results()
    asyncio.run(measure(results))
    publish("api", results.measures())


if __name__ == "__main__":
    main()
