"""Configuration for agents: who needs which part of the graph, and telling them what changed.

Each agent that subscribed with its virtual-router is a :class:`ConfigClient`. Its *closure* is
the set of vertices that the walk of :mod:`tungsten.control.config_traversal` reaches from
there, through the machines it subscribed to as well; a link concerns it when both ends are in
the closure. What it has been sent is remembered, so the messages are the difference between
what it should have and what it has: level-triggered, however many commits lie between.

A change of the graph touches the clients in whose closure it lies (an index from vertex to
clients tells); a link, those that have both its ends or follow it from one. An added link extends
a closure from its end; a removed one has the closure walked again.

Order within an update: nodes before links that name them, links to be removed before their
nodes, and what is new before what goes. A node that was replaced by another resource of the
same name goes first. An object is re-sent whole when it changes. After the first complete
update the client gets an end-of-config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import structlog

from tungsten.xmpp.stanzas import (
    ConfigLink,
    ConfigMessage,
    ConfigNode,
    ConfigOperation,
    EndOfConfig,
    Stanza,
)

from .config_graph import ConfigGraph, GraphDelta, Link
from .config_nodes import AttrNode, Node, Vertex
from .config_traversal import FOLLOWED

OBJECTS_PER_MESSAGE = 16
MACHINE_LINK = "virtual-router-virtual-machine"
_log = structlog.get_logger("tungsten.control")


class Outlet(Protocol):
    """Where a client's configuration goes: its connection."""

    @property
    def established(self) -> bool:
        """Whether it can be sent to at all."""
        ...

    @property
    def is_writable(self) -> bool:
        """Whether it takes messages now."""
        ...

    def send(self, stanza: Stanza) -> None:
        """Send a stanza."""
        ...


class ConfigClient:
    """One agent's view of the configuration."""

    def __init__(
        self, name: str, connection: Outlet, may_read: Callable[[Vertex], bool] | None = None
    ) -> None:
        self.name = name
        #: Whether it may be told of a machine that it asks for; None: of any.
        self.may_read = may_read
        self.start: Vertex = ("virtual-router", name)
        self.connection = connection
        self.machines: set[str] = set()
        self.closure: set[Vertex] = set()
        self.nodes_sent: dict[Vertex, Node | AttrNode] = {}
        self.links_sent: set[Link] = set()
        self.is_complete = False
        self.messages = 0

    @property
    def is_ready(self) -> bool:
        """Whether it takes messages now."""
        return self.connection.established and self.connection.is_writable


class ConfigExporter:
    """All clients of the graph.

    ``on_work`` is called when there is something to flush.
    """

    def __init__(self, graph: ConfigGraph) -> None:
        self.clients: list[ConfigClient] = []
        self.on_work: Callable[[], None] | None = None
        self.graph = graph
        self._interested: dict[Vertex, set[ConfigClient]] = {}
        self._awaited: dict[str, set[ConfigClient]] = {}
        self._dirty: dict[ConfigClient, None] = {}

    def add(
        self, name: str, connection: Outlet, may_read: Callable[[Vertex], bool] | None = None
    ) -> ConfigClient:
        """Start to serve an agent; ``name`` is the fq_name of its virtual-router.

        Machines that it may not read wait; :meth:`reconsider` is to be called when that changes.
        """
        client = ConfigClient(name, connection, may_read)
        self.clients.append(client)
        self._walk(client)
        self._touch(client)
        return client

    def remove(self, client: ConfigClient) -> None:
        """Stop to serve an agent."""
        self.clients.remove(client)
        self._dirty.pop(client, None)
        for vertex in client.closure | {client.start}:
            self._uninterest(client, vertex)
        for machine in client.machines:
            self._unawait(client, machine)

    def subscribe_machine(self, client: ConfigClient, machine: str) -> None:
        """Include a virtual machine (by name or uuid), now or once it exists."""
        client.machines.add(machine)
        self._awaited.setdefault(machine, set()).add(client)
        self._walk(client)
        self._touch(client)

    def unsubscribe_machine(self, client: ConfigClient, machine: str) -> None:
        """Take a machine out again."""
        client.machines.discard(machine)
        self._unawait(client, machine)
        self._walk(client)
        self._touch(client)

    def reconsider(self, client: ConfigClient) -> None:
        """What a client may read may have changed."""
        self._walk(client)
        self._touch(client)

    def graph_changed(self, delta: GraphDelta) -> None:
        """The graph has changed: touch the clients that it concerns."""
        walk: set[ConfigClient] = set()
        for vertex in delta.nodes:
            for client in self._interested.get(vertex, ()):
                self._touch(client)
                if vertex == client.start:
                    walk.add(client)
            if vertex[0] == "virtual-machine":
                walk |= self._awaiting(vertex)
        for link in delta.links_removed:
            walk |= self._ends(link)
        for client in walk:
            self._walk(client)
            self._touch(client)
        for link in delta.links_added:
            for client in self._ends(link):
                self._touch(client)
                if client not in walk:
                    self._extend(client, link)

    def wake(self) -> None:
        """Some client may be ready again."""
        if self._dirty and self.on_work is not None:
            self.on_work()

    def flush(self, limit: int = 64) -> bool:
        """Send differences to up to ``limit`` clients that are ready; whether more could be."""
        ready = [client for client in self._dirty if client.is_ready]
        for client in ready[:limit]:
            del self._dirty[client]
            self._update(client)
        return len(ready) > limit

    # --- closures

    def _awaiting(self, vertex: Vertex) -> set[ConfigClient]:
        node = self.graph.node(vertex)
        clients = set(self._awaited.get(vertex[1], ()))
        if node is not None:
            clients |= self._awaited.get(node.uuid, set())
        return clients

    def _ends(self, link: Link) -> set[ConfigClient]:
        """The clients that a link concerns: with both ends, or one from which it is followed.

        That a network has one more port is no news to the network's other hosts.
        """
        left, right, metadata = link
        at_left = self._interested.get(left, set())
        at_right = self._interested.get(right, set())
        found = at_left & at_right
        for end, clients in ((left, at_left), (right, at_right)):
            if metadata in FOLLOWED.get(end[0], ()):
                found |= clients
        return found

    def _machines(self, client: ConfigClient) -> Iterator[Node]:
        """The subscribed machines that exist and that the client may read."""
        for machine in client.machines:
            node = self.graph.node(("virtual-machine", machine)) or self.graph.node_of(machine)
            if node is None or node.vertex[0] != "virtual-machine":
                continue
            if client.may_read is None or client.may_read(node.vertex):
                yield node

    def _walk(self, client: ConfigClient) -> None:
        """Find the closure from the start."""
        closure: set[Vertex] = set()
        start = self.graph.node(client.start)
        if start is not None:
            pending = [start, *self._machines(client)]
            closure.update(node.vertex for node in pending)
            self._reach(closure, pending)
        for vertex in client.closure - closure:
            if vertex != client.start:
                self._uninterest(client, vertex)
        for vertex in closure - client.closure:
            self._interested.setdefault(vertex, set()).add(client)
        self._interested.setdefault(client.start, set()).add(client)
        client.closure = closure

    def _extend(self, client: ConfigClient, link: Link) -> None:
        """Let the closure grow over a new link.

        A link from the node of what a link says comes with the link to it, from the other side.
        """
        left, right, metadata = link
        pending = []
        for end, other in ((left, right), (right, left)):
            if end in client.closure and other not in client.closure:
                node = self.graph.node(end)
                if node is not None and metadata in FOLLOWED[end[0]] and other[0] in FOLLOWED:
                    pending.append(node)
        if pending:
            grown = set(client.closure)
            self._reach(grown, pending)
            for vertex in grown - client.closure:
                self._interested.setdefault(vertex, set()).add(client)
            client.closure = grown

    def _reach(self, closure: set[Vertex], pending: list[Node]) -> None:
        """Add what is reached from some nodes that are in a closure already."""
        while pending:
            node = pending.pop()
            for metadata, between, other in self.graph.joins(node, FOLLOWED[node.vertex[0]]):
                if between is not None:
                    if metadata not in FOLLOWED:
                        continue
                    closure.add(between)
                    if metadata not in FOLLOWED[metadata]:
                        continue
                if other.vertex not in closure and other.vertex[0] in FOLLOWED:
                    closure.add(other.vertex)
                    pending.append(other)

    def _uninterest(self, client: ConfigClient, vertex: Vertex) -> None:
        clients = self._interested.get(vertex)
        if clients is not None:
            clients.discard(client)
            if not clients:
                del self._interested[vertex]

    def _unawait(self, client: ConfigClient, machine: str) -> None:
        clients = self._awaited.get(machine)
        if clients is not None:
            clients.discard(client)
            if not clients:
                del self._awaited[machine]

    def _touch(self, client: ConfigClient) -> None:
        if not self._dirty and self.on_work is not None:
            self.on_work()
        self._dirty[client] = None

    # --- telling

    def _wanted(self, client: ConfigClient) -> tuple[dict[Vertex, Node | AttrNode], set[Link]]:
        """The nodes of the closure, links between them, and links to the subscribed machines.

        What a link says is in the closure only when the record that says so is, too: see
        :mod:`tungsten.control.config_traversal`.
        """
        closure = client.closure
        nodes: dict[Vertex, Node] = {}
        attributes: dict[Vertex, AttrNode] = {}
        links: set[Link] = set()
        for node in filter(None, map(self.graph.node, closure)):
            nodes[node.vertex] = node
            for link in self.graph.links(node):
                if link[0] in closure and link[1] in closure:
                    links.add(link)
            for said in self.graph.attributes(node):
                # If it is said at both ends, then one of them, always the same.
                known = attributes.get(said.vertex)
                if said.vertex in closure and (known is None or said.one < known.one):
                    attributes[said.vertex] = said
        if client.start in closure:
            links.update(
                (client.start, machine.vertex, MACHINE_LINK) for machine in self._machines(client)
            )
        return {**nodes, **attributes}, links

    def _update(self, client: ConfigClient) -> None:
        wanted, links = self._wanted(client)
        operations = list(self._difference(client, wanted, links))
        for message in _messages(operations):
            client.connection.send(message)
            client.messages += 1
        client.nodes_sent = wanted
        client.links_sent = links
        if not client.is_complete:
            client.is_complete = True
            client.connection.send(EndOfConfig())

    def _difference(
        self, client: ConfigClient, wanted: dict[Vertex, Node | AttrNode], links: set[Link]
    ) -> Iterator[ConfigOperation]:
        sent = client.nodes_sent
        replaced = {
            vertex
            for vertex, node in wanted.items()
            if vertex in sent and sent[vertex].uuid != node.uuid
        }
        cut = {link for link in client.links_sent if link[0] in replaced or link[1] in replaced}
        for link in sorted(cut):
            yield _link_operation(link, delete=True)
        for vertex in sorted(replaced):
            yield ConfigOperation(ConfigNode(*vertex), delete=True)
        for vertex in sorted(wanted):
            node, known = wanted[vertex], sent.get(vertex)
            if known is None or vertex in replaced or _differ(known, node):
                yield ConfigOperation(ConfigNode(*vertex, node.body))
        held = client.links_sent - cut
        for link in sorted(links - held):
            yield _link_operation(link)
        for link in sorted(held - links):
            yield _link_operation(link, delete=True)
        for vertex in sorted(sent.keys() - wanted.keys()):
            yield ConfigOperation(ConfigNode(*vertex), delete=True)


def _differ(known: Node | AttrNode, node: Node | AttrNode) -> bool:
    """Whether a vertex has another body than before."""
    return known is not node and known.json != node.json and known.body != node.body


def _link_operation(link: Link, *, delete: bool = False) -> ConfigOperation:
    return ConfigOperation(ConfigLink(*link), delete)


def _messages(operations: Iterable[ConfigOperation]) -> Iterator[ConfigMessage]:
    """Cut into messages; a link counts as two objects."""
    batch: list[ConfigOperation] = []
    size = 0
    for operation in operations:
        cost = 2 if isinstance(operation.object, ConfigLink) else 1
        if batch and size + cost > OBJECTS_PER_MESSAGE:
            yield ConfigMessage(tuple(batch))
            batch, size = [], 0
        batch.append(operation)
        size += cost
    if batch:
        yield ConfigMessage(tuple(batch))
