"""One address that workloads on two hosts serve at once: flows are spread, each stays whole."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tungsten.client import Client
from tungsten.lab import demo
from tungsten.lab.lab import Lab

SHARED, PORT = "10.0.1.200", 7000
SERVERS = ("vm2", "vm3")


async def share(lab: Lab, mode: str | None) -> None:
    """Let the serving workloads have the address, in ``mode``; or no more."""
    pair = {"ip": {"ip_prefix": SHARED, "ip_prefix_len": 32}, "address_mode": mode}
    pairs = {"allowed_address_pair": [pair] if mode else []}
    async with Client(lab.api_url) as client:
        for name in SERVERS:
            await client.update(
                "virtual-machine-interface",
                lab.state.workloads[name].vmi,
                {"virtual_machine_interface_allowed_address_pairs": pairs},
            )


@contextmanager
def serving(lab: Lab) -> Iterator[None]:
    """Each serving workload has the address and answers datagrams with its name."""
    ended = threading.Event()
    threads = []
    for name in SERVERS:
        namespace = lab.namespace(name)
        namespace.ip("addr", "add", f"{SHARED}/32", "dev", "lo")
        server = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((SHARED, PORT))
        server.settimeout(0.1)
        threads.append(threading.Thread(target=_answer, args=(server, name, ended)))
        threads[-1].start()
    try:
        yield
    finally:
        ended.set()
        for name, thread in zip(SERVERS, threads, strict=True):
            thread.join()
            lab.namespace(name).ip("addr", "del", f"{SHARED}/32", "dev", "lo")


def _answer(server: socket.socket, name: str, ended: threading.Event) -> None:
    with server:
        while not ended.is_set():
            try:
                _, sender = server.recvfrom(64)
                server.sendto(name.encode(), sender)
            except TimeoutError:
                continue


def ask(lab: Lab, times: int) -> list[str]:
    """What one flow from vm1 is answered; nothing for what was lost."""
    with lab.namespace("vm1").socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.settimeout(0.5)
        flow.connect((SHARED, PORT))
        answers = []
        for _ in range(times):
            try:
                flow.send(b"who")
                answers.append(flow.recv(64).decode())
            except OSError:
                continue
        return answers


def test_flows_are_spread_over_the_hosts_that_share_an_address(lab: Lab) -> None:
    asyncio.run(share(lab, "active-active"))
    try:
        # Before the route is there, a server would answer ARP for the address itself.
        deadline = time.monotonic() + 10
        while "Ecmp" not in demo.tool(lab, "compute1", "nh", "--list"):
            assert time.monotonic() < deadline, "no route over both hosts"
            time.sleep(0.05)
        with serving(lab):
            seen: Counter[str] = Counter()
            for _ in range(40):
                answers = ask(lab, 3)
                assert len(answers) == 3
                assert len(set(answers)) == 1, "a flow changed its server"
                seen[answers[0]] += 1
            assert set(seen) == set(SERVERS)
            assert min(seen.values()) >= 5, seen
    finally:
        asyncio.run(share(lab, None))
