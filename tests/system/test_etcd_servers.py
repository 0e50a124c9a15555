"""Three API servers on three etcd members, which are killed in turn under load.

Through REST, as clients see it: nothing acknowledged is lost, nothing is half-written, no address
and no id is given twice, and every watcher, of the store and of REST, saw every change once and in
order, across the deaths of those who told it.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.test_etcd_faults import follow
from tests.system.test_etcd_processes import PROJECT, network
from tests.unit.store.store_samples import OLD_ETCD, take
from tests.unit.store.watch_properties import WatchValidator
from tungsten import model
from tungsten.api.audit import audit
from tungsten.client import Client, ClientError
from tungsten.model import Ref
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_check import check
from tungsten.testing.etcd import EtcdCluster, free_ports

SERVERS = 3
CLIENTS = 6
EVERY = 10
"""Of so many objects one is a network, which gets an id; the others are addresses."""


@dataclass
class Fleet:
    """Servers by number, each on its port for ever."""

    cluster: EtcdCluster
    directory: Path
    ports: list[int]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, number: int) -> None:
        """Start one, on the members in an order of its own."""
        members = self.cluster.members
        order = [members[(number + n) % len(members)].endpoint for n in range(len(members))]
        environment = {
            **os.environ,
            "TUNGSTEN_STORE__URL": f"etcd:{','.join(order)}/servers",
            "TUNGSTEN_STORE__ALLOW_UNPATCHED_ETCD": "true",
            "TUNGSTEN_API__INTROSPECT_LISTEN": "",
        }
        argv = [sys.executable, "-m", "tungsten", "api"]
        argv += ["--listen", f"127.0.0.1:{self.ports[number]}"]
        with (self.directory / f"api{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)

    def url(self, number: int) -> str:
        """Where one serves, if it does."""
        return f"http://127.0.0.1:{self.ports[number % len(self.ports)]}"

    def kill(self, number: int) -> None:
        """End one without warning."""
        self.processes[number].kill()
        self.processes[number].wait()

    async def serving(self, number: int) -> None:
        """Wait until one answers."""
        async with asyncio.timeout(60), Client(self.url(number)) as client:
            while True:
                assert self.processes[number].poll() is None
                with suppress(ClientError):
                    await client.id_of("project", PROJECT)
                    return
                await asyncio.sleep(0.1)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with EtcdCluster(tmp_path / "etcd", size=3, heartbeat=50, election=500) as cluster:
        made = Fleet(cluster, tmp_path, free_ports(SERVERS))
        try:
            for number in range(SERVERS):
                made.start(number)
            yield made
        finally:
            for process in made.processes.values():
                process.kill()
                process.wait()


@dataclass
class Load:
    """Clients that create until they are told to stop, and what was acknowledged."""

    fleet: Fleet
    acknowledged: set[str] = field(default_factory=set)
    tried: int = 0
    ended: bool = False

    def next(self, client: int) -> model.Resource:
        """Something to create."""
        self.tried += 1
        name = f"c{client}-{self.tried}"
        if self.tried % EVERY == 0:
            return network(name, f"10.{self.tried // 250}.{self.tried % 250}.0", 24)
        shared: Ref[None] = Ref(to=[*PROJECT, "shared"], uuid="", attr=None)
        return model.InstanceIp(fq_name=[name], virtual_network_refs=[shared])

    async def client(self, number: int) -> None:
        """Create one after the other; when a server fails, go to the next."""
        at = number
        while not self.ended:
            async with Client(self.fleet.url(at), timeout=15) as client:
                with suppress(ClientError):
                    while not self.ended:
                        self.acknowledged.add(await client.create(self.next(number)))
            at += 1
            await asyncio.sleep(0.05)

    async def progresses(self, more: int = 25) -> None:
        """Wait until so many creates more are acknowledged."""
        target = len(self.acknowledged) + more
        async with asyncio.timeout(60):
            while len(self.acknowledged) < target:
                await asyncio.sleep(0.05)


@dataclass
class Watcher:
    """A client's watch of addresses, over whichever server is there."""

    fleet: Fleet
    after: int
    seen: list[tuple[int, str]] = field(default_factory=list)

    async def follow(self) -> None:
        """Watch for ever, each time from where it was."""
        at = 0
        while True:
            with suppress(ClientError):
                async with Client(self.fleet.url(at)) as client:
                    async for change in client.watch("instance-ip", after=self.after):
                        assert change.event == "create"
                        self.seen.append((change.revision, change.uuid))
                        self.after = change.revision
            at += 1
            await asyncio.sleep(0.1)


async def test_nothing_is_lost_or_given_twice_when_servers_and_members_die(fleet: Fleet) -> None:
    """F-01, F-08, F-27, T-F4: by client's, store's and etcd's own account."""
    draw = random.Random(7)
    await asyncio.gather(*(fleet.serving(number) for number in range(SERVERS)))
    place = f"{fleet.cluster.endpoints}/servers"
    store = EtcdStore.open(place, options=OLD_ETCD)
    async with Client(fleet.url(0)) as client:
        await client.create(network("shared", "172.16.0.0", 16))
    revision, records = await store.load()
    validator, watcher = WatchValidator(revision, records, gapless=False), Watcher(fleet, revision)
    load = Load(fleet)
    tasks = [
        asyncio.create_task(follow(store, validator)),
        asyncio.create_task(watcher.follow()),
    ]
    clients = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
    await load.progresses()
    for number in range(2):
        fleet.kill(number)
        member = draw.choice(fleet.cluster.members)
        member.kill()
        await load.progresses()
        fleet.start(number)
        fleet.cluster.start_member(member)
        await asyncio.to_thread(member.wait)
        await fleet.serving(number)
        await load.progresses()
    load.ended = True
    await asyncio.gather(*clients)

    fresh = EtcdStore.open(place, options=OLD_ETCD)
    last, records = await fresh.load()
    there = {one.uuid: one for one in records}
    assert there.keys() >= load.acknowledged
    assert check(place, OLD_ETCD) == []
    assert await fresh.read(audit) == []
    async with Client(fleet.url(1)) as client:
        addresses = await client.list("instance-ip")
        networks = await client.list("virtual-network")
    given = [one.instance_ip_address for one in addresses if isinstance(one, model.InstanceIp)]
    assert None not in given
    assert len(given) == len(set(given)) == sum(one.type == "instance-ip" for one in records)
    ids = [
        one.virtual_network_network_id for one in networks if isinstance(one, model.VirtualNetwork)
    ]
    assert len(ids) == len(set(ids)) > len(load.acknowledged) // (2 * EVERY)

    history = await take(fresh.watch(revision), last)
    made = [
        (commit.revision, change.record.uuid)
        for commit in history
        for change in commit.changes
        if change.record.type == "instance-ip"
    ]
    async with asyncio.timeout(20):
        while validator.revision < last or len(watcher.seen) < len(made):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    assert validator.commits == history
    validator.check_state(last, records)
    assert watcher.seen == made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in (store, fresh):
        await one.close()
