"""The control node and many agents: ``python -m bench.control_agents [AGENTS [MANY [ROUNDS]]]``.

A real ``tungsten control`` on a store with virtual-routers, networks, ports and addresses; agents
on loopback addresses, all of them in this process, which speaks the project's own XMPP and counts
what it is sent without reading it further. What the agents cost is not the control node's: its CPU
is read from ``/proc``. The floor is a C program that writes as many octets to as many sockets, to
the same receivers (:file:`bench/fanout_floor.c`).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.bgp_duts import Speaker, free_port
from bench.bgp_duts import _record as record
from bench.bgp_duts import _uuid as uuid_of
from bench.report import Measure, publish
from tungsten.model import (
    Domain,
    GlobalSystemConfig,
    InstanceIp,
    Project,
    Ref,
    Resource,
    RouteTarget,
    RoutingInstance,
    VirtualMachine,
    VirtualMachineInterface,
    VirtualNetwork,
    VirtualRouter,
)
from tungsten.model.addressing import MacAddressesType
from tungsten.model.common import KeyValuePair, KeyValuePairs
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.model.routing import InstanceTargetType
from tungsten.store.base import Record, Transaction
from tungsten.store.records import to_record
from tungsten.store.sqlite import SqliteStore
from tungsten.xmpp.stanzas import (
    InetItem,
    NextHop,
    Publish,
    Stanza,
    Subscribe,
    encode,
)
from tungsten.xmpp.stream import CONTROL_JID, KEEPALIVE, Role, Session

HOST = "127.0.0.1"
GLOBAL = "default-global-system-config"
PROJECT = "default-domain:default-project"
ITEM = b"<item id="
SLICES = 60
CHANGES = 40


def host_name(number: int) -> str:
    """The name of an agent."""
    return f"host-{number}"


def host_address(number: int) -> str:
    """The address of an agent, of its own."""
    return f"127.{1 + number // 65536}.{number // 256 % 256}.{number % 256}"


def instance_of(network: int) -> str:
    """The routing instance of a network."""
    return f"{PROJECT}:network-{network}:network-{network}"


def prefix_of(agent: int, port: int) -> str:
    """The address of a port."""
    return f"10.{port}.{agent // 256}.{agent % 256}/32"


@dataclass(frozen=True)
class Shape:
    """A cloud: each agent has ``ports`` ports, in as many networks, one after the other."""

    agents: int
    networks: int
    ports: int

    def network(self, agent: int, port: int) -> int:
        """The network of a port."""
        return (agent + port) % self.networks

    @property
    def deliveries(self) -> int:
        """Routes that are told, when all members of a network hear of all its ports."""
        sizes = [0] * self.networks
        for agent in range(self.agents):
            for port in range(self.ports):
                sizes[self.network(agent, port)] += 1
        return sum(size * size for size in sizes)


def _ref(type_: str, name: str, attr: object = None) -> Ref:  # type: ignore[type-arg]
    return Ref(to=name.split(":"), uuid=uuid_of(type_, name), attr=attr)


def objects(shape: Shape) -> Iterator[Record]:
    """The configuration of a cloud."""
    yield record(GlobalSystemConfig(autonomous_system=64512), "", GLOBAL)
    yield record(Domain(), "", "default-domain")
    yield record(Project(), "domain", PROJECT)
    for number in range(shape.networks):
        name = f"{PROJECT}:network-{number}"
        text = f"target:64512:{8000001 + number}"
        target = RouteTarget(fq_name=[text], uuid=uuid_of("route-target", text))
        yield to_record(target)
        yield record(VirtualNetwork(virtual_network_network_id=number + 1), "project", name)
        refs = [Ref(to=[text], uuid=target.uuid, attr=InstanceTargetType())]
        yield record(
            RoutingInstance(route_target_refs=refs), "virtual-network", instance_of(number)
        )
    for agent in range(shape.agents):
        router = VirtualRouter(virtual_router_ip_address=host_address(agent))
        yield record(router, "global-system-config", f"{GLOBAL}:{host_name(agent)}")
        for port in range(shape.ports):
            yield from _port(shape, agent, port)


def _port(shape: Shape, agent: int, port: int) -> Iterator[Record]:
    name, machine = f"{PROJECT}:port-{agent}-{port}", f"machine-{agent}-{port}"
    network = shape.network(agent, port)
    pairs = [KeyValuePair(key="host_id", value=host_name(agent))]
    interface = VirtualMachineInterface(
        virtual_machine_interface_mac_addresses=MacAddressesType(mac_address=["02:00:00:00:00:01"]),
        virtual_machine_interface_bindings=KeyValuePairs(key_value_pair=pairs),
        virtual_machine_refs=[_ref("virtual-machine", machine)],
        virtual_network_refs=[_ref("virtual-network", f"{PROJECT}:network-{network}")],
        routing_instance_refs=[
            _ref(
                "routing-instance",
                instance_of(network),
                PolicyBasedForwardingRuleType(direction="both"),
            )
        ],
    )
    address: Resource = InstanceIp(
        instance_ip_address=prefix_of(agent, port).partition("/")[0],
        virtual_network_refs=[_ref("virtual-network", f"{PROJECT}:network-{network}")],
        virtual_machine_interface_refs=[_ref("virtual-machine-interface", name)],
    )
    yield record(VirtualMachine(), "", machine)
    yield record(interface, "project", name)
    yield record(address, "", f"address-{agent}-{port}")


def control(directory: Path, shape: Shape, hold_time: int) -> Speaker:
    """``tungsten control`` on a store with the cloud."""
    file, port = directory / "config.db", free_port()
    records = list(objects(shape))

    def write(transaction: Transaction) -> None:
        for each in records:
            transaction.create(each)

    async def fill() -> None:
        store = SqliteStore.open(file)
        await store.transact(write)
        await store.close()

    asyncio.run(fill())
    argv = [str(Path(sys.executable).with_name("tungsten")), "control"]
    for key, value in {
        "store.url": f"sqlite:{file}",
        "control.hostname": "node",
        "control.xmpp_listen": f"{HOST}:{port}",
        "control.introspect_listen": "",
        "control.xmpp_hold_time": str(hold_time),
    }.items():
        argv += ["--set", f"{key}={value}"]
    return Speaker(argv, port)


class Agent(asyncio.Protocol):
    """A host that counts the routes it is told."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.number = number
        self.items = self.octets = 0
        self.up = self.closing = False
        self._fleet = fleet
        self._early = b""
        self._tail = b""
        self._stanzas = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._fleet.is_floor:
            self.up = True
            return
        session = Session(Role.CLIENT, host_name(self.number))
        session.start(0.0)
        transport.write(session.take_output())

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        self._fleet.octets += len(data)
        if not self.up:
            self._early += data
            if b'streams"  >' in self._early:
                self.up = True
                self.write(KEEPALIVE)
            return
        if self._fleet.is_floor:
            return
        # What a read cuts in two is counted with the next.
        known = self._tail.count(ITEM)
        joined = self._tail + data
        found = joined.count(ITEM) - known
        self._tail = joined[1 - len(ITEM) :]
        self.items += found
        self._fleet.items += found

    def connection_lost(self, exc: Exception | None) -> None:
        self.up = False
        if not self.closing:
            self._fleet.lost += 1

    def write(self, data: bytes) -> None:
        """Send octets."""
        assert self._transport is not None
        self._transport.write(data)

    def say(self, *stanzas: Stanza) -> None:
        """Send stanzas in one piece."""
        said = []
        for stanza in stanzas:
            self._stanzas += 1
            said.append(encode(stanza, host_name(self.number), CONTROL_JID, self._stanzas))
        self.write(b"".join(said))

    def leave(self) -> None:
        """Break the connection, as a host that fails."""
        self.closing = True
        assert self._transport is not None
        self._transport.abort()


@dataclass
class Fleet:
    """All agents of a run."""

    shape: Shape
    port: int
    is_floor: bool = False
    agents: dict[int, Agent] = field(default_factory=dict)
    items: int = 0
    octets: int = 0
    lost: int = 0

    async def connect(self, numbers: range) -> None:
        """Connect agents, all at once."""
        loop = asyncio.get_running_loop()
        turns = asyncio.Semaphore(256)

        async def one(number: int) -> Agent:
            async with turns:
                _, made = await loop.create_connection(
                    lambda: Agent(self, number),
                    HOST,
                    self.port,
                    local_addr=(host_address(number), 0),
                )
                self.agents[number] = made
                return made

        fresh = await asyncio.gather(*(one(number) for number in numbers))
        await self.until(lambda: all(agent.up for agent in fresh), "streams open", 60)

    def say_all(self, numbers: range, label: int) -> None:
        """Everything that agents have to say: subscriptions, then routes."""
        for number in numbers:
            said: list[Stanza] = [
                Subscribe(instance_of(self.shape.network(number, port)), port + 1)
                for port in range(self.shape.ports)
            ]
            said += [self.route(number, port, label) for port in range(self.shape.ports)]
            self.agents[number].say(*said)

    def route(self, number: int, port: int, label: int) -> Publish:
        """The route of a port."""
        hop = NextHop(address=host_address(number), label=label, encapsulations=("gre", "udp"))
        item = InetItem(prefix=prefix_of(number, port), next_hops=(hop,))
        return Publish(instance_of(self.shape.network(number, port)), item)

    async def keep_alive(self, period: float) -> None:
        """Say that we live, spread over the period."""
        while True:
            for at in range(SLICES):
                for agent in list(self.agents.values())[at::SLICES]:
                    if agent.up and not agent.closing:
                        agent.write(KEEPALIVE)
                await asyncio.sleep(period / SLICES)

    def has(self, items: int) -> bool:
        """Whether so many routes have been told."""
        return self.items >= items

    async def until(self, condition: Callable[[], bool], what: str, most: float) -> float:
        """Seconds until something holds."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > most:
                raise SystemExit(f"not in {most} s: {what} ({self.items} items, {self.lost} lost)")
            await asyncio.sleep(0.001)
        return time.monotonic() - begun


async def converge(fleet: Fleet, speaker: Speaker) -> dict[str, float]:
    """All agents publish at once; every member hears of every route."""
    begun, cpu, own = time.monotonic(), speaker.cpu(), _own_cpu()
    await fleet.connect(range(fleet.shape.agents))
    connected = time.monotonic() - begun
    before = fleet.octets
    begun = time.monotonic()
    fleet.say_all(range(fleet.shape.agents), 20)
    wanted = fleet.shape.deliveries
    await fleet.until(lambda: fleet.items >= wanted, "all routes at all members", 120)
    spent = time.monotonic() - begun
    return {
        "connect": connected,
        "converge": spent,
        "cpu": speaker.cpu() - cpu,
        "generator": _own_cpu() - own,
        "octets": fleet.octets - before,
        "rss": speaker.memory()["VmRSS"],
    }


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def changes(fleet: Fleet) -> list[float]:
    """Milliseconds until all members have heard of one route's change."""
    members = sum(
        fleet.shape.network(0, 0) == fleet.shape.network(agent, port)
        for agent in range(fleet.shape.agents)
        for port in range(fleet.shape.ports)
    )
    times = []
    for number in range(CHANGES):
        end = fleet.items + members
        fleet.agents[0].say(fleet.route(0, 0, 100 + number))
        spent = await fleet.until(partial(fleet.has, end), "one change", 20)
        times.append(spent * 1000)
        await asyncio.sleep(0.05)
    return sorted(times)


async def idle(fleet: Fleet, speaker: Speaker, seconds: float) -> float:
    """Per cent of a core that keepalives of 3 s cost."""
    cpu = speaker.cpu()
    await asyncio.sleep(seconds)
    return 100 * (speaker.cpu() - cpu) / seconds


async def storm(fleet: Fleet, again: range) -> float:
    """Seconds until agents that fail and come back all at once know all routes again."""
    for number in again:
        fleet.agents[number].leave()
    await asyncio.sleep(0.5)
    before = fleet.items
    begun = time.monotonic()
    await fleet.connect(again)
    fleet.say_all(again, 20)
    size = fleet.shape.deliveries * len(again) // fleet.shape.agents
    await fleet.until(lambda: fleet.items >= before + size, "routes after the storm", 120)
    return time.monotonic() - begun


async def floor(agents: int, octets: int) -> float:
    """Seconds that the C program takes to write as much to as many."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "floor"
        source = Path(__file__).with_name("fanout_floor.c")
        port = free_port()
        compiler = await asyncio.create_subprocess_exec("cc", "-O2", "-o", program, source)
        if await compiler.wait():
            raise SystemExit(f"{source} does not compile")
        process = await asyncio.create_subprocess_exec(
            program,
            *(str(port), str(agents), str(octets // agents)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        await process.stdout.readline()
        fleet = Fleet(Shape(agents, 1, 1), port, is_floor=True)
        try:
            await fleet.connect(range(agents))
            begun = time.monotonic()
            process.stdin.write(b"\n")
            total = agents * (octets // agents)
            await fleet.until(lambda: fleet.octets >= total, "the floor's octets", 120)
            return time.monotonic() - begun
        finally:
            for agent in fleet.agents.values():
                agent.leave()
            process.stdin.close()
            await process.wait()


@contextlib.contextmanager
def running(shape: Shape, hold_time: int = 9) -> Iterator[Speaker]:
    """A control node with a cloud."""
    with tempfile.TemporaryDirectory() as directory:
        speaker = control(Path(directory), shape, hold_time)
        try:
            _wait(speaker.port)
            yield speaker
        finally:
            speaker.stop()


def _wait(port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("tungsten control does not listen")


@contextlib.asynccontextmanager
async def alive(fleet: Fleet) -> AsyncIterator[Fleet]:
    """Agents that say every 3 s that they live."""
    keeper = asyncio.create_task(fleet.keep_alive(3.0))
    try:
        yield fleet
    finally:
        keeper.cancel()
        for agent in fleet.agents.values():
            agent.leave()


def spread(agents: int) -> dict[str, float]:
    """Many networks of few members: convergence, and what it costs when nothing happens."""
    shape = Shape(agents, max(1, agents // 10), 2)
    with running(shape) as speaker:

        async def run() -> dict[str, float]:
            async with alive(Fleet(shape, speaker.port)) as fleet:
                found = await converge(fleet, speaker)
                found["idle"] = await idle(fleet, speaker, 12)
                found["lost"] = fleet.lost
                return found

        return asyncio.run(run())


def one_network(agents: int) -> dict[str, float]:
    """One network of all: the fan-out beside the floor, and single changes."""
    shape = Shape(agents, 1, 1)
    # All receivers are one process: what it has to read keeps it from saying that it lives.
    with running(shape, hold_time=90) as speaker:

        async def run() -> dict[str, float]:
            async with alive(Fleet(shape, speaker.port)) as fleet:
                found = await converge(fleet, speaker)
                times = await changes(fleet)
                found["change"] = statistics.median(times)
                found["change99"] = times[int(len(times) * 0.99)]
                found["lost"] = fleet.lost
                return found

        found = asyncio.run(run())
    found["floor"] = asyncio.run(floor(agents, int(found["octets"])))
    return found


def reconnecting(agents: int, again: int) -> dict[str, float]:
    """Many agents, some of which come back at once."""
    shape = Shape(agents, max(1, agents // 10), 1)
    with running(shape) as speaker:

        async def run() -> dict[str, float]:
            async with alive(Fleet(shape, speaker.port)) as fleet:
                found = await converge(fleet, speaker)
                cpu = speaker.cpu()
                found["storm"] = await storm(fleet, range(again))
                found["storm_cpu"] = speaker.cpu() - cpu
                await asyncio.sleep(10)
                found["idle"] = await idle(fleet, speaker, 12)
                found["lost"] = fleet.lost
                return found

        return asyncio.run(run())


def main() -> None:
    """Run all three, some rounds, and leave a report."""
    given = [int(text) for text in sys.argv[1:]]
    agents, many, rounds = (*given, *(2000, 10000, 3)[len(given) :])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ones, wides, backs = [], [], []
    for _ in range(rounds):
        ones.append(one_network(agents))
        wides.append(spread(agents))
        backs.append(reconnecting(many, many // 10))

    def measure(metric: str, unit: str, found: list[dict[str, float]], key: str) -> Measure:
        return Measure(metric, unit, [each[key] for each in found], {})

    one, wide = f"{agents} agents, 1 network", f"{agents} agents, 2 of {agents // 10} networks each"
    back = f"{many} agents, {many // 10} come back at once"
    floor = {"C that writes the same": [each["floor"] for each in ones]}
    lost = [sum(found["lost"] for found in group) for group in zip(ones, wides, backs, strict=True)]
    measures = [
        Measure(f"{one}: all routes at all", "s", [each["converge"] for each in ones], floor),
        measure(f"{one}: CPU", "s", ones, "cpu"),
        measure(f"{one}: CPU of the agents", "s", ones, "generator"),
        measure("one change at all members, median", "ms", ones, "change"),
        measure("one change at all members, p99", "ms", ones, "change99"),
        measure(f"{wide}: converged", "s", wides, "converge"),
        measure(f"{wide}: CPU", "s", wides, "cpu"),
        measure(f"{wide}: resident", "MB", wides, "rss"),
        measure(f"{wide}: idle, keepalives of 3 s", "% CPU", wides, "idle"),
        measure(f"{many} agents: CPU until converged", "s", backs, "cpu"),
        measure(f"{many} agents: resident", "MB", backs, "rss"),
        measure(f"{many} agents: idle, keepalives of 3 s", "% CPU", backs, "idle"),
        measure(f"{back}: have all again", "s", backs, "storm"),
        measure(f"{back}: CPU", "s", backs, "storm_cpu"),
        Measure("sessions lost of all others", "", lost, {}),
    ]
    publish("control-agents", measures)


if __name__ == "__main__":
    main()
