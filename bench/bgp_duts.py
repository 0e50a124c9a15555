"""BGP speakers to be measured, each as a process that reflects routes between its clients.

All listen on 127.0.0.1; clients are 127.0.0.100 (the sender) and those after it. Every client
connects by itself. CPU and memory are read from ``/proc``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from bench.bgp_streams import ASN
from tungsten.bgp import communities
from tungsten.model import (
    BgpRouter,
    Domain,
    GlobalSystemConfig,
    Project,
    Ref,
    Resource,
    RouteTarget,
    RoutingInstance,
    VirtualNetwork,
    type_of,
)
from tungsten.model.bgp import (
    AddressFamilies,
    BgpPeeringAttributes,
    BgpRouterParams,
    BgpSession,
    BgpSessionAttributes,
)
from tungsten.model.routing import InstanceTargetType
from tungsten.store.base import Record, Transaction
from tungsten.store.records import to_record
from tungsten.store.sqlite import SqliteStore

HOST = "127.0.0.1"
MASTER = "default-domain:default-project:ip-fabric:__default__"
_TICK = os.sysconf("SC_CLK_TCK")


def client_address(number: int) -> str:
    """The address of a client; 0 is the sender."""
    return f"127.0.0.{100 + number}"


def free_port() -> int:
    """A port that is free on the speakers' address."""
    with socket.create_server((HOST, 0)) as sock:
        return int(sock.getsockname()[1])


class Speaker:
    """A process under test."""

    def __init__(self, argv: list[str], port: int) -> None:
        self.port = port
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def cpu(self) -> float:
        """Seconds of CPU, user and system, since it began."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> dict[str, float]:
        """Resident megabytes now and at most: ``VmRSS`` and ``VmHWM``."""
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        rows = [line.split() for line in status if line.startswith(("VmRSS", "VmHWM"))]
        return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows}

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# --- ours


def _uuid(type_: str, name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, f"{type_}/{name}"))


def _record(resource: Resource, parent: str, name: str) -> Record:
    type_ = type_of(resource).name
    resource.fq_name = name.split(":")
    resource.uuid = _uuid(type_, name)
    if parent:
        resource.parent_type = parent
        resource.parent_uuid = _uuid(parent, name.rpartition(":")[0])
    return to_record(resource)


def _router(name: str, address: str, port: int, peers: list[str], family: str) -> Record:
    session = BgpSession(attributes=[BgpSessionAttributes(passive=True, hold_time=240)])
    params = BgpRouterParams(
        router_type="control-node" if peers else "router",
        autonomous_system=ASN,
        identifier=address,
        address=address,
        port=port,
        cluster_id=9 if peers else None,
        address_families=AddressFamilies(family=[family]),
    )
    refs = [
        Ref(
            to=[*MASTER.split(":"), peer],
            uuid=_uuid("bgp-router", f"{MASTER}:{peer}"),
            attr=BgpPeeringAttributes(session=[session]),
        )
        for peer in peers
    ]
    resource = BgpRouter(bgp_router_parameters=params, bgp_router_refs=refs)
    return _record(resource, "routing-instance", f"{MASTER}:{name}")


def _instances(count: int) -> Iterator[Record]:
    """Networks that import, and export, one of the streams' route targets each."""
    project = "default-domain:default-project"
    for number in range(count):
        name = f"{project}:network-{number}"
        text = f"target:{ASN}:{8000001 + number}"
        assert communities.parse_extended(text)
        yield _record(VirtualNetwork(virtual_network_network_id=number + 1), "project", name)
        target = RouteTarget(fq_name=[text], uuid=_uuid("route-target", text))
        yield to_record(target)
        ref = Ref(to=[text], uuid=target.uuid, attr=InstanceTargetType())
        yield _record(
            RoutingInstance(route_target_refs=[ref]),
            "virtual-network",
            f"{name}:network-{number}",
        )


def _objects(port: int, clients: int, family: str, instances: int) -> list[Record]:
    names = [f"client-{number}" for number in range(clients)]
    project = "default-domain:default-project"
    return [
        _record(GlobalSystemConfig(autonomous_system=ASN), "", "default-global-system-config"),
        _record(Domain(), "", "default-domain"),
        _record(Project(), "domain", project),
        _record(VirtualNetwork(), "project", f"{project}:ip-fabric"),
        _record(RoutingInstance(), "virtual-network", MASTER),
        _router("node", HOST, port, names, family),
        *(
            _router(name, client_address(number), 179, [], family)
            for number, name in enumerate(names)
        ),
        *_instances(instances),
    ]


def ours(
    directory: Path, clients: int, family: str, *, core: str = "compiled", instances: int = 0
) -> Speaker:
    """``tungsten control`` on a SQLite store."""
    port = free_port()
    file = directory / "config.db"
    records = _objects(port, clients, family, instances)

    def write(transaction: Transaction) -> None:
        for record in records:
            transaction.create(record)

    async def fill() -> None:
        store = SqliteStore.open(file)
        await store.transact(write)
        await store.close()

    asyncio.run(fill())
    values = {
        "store.url": f"sqlite:{file}",
        "control.hostname": "node",
        "control.bgp_listen": f"{HOST}:{port}",
        "control.xmpp_listen": f"{HOST}:0",
        "control.introspect_listen": "",
        "control.core": core,
    }
    argv = [str(Path(sys.executable).with_name("tungsten")), "control"]
    for key, value in values.items():
        argv += ["--set", f"{key}={value}"]
    return Speaker(argv, port)


# --- peers, as Debian has them


@dataclass(frozen=True)
class PeerSpeaker:
    """Another speaker: its name, its program, and how it is started.

    ``start`` takes a directory for its files, how many clients it has, and a family.
    """

    name: str
    program: str
    start: Callable[[Path, int, str], Speaker]


def bird(directory: Path, clients: int, family: str) -> Speaker:
    """BIRD 2; it has no EVPN."""
    assert family == "inet-vpn", family
    port = free_port()
    lines = [
        f"router id {HOST};",
        "protocol device {}",
        "ipv4 table m4;",
        "vpn4 table mv4;",
        "protocol static s4 { ipv4 { table m4; }; route 10.0.0.0/8 via 127.0.0.1; }",
    ]
    for number in range(clients):
        lines.append(
            f"protocol bgp p{number} {{ local {HOST} port {port} as {ASN}; "
            f"neighbor {client_address(number)} as {ASN}; passive on; strict bind on; multihop; "
            f"rr client; rr cluster id {HOST}; hold time 240; "
            "vpn4 mpls { table mv4; import all; export all; next hop keep; gateway recursive; "
            "igp table m4; }; }"
        )
    file = directory / "bird.conf"
    file.write_text("\n".join(lines) + "\n")
    argv = ["/usr/sbin/bird", "-f", "-c", str(file), "-s", str(directory / "bird.ctl")]
    return Speaker(argv, port)


def frr(directory: Path, clients: int, family: str) -> Speaker:
    """FRR's bgpd without zebra."""
    port = free_port()
    address_family = "ipv4 vpn" if family == "inet-vpn" else "l2vpn evpn"
    lines = [
        "frr defaults datacenter",
        f"router bgp {ASN}",
        f" bgp router-id {HOST}",
        " no bgp default ipv4-unicast",
        f" bgp cluster-id {HOST}",
        " neighbor RR peer-group",
        f" neighbor RR remote-as {ASN}",
        " neighbor RR passive",
        " neighbor RR advertisement-interval 0",
        " neighbor RR timers 60 240",
        *(f" neighbor {client_address(number)} peer-group RR" for number in range(clients)),
        f" address-family {address_family}",
        "  neighbor RR activate",
        "  neighbor RR route-reflector-client",
        " exit-address-family",
    ]
    file = directory / "bgpd.conf"
    file.write_text("\n".join(lines) + "\n")
    argv = ["/usr/lib/frr/bgpd", "-f", str(file), "-p", str(port), "-l", HOST, "-Z", "-S"]
    argv += ["-P", "0", "-i", str(directory / "bgpd.pid"), "--vty_socket", str(directory)]
    return Speaker(argv, port)


def gobgp(directory: Path, clients: int, family: str) -> Speaker:
    """GoBGP's daemon."""
    port = free_port()
    name = "l3vpn-ipv4-unicast" if family == "inet-vpn" else "l2vpn-evpn"
    lines = [
        "[global.config]",
        f'as = {ASN}\nrouter-id = "{HOST}"\nport = {port}\nlocal-address-list = ["{HOST}"]',
    ]
    for number in range(clients):
        lines += [
            "[[neighbors]]",
            "[neighbors.config]",
            f'neighbor-address = "{client_address(number)}"\npeer-as = {ASN}',
            "[neighbors.transport.config]\npassive-mode = true",
            "[neighbors.route-reflector.config]\nroute-reflector-client = true",
            f'route-reflector-cluster-id = "{HOST}"',
            f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{name}"',
        ]
    file = directory / "gobgpd.toml"
    file.write_text("\n".join(lines) + "\n")
    api = f"{HOST}:{free_port()}"
    return Speaker(["gobgpd", "-f", str(file), "-l", "error", "--api-hosts", api], port)


PEERS = {
    "bird": PeerSpeaker("BIRD 2", "/usr/sbin/bird", bird),
    "frr": PeerSpeaker("FRR", "/usr/lib/frr/bgpd", frr),
    "gobgp": PeerSpeaker("GoBGP", "gobgpd", gobgp),
}
