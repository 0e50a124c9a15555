"""Configuration objects and agents for the tests of control.

A :class:`World` writes the objects of a small cloud into a real store; uuids follow from names,
so that a reference can be made before its target is. :class:`FakeHost` is an agent on a real
socket that remembers what it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from tungsten.control.service import ControlService
from tungsten.control.settings import ControlSettings
from tungsten.model import (
    Domain,
    GlobalSystemConfig,
    Project,
    Ref,
    Resource,
    RouteTarget,
    RoutingInstance,
    VirtualMachine,
    VirtualMachineInterface,
    VirtualNetwork,
    VirtualRouter,
    type_of,
)
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.model.routing import InstanceTargetType
from tungsten.store import Store
from tungsten.store.base import Record, Transaction
from tungsten.store.records import to_record
from tungsten.xmpp.stanzas import (
    ConfigLink,
    ConfigMessage,
    ConfigNode,
    ConfigSubscribe,
    ConfigUnsubscribe,
    EndOfConfig,
    EndOfRib,
    EnetItem,
    Family,
    InetItem,
    Item,
    NextHop,
    Publish,
    RouteRetract,
    RouteUpdate,
    Stanza,
    Subscribe,
    TreeItem,
    Withdraw,
)
from tungsten.xmpp.transport import XmppClient

GLOBAL = "default-global-system-config"
PROJECT = "default-domain:demo"


def uuid_of(type_: str, name: str) -> str:
    """The uuid an object has in every world."""
    return str(uuid5(NAMESPACE_DNS, f"{type_}/{name}"))


def ref(type_: str, name: str, attr: Any = None) -> Ref[Any]:
    """A reference to an object."""
    return Ref(to=name.split(":"), uuid=uuid_of(type_, name), attr=attr)


def record(resource: Resource, parent: str = "", name: str = "") -> Record:
    """An object's record; ``parent`` is its type, the name its fq_name."""
    type_ = type_of(resource).name
    resource.fq_name = name.split(":")
    resource.uuid = uuid_of(type_, name)
    if parent:
        resource.parent_type = parent
        above = name.rpartition(":")[0]
        resource.parent_uuid = uuid_of(parent, above)
    return to_record(resource)


def basics(*hosts: str) -> list[Record]:
    """What every cloud has: global config, a project, virtual routers."""
    records = [
        record(GlobalSystemConfig(autonomous_system=64512), "", GLOBAL),
        record(Domain(), "", "default-domain"),
        record(Project(), "domain", PROJECT),
    ]
    for host in hosts:
        records.append(record(VirtualRouter(), "global-system-config", f"{GLOBAL}:{host}"))
    return records


def network(name: str, index: int) -> Record:
    """A virtual network of the project."""
    return record(VirtualNetwork(virtual_network_network_id=index), "project", f"{PROJECT}:{name}")


def target(number: int) -> Record:
    """A route target."""
    text = f"target:64512:{number}"
    resource = RouteTarget(fq_name=[text], uuid=uuid_of("route-target", text))
    return to_record(resource)


def instance_name(name: str) -> str:
    """The primary routing instance of a network."""
    return f"{PROJECT}:{name}:{name}"


def instance(name: str, **targets: str) -> Record:
    """A network's routing instance; ``t8000001="both"`` (or import, export) are its targets."""
    refs = []
    for key, which in targets.items():
        text = f"target:64512:{key[1:]}"
        attr = InstanceTargetType(import_export=None if which == "both" else which)
        refs.append(Ref(to=[text], uuid=uuid_of("route-target", text), attr=attr))
    resource = RoutingInstance(route_target_refs=refs)
    return record(resource, "virtual-network", instance_name(name))


def port(name: str, machine: str, net: str, **values: Any) -> list[Record]:
    """A machine with one port in a network; ``values`` are more of the port's properties."""
    interface = VirtualMachineInterface(
        virtual_machine_refs=[ref("virtual-machine", machine)],
        virtual_network_refs=[ref("virtual-network", f"{PROJECT}:{net}")],
        routing_instance_refs=[
            ref(
                "routing-instance",
                instance_name(net),
                PolicyBasedForwardingRuleType(direction="both"),
            )
        ],
        **values,
    )
    return [
        record(VirtualMachine(), "", machine),
        record(interface, "project", f"{PROJECT}:{name}"),
    ]


def put(*records: Record) -> Callable[[Transaction], None]:
    """A transaction that creates or updates records."""

    def run(transaction: Transaction) -> None:
        for item in records:
            if transaction.get(item.uuid) is None:
                transaction.create(item)
            else:
                transaction.update(item)

    return run


def remove(*records: Record) -> Callable[[Transaction], None]:
    """A transaction that deletes records."""

    def run(transaction: Transaction) -> None:
        for item in records:
            transaction.delete(item.uuid)

    return run


async def until(condition: Callable[[], object], what: str = "", timeout: float = 5.0) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what or condition}") from None


@dataclass
class FakeHost:
    """An agent: what it was told, newest state and history."""

    name: str
    service: ControlService
    address: str = "192.0.2.1"
    routes: dict[tuple[str, Family, str], Item] = field(default_factory=dict)
    nodes: dict[tuple[str, str], ConfigNode] = field(default_factory=dict)
    links: set[ConfigLink] = field(default_factory=set)
    heard: list[Stanza] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    client: XmppClient = field(init=False)

    async def start(self) -> FakeHost:
        """Connect."""
        self.client = XmppClient(
            "127.0.0.1",
            self.service.xmpp_port,
            self.name,
            on_established=lambda: None,
            on_stanza=self._hear,
            on_closed=self.closed.append,
        )
        await self.client.start()
        await until(lambda: self.client.is_established, f"{self.name} connects")
        return self

    async def stop(self) -> None:
        """Close the session and stay away."""
        await self.client.stop()

    def join(self, net: str, instance_id: int = 1) -> None:
        """Subscribe to a network's instance."""
        self.client.send(Subscribe(instance_name(net), instance_id))

    def publish(self, net: str, prefix: str, label: int = 20, **values: Any) -> None:
        """Publish a route with this host as next hop."""
        self.client.send(Publish(instance_name(net), self.item(prefix, label, **values)))

    def withdraw(self, net: str, prefix: str) -> None:
        """Take a route back."""
        self.client.send(Withdraw(instance_name(net), InetItem(prefix=prefix)))

    def item(self, prefix: str, label: int = 20, **values: Any) -> InetItem:
        """A route with this host as next hop."""
        hop = NextHop(address=self.address, label=label, encapsulations=("gre", "udp"))
        return InetItem(prefix=prefix, next_hops=(hop,), **values)

    def flood(self, net: str, label: int = 100, *, trees: bool = False) -> None:
        """Join a network's flooding; with ``trees`` it takes part in replication trees."""
        hop = NextHop(address=self.address, label=label, encapsulations=("gre", "udp"))
        item = EnetItem(
            mac="ff:ff:ff:ff:ff:ff", next_hops=(hop,), edge_replication_not_supported=not trees
        )
        self.client.send(Publish(instance_name(net), item))

    def offer(self, net: str, block: tuple[int, int] = (4609, 5119)) -> None:
        """Offer a place in a network's replication tree, and take part in them."""
        item = TreeItem(
            group="255.255.255.255",
            address=self.address,
            labels=block,
            encapsulations=("gre", "udp"),
        )
        self.client.send(Publish(instance_name(net), item))
        self.flood(net, trees=True)

    def take_back_offer(self, net: str) -> None:
        """Leave a network's replication tree, and its flooding."""
        name = instance_name(net)
        self.client.send(Withdraw(name, TreeItem(group="255.255.255.255")))
        self.client.send(Withdraw(name, EnetItem(mac="ff:ff:ff:ff:ff:ff")))

    def place(self, net: str) -> TreeItem | None:
        """Its place in a network's replication tree, as it was told."""
        for (name, _, _), item in self.routes.items():
            if name == instance_name(net) and isinstance(item, TreeItem):
                return item
        return None

    def watch(self) -> None:
        """Ask for configuration."""
        self.client.send(ConfigSubscribe("virtual-router", f"{GLOBAL}:{self.name}"))

    def plug(self, machine: str) -> None:
        """Ask for the configuration of a machine."""
        self.client.send(ConfigSubscribe("virtual-machine", machine))

    def unplug(self, machine: str) -> None:
        """Take that back."""
        self.client.send(ConfigUnsubscribe("virtual-machine", machine))

    def has_links(self, count: int) -> bool:
        """Whether it has been told a whole configuration of so many links."""
        return len(self.links) == count and EndOfConfig() in self.heard

    def prefixes(self, net: str) -> set[str]:
        """Identities of the routes it knows in a network."""
        return {ident for name, _, ident in self.routes if name == instance_name(net)}

    def route(self, net: str, prefix: str) -> Item | None:
        """A route it knows."""
        family = Family(2 if ":" in prefix.partition("/")[0] else 1, 1)
        if prefix.count(":") == 5:
            family = Family(25, 242)
        return self.routes.get((instance_name(net), family, prefix))

    def flood_list(self, net: str) -> list[str]:
        """Addresses it is told to flood to."""
        found = self.routes.get(
            (instance_name(net), Family(25, 242), "ff:ff:ff:ff:ff:ff,0.0.0.0/32")
        )
        return [hop.address for hop in found.olist] if isinstance(found, EnetItem) else []

    def _hear(self, stanza: Stanza) -> None:
        self.heard.append(stanza)
        match stanza:
            case RouteUpdate(family, name, items):
                for item in items:
                    self.routes[name, family, item.id] = item
            case RouteRetract(family, name, ids):
                for ident in ids:
                    del self.routes[name, family, ident]
            case ConfigMessage(operations):
                for operation in operations:
                    self._configure(operation.object, operation.delete)
            case EndOfRib() | EndOfConfig():
                pass
            case _:
                raise AssertionError(f"unexpected {stanza}")

    def _configure(self, thing: ConfigNode | ConfigLink, delete: bool) -> None:
        if isinstance(thing, ConfigLink):
            ends = {thing.left, thing.right}
            if delete:
                self.links.remove(thing)
            else:
                assert all(end in self.nodes for end in ends), f"{thing} before its nodes"
                self.links.add(thing)
        elif delete:
            key = (thing.type, thing.name)
            assert not any(key in (link.left, link.right) for link in self.links), key
            del self.nodes[key]
        else:
            self.nodes[thing.type, thing.name] = thing


@dataclass
class World:
    """A store, a control node on it, and hosts."""

    store: Store
    service: ControlService
    hosts: list[FakeHost] = field(default_factory=list)

    @classmethod
    async def start(cls, store: Store, **settings: Any) -> World:
        """Start a control node on a free port."""
        values = {
            "xmpp_listen": "127.0.0.1:0",
            "introspect_listen": "127.0.0.1:0",
            "hostname": "control-1",
            "verify_ownership": False,
            **settings,
        }
        service = ControlService(ControlSettings(**values), store)
        await service.start()
        return cls(store, service)

    async def put(self, *records: Record) -> None:
        """Write records in one transaction."""
        await self.store.transact(put(*records))

    async def remove(self, *records: Record) -> None:
        """Delete records in one transaction."""
        await self.store.transact(remove(*records))

    async def host(self, name: str, address: str) -> FakeHost:
        """A connected agent."""
        host = await FakeHost(name, self.service, address).start()
        self.hosts.append(host)
        return host

    def rib(self) -> dict[str, dict[str, list[tuple[str, int, str]]]]:
        """Every table's routes as text: (source, label, targets) of each path in order."""
        return {
            name: {
                route.key.hex(): [
                    (
                        path.source.name,
                        path.label,
                        ",".join(c.hex() for c in path.attributes.extended_communities),
                    )
                    for path in route.paths
                ]
                for route in table.routes()
            }
            for name, table in self.service.rib.tables.items()
            if len(table)
        }

    async def stop(self) -> None:
        """Stop the hosts and the control node."""
        for host in self.hosts:
            await host.stop()
        await self.service.stop()
