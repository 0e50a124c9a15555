"""What tests of BGP neighbours share: a neighbour as a class, our two sessions with it, samples.

A :class:`RealPeer` is a program of others on a loopback address. It waits for our connections
and reflects routes among us if it can. :class:`Ours` is one session of the library's; a matrix
test has two of them, so that what one says comes back to the other through the neighbour.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.frr import free_port, loopback_address, until

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes, PmsiTunnel
from tungsten.bgp.families import EVPN, INET, INET6, INET6_VPN, INET_LABELED, INET_VPN, Family
from tungsten.bgp.fsm import Down
from tungsten.bgp.messages import RouteRefresh, encode_message
from tungsten.bgp.negotiation import Negotiated, SessionConfig
from tungsten.bgp.nlri import (
    EthernetAutoDiscovery,
    EthernetSegment,
    InclusiveMulticast,
    Inet,
    IpPrefix,
    Labeled,
    MacIp,
    Nlri,
    Vpn,
    mpls_field,
    prefix_from_text,
    rd_from_text,
)
from tungsten.bgp.transport import Peer, PeerConfig, Speaker
from tungsten.bgp.update import Reach, Unreach, Update

ASN = 64512


@dataclass
class Rib:
    """A neighbour's handler that keeps what it was told, and everything it heard in order."""

    routes: dict[tuple[Family, bytes], tuple[Nlri, PathAttributes]] = field(default_factory=dict)
    ended: set[Family] = field(default_factory=set)
    faults: list[object] = field(default_factory=list)
    downs: list[Down] = field(default_factory=list)
    refreshes: list[Family] = field(default_factory=list)
    demarcations: list[RouteRefresh] = field(default_factory=list)
    stream: list[Update] = field(default_factory=list)
    ids: dict[tuple[Family, bytes], set[int]] = field(default_factory=dict)

    def up(self, peer: Peer, negotiated: Negotiated) -> None:
        """Begin anew."""
        self.routes.clear()
        self.ended.clear()
        self.ids.clear()

    def received(self, peer: Peer, message: Update | RouteRefresh) -> None:
        """Take routes."""
        if isinstance(message, RouteRefresh):
            if message.subtype:
                self.demarcations.append(message)
            else:
                self.refreshes.append(message.family)
            return
        self.stream.append(message)
        self.faults += [*message.faults, *message.skipped]
        for gone in message.unreach:
            for route in gone.routes:
                self.routes.pop((gone.family, route.key), None)
        for news in message.reach:
            for route in news.routes:
                self.routes[news.family, route.key] = (route, news.attributes)
        if message.end_of_rib:
            self.ended.add(message.end_of_rib)

    def writable(self, peer: Peer) -> None:
        """Nothing waits."""

    def down(self, peer: Peer, down: Down) -> None:
        """Remember why."""
        self.downs.append(down)


@dataclass
class Ours:
    """One session of ours with a neighbour."""

    host: str
    speaker: Speaker
    rib: Rib = field(default_factory=Rib)
    peer: Peer | None = None

    @classmethod
    async def listen(cls, host: str = "") -> Ours:
        """A speaker on an address of its own."""
        host = host or loopback_address()
        speaker = Speaker(host, 0)
        await speaker.start()
        return cls(host, speaker)

    def add(self, other: RealPeer, families: frozenset[Family], **changes: object) -> Peer:
        """Have the neighbour."""
        md5 = str(changes.pop("md5", ""))
        values: dict[str, object] = {
            "name": other.name,
            "local_as": ASN,
            "peer_as": other.asn,
            "router_id": socket.inet_aton(self.host),
            "families": families,
            "connect_time": 0.5,
            "idle_hold": 0.2,
            **changes,
        }
        config = PeerConfig(
            session=SessionConfig(**values),  # type: ignore[arg-type]
            address=other.address,
            port=other.port,
            local_address=self.host,
            md5=md5,
        )
        self.peer = self.speaker.add(config, self.rib)
        return self.peer

    async def up(self, other: RealPeer, families: frozenset[Family], **changes: object) -> Peer:
        """Have the neighbour, and wait for its session and its End-of-RIBs."""
        peer = self.add(other, families, **changes)
        await until(lambda: peer.established, what=f"session with {other.name} ({peer.last_error})")
        return peer

    def tell(self, update: Update) -> None:
        """Say something to the neighbour."""
        assert self.peer is not None
        self.peer.send(encode_message(update))

    def announce(self, sample: Sample) -> None:
        """Announce a sample."""
        self.tell(Update(reach=(Reach(sample.family, sample.attributes, (sample.route,)),)))

    def withdraw(self, sample: Sample) -> None:
        """Take it back."""
        self.tell(Update(unreach=(Unreach(sample.family, (sample.route,)),)))

    def heard(self, sample: Sample) -> tuple[Nlri, PathAttributes] | None:
        """What it was told of the route of a sample."""
        return self.rib.routes.get((sample.family, sample.route.key))

    def lacks(self, sample: Sample) -> bool:
        """Whether it knows no route of a sample."""
        return self.heard(sample) is None

    async def stop(self) -> None:
        """Close."""
        await self.speaker.stop()


@dataclass(frozen=True)
class Shown:
    """A route as a neighbour shows it, in our words; None where it does not show something."""

    next_hop: str | None = None
    local_preference: int | None = None
    med: int | None = None
    label: int | None = None
    communities: frozenset[str] | None = None
    large_communities: frozenset[str] | None = None
    targets: frozenset[str] | None = None

    def without(self, hidden: frozenset[str]) -> dict[str, object]:
        """Fields but for some."""
        return {name: getattr(self, name) for name in self.__annotations__ if name not in hidden}


@dataclass(frozen=True)
class Sample:
    """A route of a family with all the attributes that every neighbour knows."""

    name: str
    family: Family
    route: Nlri
    attributes: PathAttributes
    shown: Shown


TARGET = communities.route_target(ASN, 8000003)
RD = rd_from_text("192.0.2.7:3")
MAC = bytes.fromhex("020000000103")
ESI = bytes.fromhex("00112233445566778899")
NEXT_HOP, NEXT_HOP6 = bytes((192, 0, 2, 7)), socket.inet_pton(socket.AF_INET6, "2001:db8::7")


def _sample(name: str, family: Family, route: Nlri, label: int | None, **extra: Any) -> Sample:
    v6 = family.afi == 2
    attributes = PathAttributes(
        next_hop=NEXT_HOP6 if v6 else NEXT_HOP,
        med=77,
        local_preference=150,
        communities=(ASN << 16 | 5,),
        large_communities=(bytes(3) + b"\7" + bytes(3) + b"\x08" + bytes(3) + b"\x09",),
        **extra,
    )
    targeted = bool(attributes.extended_communities)
    shown = Shown(
        "2001:db8::7" if v6 else "192.0.2.7",
        150,
        77,
        label,
        frozenset({"64512:5"}),
        frozenset({"7:8:9"}),
        frozenset({"64512:8000003"}) if targeted else frozenset(),
    )
    return Sample(name, family, route, attributes, shown)


_MPLS = {"extended_communities": (TARGET,)}
_VXLAN = {"extended_communities": (TARGET, communities.encapsulation("vxlan"))}
_FLOOD = {**_VXLAN, "pmsi_tunnel": PmsiTunnel(6, 5001, NEXT_HOP)}
_V4, _V6 = prefix_from_text("10.1.1.0/24"), prefix_from_text("2001:db8:1::/64")
#: One route of each family and EVPN type.
SAMPLES: dict[str, Sample] = {
    each.name: each
    for each in (
        _sample("inet", INET, Inet(_V4), None),
        _sample("inet6", INET6, Inet(_V6), None),
        _sample("inet-labeled", INET_LABELED, Labeled(_V4, mpls_field(31)), 31),
        _sample("inet-vpn", INET_VPN, Vpn(RD, _V4, mpls_field(27)), 27, **_MPLS),
        _sample("inet6-vpn", INET6_VPN, Vpn(RD, _V6, mpls_field(28)), 28, **_MPLS),
        _sample("evpn-1", EVPN, EthernetAutoDiscovery(RD, ESI, 0, 5001), 5001, **_VXLAN),
        _sample("evpn-2", EVPN, MacIp(RD, 0, MAC, bytes((10, 1, 1, 3)), 5001), 5001, **_VXLAN),
        _sample("evpn-3", EVPN, InclusiveMulticast(RD, 0, NEXT_HOP), 5001, **_FLOOD),
        _sample("evpn-4", EVPN, EthernetSegment(RD, ESI, NEXT_HOP), None, **_VXLAN),
        _sample("evpn-5", EVPN, IpPrefix(RD, 0, _V4, 5001), 5001, **_VXLAN),
    )
}


class RealPeer:
    """A neighbour of ours that others wrote. ``ours`` are the addresses it waits for.

    A subclass says how it is configured and started, how it shows a route, and how it is told
    to announce one.
    """

    name = ""
    #: Samples that it takes; fields that it does not show, by sample.
    takes: frozenset[str] = frozenset()
    hides: ClassVar[dict[str, frozenset[str]]] = {}
    #: Samples that it can be told to announce.
    announces: frozenset[str] = frozenset()
    reflects = True
    #: Samples whose label it forgets on the way.
    loses_labels_of: frozenset[str] = frozenset()

    def __init__(self, ours: list[str], *, asn: int = ASN, md5: str = "") -> None:
        self.ours = ours
        self.asn = asn
        self.md5 = md5
        self.address = loopback_address()
        self.port = free_port(self.address)
        self.dir = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/tmp"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def families(self) -> frozenset[Family]:
        """The families of the samples that it takes."""
        return frozenset(SAMPLES[name].family for name in self.takes)

    def hidden(self, sample: Sample) -> frozenset[str]:
        """What it does not show of a sample."""
        return self.hides.get(sample.name, frozenset())

    def expected(self, sample: Sample) -> dict[str, object]:
        """What it must show of a sample."""
        return sample.shown.without(self.hidden(sample))

    def argv(self) -> list[str]:
        """How to start it; its configuration is written before."""
        raise AssertionError(self.name)

    def environment(self) -> dict[str, str]:
        """What it finds in its environment."""
        return dict(os.environ)

    async def start(self) -> None:
        """Run it, and wait until it listens."""
        argv = ["setpriv", "--pdeathsig", "KILL", *self.argv()]  # it ends when the test does
        with (self.dir / "log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, env=self.environment(), start_new_session=True
            )
        await until(self.listens, what=f"{self.name} listens: {self.log()[-1000:]}")

    def listens(self) -> bool:
        """Whether its port is open. It may count one connection that says nothing."""
        with socket.socket() as sock:
            return sock.connect_ex((self.address, self.port)) == 0

    def log(self) -> str:
        """What it said."""
        file = self.dir / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process = None

    def stop(self) -> None:
        """End it; one that had ended by itself is an error of the test."""
        died, text = None, ""
        if self.process is not None:
            died = self.process.poll()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
            self.process, text = None, self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert died is None, f"{self.name} ended by itself with {died}: {text[-2000:]}"

    def run(self, *argv: str) -> str:
        """Output of a command."""
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout

    def show(self, sample: Sample) -> Shown | None:
        """The route of a sample as it has it now, None without one."""
        raise AssertionError(self.name)

    def announce(self, sample: Sample) -> None:
        """Have it announce a sample."""
        raise AssertionError(self.name)

    def withdraw(self, sample: Sample) -> None:
        """Have it take the sample back."""
        raise AssertionError(self.name)

    async def shows(self, sample: Sample) -> Shown | None:
        """:meth:`show`, beside the event loop."""
        return await asyncio.to_thread(self.show, sample)
