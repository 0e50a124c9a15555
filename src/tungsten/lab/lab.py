"""A lab: real processes in network namespaces on one machine.

Each host is a namespace joined to a router namespace by a veth pair in a subnet of its own, so
hosts reach each other through a router hop. Workloads are namespaces joined to their compute
host. Order of making: state file, namespaces and fabric, controller (ready when it serves),
intent, agents, workloads. Order of ending: processes, namespaces, mounts, files.

One person drives a lab at a time (a file lock); labs of different names live side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from tungsten.client import Client
from tungsten.lab import processes, state, workloads
from tungsten.lab.intent import Intent
from tungsten.lab.netns import Namespace, process_start, veth
from tungsten.lab.spec import Host, LabError, LabSpec, Role, StoreKind
from tungsten.lab.state import LabState, ProcessState, WorkloadState

#: Called with one line a step.
Progress = Callable[[str], None]
#: REST port of the lab called ``demo`` on 127.0.0.1; other labs take a free one.
DEMO_PORT = 8082
#: Where a lab's etcd listens, and how it is set up: room for large transactions, history for an
#: hour.
ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
ETCD_OPTIONS = (
    *("--max-txn-ops", "10000", "--max-request-bytes", "10485760"),
    *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h"),
    *("--logger", "zap", "--log-level", "warn"),
)
#: The workload interface's MTU is lowered by DHCP to what the fabric leaves after encapsulation.
WORKLOAD_MTU = 1500


def _quiet(_line: str) -> None:
    """Progress that nobody watches."""


class Lab:
    """A lab that exists; see :func:`create` and :func:`attach`."""

    def __init__(self, lab_state: LabState) -> None:
        self.state = lab_state
        self.spec = lab_state.spec
        self.name = lab_state.name

    # names ---------------------------------------------------------------------------------

    def namespace(self, part: str) -> Namespace:
        """The namespace of a host or workload of this lab. Raises LabError."""
        if part not in self.spec.hosts and part not in self.state.workloads and part != "fabric":
            known = ", ".join([*self.spec.hosts, *self.state.workloads, "fabric"])
            raise LabError(f"lab {self.name} has no {part!r}; it has {known}")
        return Namespace(f"{self.name}-{part}")

    def directory(self, host: str) -> Path:
        """Where a host's files are: settings, logs, state, pinned datapath."""
        return self.state.directory / host

    def bpf_dir(self, host: str) -> Path:
        """Where a compute host's datapath is pinned."""
        return self.directory(host) / "bpf/vrouter"

    @property
    def api_url(self) -> str:
        """The REST API, reached from the root namespace through 127.0.0.1."""
        return f"http://127.0.0.1:{self.state.api_port}"

    # making --------------------------------------------------------------------------------

    def build_fabric(self) -> None:
        """Namespaces, the router and the links between them."""
        fabric = Namespace(f"{self.name}-fabric").create()
        fabric.sysctl("net.ipv4.ip_forward", 1)
        for name, host in self.spec.hosts.items():
            self._build_host(fabric, name, host)

    def _build_host(self, fabric: Namespace, name: str, host: Host) -> None:
        namespace = Namespace(f"{self.name}-{name}").create()
        far = f"to-{name}"[: workloads.IFNAME]
        veth(namespace, "eth0", fabric, far, mtu=self.spec.fabric.mtu)
        namespace.ip("addr", "add", host.address, "dev", "eth0")
        namespace.ip("route", "add", "default", "via", host.gateway)
        prefix = host.interface.network.prefixlen
        fabric.ip("addr", "add", f"{host.gateway}/{prefix}", "dev", far)
        if self.spec.fabric.segment:
            for where, link in ((namespace, "eth0"), (fabric, far)):
                where.run(
                    *("ethtool", "-K", link, "tso", "off", "gso", "off"),
                    *("tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off"),
                )
        if host.role is Role.COMPUTE:
            state.mount_bpffs(self.directory(name) / "bpf")

    def _settings(self, name: str, host: Host) -> list[str]:
        """The --set values of a host's process."""
        directory = self.directory(name)
        address = str(host.interface.ip)
        values: dict[str, Any] = {}
        if host.role is Role.COMPUTE:
            controls = [str(self.spec.hosts[one].interface.ip) for one in self.spec.controllers]
            values |= {
                "agent.hostname": name,
                "agent.controls": controls,
                "agent.fabric_interface": "eth0",
                "agent.state_dir": str(directory / "agent"),
                "agent.bpf_dir": str(self.bpf_dir(name)),
            }
        else:
            values |= self._store_settings() | {
                "control.hostname": name,
                "control.router_id": address,
                "control.xmpp_listen": f"{address}:5269",
                "control.bgp_listen": f"{address}:179",
            }
        values |= host.set
        return [f"{key}={_setting(value)}" for key, value in values.items()]

    def _store_settings(self) -> dict[str, Any]:
        controller = self.spec.with_role(Role.CONTROLLER)[0]
        if self.spec.store is StoreKind.SQLITE:
            return {"store.url": f"sqlite:{self.directory(controller) / 'config.db'}"}
        address = self.spec.hosts[controller].interface.ip
        # Nobody outside the lab reaches its etcd, so it may be the distribution's.
        return {
            "store.url": f"etcd:{address}:{ETCD_PORT}/tungsten",
            "store.allow_unpatched_etcd": True,
        }

    def start_etcd(self) -> ProcessState:
        """Start the lab's etcd on the controller's host and wait until it serves."""
        controller = self.spec.with_role(Role.CONTROLLER)[0]
        address = self.spec.hosts[controller].interface.ip
        directory = self.directory("etcd")
        url, peer = f"http://{address}:{ETCD_PORT}", f"http://{address}:{ETCD_PEER_PORT}"
        argv = ["etcd", "--name", self.name, "--data-dir", str(directory / "data")]
        argv += ["--listen-client-urls", url, "--advertise-client-urls", url]
        argv += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        argv += ["--initial-cluster", f"{self.name}={peer}", *ETCD_OPTIONS]
        try:
            starting = processes.start(self.namespace(controller), "etcd", "etcd", argv, directory)
        except FileNotFoundError as error:
            raise LabError(f"{error}; the Debian package etcd-server has it") from None
        self.started(starting.state)
        return starting.wait()

    def start_process(self, host: str) -> processes.Starting:
        """Start a host's daemon; the caller waits and then calls :meth:`started`."""
        spec = self.spec.hosts[host]
        word = {"controller": "controller", "control": "control", "compute": "agent"}[
            spec.role.value
        ]
        argv = processes.tungsten_argv(word)
        for value in self._settings(host, spec):
            argv += ["--set", value]
        starting = processes.start(self.namespace(host), host, word, argv, self.directory(host))
        self.started(starting.state)
        return starting

    def started(self, process: ProcessState) -> None:
        """Remember a process."""
        self.state.processes[process.host] = process
        self.state.save()

    def restart(self, host: str, number: int = signal.SIGTERM) -> ProcessState:
        """End a host's daemon by a signal, start it again, wait until it is ready."""
        self.stop_process(host, number)
        return self.start_process(host).wait()

    def stop_process(self, host: str, number: int = signal.SIGTERM) -> None:
        """End a host's daemon by a signal and wait for its end."""
        processes.stop(self.process(host), number=number)

    def process(self, host: str) -> ProcessState:
        """The daemon of a host. Raises LabError."""
        try:
            return self.state.processes[host]
        except KeyError:
            raise LabError(f"lab {self.name}: no process on {host!r}") from None

    def start_forward(self) -> None:
        """Make the API reachable at 127.0.0.1 of the caller's namespace."""
        controller = self.spec.with_role(Role.CONTROLLER)[0]
        want = DEMO_PORT if self.name == "demo" else 0
        for port in (want, 0):
            try:
                self._forward(controller, port)
                return
            except LabError:
                if port == 0:
                    raise

    def _forward(self, controller: str, port: int) -> None:
        directory = self.directory("forward")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "forward.log").unlink(missing_ok=True)
        argv = processes.module_argv("tungsten.lab.forward")
        argv += [str(port), self.namespace(controller).name, "127.0.0.1:8082"]
        starting = processes.start(None, "forward", "forward", argv, directory)
        self.started(starting.state)
        starting.wait(15)
        self.state.api_port = int((directory / "forward.log").read_text().split()[0])
        self.state.save()

    # intent --------------------------------------------------------------------------------

    async def apply_networks(self) -> None:
        """Write infrastructure and networks through REST."""
        async with Client(self.api_url) as client:
            intent = Intent(client, self.spec)
            await intent.infrastructure()
            await intent.networks()

    async def add_workload(self, name: str) -> WorkloadState:
        """Create a workload's objects, plug it, announce the port. No address is asked for yet."""
        workload = self.spec.workloads[name]
        async with Client(self.api_url) as client:
            made = await Intent(client, self.spec).workload(name, workload.network)
        namespace = Namespace(f"{self.name}-{name}")
        tap = workloads.tap_name(made.vmi)
        lab_workload = WorkloadState(
            namespace=namespace.name,
            host=workload.host,
            network=workload.network,
            address=made.address,
            mac=made.mac,
            interface=tap,
            vmi=made.vmi,
            vm=made.vm,
        )
        self.state.workloads[name] = lab_workload
        self.state.save()
        compute = self.namespace(workload.host)
        await asyncio.to_thread(namespace.create)
        await asyncio.to_thread(workloads.plug, compute, namespace, tap, made.mac, WORKLOAD_MTU)
        await asyncio.to_thread(
            workloads.add_port,
            compute,
            name=name,
            vmi=made.vmi,
            vm=made.vm,
            network=made.network_uuid,
            tap=tap,
            mac=made.mac,
            address=made.address,
        )
        return lab_workload

    def lease(self, name: str) -> str:
        """Run the DHCP client of a workload; returns the address it got. Raises LabError."""
        namespace = self.namespace(name)
        workloads.lease(namespace)
        got = workloads.address(namespace)
        want = self.state.workloads[name].address
        if got != want:
            raise LabError(f"{namespace.name}: DHCP gave {got or 'no address'}, the API {want}")
        return got

    # looking -------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Hosts, processes, networks and workloads, as ``lab status --json`` prints them."""
        return {
            "name": self.name,
            "api": self.api_url,
            "hosts": {
                name: {
                    "namespace": f"{self.name}-{name}",
                    "role": host.role.value,
                    "address": str(host.interface.ip),
                    "directory": str(self.directory(name)),
                }
                for name, host in self.spec.hosts.items()
            },
            "processes": {
                name: {
                    "command": process.name,
                    "pid": process.pid,
                    "alive": state.alive(process),
                    "log": process.log,
                }
                for name, process in self.state.processes.items()
            },
            "networks": {
                name: {"subnet": network.subnet} for name, network in self.spec.networks.items()
            },
            "workloads": {
                name: msgspec.to_builtins(workload)
                for name, workload in self.state.workloads.items()
            },
        }

    # ending --------------------------------------------------------------------------------

    def down(self) -> None:
        """Remove everything the lab made. Removing it twice is no error."""
        forward = self.state.processes.get("forward")
        if forward is not None:
            processes.stop(forward, timeout=3)
        names = [*self.state.workloads, *self.spec.hosts, "fabric"]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda part: Namespace(f"{self.name}-{part}").delete(), names))
        state.remove_directory(self.state.directory)


def _setting(value: Any) -> str:
    """A value as ``--set`` reads it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lab against other commands that change it. Raises LabError if one runs."""
    state.ROOT.mkdir(parents=True, exist_ok=True)
    lock = state.ROOT / f"{state.check_name(name)}.lock"
    busy = LabError(f"lab {name}: another command is changing it")
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = lock.stat().st_ino == os.fstat(handle.fileno()).st_ino
        except (BlockingIOError, FileNotFoundError):
            raise busy from None
        if not mine:  # the file was another command's, which has just ended and removed it
            raise busy
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def others() -> str:
    """The labs that there are, for who names one that is not."""
    return ", ".join(state.names()) or "none"


def attach(name: str) -> Lab:
    """A lab that is up. Raises LabError."""
    found = state.read(name)
    if found is None:
        raise LabError(f"there is no lab {name!r} (labs: {others()}); `tungsten lab up` makes one")
    return Lab(found)


def is_whole(name: str, spec: LabSpec) -> bool:
    """Whether a lab of this name and content is up, with every process and workload."""
    found = state.read(name)
    if found is None or found.spec != spec:
        return False
    hosts = {host for host, one in spec.hosts.items() if one.role is not Role.PLAIN}
    return (
        hosts <= set(found.processes)
        and all(state.alive(process) for process in found.processes.values())
        and set(spec.workloads) == set(found.workloads)
        and all(Namespace(one.namespace).exists for one in found.workloads.values())
    )


def remove(name: str) -> bool:
    """Take down a lab, whole or half-made; returns whether there was one."""
    found = state.read(name)
    if found is None:
        return False
    Lab(found).down()
    return True


def create(name: str, spec: LabSpec, *, owned: bool = False) -> Lab:
    """Remember a new lab; nothing runs yet. ``owned`` ties it to the life of this process."""
    if os.geteuid() != 0:
        raise LabError("labs are made of network namespaces: run this as root")
    remove(name)
    fresh = LabState(name=state.check_name(name), spec=spec)
    if owned:
        fresh.owner = os.getpid()
        fresh.owner_started = process_start(os.getpid())
    fresh.save()
    return Lab(fresh)


def reap() -> list[str]:
    """Take down labs whose owner has ended; returns their names."""
    gone = []
    for name in state.names():
        found = state.read(name)
        if found is not None and state.owner_gone(found):
            Lab(found).down()
            gone.append(name)
    return gone


async def up(lab: Lab, say: Progress = _quiet) -> None:
    """Bring a created lab up: fabric, controller, intent, agents, workloads, addresses."""
    await asyncio.to_thread(lab.build_fabric)
    say(f"fabric: {len(lab.spec.hosts)} hosts, a subnet each, joined by one router")
    if lab.spec.store is StoreKind.ETCD:
        process = await asyncio.to_thread(lab.start_etcd)
        say(f"{process.name} on {lab.spec.with_role(Role.CONTROLLER)[0]}: pid {process.pid}, ready")
    for host in lab.spec.controllers:
        process = await asyncio.to_thread(lab.start_process(host).wait)
        say(f"{process.name} on {host}: pid {process.pid}, ready")
    await asyncio.to_thread(lab.start_forward)
    say(f"REST API: {lab.api_url}")
    agents = [lab.start_process(host) for host in lab.spec.with_role(Role.COMPUTE)]
    await lab.apply_networks()
    for name, network in lab.spec.networks.items():
        say(f"network {name}: {network.subnet}")
    for starting in agents:
        process = await asyncio.to_thread(starting.wait)
        say(f"{process.name} on {process.host}: pid {process.pid}, ready")
    for name in lab.spec.workloads:
        await lab.add_workload(name)
    leases = await asyncio.gather(
        *(asyncio.to_thread(lab.lease, name) for name in lab.spec.workloads)
    )
    for name, address in zip(lab.spec.workloads, leases, strict=True):
        found = lab.state.workloads[name]
        say(f"workload {name} on {found.host}, network {found.network}: {address} by DHCP")
