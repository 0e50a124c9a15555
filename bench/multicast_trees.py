"""What one more member of a large network costs: ``python -m bench.multicast_trees [MEMBERS]``.

A control node and its agents in this process, over real XMPP sessions on loopback. All agents are
in one network; with replication trees, or with flooding lists as the peer. One more joins, then one
leaves, and the agents count the route messages they get, and octets of them encoded again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bench.bgp_duts import _record as record
from bench.bgp_duts import _uuid as uuid_of
from bench.report import Measure, publish
from tungsten.control.service import ControlService
from tungsten.control.settings import ControlSettings
from tungsten.model import (
    Domain,
    GlobalSystemConfig,
    Project,
    Ref,
    RouteTarget,
    RoutingInstance,
    VirtualNetwork,
)
from tungsten.model.routing import InstanceTargetType
from tungsten.store.base import Record, Transaction
from tungsten.store.sqlite import SqliteStore
from tungsten.xmpp.routes import BROADCAST_MAC
from tungsten.xmpp.stanzas import (
    EnetItem,
    NextHop,
    Publish,
    RouteRetract,
    RouteUpdate,
    Stanza,
    Subscribe,
    TreeItem,
    Withdraw,
    encode,
)
from tungsten.xmpp.stream import CONTROL_JID
from tungsten.xmpp.transport import XmppClient

INSTANCE = "default-domain:demo:a:a"
GROUP = ".".join(["255"] * 4)
AT_ONCE = 50
QUIET = 1.0


def configuration() -> list[Record]:
    """One network with its instance."""
    target = "target:64512:1"
    attr = InstanceTargetType()
    refs = [Ref(to=[target], uuid=uuid_of("route-target", target), attr=attr)]
    return [
        record(GlobalSystemConfig(autonomous_system=64512), "", "default-global-system-config"),
        record(Domain(), "", "default-domain"),
        record(Project(), "domain", "default-domain:demo"),
        record(RouteTarget(), "", target),
        record(
            VirtualNetwork(virtual_network_network_id=4), "project", INSTANCE.rpartition(":")[0]
        ),
        record(RoutingInstance(route_target_refs=refs), "virtual-network", INSTANCE),
    ]


@dataclass
class Cloud:
    """A control node and its agents."""

    service: ControlService
    trees: bool
    agents: list[XmppClient] = field(default_factory=list)
    messages: int = 0
    octets: int = 0

    def _hear(self, stanza: Stanza) -> None:
        if isinstance(stanza, RouteUpdate | RouteRetract):
            self.messages += 1
            self.octets += len(encode(stanza, CONTROL_JID, "host"))

    async def join(self, number: int) -> None:
        """One more agent in the network."""
        up = asyncio.Event()
        agent = XmppClient(
            "127.0.0.1",
            self.service.xmpp_port,
            f"host{number}",
            on_established=up.set,
            on_stanza=self._hear,
            on_closed=lambda reason: None,
        )
        await agent.start()
        await up.wait()
        self.agents.append(agent)
        address = f"10.0.{number >> 8}.{number & 255}"
        encapsulations = ("gre", "udp")
        hop = NextHop(address=address, label=100, encapsulations=encapsulations)
        agent.send(Subscribe(INSTANCE, 1))
        if self.trees:
            offer = TreeItem(
                group=GROUP,
                address=address,
                labels=(4609, 5119),
                encapsulations=encapsulations,
            )
            agent.send(Publish(INSTANCE, offer))
        flood = EnetItem(
            mac=BROADCAST_MAC, next_hops=(hop,), edge_replication_not_supported=not self.trees
        )
        agent.send(Publish(INSTANCE, flood))

    def leave(self, agent: XmppClient) -> None:
        """An agent leaves the network."""
        if self.trees:
            agent.send(Withdraw(INSTANCE, TreeItem(group=GROUP)))
        agent.send(Withdraw(INSTANCE, EnetItem(mac=BROADCAST_MAC)))

    async def settled(self) -> tuple[int, int]:
        """Messages and octets since the last time, once nothing more comes."""
        before = -1
        while before != self.messages:
            before = self.messages
            await asyncio.sleep(QUIET)
        counts = self.messages, self.octets
        self.messages = self.octets = 0
        return counts


async def measure(count: int, trees: bool) -> list[int]:
    """Messages and octets of a join, then of a leave."""
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore.open(Path(directory) / "config.db")
        service = ControlService(
            ControlSettings(
                xmpp_listen="127.0.0.1:0",
                introspect_listen="",
                verify_ownership=False,
                pending_per_source=AT_ONCE,
                idle_time=3600.0,
            ),
            store,
        )

        def fill(transaction: Transaction) -> None:
            for each in configuration():
                transaction.create(each)

        await store.transact(fill)
        await service.start()
        cloud = Cloud(service, trees)
        for first in range(1, count + 1, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count + 1))
            await asyncio.gather(*(cloud.join(number) for number in numbers))
        await cloud.settled()
        await cloud.join(count + 1)
        join = await cloud.settled()
        cloud.leave(cloud.agents[count // 2])
        leave = await cloud.settled()
        await asyncio.gather(*(agent.stop() for agent in cloud.agents))
        await service.stop()
        await store.close()
        return [*join, *leave]


def main() -> None:
    """Measure, print, and keep."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    ours = asyncio.run(measure(count, trees=True))
    peer = asyncio.run(measure(count, trees=False))
    names = [(what, unit) for what in ("join", "leave") for unit in ("messages", "octets")]
    publish(
        "multicast_trees",
        [
            Measure(f"{what}, {count} members", unit, [mine], {"flooding lists": [theirs]})
            for (what, unit), mine, theirs in zip(names, ours, peer, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
