"""What a lab is: a YAML file of hosts, networks and workloads.

    project: demo                 # all networks are made in it
    store: sqlite                 # or etcd: one on the controller's host, which all use
    fabric: {mtu: 1500}           # of every link between a host and the fabric router
    hosts:                        # each host is in a subnet of its own, joined by one router
      controller: {role: controller, address: 172.30.0.2/24}
      compute1: {role: compute, address: 172.30.1.2/24}
    networks:
      blue: {subnet: 10.0.1.0/24}
    workloads:
      vm1: {host: compute1, network: blue}

Roles: ``controller`` runs ``tungsten controller``, ``control`` one more control node on the
controller's store, ``compute`` runs ``tungsten agent``, ``plain`` nothing. The first address
of a host's subnet belongs to the fabric router.
"""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

#: A lab's name is a prefix of namespace and link names, so it is short and plain.
NAME = re.compile(r"[a-z][a-z0-9]{0,19}")
#: Names of hosts, networks and workloads.
PART = re.compile(r"[a-z][a-z0-9-]{0,10}")
#: Parts that every lab makes for itself: the router, the way to the API from outside, etcd.
RESERVED = {"fabric", "forward", "etcd"}
#: Longest prefix of a host's subnet that holds the host and the router.
LONGEST_PREFIX = 30


class LabError(Exception):
    """A lab that cannot be made, or an order it cannot carry out."""


class Role(Enum):
    """What a host runs."""

    CONTROLLER = "controller"
    CONTROL = "control"
    COMPUTE = "compute"
    PLAIN = "plain"


class StoreKind(Enum):
    """Where the configuration is kept."""

    SQLITE = "sqlite"
    ETCD = "etcd"


class Fabric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The IP fabric between the hosts.

    ``segment`` makes the hosts' fabric links put real-size frames on the wire, as a network
    card does; without it, a veth carries segmentation requests through unsegmented.
    """

    mtu: Annotated[int, msgspec.Meta(ge=576, le=65535)] = 1500
    segment: bool = True


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A host of the fabric. ``set`` overrides settings of its processes (section.key)."""

    role: Role
    address: str
    set: dict[str, Any] = {}

    @property
    def interface(self) -> IPv4Interface:
        """Address and subnet."""
        return IPv4Interface(self.address)

    @property
    def gateway(self) -> str:
        """The fabric router's address in the host's subnet."""
        return str(self.interface.network[1])


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A virtual network with one IPv4 subnet."""

    subnet: str


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A namespace that stands for a virtual machine with one interface."""

    host: str
    network: str


class LabSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole lab."""

    hosts: dict[str, Host]
    networks: dict[str, Network] = {}
    workloads: dict[str, Workload] = {}
    project: str = "demo"
    store: StoreKind = StoreKind.SQLITE
    fabric: Fabric = Fabric()
    #: Object fields by "type fq:name" written after the defaults: encapsulation order and such.
    global_vrouter_config: dict[str, Any] = {}

    def with_role(self, role: Role) -> list[str]:
        """Names of the hosts of a role, in file order."""
        return [name for name, host in self.hosts.items() if host.role is role]

    @property
    def controllers(self) -> list[str]:
        """Hosts that agents attach to."""
        return self.with_role(Role.CONTROLLER) + self.with_role(Role.CONTROL)


def load(path: Path) -> LabSpec:
    """Read and check a lab file. Raises LabError."""
    try:
        tree = yaml.safe_load(path.read_text())
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: not YAML: {error}") from None
    return parse(tree, str(path))


def parse(tree: Any, source: str) -> LabSpec:
    """A lab from plain values. Raises LabError naming ``source`` and the place."""
    try:
        spec = msgspec.convert(tree, LabSpec)
    except msgspec.ValidationError as error:
        raise LabError(f"{source}: {error}") from None
    _check(spec, source)
    return spec


def _check(spec: LabSpec, source: str) -> None:
    for kind, names in (
        ("host", spec.hosts),
        ("network", spec.networks),
        ("workload", spec.workloads),
    ):
        for name in names:
            if not PART.fullmatch(name):
                raise LabError(f"{source}: {kind} name {name!r} does not match {PART.pattern}")
    for name in RESERVED & (set(spec.hosts) | set(spec.workloads)):
        raise LabError(f"{source}: the name {name!r} is taken by a part of every lab")
    clash = set(spec.hosts) & set(spec.workloads)
    if clash:
        raise LabError(f"{source}: {', '.join(sorted(clash))}: both a host and a workload")
    if len(spec.with_role(Role.CONTROLLER)) != 1:
        raise LabError(f"{source}: a lab has exactly one host with role controller")
    _check_addresses(spec, source)
    for name, workload in spec.workloads.items():
        host_spec = spec.hosts.get(workload.host)
        if host_spec is None or host_spec.role is not Role.COMPUTE:
            raise LabError(f"{source}: workload {name}: host {workload.host!r} is no compute host")
        if workload.network not in spec.networks:
            raise LabError(f"{source}: workload {name}: no network {workload.network!r}")


def _check_addresses(spec: LabSpec, source: str) -> None:
    subnets: dict[IPv4Network, str] = {}
    for name, host in spec.hosts.items():
        try:
            interface = host.interface
        except ValueError as error:
            raise LabError(f"{source}: host {name}: address: {error}") from None
        network = interface.network
        if network.prefixlen > LONGEST_PREFIX:
            raise LabError(
                f"{source}: host {name}: address {host.address}: a host shares its subnet with "
                f"the fabric router, so the prefix is at most /{LONGEST_PREFIX}"
            )
        if interface.ip in (network[0], network[1], network[-1]):
            raise LabError(
                f"{source}: host {name}: address {host.address}: {network[0]} and {network[-1]} "
                f"name the subnet, {network[1]} is the fabric router's"
            )
        for other, owner in subnets.items():
            if network.overlaps(other):
                raise LabError(f"{source}: hosts {owner} and {name} share {network}")
        subnets[network] = name
    for name, network_spec in spec.networks.items():
        try:
            IPv4Network(network_spec.subnet)
        except ValueError as error:
            raise LabError(f"{source}: network {name}: subnet: {error}") from None
