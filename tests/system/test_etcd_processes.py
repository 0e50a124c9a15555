"""Several API servers and compilers on one etcd: no address twice, one compiler at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.store.store_samples import etcd_place
from tungsten import model
from tungsten.client import Client, ClientError
from tungsten.model import Ref
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.addressing import SubnetType
from tungsten.testing.etcd import free_ports

PATIENCE = 30.0
PROJECT = ["default-domain", "default-project"]
IPAM = [*PROJECT, "default-network-ipam"]

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts ``tungsten WORDS`` on a store in etcd."""
    made: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "TUNGSTEN_STORE__URL": f"etcd:{etcd_place(tmp_path)}",
        "TUNGSTEN_STORE__ALLOW_UNPATCHED_ETCD": "true",
        "TUNGSTEN_API__INTROSPECT_LISTEN": "",
    }

    def run(*words: str) -> subprocess.Popen[bytes]:
        log = tmp_path / f"{len(made)}-{words[0]}.log"
        argv = [sys.executable, "-m", "tungsten", *words]
        with log.open("wb") as sink:
            made.append(subprocess.Popen(argv, stdout=sink, stderr=sink, env=environment))
        return made[-1]

    yield run
    for process in made:
        process.kill()
        process.wait()


async def started(start: Start) -> tuple[str, subprocess.Popen[bytes]]:
    """An API server that answers: its URL and process."""
    (port,) = free_ports(1)
    process = start("api", "--listen", f"127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + PATIENCE
    async with Client(url) as client:
        while True:
            with suppress(ClientError):
                await client.id_of("project", PROJECT)
                return url, process
            assert process.poll() is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def network(name: str, prefix: str, length: int) -> model.VirtualNetwork:
    """A network with one subnet."""
    subnet = SubnetType(ip_prefix=prefix, ip_prefix_len=length)
    attr = VnSubnetsType(ipam_subnets=[IpamSubnetType(subnet=subnet)])
    return model.VirtualNetwork(
        fq_name=[*PROJECT, name],
        parent_type="project",
        network_ipam_refs=[Ref(to=IPAM, uuid="", attr=attr)],
    )


async def addresses(url: str, label: str, wanted: int, acknowledged: set[str]) -> None:
    """Create instance-ips on eight connections; a server that is gone ends it."""
    numbers = iter(range(wanted))

    async def worker(client: Client) -> None:
        for number in numbers:
            ip = model.InstanceIp(
                fq_name=[f"{label}-{number}"],
                virtual_network_refs=[Ref(to=[*PROJECT, "shared"], uuid="", attr=None)],
            )
            try:
                acknowledged.add(await client.create(ip))
            except ClientError:
                return

    async with Client(url) as client:
        await asyncio.gather(*(worker(client) for _ in range(8)))


async def test_two_servers_give_no_address_twice_even_if_one_is_killed(start: Start) -> None:
    """F-01."""
    servers = [await started(start) for _ in range(2)]
    acknowledged: set[str] = set()
    async with Client(servers[0][0]) as client:
        await client.create(network("shared", "10.9.0.0", 16))
        work = [
            asyncio.create_task(addresses(url, label, 150, acknowledged))
            for (url, _), label in zip(servers, "ab", strict=True)
        ]
        while len(acknowledged) < 120 and not all(task.done() for task in work):
            await asyncio.sleep(0.01)
        servers[1][1].kill()
        await asyncio.gather(*work)
        held = {uuid: await client.read("instance-ip", uuid) for uuid in acknowledged}
        everything = await client.list("instance-ip")
    assert len(acknowledged) >= 150
    given = []
    for one in held.values():
        assert isinstance(one, model.InstanceIp)
        given.append(one.instance_ip_address)
    assert len(set(given)) == len(given)
    assert {one.uuid for one in everything} >= acknowledged


async def compiled(client: Client, name: str, seconds: float) -> None:
    """Wait until a network has its routing instance."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(ClientError):
                await client.id_of("routing-instance", [*PROJECT, name, name])
                return
            await asyncio.sleep(0.1)


async def test_when_the_active_compiler_is_killed_the_other_goes_on(start: Start) -> None:
    """F-02."""
    url, _ = await started(start)
    first = start("compiler")
    async with Client(url) as client:
        await client.create(network("one", "10.1.0.0", 24))
        await compiled(client, "one", PATIENCE)
        second = start("compiler")
        await asyncio.sleep(2)
        first.send_signal(signal.SIGKILL)
        await client.create(network("two", "10.2.0.0", 24))
        await compiled(client, "two", PATIENCE)
        third = start("compiler")
        await asyncio.sleep(2)
        second.send_signal(signal.SIGTERM)
        began = time.monotonic()
        await client.create(network("three", "10.3.0.0", 24))
        await compiled(client, "three", PATIENCE)
        assert time.monotonic() - began < 5
        assert second.wait(10) == 0
        assert third.poll() is None
