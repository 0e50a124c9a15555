"""A switch of others, in one layer-2 network with a workload of ours: EVPN and VXLAN, packets too.

The switch is a host of the lab's fabric that runs FRR (zebra and bgpd) on a Linux bridge with a
VXLAN device, as switches with FRR do. Behind it is a server, whose MAC address FRR tells in type 2
routes; floods go where type 3 routes say. The compute host prefers VXLAN, with the number that both
gave the network.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.interop.frr import BGPD
from tests.system.conftest import fresh_name
from tests.system.waiting import wait_for

from tungsten import model
from tungsten.client import Client
from tungsten.lab import lab as labs
from tungsten.lab.intent import DOMAIN, FABRIC_INSTANCE, ref
from tungsten.lab.lab import Lab
from tungsten.lab.netns import Namespace, veth
from tungsten.lab.spec import Host, LabSpec, Network, Role, Workload
from tungsten.model.bgp import AddressFamilies, BgpPeeringAttributes, BgpRouterParams

VNI = 7
TARGET = "target:64512:7"
CONTROLLER, SWITCH, COMPUTE = "172.30.0.2", "172.30.5.2", "172.30.1.2"
SERVER, MOVED = "10.0.1.200", "02:00:00:00:00:77"
ZEBRA = BGPD.with_name("zebra")


def spec() -> LabSpec:
    return LabSpec(
        hosts={
            "controller": Host(Role.CONTROLLER, f"{CONTROLLER}/24"),
            "compute1": Host(Role.COMPUTE, f"{COMPUTE}/24"),
            "switch": Host(Role.PLAIN, f"{SWITCH}/24"),
        },
        networks={"blue": Network("10.0.1.0/24")},
        workloads={"vm1": Workload("compute1", "blue"), "vm2": Workload("compute1", "blue")},
        global_vrouter_config={
            "encapsulation_priorities": {"encapsulation": ["VXLAN", "MPLSoUDP", "MPLSoGRE"]},
            "vxlan_network_identifier_mode": "configured",
        },
    )


class Switch:
    """FRR in a namespace, and the bridge that it looks after."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._dir = Path(tempfile.mkdtemp(prefix="frr-", dir="/tmp"))
        self._dir.chmod(0o755)
        shutil.chown(self._dir, "frr", "frr")
        self._processes: list[subprocess.Popen[str]] = []

    def build(self, server: Namespace) -> None:
        """A bridge that a server is plugged into, joined to others by VXLAN."""
        here = self.namespace
        here.ip("link", "add", "br7", "type", "bridge")
        here.ip(
            *("link", "add", "vni7", "type", "vxlan", "id", str(VNI), "local", SWITCH),
            *("dstport", "4789", "nolearning"),
        )
        here.ip("link", "set", "vni7", "master", "br7", "addrgenmode", "none")
        veth(here, "port1", server, "eth0", mtu=1400)
        here.ip("link", "set", "port1", "master", "br7")
        for link in ("br7", "vni7"):
            here.ip("link", "set", link, "up")
        server.ip("addr", "add", f"{SERVER}/24", "dev", "eth0")

    def start(self) -> None:
        """Run zebra and bgpd."""
        (self._dir / "zebra.conf").write_text("ip nht resolve-via-default\n")
        (self._dir / "bgpd.conf").write_text(
            "frr defaults datacenter\n"
            "router bgp 64512\n"
            f" bgp router-id {SWITCH}\n"
            " no bgp default ipv4-unicast\n"
            f" neighbor {CONTROLLER} remote-as 64512\n"
            f" neighbor {CONTROLLER} timers connect 1\n"
            f" neighbor {CONTROLLER} advertisement-interval 0\n"
            " address-family l2vpn evpn\n"
            f"  neighbor {CONTROLLER} activate\n"
            "  advertise-all-vni\n"
            f"  vni {VNI}\n"
            f"   route-target both {TARGET.partition(':')[2]}\n"
            "  exit-vni\n"
            " exit-address-family\n"
        )
        for program in (ZEBRA, BGPD):
            argv = [str(program), "-f", str(self._dir / f"{program.name}.conf")]
            argv += ["-z", str(self._dir / "zserv.api"), "--vty_socket", str(self._dir)]
            argv += ["-i", str(self._dir / f"{program.name}.pid")]
            argv += ["--log", "stdout", "--log-level", "warnings"]
            log = (self._dir / f"{program.name}.log").open("a")
            self._processes.append(self.namespace.popen(*argv, stdout=log))
            log.close()
            end = time.monotonic() + 20
            while not (self._dir / f"{program.name}.vty").exists():
                assert time.monotonic() < end, self.log(program.name)
                time.sleep(0.05)

    def log(self, program: str) -> str:
        return (self._dir / f"{program}.log").read_text(errors="replace")

    def stop(self) -> None:
        """End both; the bridge stays."""
        for process in reversed(self._processes):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        self._processes = []
        for left in self._dir.glob("*.vty"):
            left.unlink()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._dir, ignore_errors=True)

    def show(self, command: str) -> Any:
        """The answer of ``show ... json``."""
        argv = ["vtysh", "--vty_socket", str(self._dir), "-d", "bgpd", "-c", f"{command} json"]
        text = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout
        try:
            return json.loads(text[text.find("{") :])
        except json.JSONDecodeError:
            return {}

    def routes(self) -> set[str]:
        """EVPN routes that it knows, as their prefixes in FRR's text."""
        found: set[str] = set()
        for routes in self.show("show bgp l2vpn evpn route").values():
            if isinstance(routes, dict):
                found |= {each for each in routes if each.startswith("[")}
        return found


@pytest.fixture
def site() -> Iterator[tuple[Lab, Switch, Namespace]]:
    lab = labs.create(fresh_name(), spec(), owned=True)
    server = Namespace(f"{lab.name}-server")
    switch = None
    try:
        asyncio.run(labs.up(lab))
        server.create()
        switch = Switch(lab.namespace("switch"))
        switch.build(server)
        asyncio.run(configure(lab))
        switch.start()
        yield lab, switch, server
    finally:
        if switch is not None:
            switch.remove()
        server.delete()
        lab.down()


async def configure(lab: Lab) -> None:
    """The switch as a router, and the network's number and target."""
    parameters = BgpRouterParams(
        router_type="router",
        vendor="frr",
        autonomous_system=64512,
        identifier=SWITCH,
        address=SWITCH,
        port=179,
        address_families=AddressFamilies(family=["e-vpn"]),
    )
    async with Client(lab.api_url) as client:
        await client.create(
            model.BgpRouter(
                fq_name=[*FABRIC_INSTANCE, "switch"],
                parent_type="routing-instance",
                bgp_router_parameters=parameters,
                bgp_router_refs=[ref([*FABRIC_INSTANCE, "controller"], BgpPeeringAttributes())],
            )
        )
        uuid = await client.id_of("virtual-network", [DOMAIN, "demo", "blue"])
        await client.update(
            "virtual-network",
            uuid,
            {
                "virtual_network_properties": {"vxlan_network_identifier": VNI},
                "route_target_list": {"route_target": [TARGET]},
            },
        )


def answers(namespace: Namespace, target: str) -> bool:
    argv = ("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", target)
    return namespace.call(*argv, timeout=20).returncode == 0


def told(lab: Lab) -> str:
    """The EVPN routes of the network, as an operator sees them."""
    program = str(Path(sys.executable).with_name("tungsten"))
    table = ("-t", "default-domain:demo:blue:blue.evpn.0")
    return lab.namespace("controller").run(program, "ctr", "route", "show", *table)


def test_a_server_behind_a_switch_is_in_the_network(site: tuple[Lab, Switch, Namespace]) -> None:
    lab, switch, server = site
    vm = lab.state.workloads["vm1"]
    mine = f"[2]:[{VNI}]:[48]:[{vm.mac}]"
    wait_for(lambda: any(each.startswith(mine) for each in switch.routes()), "our MAC at FRR")
    assert any(each.startswith("[3]:") and COMPUTE in each for each in switch.routes())
    wait_for(lambda: answers(server, vm.address), "the server reaches the workload")
    assert answers(lab.namespace("vm1"), SERVER)
    fdb = switch.namespace.run("bridge", "fdb", "show", "dev", "vni7")
    assert any(vm.mac in line and COMPUTE in line for line in fdb.splitlines())
    theirs = server.ip("-o", "link", "show", "eth0").partition("link/ether ")[2].split()[0]
    wait_for(lambda: theirs in told(lab), "the server's MAC told to agents")
    server.ip("link", "set", "eth0", "down")
    server.ip("link", "set", "eth0", "address", MOVED)
    server.ip("link", "set", "eth0", "up")
    wait_for(lambda: answers(server, vm.address), "the server with its new address")
    wait_for(lambda: MOVED in told(lab) and theirs not in told(lab), "the old MAC withdrawn")
    assert answers(lab.namespace("vm2"), SERVER)
    # FRR goes and comes back.
    switch.stop()
    switch.start()
    wait_for(lambda: any(each.startswith(mine) for each in switch.routes()), "our MAC again")
    wait_for(lambda: answers(lab.namespace("vm1"), SERVER), "the server after FRR's restart")
