"""``/watch`` on the wire, and readers that do not read."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Api

from tungsten.api.errors import ApiFault
from tungsten.api.views import Hrefs
from tungsten.api.watch import Watch, asked_types
from tungsten.store.base import Transaction


async def events(api: Api, path: str, count: int, **headers: str) -> list[dict[str, Any]]:
    """The first events of a stream: their fields, with the data as JSON."""
    found: list[dict[str, Any]] = []
    async with api.session.get(api.url + path, headers=headers) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        current: dict[str, Any] = {}
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            if line:
                key, _, value = line.partition(": ")
                current[key] = json.loads(value) if key == "data" else value
                continue
            if "event" in current:
                found.append(current)
            current = {}
            if len(found) == count:
                break
    return found


async def test_a_stream_begins_with_one_event_for_each_type(api: Api) -> None:
    await api.network()
    path = "/watch?resource_type=virtual_network,project&virtual_network_fields=mtu"
    first, second = await events(api, path, 2)
    assert first["event"] == second["event"] == "init"
    assert "id" not in first  # it may break here: only after both has the client everything
    assert int(second["id"]) > 0
    networks = [one["virtual-network"] for one in first["data"]["virtual-networks"]]
    assert len(networks) == 5
    assert set(networks[0]) == {"uuid", "fq_name", "parent_type", "parent_uuid"}
    projects = [one["project"]["fq_name"] for one in second["data"]["projects"]]
    assert PROJECT in projects


async def test_changes_follow_with_rising_revisions(api: Api) -> None:
    task = asyncio.create_task(events(api, "/watch?resource_type=virtual_network", 4))
    await asyncio.sleep(0.1)
    network = await api.network()
    await api.put("virtual-network", network, mtu=1400)
    await api.delete("virtual-network", network)
    init, create, update, delete = await asyncio.wait_for(task, 10)
    assert [one["event"] for one in (create, update, delete)] == ["create", "update", "delete"]
    assert update["data"]["virtual-network"]["mtu"] == 1400
    assert delete["data"] == {"virtual-network": {"uuid": network}}
    ids = [int(one["id"]) for one in (init, create, update, delete)]
    assert ids == sorted(set(ids))
    resumed = await events(
        api, "/watch?resource_type=virtual-network", 2, **{"Last-Event-ID": create["id"]}
    )
    assert [one["event"] for one in resumed] == ["update", "delete"]
    assert [one["id"] for one in resumed] == [update["id"], delete["id"]]


async def test_what_cannot_be_watched_is_refused(api: Api) -> None:
    answer = await api.ask("GET", "/watch")
    assert (answer.status, answer.text) == (400, "resource_type required in request")
    answer = await api.ask("GET", "/watch?resource_type=x")
    assert (answer.status, answer.text) == (404, "Invalid Contrail resource type:'x'")
    with pytest.raises(ApiFault):
        asked_types("")


def watch(api: Api, **limits: Any) -> Watch:
    types = asked_types("virtual-network")
    settings = {"keepalive": 60.0, "limit": 3, **limits}
    return Watch(api.store, types, {}, Hrefs(api.url), **settings)


async def test_a_reader_that_falls_behind_is_told_to_stop(api: Api) -> None:
    network = await api.network()
    stream = watch(api).stream(None)
    assert b"event: init" in await anext(stream)
    update = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.1)
    for mtu in range(1400, 1410):
        assert (await api.put("virtual-network", network, mtu=mtu)).status == 200
    assert b"event: update" in await update
    await asyncio.sleep(0.2)
    rest = [data async for data in stream]
    assert b"event: stop" in rest[-1]
    assert len(rest) <= 4


async def test_silence_is_broken_by_comments(api: Api) -> None:
    stream = watch(api, keepalive=0.05).stream(None)
    assert b"event: init" in await anext(stream)
    assert await anext(stream) == b":\n\n"
    await stream.aclose()


async def test_a_place_that_the_store_does_not_know_begins_anew(api: Api) -> None:
    stream = watch(api).stream(10**9)
    assert b"event: init" in await anext(stream)
    network = await api.network()
    assert b"event: create" in await anext(stream)
    assert (await api.put("virtual-network", network, mtu=1400)).status == 200
    assert b"event: update" in await anext(stream)
    await stream.aclose()


async def test_only_the_last_event_of_a_commit_tells_its_revision(api: Api) -> None:
    """A stream that breaks between two events of a commit loses none of them."""
    first, second = await api.network("one"), await api.network("two")
    stream = watch(api, limit=10).stream(None)
    (revision,) = re.findall(rb"^id: (\d+)$", await anext(stream), re.MULTILINE)

    def delete(tx: Transaction) -> None:
        tx.delete(first)
        tx.delete(second)

    await api.store.transact(delete)
    events = [await anext(stream), await anext(stream)]
    assert all(b"event: delete" in one for one in events)
    assert [one.startswith(b"id: ") for one in events] == [False, True]
    await stream.aclose()
    resumed = watch(api, limit=10).stream(int(revision))
    assert [await anext(resumed), await anext(resumed)] == events
    await resumed.aclose()


@pytest.mark.parametrize("last", ["x", "-1", "\u00b2", "9" * 5000, "1.5"])
async def test_a_place_that_is_no_revision_is_refused(api: Api, last: str) -> None:
    headers = {"last-event-id": last}
    answer = await api.ask("GET", "/watch?resource_type=project", headers=headers)
    assert (answer.status, "Last-Event-ID" in answer.text) == (400, True)
