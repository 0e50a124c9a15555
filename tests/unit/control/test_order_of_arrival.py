"""Configuration in any order gives the same graph, the same instances, the same export."""

from __future__ import annotations

from typing import Any

from tests.unit.control.control_world import (
    GLOBAL,
    FakeHost,
    basics,
    instance,
    network,
    port,
    put,
    target,
    until,
)

from tungsten.control.config_export import ConfigExporter
from tungsten.control.config_graph import ConfigGraph
from tungsten.control.config_instances import changed_instances
from tungsten.control.config_traversal import FOLLOWED
from tungsten.control.instances import InstanceConfig
from tungsten.control.service import ControlService
from tungsten.control.settings import ControlSettings
from tungsten.store import Store
from tungsten.store.base import Change, ChangeKind, Record
from tungsten.testing import permutations
from tungsten.xmpp.stanzas import ConfigLink, ConfigMessage, EndOfConfig, Stanza

#: The names of all links that an agent's configuration is found by.
METADATA: frozenset[str] = frozenset().union(*FOLLOWED.values())


class Listener:
    """Stands for an agent's connection; checks the order of what it is sent."""

    established = True
    is_writable = True

    def __init__(self) -> None:
        self.nodes: dict[tuple[str, str], bytes] = {}
        self.links: set[ConfigLink] = set()

    def send(self, stanza: Stanza) -> None:
        """Apply a message."""
        if isinstance(stanza, EndOfConfig):
            return
        assert isinstance(stanza, ConfigMessage)
        for operation in stanza.operations:
            thing = operation.object
            if isinstance(thing, ConfigLink):
                if operation.delete:
                    self.links.remove(thing)
                else:
                    assert thing.left in self.nodes, thing
                    assert thing.right in self.nodes, thing
                    self.links.add(thing)
                continue
            key = (thing.type, thing.name)
            if operation.delete:
                assert not [link for link in self.links if key in (link.left, link.right)]
                del self.nodes[key]
            else:
                self.nodes[key] = thing.body


class Follower:
    """Graph, instances and one agent's export, told of changes one by one."""

    def __init__(self) -> None:
        self.graph = ConfigGraph()
        self.exporter = ConfigExporter(self.graph)
        self.instances: dict[str, InstanceConfig] = {}
        self.agent: Any = Listener()
        client = self.exporter.add(f"{GLOBAL}:c1", self.agent)
        self.exporter.subscribe_machine(client, "m1")
        self.told = 0

    def deliver(self, event: Change, /) -> None:
        """Take a change; the agent is told of some at once, of others together."""
        delta = self.graph.apply([event])
        for name, config in changed_instances(self.graph, delta).items():
            if config is None:
                self.instances.pop(name, None)
            else:
                self.instances[name] = config
        self.exporter.graph_changed(delta)
        self.told += 1
        if self.told % 3:
            self.exporter.flush()

    def state(self) -> Any:
        """All that must not depend on the order."""
        self.exporter.flush()
        nodes = list(self.graph.nodes())
        return (
            {node.vertex: node.body for node in nodes},
            {each.vertex: each.body for node in nodes for each in self.graph.attributes(node)},
            {link for node in nodes for link in self.graph.links(node)},
            {
                (node.vertex, join.metadata, join.between, join.other.vertex)
                for node in nodes
                for join in self.graph.joins(node, METADATA)
            },
            self.instances,
            self.agent.nodes,
            self.agent.links,
        )


def created(record: Record) -> Change:
    return Change(ChangeKind.CREATED, record)


def updated(record: Record) -> Change:
    return Change(ChangeKind.UPDATED, record)


def deleted(record: Record) -> Change:
    return Change(ChangeKind.DELETED, record)


def is_delete(event: Change) -> bool:
    return event.kind is ChangeKind.DELETED


def test_graph_instances_and_export_do_not_depend_on_order() -> None:
    machine, interface = port("p1", "m1", "a")
    _, moved = port("p1", "m1", "b")
    histories: dict[str, list[Change]] = {
        each.uuid: [created(each)] for each in (*basics("c1"), target(8000001), network("b", 5))
    }
    histories["a"] = [created(network("a", 0)), updated(network("a", 4))]
    histories["ri-a"] = [
        created(instance("a", t8000001="both")),
        updated(instance("a", t8000001="import")),
    ]
    histories["ri-b"] = [created(instance("b", t8000001="both"))]
    histories["machine"] = [created(machine)]
    histories["port"] = [created(interface), updated(moved)]
    assert permutations.check(histories, Follower, is_delete, limit=400) == 400


def test_deleted_and_made_again_leaves_no_trace() -> None:
    machine, interface = port("p1", "m1", "a")
    histories: dict[str, list[Change]] = {
        each.uuid: [created(each)] for each in (*basics("c1"), target(8000001), network("a", 4))
    }
    made = instance("a", t8000001="both")
    histories["ri"] = [created(made), deleted(made), created(made), deleted(made)]
    histories["machine"] = [created(machine), deleted(machine), created(machine)]
    histories["port"] = [created(interface), deleted(interface)]
    assert permutations.check(histories, Follower, is_delete, limit=400) == 400


def test_all_orders_of_a_small_history() -> None:
    machine, interface = port("p1", "m1", "a")
    net = network("a", 4)
    graph_only = [*basics("c1"), target(8000001)]

    class Prepared(Follower):
        def __init__(self) -> None:
            super().__init__()
            for each in graph_only:
                self.deliver(created(each))

    histories = {
        "net": [created(net), deleted(net)],
        "machine": [created(machine)],
        "port": [created(interface), deleted(interface), created(interface)],
    }
    tried = permutations.check(histories, Prepared, is_delete)
    assert tried == permutations.count(histories)


async def test_restarted_control_node_shows_the_same(store: Store) -> None:
    settings = ControlSettings(
        verify_ownership=False,
        xmpp_listen="127.0.0.1:0",
        introspect_listen="",
        hostname="control-1",
    )
    shown: list[Any] = []

    async def look(service: ControlService) -> None:
        host = await FakeHost("c1", service).start()
        host.watch()
        host.plug("m1")
        host.join("a")
        host.publish("a", "10.1.1.3/32")
        await until(lambda: len(host.nodes) == 8 and host.prefixes("a"))
        shown.append((set(host.nodes), host.links, host.routes))
        await host.stop()
        await service.stop()

    await store.transact(put(*basics("c1"), network("a", 4), target(8000001)))
    for turn in range(2):
        service = ControlService(settings, store)
        await service.start()
        if not turn:
            await store.transact(put(instance("a", t8000001="both"), *port("p1", "m1", "a")))
        await look(service)
    assert shown[0] == shown[1]
