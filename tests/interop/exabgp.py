"""ExaBGP as a neighbour: told by lines of its API, asked by the JSON that it gives to a process.

It keeps no table and reflects nothing: what it has is what it said that it received.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from tests.interop.bgp_harness import SAMPLES, RealPeer, Sample, Shown

_FAMILIES = {
    "inet": ("ipv4 unicast", "10.1.1.0/24"),
    "inet6": ("ipv6 unicast", "2001:db8:1::/64"),
    "inet-labeled": ("ipv4 nlri-mpls", "10.1.1.0/24"),
    "inet-vpn": ("ipv4 mpls-vpn", "10.1.1.0/24"),
    "inet6-vpn": ("ipv6 mpls-vpn", "2001:db8:1::/64"),
    "evpn": ("l2vpn evpn", ""),
}
_COMMON = "local-preference 150 med 77 origin igp community [ 64512:5 ] large-community [ 7:8:9 ]"
_TARGET = "rd 192.0.2.7:3 extended-community [ target:64512:8000003 ]"
_ANNOUNCE = {
    "inet": f"route 10.1.1.0/24 next-hop 192.0.2.7 {_COMMON}",
    "inet6": f"route 2001:db8:1::/64 next-hop 2001:db8::7 {_COMMON}",
    "inet-labeled": f"route 10.1.1.0/24 next-hop 192.0.2.7 label 31 {_COMMON}",
    "inet-vpn": f"route 10.1.1.0/24 next-hop 192.0.2.7 label 27 {_TARGET} {_COMMON}",
    "inet6-vpn": f"route 2001:db8:1::/64 next-hop 2001:db8::7 label 28 {_TARGET} {_COMMON}",
}
#: Gives it what is written to a FIFO, and keeps what it says.
_BRIDGE = """import os, sys, threading
def hear():
    with open(sys.argv[2], 'a', buffering=1) as out:
        for line in sys.stdin:
            out.write(line)
    os._exit(0)
threading.Thread(target=hear, daemon=True).start()
while True:
    with open(sys.argv[1]) as fifo:
        for line in fifo:
            sys.stdout.write(line)
            sys.stdout.flush()
"""


class ExaBgp(RealPeer):
    """One exabgp."""

    name = "exabgp"
    takes = frozenset(SAMPLES) - {"evpn-1", "evpn-4"}
    announces = frozenset(_ANNOUNCE)
    reflects = False
    capabilities: tuple[str, ...] = ("graceful-restart 120;", "route-refresh enable;")

    def argv(self) -> list[str]:
        """Its start."""
        (self.dir / "bridge.py").write_text(_BRIDGE)
        fifo = self.dir / "fifo"
        if not fifo.exists():
            os.mkfifo(fifo)
        bridge = f"{sys.executable} {self.dir}/bridge.py {fifo} {self.dir}/heard"
        lines = [f"process bridge {{ run {bridge}; encoder json; }}"]
        families = dict.fromkeys(_key(name) for name in sorted(self.takes))
        for each in self.ours:
            lines += [
                f"neighbor {each} {{ router-id {self.address}; local-address {self.address};",
                f"  local-as {self.asn}; peer-as 64512; passive; listen {self.port}; hold-time 90;",
                "  " + (f'md5-password "{self.md5}";' if self.md5 else ""),
                "  family { " + " ".join(f"{_FAMILIES[name][0]};" for name in families) + " }",
                "  capability { " + " ".join(self.capabilities) + " }",
                "  api { processes [ bridge ]; receive { parsed; update; refresh; } } }",
            ]
        file = self.dir / "exabgp.conf"
        file.write_text("\n".join(lines) + "\n")
        return [str(Path(sys.executable).parent / "exabgp"), "server", str(file)]

    def environment(self) -> dict[str, str]:
        """No daemon, no log files, no pipes of its own."""
        return {
            **os.environ,
            "exabgp_tcp_bind": self.address,
            "exabgp_tcp_port": str(self.port),
            "exabgp_api_cli": "false",
            "exabgp_daemon_drop": "false",
            "exabgp_daemon_user": "root",
            "exabgp_log_level": "WARNING",
        }

    def say(self, line: str) -> None:
        """A line of its API."""
        with (self.dir / "fifo").open("w") as fifo:
            fifo.write(line + "\n")

    def announce(self, sample: Sample) -> None:
        """Announce to all."""
        self.say(f"announce {_ANNOUNCE[sample.name]}")

    def withdraw(self, sample: Sample) -> None:
        """Withdraw from all."""
        self.say(f"withdraw {_ANNOUNCE[sample.name]}")

    def heard(self) -> list[dict[str, Any]]:
        """All that it said, in order."""
        file = self.dir / "heard"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def show(self, sample: Sample) -> Shown | None:
        """The last it heard of the route."""
        family, prefix = _FAMILIES[_key(sample.name)]
        code = int(sample.name[-1]) if sample.name.startswith("evpn") else None
        shown: Shown | None = None
        for said in self.heard():
            update = said.get("neighbor", {}).get("message", {}).get("update", {})
            for next_hop, routes in update.get("announce", {}).get(family, {}).items():
                for route in routes:
                    if _is(route, prefix, code):
                        shown = _shown(next_hop, update.get("attribute", {}), route)
            for route in update.get("withdraw", {}).get(family, []):
                if _is(route, prefix, code):
                    shown = None
        return shown


def _key(name: str) -> str:
    return "evpn" if name.startswith("evpn") else name


def _is(route: dict[str, Any], prefix: str, code: int | None) -> bool:
    return bool(route.get("code") == code if code else route.get("nlri") == prefix)


def _shown(next_hop: str, attributes: dict[str, Any], route: dict[str, Any]) -> Shown:
    label = next(iter(route.get("label", ())), None)
    if isinstance(label, list):  # as a label, and as the whole field
        label = label["code" in route]
    pmsi = re.search(r"\((\d+)\)", str(attributes.get("pmsi", "")))
    if pmsi:
        label = int(pmsi[1])
    extended = [each["string"] for each in attributes.get("extended-community", [])]
    return Shown(
        next_hop,
        attributes.get("local-preference"),
        attributes.get("med"),
        label,
        frozenset(f"{a}:{b}" for a, b in attributes.get("community", [])),
        frozenset(":".join(map(str, each)) for each in attributes.get("large-community", [])),
        frozenset(each.removeprefix("target:") for each in extended if each.startswith("target:")),
    )
