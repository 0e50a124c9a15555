"""An etcd member that has lost its peers: who was asking it asks another, and nothing is lost.

Three members and a writer, each in a namespace of its own behind a router; the member that the
writer prefers is cut off from the others but not from the writer.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.system import etcd_books, etcd_writer
from tests.system.test_etcd_faults import Writer, Writers, audit
from tungsten.lab.netns import Namespace, veth

ADDRESSES = ["10.77.0.2", "10.77.1.2", "10.77.2.2", "10.77.3.2"]
OLD = ["--heartbeat-interval", "50", "--election-timeout", "500"]


def join(router: Namespace, namespace: Namespace, address: str) -> None:
    """Give a namespace an address behind the router."""
    far = f"to{address.split('.')[2]}"
    veth(namespace, "eth0", router, far)
    gateway = address[:-1] + "1"
    namespace.ip("addr", "add", f"{address}/30", "dev", "eth0")
    namespace.ip("route", "add", "default", "via", gateway)
    router.ip("addr", "add", f"{gateway}/30", "dev", far)


def start_member(namespace: Namespace, number: int, directory: Path) -> subprocess.Popen[str]:
    """One of three members."""
    names = ",".join(f"m{n}=http://{address}:2380" for n, address in enumerate(ADDRESSES[:3]))
    client, peer = (f"http://{ADDRESSES[number]}:{port}" for port in (2379, 2380))
    log = (directory / f"m{number}.log").open("wb")
    return namespace.popen(
        *("setpriv", "--pdeathsig", "KILL", "etcd", "--name", f"m{number}", *OLD),
        *("--data-dir", str(directory / f"m{number}"), "--initial-cluster", names),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--logger", "zap", "--log-level", "warn"),
        stdout=log,
        stderr=log,
    )


def progresses(writers: Writers, more: int, seconds: float) -> float:
    """Wait for so many acknowledged pairs more; how long it took."""
    began = time.monotonic()
    target = writers.progress() + more
    while writers.progress() < target:
        assert time.monotonic() - began < seconds, writers.all[0].lines[-5:]
        time.sleep(0.05)
    return time.monotonic() - began


def test_a_member_without_its_peers_is_left_for_another(
    make_namespaces: Callable[..., list[Namespace]], tmp_path: Path
) -> None:
    """F-29."""
    router, *others = make_namespaces("router", "m0", "m1", "m2", "client")
    router.sysctl("net.ipv4.ip_forward", 1)
    for namespace, address in zip(others, ADDRESSES, strict=True):
        join(router, namespace, address)
    members = [start_member(others[n], n, tmp_path) for n in range(3)]
    place = ",".join(f"{address}:2379" for address in ADDRESSES[:3]) + "/partition"
    client, log = others[3], tmp_path / "w0.log"
    process = None
    try:
        time.sleep(2)
        with log.open("wb") as sink, (tmp_path / "w0.err").open("wb") as errors:
            process = client.popen(
                *(sys.executable, etcd_writer.__file__, place, "w0"),
                stdout=sink,
                stderr=errors,
            )
        writers = Writers(place, tmp_path)
        writers.all.append(Writer("w0", process, log))
        progresses(writers, 50, 20)
        for _ in range(2):
            for address in ADDRESSES[1:3]:
                others[0].ip("route", "add", "blackhole", f"{address}/32")
            progresses(writers, 50, 15)
            for address in ADDRESSES[1:3]:
                others[0].ip("route", "del", "blackhole", f"{address}/32")
            progresses(writers, 50, 15)
        process.kill()
        process.wait()
        told = client.run(sys.executable, etcd_books.__file__, place)
        line = told.splitlines()[-1]
        books = msgspec.json.decode(line, type=etcd_books.Books)
        audit(writers, books.records, books.claims)
    finally:
        for one in (*members, *([process] if process else [])):
            one.kill()
            one.wait()
