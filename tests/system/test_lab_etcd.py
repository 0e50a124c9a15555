"""A lab whose configuration is in etcd: it forwards, and a killed controller takes up its work."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import msgspec

from tests.system.test_lab_life import small_spec
from tungsten.client import Client
from tungsten.lab import state
from tungsten.lab.lab import Lab
from tungsten.lab.spec import LabSpec, StoreKind, Workload


def test_a_lab_on_etcd_forwards_and_survives_its_controller(
    make_lab: Callable[[LabSpec], Lab],
) -> None:
    spec = msgspec.structs.replace(
        small_spec(),
        store=StoreKind.ETCD,
        workloads={name: Workload("compute1", "blue") for name in ("vm1", "vm2")},
    )
    lab = make_lab(spec)
    assert state.alive(lab.process("etcd"))
    address = lab.state.workloads["vm2"].address
    lab.namespace("vm1").run("ping", "-c", "1", "-W", "2", address)
    lab.restart("controller", signal.SIGKILL)
    assert state.alive(lab.process("etcd"))

    async def networks() -> set[str]:
        async with Client(lab.api_url) as client:
            return {item.fq_name[-1] for item in await client.list("virtual-network")}

    assert set(spec.networks) <= asyncio.run(networks())
    lab.namespace("vm1").run("ping", "-c", "1", "-W", "2", address)
