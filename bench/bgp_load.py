"""Clients of a route reflector under load: one says a stream, the others check what they hear.

    python -m bench.bgp_load --dut tungsten --routes 100000 --shared 4 --receivers 1

Every received route is looked at: that it was announced, its label, its next hop, its route
target, and that none is missing. The speaker's CPU is taken from its start of the load until the
last receiver has the last route; no client's own CPU is in it.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import struct
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.bgp_duts import HOST, PEERS, Speaker, client_address, ours
from bench.bgp_streams import (
    ASN,
    FAMILIES,
    NEXT_HOPS,
    Shape,
    next_hop,
    stream,
    target,
    withdrawals,
)
from tungsten.bgp.capabilities import FourOctetAs, Multiprotocol
from tungsten.bgp.families import INET_VPN, Family
from tungsten.bgp.messages import Keepalive, Open, encode_message

KEEPALIVE = encode_message(Keepalive())
PATIENCE = 300.0
CHUNK = 1 << 18


@dataclass
class Load:
    """What a run cost the speaker: CPU and wall seconds, megabytes, and what was wrong."""

    cpu: float = 0.0
    seconds: float = 0.0
    peak: float = 0.0
    growth: float = 0.0
    messages: int = 0
    withdraw_cpu: float = 0.0
    errors: list[str] = field(default_factory=list)


class Client:
    """One iBGP session over a real socket."""

    def __init__(self, number: int, port: int, family: Family) -> None:
        self.number = number
        self.data = bytearray()
        self._seen = 0
        self.announced = self.withdrawn = self.messages = 0
        deadline = time.monotonic() + 30
        while True:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((client_address(number), 0))
            try:
                sock.connect((HOST, port))
                self.sock = sock
                self._open(family)
                break
            except OSError:
                sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        sock.settimeout(None)
        sock.setblocking(False)

    def _open(self, family: Family) -> None:
        address = socket.inet_aton(client_address(self.number))
        capabilities = (Multiprotocol(family), FourOctetAs(ASN))
        self.sock.settimeout(5)
        self.sock.sendall(encode_message(Open(ASN, 240, address, capabilities)))
        got = b""
        while not self._has(got, 4):
            more = self.sock.recv(4096)
            if not more:
                raise ConnectionError("closed before it was up")
            got += more
        self.sock.sendall(KEEPALIVE)
        self.data = bytearray(got)
        self.take(b"", 0)

    @staticmethod
    def _has(got: bytes, type_: int) -> bool:
        at = 0
        while len(got) - at >= 19:
            if got[at + 18] == type_:
                return True
            at += int.from_bytes(got[at + 16 : at + 18], "big")
        return False

    def take(self, data: bytes, size: int) -> None:
        """Octets came; counts routes of ``size`` octets each."""
        buffer = self.data
        buffer += data
        at, end = self._seen, len(buffer)
        while end - at >= 19:
            length = buffer[at + 16] << 8 | buffer[at + 17]
            if end - at < length:
                break
            if buffer[at + 18] == 2 and size:
                self._count(at, size)
            at += length
        self._seen = at

    def _count(self, at: int, size: int) -> None:
        self.messages += 1
        for code, start, stop in attributes(self.data, at):
            if code == 14:
                self.announced += (stop - start - 5 - self.data[start + 3]) // size
            elif code == 15:
                self.withdrawn += (stop - start - 3) // size


def attributes(data: bytearray, at: int) -> list[tuple[int, int, int]]:
    """(code, start, end) of the attributes of the UPDATE at a position."""
    pos = at + 21
    pos += 2
    end = pos + (data[pos - 2] << 8 | data[pos - 1])
    found = []
    while pos < end:
        wide = data[pos] & 0x10
        length = data[pos + 2] << 8 | data[pos + 3] if wide else data[pos + 2]
        start = pos + (4 if wide else 3)
        found.append((data[pos + 1], start, start + length))
        pos = start + length
    return found


def nlri_size(family: Family) -> int:
    """Octets of one announced route of the streams."""
    return 16 if family == INET_VPN else 39


def check(client: Client, shape: Shape, errors: list[str]) -> None:
    """Look at every route a receiver was told."""
    data = client.data
    seen = bytearray(shape.routes)
    at = 0
    while at + 19 <= len(data):
        length = data[at + 16] << 8 | data[at + 17]
        if data[at + 18] == 2:
            found = {code: (start, stop) for code, start, stop in attributes(data, at)}
            if 14 in found:
                check_message(data, found, shape, seen, errors)
        at += length
        if len(errors) > 20:
            return
    if missing := seen.count(0):
        errors.append(f"{missing} routes are missing")


def check_message(
    data: bytearray,
    found: dict[int, tuple[int, int]],
    shape: Shape,
    seen: bytearray,
    errors: list[str],
) -> None:
    """The routes of one message: known, each once, with its label, next hop and target."""
    size = nlri_size(shape.family)
    start, stop = found[14]
    hop_size = data[start + 3]
    hop = bytes(data[start + 4 + hop_size - 4 : start + 4 + hop_size])
    communities = bytes(data[slice(*found[16])])
    for pos in range(start + 5 + hop_size, stop, size):
        if shape.family == INET_VPN:
            label = int.from_bytes(data[pos + 1 : pos + 4], "big") >> 4
            route = struct.unpack_from("!I", data, pos + 12)[0] - 0x14000000
        else:
            route = struct.unpack_from("!I", data, pos + 27)[0]
            label = int.from_bytes(data[pos + 36 : pos + 39], "big") >> 4
        if not 0 <= route < shape.routes:
            errors.append(f"route {route} was never announced")
            continue
        number = route // shape.shared
        seen[route] = 1
        if label != 16 + route % 1_000_000:
            errors.append(f"route {route} has label {label}")
        if hop != next_hop(number % NEXT_HOPS):
            errors.append(f"route {route} has next hop {hop.hex()}")
        if target(number % shape.networks) not in communities:
            errors.append(f"route {route} does not have its target")


def settle(speaker: Speaker) -> None:
    """Wait until the speaker has nothing left to do."""
    before = speaker.cpu()
    for _ in range(100):
        time.sleep(0.2)
        now = speaker.cpu()
        if now - before < 0.02:
            return
        before = now


class Bench:
    """A speaker with a sender and receivers."""

    def __init__(self, speaker: Speaker, shape: Shape, receivers: int) -> None:
        self.speaker = speaker
        self.shape = shape
        self.sender = Client(0, speaker.port, shape.family)
        self.receivers = [
            Client(1 + number, speaker.port, shape.family) for number in range(receivers)
        ]

    def run(self, *, withdraw: bool = True) -> Load:
        """Announce all, check, and take all back."""
        load = Load()
        octets = stream(self.shape)
        settle(self.speaker)
        resident = self.speaker.memory()["VmRSS"]
        cpu, begun = self.speaker.cpu(), time.monotonic()
        self._pump(octets, lambda each: each.announced >= self.shape.routes, load)
        load.seconds = time.monotonic() - begun
        settle(self.speaker)
        load.cpu = self.speaker.cpu() - cpu
        load.messages = max(each.messages for each in self.receivers)
        load.growth = self.speaker.memory()["VmRSS"] - resident
        for each in self.receivers:
            check(each, self.shape, load.errors)
        if withdraw and not load.errors:
            cpu = self.speaker.cpu()
            gone = withdrawals(self.shape)
            self._pump(gone, lambda each: each.withdrawn >= self.shape.routes, load)
            settle(self.speaker)
            load.withdraw_cpu = self.speaker.cpu() - cpu
        load.peak = self.speaker.memory()["VmHWM"]
        return load

    def _pump(self, octets: bytes, done: object, load: Load) -> None:
        assert callable(done)
        size = nlri_size(self.shape.family)
        view = memoryview(octets + KEEPALIVE)
        deadline, sent_at = time.monotonic() + PATIENCE, time.monotonic()
        with selectors.DefaultSelector() as selector:
            for each in [self.sender, *self.receivers]:
                selector.register(each.sock, selectors.EVENT_READ, each)
            selector.modify(
                self.sender.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self.sender
            )
            waiting = list(self.receivers)
            while waiting or view:
                if time.monotonic() > deadline:
                    load.errors.append(f"not done after {PATIENCE:.0f} s")
                    return
                if not view and time.monotonic() - sent_at > 0.2:
                    self.sender.sock.send(KEEPALIVE)
                    sent_at = time.monotonic()
                for key, events in selector.select(0.1):
                    client: Client = key.data
                    if events & selectors.EVENT_READ:
                        data = client.sock.recv(CHUNK)
                        if not data:
                            load.errors.append(f"client {client.number}: closed")
                            return
                        client.take(data, size if client.number else 0)
                    if events & selectors.EVENT_WRITE and view:
                        view = view[client.sock.send(view[:CHUNK]) :]
                        if not len(view):
                            selector.modify(client.sock, selectors.EVENT_READ, client)
                waiting = [each for each in waiting if not done(each)]


def measure(dut: str, shape: Shape, receivers: int, *, instances: int = 0) -> Load:
    """One load on a fresh process: a peer, ``tungsten``, or ``python`` (its twin)."""
    family = next(name for name, each in FAMILIES.items() if each == shape.family)
    with tempfile.TemporaryDirectory(prefix="bench-bgp-") as directory:
        if dut in PEERS:
            speaker = PEERS[dut].start(Path(directory), 1 + receivers, family)
        else:
            core = "python" if dut == "python" else "compiled"
            speaker = ours(Path(directory), 1 + receivers, family, core=core, instances=instances)
        try:
            return Bench(speaker, shape, receivers).run()
        finally:
            speaker.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dut", default="tungsten", choices=["tungsten", "python", *PEERS])
    parser.add_argument("--family", default="inet-vpn", choices=sorted(FAMILIES))
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--shared", type=int, default=4)
    parser.add_argument("--receivers", type=int, default=1)
    parser.add_argument("--instances", type=int, default=0)
    args = parser.parse_args()
    shape = Shape(FAMILIES[args.family], args.routes, args.shared)
    load = measure(args.dut, shape, args.receivers, instances=args.instances)
    print(
        f"{args.dut} {args.family} N={args.routes} K={args.shared} R={args.receivers} "
        f"VRFs={args.instances}: {load.cpu:.2f} CPU s, "
        f"{1e6 * load.cpu / args.routes:.2f} us a route, "
        f"{load.seconds:.2f} s, peak {load.peak:.0f} MB, "
        f"{load.growth * 1048576 / args.routes:.0f} B a route, "
        f"{load.messages} messages, withdraw {load.withdraw_cpu:.2f} CPU s"
    )
    for error in load.errors[:5]:
        print("  ERROR:", error)


if __name__ == "__main__":
    main()
