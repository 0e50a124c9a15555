"""A peer that floods, stalls, reads nothing or flaps does not hold up the others.

A real control node, twelve agents that mind their business, and beside them one process that does
not (:mod:`tests.system.noisy_peer`). How long a change of a route takes until all twelve have it is
measured without and with the noise; what must hold is a bound that only a node that waits for
somebody would break. Figures are printed (``pytest -s``).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.system.noisy_peer import BGP_ADDRESS, HOST, WAYS
from tests.unit.control.bgp_world import fabric, router
from tests.unit.control.control_world import (
    basics,
    instance,
    instance_name,
    network,
    put,
    target,
)
from tungsten.store import SqliteStore
from tungsten.xmpp.stanzas import InetItem, NextHop, Publish, RouteUpdate, Stanza, Subscribe
from tungsten.xmpp.transport import XmppClient

AGENTS = 12
CHANGES = 40
PREFIX = "10.1.0.1/32"
#: Seconds in which 99 of 100 changes must be everywhere, on a machine that does much else.
BOUND = 2.0
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Node:
    """``tungsten control`` with two networks and a BGP neighbour."""

    def __init__(self, directory: Path) -> None:
        self.xmpp, self.bgp = free_port(), free_port()
        self.log = directory / "control.log"
        url = f"sqlite:{directory / 'config.db'}"
        argv = [str(Path(sys.executable).with_name("tungsten")), "control"]
        for key, value in {
            "store.url": url,
            "control.hostname": "node",
            "control.xmpp_listen": f"{HOST}:{self.xmpp}",
            "control.bgp_listen": f"{HOST}:{self.bgp}",
            "control.introspect_listen": "",
            "control.verify_ownership": "false",
        }.items():
            argv += ["--set", f"{key}={value}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection((HOST, self.xmpp), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(20) == 0
        finally:
            self.process.kill()


async def fill(directory: Path) -> None:
    """The configuration of the node."""
    store = SqliteStore.open(directory / "config.db")
    records = [
        *basics(),
        *fabric(),
        network("quiet", 4),
        network("noisy", 5),
        target(8000001),
        target(8000002),
        instance("quiet", t8000001="both"),
        instance("noisy", t8000002="both"),
        router("node", HOST, 179, "mx"),
        router("mx", BGP_ADDRESS, 179, "node", router_type="router", vendor="mx"),
    ]
    await store.transact(put(*records))
    await store.close()


class Quiet:
    """An agent that remembers the newest label of the route."""

    def __init__(self, number: int, port: int) -> None:
        self.label = 0
        self.closed: list[str] = []
        self.heard = asyncio.Event()
        self.client = XmppClient(
            HOST,
            port,
            f"quiet{number}",
            on_established=lambda: self.client.send(Subscribe(instance_name("quiet"), 1)),
            on_stanza=self._hear,
            on_closed=self.closed.append,
        )

    def _hear(self, stanza: Stanza) -> None:
        if isinstance(stanza, RouteUpdate):
            for item in stanza.items:
                if isinstance(item, InetItem) and item.prefix == PREFIX:
                    self.label = item.next_hops[0].label
                    self.heard.set()


@asynccontextmanager
async def fleet(port: int) -> AsyncIterator[list[Quiet]]:
    agents = [Quiet(number, port) for number in range(AGENTS)]
    for agent in agents:
        await agent.client.start()
    try:
        async with asyncio.timeout(30):
            while not all(agent.client.is_established for agent in agents):
                await asyncio.sleep(0.01)
        yield agents
        assert not any(agent.closed for agent in agents)
    finally:
        for agent in agents:
            await agent.client.stop()


async def latencies(agents: list[Quiet], first: int) -> list[float]:
    """Milliseconds from a change until all agents have it, in order of size."""
    times = []
    for label in range(first, first + CHANGES):
        hop = NextHop(address="192.0.2.1", label=label, encapsulations=("gre", "udp"))
        begun = time.monotonic()
        agents[0].client.send(
            Publish(instance_name("quiet"), InetItem(prefix=PREFIX, next_hops=(hop,)))
        )
        async with asyncio.timeout(60):
            for agent in agents:
                while agent.label != label:
                    agent.heard.clear()
                    await agent.heard.wait()
        times.append((time.monotonic() - begun) * 1000)
        await asyncio.sleep(0.02)
    return sorted(times)


@contextmanager
def noise(how: str, port: int) -> Iterator[None]:
    argv = [sys.executable, "-m", "tests.system.noisy_peer", how, str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        assert process.poll() is None, "the noise stopped by itself"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("how", WAYS)
async def test_others_hear_in_time(how: str, tmp_path: Path) -> None:
    await fill(tmp_path)
    node = Node(tmp_path)
    try:
        async with fleet(node.xmpp) as agents:
            before = await latencies(agents, 100)
            port = node.bgp if how.startswith("bgp") else node.xmpp
            with noise(how, port):
                during = await latencies(agents, 1000)
            print(
                f"{how}: median {before[CHANGES // 2]:.1f} -> {during[CHANGES // 2]:.1f} ms, "
                f"p99 {before[-1]:.1f} -> {during[-1]:.1f} ms"
            )
            assert during[-1] < BOUND * 1000
    finally:
        node.stop()
    assert "Traceback" not in node.log.read_text()
