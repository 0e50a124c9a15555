"""Our own control node as a neighbour, a route reflector, asked through its introspect pages."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from xml.etree.ElementTree import Element

from tests.interop.bgp_harness import SAMPLES, RealPeer, Sample, Shown
from tests.interop.frr import free_port
from tests.unit.control.bgp_world import fabric, router
from tests.unit.control.control_world import basics, put

from tungsten.bgp.families import EVPN, INET, INET6, INET6_VPN, INET_VPN
from tungsten.bgp.nlri import nlri_text
from tungsten.introspect.client import Introspect, rows
from tungsten.store.sqlite import SqliteStore

_TABLES = {
    INET: "inet.0",
    INET6: "inet6.0",
    INET_VPN: "bgp.l3vpn.0",
    INET6_VPN: "bgp.l3vpn-inet6.0",
    EVPN: "bgp.evpn.0",
}
_NAMES = ["inet", "inet6", "inet-vpn", "inet6-vpn", "e-vpn"]


class Tungsten(RealPeer):
    """``tungsten control`` on a store that has both sessions as its routers."""

    name = "tungsten"
    takes = frozenset(SAMPLES) - {"inet-labeled"}

    async def start(self) -> None:
        """Write the store first."""
        cluster = int.from_bytes(socket.inet_aton(self.address), "big")
        names = [f"peer-{number}" for number in range(len(self.ours))]
        store = SqliteStore.open(self.dir / "config.db")
        await store.transact(
            put(
                *basics(),
                *fabric(),
                router(
                    "node", self.address, self.port, *names, families=_NAMES, cluster_id=cluster
                ),
                *(
                    router(name, each, 179, families=_NAMES, router_type="router", vendor="x")
                    for name, each in zip(names, self.ours, strict=True)
                ),
            )
        )
        await store.close()
        await super().start()

    def argv(self) -> list[str]:
        """Its start."""
        self.introspect = free_port(self.address)
        argv = [str(Path(sys.executable).with_name("tungsten")), "control"]
        for key, value in {
            "store.url": f"sqlite:{self.dir / 'config.db'}",
            "control.hostname": "node",
            "control.xmpp_listen": f"{self.address}:{free_port(self.address)}",
            "control.bgp_listen": f"{self.address}:{self.port}",
            "control.introspect_listen": f"{self.address}:{self.introspect}",
            "control.startup_time": "0",
        }.items():
            argv += ["--set", f"{key}={value}"]
        return argv

    async def shows(self, sample: Sample) -> Shown | None:
        """Its route of a sample, as operators see it."""
        client = Introspect(self.address, self.introspect)
        query = {"routing_table": _TABLES[sample.family]}
        found: list[Element] = [
            row
            for answer in await client.fetch("ShowRouteReq", query)
            for row in rows([answer], "ShowRoute")
        ]
        for row in found:
            if row.findtext("prefix") == nlri_text(sample.family, sample.route):
                return _shown(row, sample)
        return None

    def show(self, sample: Sample) -> Shown | None:
        """The same, from outside of an event loop."""
        return asyncio.run(self.shows(sample))


def _shown(row: Element, sample: Sample) -> Shown:
    path = row.find("paths/list/ShowRoutePath")
    assert path is not None
    said = [each.text or "" for each in path.iterfind("communities/list/element")]
    plain = {each for each in said if each.count(":") == 1 and each.partition(":")[0].isdigit()}
    targets = {each.removeprefix("target:") for each in said if each.startswith("target:")}
    large = {each for each in said if each.count(":") == 2 and each[0].isdigit()}
    return Shown(
        path.findtext("next_hop"),
        int(path.findtext("local_preference") or 0),
        int(path.findtext("med") or 0),
        int(path.findtext("label") or 0) if sample.shown.label is not None else None,
        frozenset(plain),
        frozenset(large),
        frozenset(targets),
    )
