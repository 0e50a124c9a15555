"""The clients of the API benchmark, in a process of their own.

``python -m bench.api_load`` reads a :class:`Load` from its standard input, sends its requests over
some connections at once, each of which sends the next when it has the answer to the last, and
writes an :class:`Outcome`. Requests are made before the clock starts and answers are only counted,
so that the clients cost little beside the server: what they cost is told.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Literal
from uuid import UUID

import msgspec

PROJECT = ["default-domain", "default-project"]
NETWORK = [*PROJECT, "bench"]
STEP = 1000
"""Requests between two marks of the time, for the cost of a request as the store grows."""


class Load(msgspec.Struct, frozen=True):
    """What to send for ``count`` ports from number ``first``.

    ``create``: a request for the port and one for its address; ``pair``: one for both
    (``POST /transaction``); ``read``: the port, ``times`` over, all others between.
    """

    port: int
    kind: Literal["create", "pair", "read"]
    connections: int
    first: int
    count: int
    times: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """What it took: seconds, seconds of the clients' CPU, answers' milliseconds in order of size.

    ``marks`` are the times at which each STEP requests were answered.
    """

    seconds: float
    cpu: float
    waits: list[float]
    marks: list[float]


def port_uuid(number: int) -> str:
    """The uuid of a port, spread over its digits as those of clients are."""
    return str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128)))


def post(path: str, body: object) -> bytes:
    """A request that creates."""
    data = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def bodies(number: int) -> tuple[dict[str, object], dict[str, object]]:
    """A port, and its address."""
    name, uuid = [*PROJECT, f"port-{number}"], port_uuid(number)
    network = {"to": NETWORK}
    interface: dict[str, object] = {
        "uuid": uuid,
        "fq_name": name,
        "parent_type": "project",
        "virtual_network_refs": [network],
        "virtual_machine_interface_device_owner": "compute:nova",
    }
    address: dict[str, object] = {
        "fq_name": [f"address-{number}"],
        "virtual_network_refs": [network],
        "virtual_machine_interface_refs": [{"to": name}],
    }
    return interface, address


def pair(number: int) -> tuple[bytes, bytes]:
    """The requests that create a port, and its address."""
    interface, address = bodies(number)
    return (
        post("/virtual-machine-interfaces", {"virtual-machine-interface": interface}),
        post("/instance-ips", {"instance-ip": address}),
    )


def pair_at_once(number: int) -> bytes:
    """The request that creates both."""
    types = ("virtual-machine-interface", "instance-ip")
    operations = [
        {"operation": "create", "type": type_, "object": body}
        for type_, body in zip(types, bodies(number), strict=True)
    ]
    return post("/transaction", {"operations": operations})


def read(number: int) -> bytes:
    """The request that reads a port, with all that refers to it."""
    return (
        f"GET /virtual-machine-interface/{port_uuid(number)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    ).encode()


def requests_of(load: Load, connection: int) -> list[bytes]:
    """The requests of one connection."""
    numbers = range(load.first + connection, load.first + load.count, load.connections)
    if load.kind == "create":
        return [request for number in numbers for request in pair(number)]
    if load.kind == "pair":
        return [pair_at_once(number) for number in numbers]
    return [read(number) for _ in range(load.times) for number in numbers]


class Connection(asyncio.Protocol):
    """One client: a request, its answer, the next request."""

    def __init__(self, requests: Iterator[bytes], run: Run) -> None:
        self._requests = requests
        self._run = run
        self._left = 0
        self._begin = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def send(self) -> None:
        """Send the next request."""
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._begin = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count an answer when it is whole."""
        if self._left == 0:
            head, _, body = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(data.decode(errors="replace")))
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._left = int(length) - len(body)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._run.answered(time.perf_counter() - self._begin)
            self.send()


class Run:
    """The clock over all connections."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.marks: list[float] = []

    def answered(self, wait: float) -> None:
        """One request was answered."""
        self.waits.append(wait * 1000)
        if len(self.waits) % STEP == 0:
            self.marks.append(time.perf_counter())


async def send(load: Load) -> Outcome:
    """Send all requests."""
    loop, run = asyncio.get_running_loop(), Run()
    connections = []
    for number in range(load.connections):
        connection = Connection(iter(requests_of(load, number)), run)
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", load.port)  # type: ignore[misc]
        connections.append(connection)
    cpu, begin = time.process_time(), time.perf_counter()
    for connection in connections:
        connection.send()
    await asyncio.gather(*(connection.done for connection in connections))
    took = time.perf_counter() - begin
    cpu = time.process_time() - cpu
    return Outcome(took, cpu, sorted(run.waits), [mark - begin for mark in run.marks])


def main() -> None:
    """Standard input to standard output."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(send(load))))


if __name__ == "__main__":
    main()
