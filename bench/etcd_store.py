"""How many objects a second the cluster store creates, beside a bare etcd client.

The objects and the load are those of :mod:`bench.store`: 32 writers, one watcher. The peer is
aetcd's own client doing the same writes on the same etcd in the same run: a transaction that
compares the keys and puts the same five keys, without the model's checks, without a replica,
without a watcher. A second pair of figures gives each object a number from one range, as
addresses are given; the bare client has counted its numbers beforehand.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import aetcd

from bench.report import Measure
from tungsten.store import EtcdOptions
from tungsten.store.base import Edge, Record, Transaction
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_keys import Keys, encode_record
from tungsten.testing.etcd import EtcdCluster

WRITERS = 32
OBJECTS = 3_000
ROUNDS = 5
BODY = b'{"x":"' + b"a" * 1300 + b'"}'
PEER = "bare etcd client"
PARENT, TARGET = str(UUID(int=1)), str(UUID(int=2))


def port(number: int) -> Record:
    """One object."""
    name = ("d", "p", f"port-{number}")
    edges = (Edge("virtual_network_refs", TARGET),)
    return Record(str(uuid4()), "virtual-machine-interface", name, PARENT, edges, BODY)


def create(tx: Transaction, record: Record, numbered: bool) -> None:
    """The transaction."""
    tx.create(record)
    if numbered:
        tx.claim_number("addresses", range(1, 100_000), record.uuid)


async def ours(place: str, numbered: bool) -> float:
    """Creates per second, watched."""
    store = EtcdStore.open(place, options=EtcdOptions(allow_unpatched=True))
    for uuid, type_ in ((PARENT, "project"), (TARGET, "virtual-network")):
        seed = Record(uuid, type_, ("d", type_), None, (), b"{}")
        await store.transact(partial(create, record=seed, numbered=False))
    seen = 0

    async def follow() -> None:
        nonlocal seen
        async for _ in store.watch(0):
            seen += 1
            if seen == OBJECTS + 2:
                return

    watcher = asyncio.create_task(follow())
    numbers = iter(range(OBJECTS))

    async def writer() -> None:
        for number in numbers:
            await store.transact(partial(create, record=port(number), numbered=numbered))

    begin = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    took = time.perf_counter() - begin
    await watcher
    await store.close()
    return OBJECTS / took


async def bare(endpoint: str, prefix: str, numbered: bool) -> float:
    """The same writes by aetcd's client."""
    host, _, tcp_port = endpoint.rpartition(":")
    keys = Keys(prefix)
    numbers = iter(range(OBJECTS))
    async with aetcd.Client(host=host, port=int(tcp_port)) as client:
        do = client.transactions
        for uuid in (PARENT, TARGET):
            await client.put(keys.record(uuid), b"{}")

        async def writer() -> None:
            for number in numbers:
                record = port(number)
                own, name = keys.record(record.uuid), keys.name(record.type, record.fq_name)
                compare = [do.version(key) == 0 for key in (own, name)]
                compare += [do.version(keys.record(uuid)) > 0 for uuid in (PARENT, TARGET)]
                puts = [
                    do.put(own, encode_record(record, 0)),
                    do.put(name, record.uuid.encode()),
                    *(do.put(keys.used(uuid, record.type), b"") for uuid in (PARENT, TARGET)),
                    do.put(keys.head, str(number).encode()),
                ]
                if numbered:
                    claim = keys.claim("addresses", f"{number:032x}")
                    compare.append(do.version(claim) == 0)
                    puts.append(do.put(claim, record.uuid.encode()))
                done, _ = await client.transaction(compare, puts, [])
                assert done, "nobody else writes here"

        begin = time.perf_counter()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        return OBJECTS / (time.perf_counter() - begin)


def rounds() -> Iterator[tuple[float, float, float, float]]:
    """Ours and bare, then both with numbers, on one etcd per round."""
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            with EtcdCluster(Path(directory) / "etcd") as cluster:
                end = cluster.endpoints
                yield (
                    asyncio.run(ours(f"{end}/ours", False)),
                    asyncio.run(bare(end, "bare", False)),
                    asyncio.run(ours(f"{end}/ours-numbered", True)),
                    asyncio.run(bare(end, "bare-numbered", True)),
                )


def measures() -> list[Measure]:
    """For the table of :mod:`bench.store`."""
    plain, plain_peer, numbered, numbered_peer = zip(*rounds(), strict=True)
    return [
        Measure("creates, 32 writers, on etcd", "1/s", plain, {PEER: plain_peer}),
        Measure(
            "creates with a number each, 32 writers, on etcd",
            "1/s",
            numbered,
            {PEER: numbered_peer},
        ),
    ]
