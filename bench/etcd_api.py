"""How many objects a second the REST API creates on etcd, beside a bare etcd client.

A `tungsten api` on an etcd of one member, then of three, and its clients in another process: the
load is that of :mod:`bench.api`, pairs of a virtual-machine-interface and the instance-ip that
gives it an address. Each create is a transaction in etcd.

The peer does to the same etcd in the same run what the server had it do, with nothing around it:
aetcd's own client puts and deletes the keys and values of the same number of transactions, as etcd
tells them, below another prefix, and as many at once as there were clients. It makes one comparison
each; the server's transactions have more.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

import aetcd
from aetcd.rpc import rpc_pb2 as pb

from bench.api import Results, Server, make_network, note
from bench.report import publish
from tungsten.store import EtcdOptions
from tungsten.store.etcd_client import Access, Connection
from tungsten.store.etcd_follower import batches, refuse_cancelled
from tungsten.store.etcd_keys import Keys, after
from tungsten.testing.etcd import EtcdCluster, free_ports

CONNECTIONS = 16
PAIRS = 1_000
WARM = 100
ROUNDS = 3
PREFIX = "tungsten"
PEER = "bare etcd client"

Write = tuple[bytes, bytes | None]
"""A key and its value; None: deleted."""


def written(cluster: EtcdCluster, begin: int, count: int) -> list[list[Write]]:
    """The puts and deletions of the newest ``count`` transactions after a revision."""
    endpoint, base = cluster.members[0].endpoint, Keys(PREFIX).base
    connection = Connection(Access((endpoint,), EtcdOptions()), endpoint)
    stream = connection.watch(
        pb.WatchCreateRequest(key=base, range_end=after(base), start_revision=begin + 1)
    )
    found: list[list[Write]] = []
    try:
        for response in stream:
            refuse_cancelled(response)
            found += [[(one.key, one.value) for one in batch.events] for batch in batches(response)]
            if len(found) >= count:
                return found[-count:]
    finally:
        stream.cancel()
        connection.close()
    raise RuntimeError("etcd did not tell its history")


async def bare(endpoint: str, transactions: list[list[Write]]) -> float:
    """Transactions a second of aetcd's client, :data:`CONNECTIONS` at once."""
    host, _, port = endpoint.rpartition(":")
    left = iter(transactions)
    async with aetcd.Client(host=host, port=int(port)) as client:
        do = client.transactions

        async def worker() -> None:
            for writes in left:
                compare = [do.version(b"bare/none") == 0]
                operations = [
                    do.delete(b"bare/" + key) if value is None else do.put(b"bare/" + key, value)
                    for key, value in writes
                ]
                done, _ = await client.transaction(compare, operations, [])
                assert done, "the key of the comparison is never there"

        begin = perf_counter()
        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
        return len(transactions) / (perf_counter() - begin)


def revision_of(cluster: EtcdCluster) -> int:
    """etcd's newest revision."""
    endpoint = cluster.members[0].endpoint
    connection = Connection(Access((endpoint,), EtcdOptions()), endpoint)
    try:
        return int(connection.range(pb.RangeRequest(key=b"x")).header.revision)
    finally:
        connection.close()


async def measure(size: int, results: Results) -> None:
    """One server on a cluster of some members."""
    members = f"etcd of {size} member{'s' * (size > 1)}"
    what = f"creates, {CONNECTIONS} clients, {members}"
    with tempfile.TemporaryDirectory() as name:
        async with AsyncExitStack() as stack:
            directory = Path(name)
            cluster = stack.enter_context(
                EtcdCluster(directory / "etcd", size=size, heartbeat=100, election=1000)
            )
            server = await started_on(cluster, directory, stack)
            await make_network(server)
            await server.load("create", CONNECTIONS, 0, WARM)
            made = WARM
            for _ in range(ROUNDS):
                begin = revision_of(cluster)
                outcome, cpu = await server.load("create", CONNECTIONS, made, PAIRS)
                made += PAIRS
                note(results, what, outcome, cpu)
                transactions = written(cluster, begin, 2 * PAIRS)
                results.beside(what, PEER, await bare(cluster.members[0].endpoint, transactions))


async def started_on(cluster: EtcdCluster, directory: Path, stack: AsyncExitStack) -> Server:
    """A server on a cluster."""
    (port,) = free_ports(1)
    sets = ["api.introspect_listen=", "store.allow_unpatched_etcd=true"]
    server = Server(
        directory,
        *("api", "--listen", f"127.0.0.1:{port}", "--store", cluster.url(PREFIX)),
        *(part for one in sets for part in ("--set", one)),
    )
    stack.push_async_callback(server.stop)
    return await server.serving(port)


def main() -> None:
    """Measure, print, write the results."""
    results = Results()
    for size in (1, 3):
        asyncio.run(measure(size, results))
    publish("etcd-api", results.measures())


if __name__ == "__main__":
    main()
