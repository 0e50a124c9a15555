"""The controller is killed in the middle of a thousand creates: every object is whole after.

Acknowledged objects are there (I4), others are there whole or not at all (I5), and what the
compiler derived matches what there is (I6).
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

from tests.system.invariants import store_is_whole
from tests.system.test_lab_life import small_spec
from tungsten import model
from tungsten.client import Client, Unreachable
from tungsten.lab.lab import Lab
from tungsten.lab.spec import LabSpec

CREATES = 1000
PROJECT = ["default-domain", "demo"]


async def hammer(lab: Lab, acknowledged: set[str], begin: int) -> None:
    """Create networks on 16 connections until the server is gone."""
    numbers = iter(range(begin, CREATES))

    async def worker(client: Client) -> None:
        for number in numbers:
            name = f"crash{number:04}"
            network = model.VirtualNetwork(fq_name=[*PROJECT, name], parent_type="project")
            try:
                await client.create(network)
            except Unreachable:
                return
            acknowledged.add(name)

    async with Client(lab.api_url) as client:
        await asyncio.gather(*(worker(client) for _ in range(16)))


def kill_while(lab: Lab, acknowledged: set[str], begin: int, after: int) -> None:
    """Hammer in the background and SIGKILL the controller after some acknowledgements."""

    async def run() -> None:
        task = asyncio.create_task(hammer(lab, acknowledged, begin))
        while len(acknowledged) < after and not task.done():
            await asyncio.sleep(0.001)
        await asyncio.to_thread(lab.stop_process, "controller", signal.SIGKILL)
        await task

    asyncio.run(run())


async def names_and_instances(lab: Lab) -> tuple[set[str], set[str]]:
    """Networks of the project, and networks that have their routing instance."""
    async with Client(lab.api_url) as client:
        networks = await client.list("virtual-network")
        instances = await client.list("routing-instance")
    mine = {tuple(item.fq_name) for item in networks if item.fq_name[:2] == PROJECT}
    compiled = {tuple(item.fq_name[:-1]) for item in instances}
    return {name[-1] for name in mine}, {name[-1] for name in mine & compiled}


def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(
    make_lab: Callable[[LabSpec], Lab],
) -> None:
    lab = make_lab(small_spec())
    acknowledged: set[str] = set()
    for begin, after in ((0, 150), (CREATES // 2, 450)):
        kill_while(lab, acknowledged, begin, after)
        lab.start_process("controller").wait()
    assert 450 <= len(acknowledged) < CREATES

    deadline = time.monotonic() + 20
    while True:
        names, compiled = asyncio.run(names_and_instances(lab))
        if names == compiled or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert acknowledged <= names
    assert names - acknowledged <= {f"crash{number:04}" for number in range(CREATES)} | {"blue"}
    assert names == compiled

    asyncio.run(store_is_whole(lab))
