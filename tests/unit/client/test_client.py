"""The client against a real server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.client import ApiError, BlockingClient, Client, ClientError, Unreachable, Watched
from tungsten.model import (
    InstanceIp,
    Project,
    Ref,
    SecurityGroup,
    VirtualMachineInterface,
    VirtualNetwork,
)
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.addressing import SubnetType
from tungsten.store import open_store

PROJECT = ["default-domain", "p1"]
IPAM = ["default-domain", "default-project", "default-network-ipam"]


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[str]:
    """The address of a running API server."""
    store = open_store(f"sqlite:{directory / 'config.db'}")
    service = ApiService(ApiSettings(listen="127.0.0.1:0", introspect_listen=""), store)
    try:
        await service.start()
        yield f"http://127.0.0.1:{service.port}"
    finally:
        await service.stop()
        await store.close()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(tmp_path) as url, Client(url) as client:
        await client.create(Project(fq_name=PROJECT, parent_type="domain"))
        yield client


def network(name: str = "vn1") -> VirtualNetwork:
    subnet = IpamSubnetType(subnet=SubnetType(ip_prefix="10.0.1.0", ip_prefix_len=24))
    return VirtualNetwork(
        fq_name=[*PROJECT, name],
        parent_type="project",
        network_ipam_refs=[Ref(to=IPAM, attr=VnSubnetsType(ipam_subnets=[subnet]))],
    )


async def test_an_object_goes_there_and_back(client: Client) -> None:
    uuid = await client.create(network())
    made = await client.get(VirtualNetwork, uuid)
    assert made.uuid == uuid
    assert made.virtual_network_network_id == 5
    attr = made.network_ipam_refs[0].attr
    assert attr is not None
    assert attr.ipam_subnets is not None
    assert attr.ipam_subnets[0].default_gateway == "10.0.1.254"
    assert await client.read("virtual-network", [*PROJECT, "vn1"]) == made
    assert await client.id_of("virtual-network", [*PROJECT, "vn1"]) == uuid
    assert await client.name_of(uuid) == ("virtual-network", (*PROJECT, "vn1"))
    await client.update("virtual-network", uuid, {"mtu": 1400})
    made = await client.get(VirtualNetwork, uuid)
    assert made.mtu == 1400
    made.mtu = 1300
    await client.update("virtual-network", uuid, made)
    assert (await client.get(VirtualNetwork, uuid)).mtu == 1300
    await client.update("virtual-network", uuid, {"mtu": None})
    assert (await client.get(VirtualNetwork, uuid)).mtu is None
    await client.delete("virtual-network", uuid)
    with pytest.raises(ApiError) as caught:
        await client.read("virtual-network", uuid)
    assert (caught.value.status, caught.value.text) == (404, f"Unknown id: {uuid}")


async def test_a_refusal_carries_status_and_text(client: Client) -> None:
    uuid = await client.create(network())
    with pytest.raises(ApiError) as caught:
        await client.create(network())
    assert caught.value.status == 409
    assert caught.value.text.endswith(f"already exists with uuid: {uuid}")
    assert "POST /virtual-networks" in str(caught.value)


async def test_references_are_added_and_taken_away(client: Client) -> None:
    await client.create(network())
    port = await client.create(
        VirtualMachineInterface(
            fq_name=[*PROJECT, "p"],
            parent_type="project",
            virtual_network_refs=[Ref(to=[*PROJECT, "vn1"])],
        )
    )
    group = await client.create(SecurityGroup(fq_name=[*PROJECT, "sg"], parent_type="project"))
    type_ = "virtual-machine-interface"
    await client.ref_update(type_, port, "security-group", [*PROJECT, "sg"])
    held = (await client.get(VirtualMachineInterface, port)).security_group_refs
    assert [ref.uuid for ref in held] == [group]
    await client.ref_update(type_, port, "security-group", group, operation="DELETE")
    assert not (await client.get(VirtualMachineInterface, port)).security_group_refs
    shown = await client.read_fields("virtual-network", [*PROJECT, "vn1"], computed=True)
    assert [ref["uuid"] for ref in shown["virtual_machine_interface_back_refs"]] == [port]


async def test_lists_are_chosen_by_parent_target_and_property(client: Client) -> None:
    first = await client.create(network("a"))
    await client.create(network("b"))
    address = InstanceIp(fq_name=["ip"], virtual_network_refs=[Ref(uuid=first)])
    await client.create(address)
    found = await client.list("virtual-network", parent=PROJECT)
    assert [one.name for one in found] == ["a", "b"]
    parent = await client.id_of("project", PROJECT)
    assert await client.list("virtual-network", parent=parent) == found
    assert await client.list("virtual-network", filters={"display_name": "b"}) == [found[1]]
    assert await client.list("virtual-network", uuids=[first]) == [found[0]]
    (made,) = await client.list("instance-ip", refers_to=[first])
    assert isinstance(made, InstanceIp)
    assert made.instance_ip_address == "10.0.1.252"
    assert await client.count("virtual-network") == 6


async def test_a_watch_begins_with_all_and_misses_nothing(client: Client) -> None:
    seen: list[Watched] = []

    async def follow(count: int, after: int | None) -> None:
        async for one in client.watch("virtual_network", after=after):
            seen.append(one)
            if len(seen) == count:
                return

    uuid = await client.create(network())
    task = asyncio.create_task(follow(9, None))
    while len(seen) < 5:
        await asyncio.sleep(0.01)
    await client.update("virtual-network", uuid, {"mtu": 1400})
    other = await client.create(network("vn2"))
    await client.create(Project(fq_name=["default-domain", "px"], parent_type="domain"))
    await client.delete("virtual-network", other)
    await client.delete("virtual-network", uuid)
    await asyncio.wait_for(task, 10)
    events = [(one.event, one.uuid) for one in seen]
    assert [event for event, _ in events[:5]] == ["init"] * 5
    assert events[5:] == [
        ("update", uuid),
        ("create", other),
        ("delete", other),
        ("delete", uuid),
    ]
    assert isinstance(seen[5].resource, VirtualNetwork)
    assert seen[5].resource.mtu == 1400
    revisions = [one.revision for one in seen]
    assert revisions == sorted(revisions)
    # Coming back after the update gives exactly what followed it.
    again, seen = seen, []
    await asyncio.wait_for(follow(3, again[5].revision), 10)
    assert [(one.event, one.uuid, one.revision) for one in seen] == [
        (one.event, one.uuid, one.revision) for one in again[6:]
    ]


async def test_a_watch_ends_when_the_server_stops(tmp_path: Path) -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable):
            await anext(client.watch("project"))
    async with serving(tmp_path) as url:
        client = Client(url)
        watch = client.watch("project")
        first = await anext(watch)
        assert (first.event, first.type) == ("init", "project")

        async def rest() -> list[Watched]:
            return [one async for one in watch]

        task = asyncio.create_task(rest())
        await asyncio.sleep(0.05)
    assert await asyncio.wait_for(task, 10) == []
    await client.close()


async def test_a_watch_of_what_does_not_exist_is_refused(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        await anext(client.watch("nonsense"))
    assert caught.value.status == 404


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await client.count("project")
        assert not await client.healthy()


def test_the_blocking_client_does_the_same(tmp_path: Path) -> None:
    store_path = tmp_path / "store"
    store_path.mkdir()
    with asyncio.Runner() as runner:
        context = serving(store_path)
        url = runner.run(context.__aenter__())

        def use() -> None:
            with BlockingClient(url) as client:
                client.create(Project(fq_name=PROJECT, parent_type="domain"))
                uuid = client.create(network())
                assert client.id_of("virtual-network", [*PROJECT, "vn1"]) == uuid
                client.update("virtual-network", uuid, {"mtu": 1400})
                assert client.get(VirtualNetwork, uuid).mtu == 1400
                assert len(client.list("virtual-network", parent=PROJECT)) == 1
                with pytest.raises(ApiError):
                    client.read("virtual-network", "nonsense")
                client.delete("virtual-network", uuid)

        runner.run(asyncio.to_thread(use))
        runner.run(context.__aexit__(None, None, None))


# -- servers that misbehave -----------------------------------------------------------------


async def answer_with(data: bytes) -> ClientError | None:
    """What the client makes of a server that answers ``data``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with Client(f"http://127.0.0.1:{port}", timeout=2) as client:
            try:
                await client.read("project", "u")
            except ClientError as error:
                return error
            return None
    finally:
        server.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff",
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"project": []}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{"project": {"fq_name": 5} } ',
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\n\xff",
    ],
)
async def test_an_answer_that_is_none_is_a_client_error(data: bytes) -> None:
    assert await answer_with(data) is not None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_body_is_a_client_error(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert asyncio.run(answer_with(head + body)) is not None
