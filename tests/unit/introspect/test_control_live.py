"""A control node that runs: what its introspect says of real sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.unit.control.bgp_world import Node, fabric
from tests.unit.control.control_world import basics, put, until

from tungsten.introspect.client import Introspect, rows
from tungsten.store.sqlite import SqliteStore


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "config.db")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def nodes(store: SqliteStore) -> AsyncIterator[tuple[Node, Node]]:
    first, second = Node("ctl1"), Node("ctl2")
    records = [*basics(), *fabric(), first.record("ctl2"), second.record()]
    await store.transact(put(*records))
    await first.start(store)
    await second.start(store)
    yield first, second
    await first.stop()
    await second.stop()


async def test_bgp_neighbour_is_shown_through_its_life(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    assert first.world is not None
    service = first.world.service
    client = Introspect("127.0.0.1", service.introspect_port)

    async def neighbour() -> dict[str, str | None]:
        (row,) = rows(await client.fetch("BgpNeighborReq", {"x": "ctl2"}), "BgpNeighborResp")
        return {field.tag: field.text for field in row}

    await until(lambda: first.is_up("ctl2"))
    shown = await neighbour()
    assert shown["peer_address"] == second.address
    assert shown["peer_asn"] == "64512"
    assert (shown["encoding"], shown["peer_type"]) == ("BGP", "internal")
    assert (shown["state"], shown["peer_id"]) == ("Established", second.address)
    assert shown["send_state"] in ("in sync", "not in sync")
    assert shown["negotiated_hold_time"] == "90"

    await second.stop()
    await until(lambda: not first.is_up("ctl2"))
    shown = await neighbour()
    assert shown["state"] != "Established"
    assert shown["send_state"] == "not advertising"
    assert shown["flap_count"] == "1"

    (status,) = rows(await client.fetch("SandeshUVECacheReq", {"x": "NodeStatus"}), "ProcessStatus")
    assert status.findtext("state") == "Functional"
    assert status.findtext("connection_infos/list/ConnectionInfo/type") == "Database"
