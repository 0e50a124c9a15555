"""What API servers answer while etcd does not: what they knew, marked as old, or a refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aetcd.rpc import rpc_pb2 as pb

from tests.unit.api.api_server import Answer, Api
from tests.unit.store.store_samples import OLD_ETCD
from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.store.etcd import EtcdStore
from tungsten.testing.etcd import EtcdCluster, paused

STALE = "x-tungsten-stale"


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[EtcdCluster, Api, Api]]:
    """A cluster of three, a server that answers from what it knew, and one that does not."""
    async with AsyncExitStack() as stack:
        cluster = stack.enter_context(
            EtcdCluster(tmp_path / "etcd", size=3, heartbeat=50, election=500)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = []
        for reads in ("serve", "refuse"):
            store = EtcdStore.open(f"{cluster.endpoints}/stale", options=OLD_ETCD)
            stack.push_async_callback(store.close)
            settings = ApiSettings(listen="127.0.0.1:0", introspect_listen="", stale_reads=reads)
            service = ApiService(settings, store)
            stack.push_async_callback(service.stop)
            await service.start()
            made.append(Api(service, session, store))
        yield cluster, made[0], made[1]


async def until_current(api: Api) -> Answer:
    """Wait for an answer that is not marked."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.ask("GET", "/healthz")
            if answer.status == 200 and STALE not in answer.headers:
                return answer
            await asyncio.sleep(0.1)


async def test_without_a_quorum_reads_are_marked_or_refused_and_writes_are_503(
    servers: tuple[EtcdCluster, Api, Api],
) -> None:
    """F-27: within the deadline, with the reason; after it is over all goes on by itself."""
    cluster, serving, refusing = servers
    await serving.project()
    uuid = await serving.network()
    for api in (serving, refusing):
        answer = await api.ask("GET", f"/virtual-network/{uuid}")
        assert (answer.status, answer.headers.get(STALE)) == (200, None)
        assert (await api.get("/healthz"))["status"] == "ok"
    with paused(cluster.members[0]), paused(cluster.members[1]):
        began = time.monotonic()
        written, read, refused = await asyncio.gather(
            serving.put("virtual-network", uuid, display_name="x"),
            serving.ask("GET", f"/virtual-network/{uuid}"),
            refusing.ask("GET", f"/virtual-network/{uuid}"),
        )
        assert time.monotonic() - began < 8
        assert written.status == 503
        assert written.text.startswith("The store cannot commit now: ")
        assert "it is not known whether" in written.text
        assert (read.status, read.json["virtual-network"]["uuid"]) == (200, uuid)
        assert int(read.headers[STALE]) >= 0
        assert refused.status == 503
        assert "api.stale_reads is refuse" in refused.text
        began = time.monotonic()
        listed = await serving.ask("GET", "/virtual-networks")
        health = await serving.ask("GET", "/healthz")
        assert time.monotonic() - began < 1
        assert STALE in listed.headers
        assert health.json["status"] == "stale"
        assert health.json["stale"] >= int(read.headers[STALE])
        assert (await refusing.ask("GET", "/healthz")).status == 503
    for api in (serving, refusing):
        assert (await until_current(api)).json["status"] == "ok"
        assert (await api.put("virtual-network", uuid, display_name="y")).status == 200
        assert (await api.show("virtual-network", uuid))["display_name"] == "y"


async def alarm(store: EtcdStore, action: pb.AlarmRequest.AlarmAction) -> None:
    """Raise or clear the alarm that etcd raises when its quota is reached."""
    members = (await store.ask("Cluster", "MemberList", pb.MemberListRequest())).members
    for member in members:
        request = pb.AlarmRequest(action=action, memberID=member.ID, alarm=pb.NOSPACE)
        await store.ask("Maintenance", "Alarm", request)


async def test_a_full_etcd_refuses_writes_with_what_to_do_and_reads_are_current(
    servers: tuple[EtcdCluster, Api, Api],
) -> None:
    """F-28: NOSPACE, as the API tells it; reads are as current as ever."""
    _, api, _ = servers
    await api.project()
    uuid = await api.network()
    assert isinstance(api.store, EtcdStore)
    await alarm(api.store, pb.AlarmRequest.ACTIVATE)
    answer = await api.put("virtual-network", uuid, display_name="x")
    assert answer.status == 503
    assert "NOSPACE" in answer.text
    assert "defragment" in answer.text
    read = await api.ask("GET", f"/virtual-network/{uuid}")
    assert (read.status, read.headers.get(STALE)) == (200, None)
    assert read.json["virtual-network"].get("display_name") != "x"
    await alarm(api.store, pb.AlarmRequest.DEACTIVATE)
    assert (await api.put("virtual-network", uuid, display_name="z")).status == 200
