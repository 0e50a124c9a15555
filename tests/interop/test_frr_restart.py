"""FRR that is killed and started again, with graceful restart: nobody else hears of it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tests.interop.frr import Frr, until
from tests.unit.control.bgp_world import Node, fabric, router
from tests.unit.control.control_world import (
    GLOBAL,
    FakeHost,
    basics,
    instance,
    network,
    put,
    record,
    target,
)

from tungsten.model import GlobalSystemConfig
from tungsten.model.system import GracefulRestartParametersType
from tungsten.store.sqlite import SqliteStore

FAMILIES = ["inet-vpn"]


def _knows(host: FakeHost) -> bool:
    return host.prefixes("a") == {"10.9.0.0/24"}


async def test_restart_of_frr_is_heard_by_no_agent_and_no_neighbour(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "config.db")
    node, other = Node("control-a"), Node("control-b")
    frr = Frr(node.address, node.port)
    frr.options = ["bgp graceful-restart", "bgp graceful-restart preserve-fw-state"]
    frr.options += ["bgp graceful-restart restart-time 60"]
    frr.global_lines = ["route-map export permit 10", " set extcommunity rt 64512:8000001", "exit"]
    frr.families = {"ipv4 vpn": ["network 10.9.0.0/24 rd 64512:9 label 900 route-map export"]}
    gateway = router(
        "gateway", frr.address, frr.port, families=FAMILIES, vendor="frr", router_type="router"
    )
    restart = GracefulRestartParametersType(
        enable=True, restart_time=60, long_lived_restart_time=300, bgp_helper_enable=True
    )
    config = GlobalSystemConfig(autonomous_system=64512, graceful_restart_parameters=restart)
    records = [*basics("c1"), *fabric(), network("a", 4), target(8000001)]
    records += [record(config, "", GLOBAL), instance("a", t8000001="both"), gateway]
    records += [node.record("gateway", "control-b", families=FAMILIES, cluster_id=1)]
    records += [other.record(families=FAMILIES)]
    await store.transact(put(*records))
    world, far = await node.start(store), await other.start(store)
    frr.start()
    try:
        await until(lambda: node.is_up("gateway") and node.is_up("control-b"))
        host, there = await world.host("c1", "192.0.2.1"), await far.host("c1", "192.0.2.1")
        for each in (host, there):
            each.join("a", 3)
        for each in (host, there):
            await until(partial(_knows, each))
        neighbor = node.neighbor("control-b")
        gone = node.neighbor("gateway")
        assert neighbor is not None
        assert gone is not None
        before = (len(host.heard), len(there.heard), neighbor.counters["updates sent"])
        frr.kill()
        await until(lambda: gone.flaps == 1, what="the session is lost")
        frr.start()
        await until(lambda: node.is_up("gateway"), what="it is back")
        await until(lambda: gone.route_count == 1, what="it said its route again")
        await until(lambda: not gone._stale, what="its End-of-RIB")
        await asyncio.sleep(0.3)
        assert (len(host.heard), len(there.heard), neighbor.counters["updates sent"]) == before
        assert node.flags("bgp.l3vpn.0") == {"NONE"}
    finally:
        await node.stop()
        await other.stop()
        await store.close()
        frr.stop()
