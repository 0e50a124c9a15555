"""Which instances a host may join and which routes it may publish, by the configuration.

The walk starts at the host's ``virtual-router`` and finds its interfaces: of the machines that the
router refers to, of the router itself, of logical interfaces of a physical router that it serves,
and those whose bindings name the host (``host_id``, or ``migrating_to`` in the profile). A machine
that is placed by neither is for the host that asked for it first and has not taken that back
(``claim``): orchestrators that place machines leave nothing to claim.

What an interface has is the host's to say in the instances it is in:

===================================== ==========================================================
instance                              what may be published there
===================================== ==========================================================
those of the interface, its network's addresses, allowed address pairs, static routes, subnets,
                                      service chain addresses; its MACs
that of a router it is attached to    the same
that of a floating or alias address   the address; the MACs
the fabric's                          all prefixes of all interfaces
===================================== ==========================================================

Prefixes are compared whole: who has a range may say the range, not an address in it, which may be
another's. A network that learns MACs (or MACs and addresses) lets its members say any.

Results are kept until a change of the graph touches what the walk has read: an index from vertex
to hosts tells, and of a link only the end that it is followed from.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

from tungsten.model import (
    FloatingIp,
    InstanceIp,
    InterfaceRouteTable,
    VirtualMachineInterface,
    VirtualNetwork,
    VirtualRouter,
)
from tungsten.model.addresses import AliasIp, Subnet
from tungsten.model.ifmap import attr_name
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.xmpp.routes import EnetItem, InetItem, Item

from .config_graph import ConfigGraph, GraphDelta
from .config_nodes import Node, Vertex
from .tables import MASTER

FABRIC = "default-domain:default-project:ip-fabric:ip-fabric"
_ROUTER = "default-global-system-config:"
_INTERFACE = "virtual-machine-interface"
_IN_INSTANCE = "virtual-machine-interface-routing-instance"
_PLACED = "virtual-router-virtual-machine"
_LOGICAL = "logical-router-interface"
_INTERNAL = "logical-router-virtual-network"
_IN_NETWORK = "virtual-machine-interface-virtual-network"
#: Kinds of virtual-routers that serve what is not theirs.
_SERVING = frozenset({"tor-service-node", "tor-agent"})
_NO_MAC = "00:00:00:00:00:00"
_NO_ADDRESS = frozenset({"0.0.0.0/32", "::/128"})

#: From which types a link is followed.
_FROM: dict[str, frozenset[str]] = {
    _PLACED: frozenset({"virtual-router", "virtual-machine"}),
    "virtual-router-virtual-machine-interface": frozenset({"virtual-router"}),
    "physical-router-virtual-router": frozenset({"virtual-router"}),
    "physical-router-physical-interface": frozenset({"physical-router"}),
    "physical-router-logical-interface": frozenset({"physical-router"}),
    "physical-interface-logical-interface": frozenset({"physical-interface"}),
    "logical-interface-virtual-machine-interface": frozenset({"logical-interface"}),
    "virtual-machine-interface-virtual-machine": frozenset({"virtual-machine"}),
    "virtual-machine-interface-sub-interface": frozenset({_INTERFACE}),
    _IN_NETWORK: frozenset({_INTERFACE}),
    _IN_INSTANCE: frozenset({_INTERFACE}),
    "instance-ip-virtual-machine-interface": frozenset({_INTERFACE}),
    "floating-ip-virtual-machine-interface": frozenset({_INTERFACE}),
    "alias-ip-virtual-machine-interface": frozenset({_INTERFACE}),
    "virtual-machine-interface-route-table": frozenset({_INTERFACE}),
    "subnet-virtual-machine-interface": frozenset({_INTERFACE}),
    "floating-ip-pool-floating-ip": frozenset({"floating-ip"}),
    "instance-ip-floating-ip": frozenset({"floating-ip"}),
    "instance-ip-virtual-network": frozenset({"instance-ip"}),
    "virtual-network-floating-ip-pool": frozenset({"floating-ip-pool"}),
    "alias-ip-pool-alias-ip": frozenset({"alias-ip"}),
    "virtual-network-alias-ip-pool": frozenset({"alias-ip-pool"}),
}


class _Pair(msgspec.Struct):
    key: str | None = None
    value: str | None = None


class _Pairs(msgspec.Struct):
    key_value_pair: list[_Pair] | None = None


class _Bound(msgspec.Struct):
    """The part of an interface that places it."""

    virtual_machine_interface_bindings: _Pairs | None = None


class _Profile(msgspec.Struct):
    migrating_to: str = ""


_bound = msgspec.json.Decoder(_Bound)
_profile = msgspec.json.Decoder(_Profile)
_rule = msgspec.json.Decoder(PolicyBasedForwardingRuleType)


@dataclass(slots=True)
class Allowed:
    """What a host may publish in one instance: prefixes and MACs as items spell them."""

    prefixes: set[str] = field(default_factory=set)
    macs: set[str] = field(default_factory=set)
    #: Any MAC; any MAC with any address.
    learns_macs: bool = False
    learns_addresses: bool = False


@dataclass(slots=True)
class Holdings:
    """What a host has. ``everything``: it is not checked."""

    host: str = ""
    instances: dict[str, Allowed] = field(default_factory=dict)
    everything: bool = False
    #: Machines whose configuration it may read.
    machines: set[Vertex] = field(default_factory=set)

    def may_watch(self, router: str) -> bool:
        """Whether the host may follow the configuration of a virtual-router, by fq_name."""
        return self.everything or router.rpartition(":")[2] == self.host

    def may_read(self, machine: Vertex) -> bool:
        """Whether the host may read the configuration of a machine."""
        return self.everything or machine in self.machines

    def may_join(self, instance: str) -> bool:
        """Whether the host may subscribe to an instance."""
        return self.everything or instance in (MASTER, FABRIC) or instance in self.instances

    def why_not(self, instance: str, item: Item) -> str:
        """Why the host may not publish a route in an instance; empty when it may."""
        if self.everything:
            return ""
        if instance in (MASTER, FABRIC):
            prefixes = set().union(*(allowed.prefixes for allowed in self.instances.values()))
            allowed = Allowed(prefixes, set().union(*(a.macs for a in self.instances.values())))
        else:
            allowed = self.instances.get(instance) or Allowed()
        if isinstance(item, InetItem):
            if item.prefix in allowed.prefixes or allowed.learns_addresses:
                return ""
            return f"no interface of the host has {item.prefix} in {instance}"
        if not isinstance(item, EnetItem) or item.is_broadcast:
            return ""
        learns = allowed.learns_macs or allowed.learns_addresses
        if item.mac not in allowed.macs and item.mac != _NO_MAC and not learns:
            return f"no interface of the host has MAC {item.mac} in {instance}"
        bare = item.address in _NO_ADDRESS and item.mac != _NO_MAC
        if bare or item.address in allowed.prefixes or allowed.learns_addresses:
            return ""
        return f"no interface of the host has {item.address} in {instance}"


class Ownership:
    """What each watched host has, kept in step with the graph."""

    def __init__(self, graph: ConfigGraph, unchecked: Iterable[str] = ()) -> None:
        #: Hosts whose holdings may have changed and that nobody has asked for since.
        self.changed: dict[str, None] = {}
        self._graph = graph
        self._unchecked = frozenset(unchecked)
        self._holdings: dict[str, Holdings] = {}
        self._read: dict[str, set[Vertex]] = {}
        self._interested: dict[Vertex, set[str]] = {}
        #: Interfaces by the hosts their bindings name, and back.
        self._bound: dict[str, set[Vertex]] = {}
        self._hosts: dict[Vertex, frozenset[str]] = {}
        #: Who asked for a machine (by name or uuid), and when.
        self._claims: dict[str, dict[str, int]] = {}
        self._claim_number = 0
        #: Instances of the routers that networks are attached to.
        self._routers: dict[Vertex, set[str]] = {}
        self._routers_known = False
        self._learning: dict[Vertex, tuple[bool, bool]] = {}

    def of(self, host: str) -> Holdings:
        """What a host has now."""
        known = self._holdings.get(host)
        if known is None:
            known = self._holdings[host] = self._walk(host)
        return known

    def reader(self, host: str) -> Callable[[Vertex], bool]:
        """Tells whether a host may read a machine's configuration, whenever it is asked."""
        return lambda machine: self.of(host).may_read(machine)

    def forget(self, host: str) -> None:
        """Keep nothing of a host any more, its claims neither."""
        for machine in [text for text, hosts in self._claims.items() if host in hosts]:
            self.unclaim(host, machine)
        self._holdings.pop(host, None)
        self._unread(host, self._read.pop(host, set()))
        self.changed.pop(host, None)

    def claim(self, host: str, machine: str) -> None:
        """A host asks for a machine by name or uuid."""
        self._claim_number += 1
        self._claims.setdefault(machine, {}).setdefault(host, self._claim_number)
        self._spoil((host,))

    def unclaim(self, host: str, machine: str) -> None:
        """A host takes that back; the next that asked may have it."""
        hosts = self._claims.get(machine, {})
        if hosts.pop(host, None) is None:
            return
        if not hosts:
            del self._claims[machine]
        node = self._machine(machine)
        others = self._claimants(node.vertex) if node is not None else set(hosts)
        self._spoil({host, *others})

    def graph_changed(self, delta: GraphDelta) -> None:
        """The graph has changed: what is known of the hosts it concerns is not known any more."""
        hosts: set[str] = set()
        for vertex in delta.nodes:
            if vertex[0] == _INTERFACE:
                hosts |= self._bind(vertex)
            elif vertex[0] == "virtual-network" and not self._learning_changed(vertex):
                continue
            elif vertex[0] == "virtual-machine":
                hosts |= self._claimants(vertex)
            elif vertex[0] == "logical-router":
                hosts |= self._reroute()
            hosts |= self._interested.get(vertex, _NOBODY)
        routed = False
        for link in delta.links_added | delta.links_removed:
            sources = _FROM.get(link[2], frozenset())
            routed = routed or link[2] in (_LOGICAL, _INTERNAL)
            if link[2] == _IN_NETWORK and not routed:
                port = self._graph.node(link[0])
                routed = port is not None and bool(self._joined(port, _LOGICAL))
            for end in link[:2]:
                if end[0] in sources:
                    hosts |= self._interested.get(end, _NOBODY)
        if routed:
            hosts |= self._reroute()
        self._spoil(hosts)

    # --- what depends on what

    def _spoil(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            if self._holdings.pop(host, None) is not None:
                self.changed[host] = None

    def _unread(self, host: str, vertices: Iterable[Vertex]) -> None:
        for vertex in vertices:
            hosts = self._interested.get(vertex)
            if hosts is not None:
                hosts.discard(host)
                if not hosts:
                    del self._interested[vertex]

    def _bind(self, vertex: Vertex) -> set[str]:
        """Note whom the bindings of an interface name; the hosts that it came to or left."""
        node = self._graph.node(vertex)
        after = _hosts_of(node) if node is not None else frozenset()
        before = self._hosts.pop(vertex, frozenset())
        if after:
            self._hosts[vertex] = after
        for host in before - after:
            self._bound[host].discard(vertex)
        for host in after - before:
            self._bound.setdefault(host, set()).add(vertex)
        return set(before ^ after)

    def _machine(self, text: str) -> Node | None:
        """The machine of a name or uuid."""
        found = self._graph.node(("virtual-machine", text)) or self._graph.node_of(text)
        return found if found is not None and found.vertex[0] == "virtual-machine" else None

    def _claimants(self, vertex: Vertex) -> set[str]:
        node = self._graph.node(vertex)
        hosts = set(self._claims.get(vertex[1], ()))
        if node is not None:
            hosts |= self._claims.get(node.uuid, {}).keys()
        return hosts

    def _learning_changed(self, vertex: Vertex) -> bool:
        return vertex in self._learning and self._learning[vertex] != self._learns(vertex)

    def _learns(self, vertex: Vertex) -> tuple[bool, bool]:
        node = self._graph.node(vertex)
        network = node.resource if node is not None else None
        if not isinstance(network, VirtualNetwork):
            return False, False
        return bool(network.mac_learning_enabled), bool(network.mac_ip_learning_enable)

    def _reroute(self) -> set[str]:
        """Logical routers have changed; the hosts whose networks joined or left one."""
        if not self._holdings:
            self._routers_known = False
            return set()
        before, self._routers_known = self._routers, False
        after = self._attached()
        concerned: set[str] = set()
        for network in before.keys() | after.keys():
            if before.get(network) != after.get(network):
                concerned |= self._interested.get(network, _NOBODY)
        return concerned

    def _attached(self) -> dict[Vertex, set[str]]:
        if not self._routers_known:
            self._routers_known = True
            self._routers = {}
            for router in self._graph.of_type("logical-router"):
                names = {instance_of(n.vertex) for n in self._joined(router, _INTERNAL)}
                for port in self._joined(router, _LOGICAL) if names else ():
                    for network in self._joined(port, _IN_NETWORK):
                        self._routers.setdefault(network.vertex, set()).update(names)
        return self._routers

    # --- the walk

    def _walk(self, host: str) -> Holdings:
        read: set[Vertex] = {("virtual-router", _ROUTER + host)}
        holdings = Holdings(host, everything=host in self._unchecked)
        router = self._graph.node(("virtual-router", _ROUTER + host))
        if router is not None:
            resource = router.resource
            if isinstance(resource, VirtualRouter) and resource.virtual_router_type in _SERVING:
                holdings.everything = True
        if not holdings.everything:
            for interface in self._interfaces(host, router, read, holdings).values():
                self._add(interface, holdings, read)
        before = self._read.get(host, set())
        self._unread(host, before - read)
        for vertex in read - before:
            self._interested.setdefault(vertex, set()).add(host)
        self._read[host] = read
        return holdings

    def _interfaces(
        self, host: str, router: Node | None, read: set[Vertex], holdings: Holdings
    ) -> dict[Vertex, Node]:
        """Interfaces of a host; its machines are added to its holdings."""
        found: dict[Vertex, Node] = {}
        machines = list(self._claimed(host, router, read))
        if router is not None:
            placed_here = list(self._joined(router, _PLACED))
            machines += placed_here
            holdings.machines.update(machine.vertex for machine in placed_here)
            for node in self._joined(router, "virtual-router-virtual-machine-interface"):
                found[node.vertex] = node
            for node in self._behind(router, read):
                found[node.vertex] = node
        for machine in machines:
            read.add(machine.vertex)
            its = list(self._joined(machine, "virtual-machine-interface-virtual-machine"))
            found.update((node.vertex, node) for node in its)
            if not its:
                holdings.machines.add(machine.vertex)
        for vertex in self._bound.get(host, ()):
            bound = self._graph.node(vertex)
            if bound is not None:
                found[vertex] = bound
        for node in list(found.values()):
            for sub in self._joined(node, "virtual-machine-interface-sub-interface"):
                found[sub.vertex] = sub
        placed = {m.vertex for m in self._joined(router, _PLACED)} if router is not None else set()
        own = {
            vertex: node
            for vertex, node in found.items()
            if host in self._hosts.get(vertex, (host,)) or self._is_placed(node, placed)
        }
        for node in own.values():
            its = self._joined(node, "virtual-machine-interface-virtual-machine")
            holdings.machines.update(machine.vertex for machine in its)
        return own

    def _is_placed(self, interface: Node, placed: set[Vertex]) -> bool:
        machines = self._joined(interface, "virtual-machine-interface-virtual-machine")
        return any(machine.vertex in placed for machine in machines)

    def _claimed(self, host: str, router: Node | None, read: set[Vertex]) -> Iterator[Node]:
        """Machines that the host asked for before others and that are placed nowhere else."""
        for text in [text for text, hosts in self._claims.items() if host in hosts]:
            read.add(("virtual-machine", text))
            machine = self._machine(text)
            if machine is None:
                continue
            read.add(machine.vertex)
            claims = {
                **self._claims.get(machine.uuid, {}),
                **self._claims.get(machine.vertex[1], {}),
            }
            first = min(claims, key=lambda each: claims[each])
            placed = list(self._joined(machine, _PLACED))
            if first == host and (not placed or router in placed):
                yield machine

    def _behind(self, router: Node, read: set[Vertex]) -> Iterator[Node]:
        """Interfaces on logical interfaces of the physical routers that a host serves."""
        for device in self._joined(router, "physical-router-virtual-router"):
            read.add(device.vertex)
            logical = list(self._joined(device, "physical-router-logical-interface"))
            for physical in self._joined(device, "physical-router-physical-interface"):
                read.add(physical.vertex)
                logical += self._joined(physical, "physical-interface-logical-interface")
            for each in logical:
                read.add(each.vertex)
                yield from self._joined(each, "logical-interface-virtual-machine-interface")

    def _add(self, interface: Node, holdings: Holdings, read: set[Vertex]) -> None:
        """Add what an interface has, in every instance it is in."""
        read.add(interface.vertex)
        own = self._of_interface(interface, read)
        for network in self._joined(interface, _IN_NETWORK):
            read.add(network.vertex)
            learns = self._learning[network.vertex] = self._learns(network.vertex)
            for name in (instance_of(network.vertex), *self._attached().get(network.vertex, ())):
                allowed = _merge(holdings, name, own)
                allowed.learns_macs |= learns[0]
                allowed.learns_addresses |= learns[1]
        for said in interface.said:
            if said.metadata != _IN_INSTANCE:
                continue
            node = self._graph.node_of(said.target)
            if node is None:
                continue
            read.add((_IN_INSTANCE, attr_name(interface.vertex[1], node.vertex[1])))
            allowed = _merge(holdings, node.vertex[1], own)
            if said.attr is not None:
                rule = _rule.decode(said.attr)
                chain = (rule.service_chain_address, rule.ipv6_service_chain_address)
                allowed.prefixes.update(_prefixes(chain))
        for address, vertex in self._floating(interface, read):
            _merge(holdings, instance_of(vertex), Allowed({address}, own.macs))

    def _of_interface(self, interface: Node, read: set[Vertex]) -> Allowed:
        allowed = Allowed()
        port = interface.resource
        assert isinstance(port, VirtualMachineInterface)
        addresses = port.virtual_machine_interface_mac_addresses
        allowed.macs.update(_macs((addresses.mac_address or []) if addresses else []))
        pairs = port.virtual_machine_interface_allowed_address_pairs
        for pair in (pairs.allowed_address_pair or []) if pairs else []:
            allowed.macs.update(_macs((pair.mac,)))
            if pair.ip is not None:
                allowed.prefixes.update(_prefixes((_subnet(pair.ip),)))
        for metadata in (
            "instance-ip-virtual-machine-interface",
            "virtual-machine-interface-route-table",
            "subnet-virtual-machine-interface",
        ):
            for node in self._joined(interface, metadata):
                read.add(node.vertex)
                allowed.prefixes.update(_prefixes(_said_by(node)))
        return allowed

    def _floating(self, interface: Node, read: set[Vertex]) -> Iterator[tuple[str, Vertex]]:
        """Floating and alias addresses of an interface, each with the network it is from."""
        for kind in ("floating", "alias"):
            for node in self._joined(interface, f"{kind}-ip-virtual-machine-interface"):
                read.add(node.vertex)
                above = [
                    (pool, f"virtual-network-{kind}-ip-pool")
                    for pool in self._joined(node, f"{kind}-ip-pool-{kind}-ip")
                ]
                if kind == "floating":
                    above += [
                        (address, "instance-ip-virtual-network")
                        for address in self._joined(node, "instance-ip-floating-ip")
                    ]
                for holder, metadata in above:
                    read.add(holder.vertex)
                    for network in self._joined(holder, metadata):
                        for prefix in _prefixes(_said_by(node)):
                            yield prefix, network.vertex

    def _joined(self, node: Node, metadata: str) -> list[Node]:
        return [join.other for join in self._graph.joins(node, (metadata,))]


def instance_of(network: Vertex) -> str:
    """The name of a network's own instance."""
    return f"{network[1]}:{network[1].rpartition(':')[2]}"


def _merge(holdings: Holdings, name: str, own: Allowed) -> Allowed:
    allowed = holdings.instances.setdefault(name, Allowed())
    allowed.prefixes |= own.prefixes
    allowed.macs |= own.macs
    return allowed


def _hosts_of(interface: Node) -> frozenset[str]:
    """The hosts that an interface's bindings name: where it is, and where it is moving to."""
    if b'"host_id"' not in interface.json:
        return frozenset()
    pairs = _bound.decode(interface.json).virtual_machine_interface_bindings
    found: set[str] = set()
    for pair in (pairs.key_value_pair or []) if pairs else []:
        if pair.key == "host_id" and pair.value:
            found.add(pair.value)
        elif pair.key == "profile" and pair.value and "migrating_to" in pair.value:
            try:
                found.add(_profile.decode(pair.value).migrating_to)
            except msgspec.DecodeError:
                continue
    return frozenset(found - {""})


def _said_by(node: Node) -> Iterator[str | None]:
    """The prefixes that an address, a route table or a subnet says."""
    match node.resource:
        case InstanceIp(instance_ip_address=address, instance_ip_subnet=subnet):
            yield address
            yield _subnet(subnet)
        case FloatingIp(floating_ip_address=address):
            yield address
        case AliasIp(alias_ip_address=address):
            yield address
        case InterfaceRouteTable(interface_route_table_routes=routes) if routes is not None:
            for route in routes.route or []:
                yield route.prefix
        case Subnet(subnet_ip_prefix=prefix):
            yield _subnet(prefix)


def _subnet(subnet: object) -> str | None:
    prefix = getattr(subnet, "ip_prefix", None)
    length = getattr(subnet, "ip_prefix_len", None)
    if prefix is None:
        return None
    return str(prefix) if length is None else f"{prefix}/{length}"


def _prefixes(texts: Iterable[str | None]) -> Iterator[str]:
    """Addresses and prefixes as items spell them; what is none is left out."""
    for text in texts:
        if not text:
            continue
        try:
            if "/" not in text:
                yield (
                    f"{socket.inet_ntoa(socket.inet_aton(text))}/32"
                    if ":" not in text
                    else str(ip_network(text))
                )
                continue
            found: IPv4Network | IPv6Network = ip_network(text, strict=False)
        except (OSError, ValueError):
            continue
        yield str(found)


def _macs(texts: Iterable[str | None]) -> Iterator[str]:
    for text in texts:
        if text:
            yield text.lower().replace("-", ":")


_NOBODY: set[str] = set()
