"""The API is killed at any moment: what it acknowledged is there, the rest whole or not at all.

Each object here has an address: an instance-ip that is there has exactly the claim of its
address, and every claim has its object, so nothing was given out that nobody has.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.system.api_process import ApiProcess
from tungsten.client import BlockingClient, Client, Unreachable
from tungsten.model import InstanceIp, Project, Ref, VirtualNetwork
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.addressing import SubnetType
from tungsten.store import open_store
from tungsten.store.base import Snapshot

PROJECT = ["default-domain", "p1"]
VN = [*PROJECT, "vn1"]
IPAM = ["default-domain", "default-project", "default-network-ipam"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiProcess]:
    process = ApiProcess(tmp_path)
    yield process
    process.stop()


def prepare(api: ApiProcess) -> None:
    """A project and a network with room for many addresses."""
    subnet = IpamSubnetType(subnet=SubnetType(ip_prefix="10.0.0.0", ip_prefix_len=20))
    with BlockingClient(api.url) as client:
        client.create(Project(fq_name=PROJECT, parent_type="domain"))
        client.create(
            VirtualNetwork(
                fq_name=VN,
                parent_type="project",
                network_ipam_refs=[Ref(to=IPAM, attr=VnSubnetsType(ipam_subnets=[subnet]))],
            )
        )


async def load(url: str, count: int, kill_after: int | None, api: ApiProcess) -> set[str]:
    """Create and delete instance-ips on 16 connections until the server is gone.

    Returns the names of those that were acknowledged and not asked to go again.
    """
    acknowledged: set[str] = set()
    numbers = iter(range(count))

    async def worker(client: Client) -> None:
        for number in numbers:
            name = f"ip{number}"
            try:
                uuid = await client.create(
                    InstanceIp(fq_name=[name], virtual_network_refs=[Ref(to=VN)])
                )
                if number % 5 == 0:
                    await client.delete("instance-ip", uuid)
                    continue
            except Unreachable:
                return
            acknowledged.add(name)
            if kill_after is not None and len(acknowledged) == kill_after:
                api.kill()

    async with Client(url) as client:
        await asyncio.gather(*(worker(client) for _ in range(16)))
    return acknowledged


def addresses(client: BlockingClient) -> list[InstanceIp]:
    """All instance-ips."""
    return [one for one in client.list("instance-ip") if isinstance(one, InstanceIp)]


def check_whole(api: ApiProcess, acknowledged: set[str]) -> None:
    """What was acknowledged is there, and addresses and claims say the same."""

    def run(snapshot: Snapshot) -> tuple[dict[str, str], dict[str, str]]:
        network = snapshot.find("virtual-network", tuple(VN))
        assert network is not None
        space = f"address:{network.uuid}:10.0.0.0/20"
        claims = {owner: str(ip_address(int(key, 16))) for key, owner in snapshot.claims(space)}
        return claims, {one.uuid: one.fq_name[0] for one in snapshot.records("instance-ip")}

    with BlockingClient(api.url) as client:
        found = addresses(client)
    by_uuid = {one.uuid: one.instance_ip_address for one in found}
    assert acknowledged <= {one.fq_name[0] for one in found}
    assert len(set(by_uuid.values())) == len(by_uuid)
    with asyncio.Runner() as runner:
        store = open_store(f"sqlite:{api.directory / 'config.db'}", readonly=True)
        claims, names = runner.run(store.read(run))
        runner.run(store.close())
    assert claims == by_uuid
    assert set(names) == set(by_uuid)


def test_a_thousand_creates_survive_a_kill_in_their_middle(api: ApiProcess) -> None:
    api.start()
    prepare(api)
    acknowledged = asyncio.run(load(api.url, 1000, 300, api))
    assert len(acknowledged) >= 300
    api.start()
    check_whole(api, acknowledged)
    assert "Traceback" not in api.log


@pytest.mark.parametrize(
    "point", ["store.transaction", "store.commit.before", "store.commit.after"]
)
@pytest.mark.parametrize("hit", [5, 40])
def test_every_moment_of_a_commit_is_safe_to_die_in(api: ApiProcess, point: str, hit: int) -> None:
    api.start()
    prepare(api)
    assert api.stop() == 0
    api.start(f"{point}:{hit}")
    acknowledged = asyncio.run(load(api.url, 400, None, api))
    assert api.wait_dead() == signal.SIGKILL
    api.start()
    check_whole(api, acknowledged)
    # What nobody has is given out again: the address is the highest that is free.
    with BlockingClient(api.url) as client:
        used = {one.instance_ip_address for one in addresses(client)}
        uuid = client.create(InstanceIp(fq_name=["after"], virtual_network_refs=[Ref(to=VN)]))
        free = (str(one) for one in reversed(list(ip_network("10.0.0.0/20"))[1:-3]))
        expected = next(one for one in free if one not in used)
        assert client.get(InstanceIp, uuid).instance_ip_address == expected


def test_a_death_while_the_defaults_are_made_leaves_none_or_all(api: ApiProcess) -> None:
    with pytest.raises(AssertionError):
        api.start("store.commit.before:1")
    assert api.wait_dead() == signal.SIGKILL
    api.start()
    with BlockingClient(api.url) as client:
        names = {one.name for one in client.list("virtual-network")}
        assert names == {"default-virtual-network", "ip-fabric", "__link_local__", "dci-network"}
    assert api.stop() == 0


def test_a_busy_server_stops_in_time_when_asked(api: ApiProcess) -> None:
    api.start()
    prepare(api)

    async def run() -> int:
        async with Client(api.url) as client:
            watch = client.watch("project")
            await anext(watch)
            task = asyncio.create_task(load(api.url, 5000, None, api))
            await asyncio.sleep(0.3)
            status = await asyncio.to_thread(api.stop)
            assert status == 0
            await task
            await watch.aclose()
        return status

    assert asyncio.run(run()) == 0
    api.start()
    assert "Traceback" not in api.log
