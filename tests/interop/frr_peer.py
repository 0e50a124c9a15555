"""FRR as one of the neighbours of the matrix: a reflector of all the families it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.bgp_harness import SAMPLES, RealPeer, Sample, Shown
from tests.interop.frr import Frr, until

_FAMILIES = {
    "inet": "ipv4 unicast",
    "inet6": "ipv6 unicast",
    "inet-labeled": "ipv4 labeled-unicast",
    "inet-vpn": "ipv4 vpn",
    "inet6-vpn": "ipv6 vpn",
    "evpn": "l2vpn evpn",
}
_ATTRIBUTES = [
    "route-map sample permit 10",
    " set community 64512:5",
    " set large-community 7:8:9",
    " set local-preference 150",
    " set metric 77",
]
_ANNOUNCE = {
    "inet-vpn": "network 10.1.1.0/24 rd 192.0.2.7:3 label 27 route-map vpn4",
    "inet6-vpn": "network 2001:db8:1::/64 rd 192.0.2.7:3 label 28 route-map vpn6",
    "inet": "network 10.1.1.0/24 route-map plain4",
    "inet6": "network 2001:db8:1::/64 route-map plain6",
}


def _maps() -> list[str]:
    lines = []
    for name, extra in {
        "plain4": [" set ip next-hop 192.0.2.7"],
        "plain6": [" set ipv6 next-hop global 2001:db8::7"],
        "vpn4": [" set ipv4 vpn next-hop 192.0.2.7", " set extcommunity rt 64512:8000003"],
        "vpn6": [" set ipv6 vpn next-hop 2001:db8::7", " set extcommunity rt 64512:8000003"],
    }.items():
        lines += [f"route-map {name} permit 10", *_ATTRIBUTES[1:], *extra, "exit"]
    return lines


class FrrPeer(RealPeer):
    """One bgpd."""

    name = "frr"
    takes = frozenset(SAMPLES) - {"inet-labeled"}
    hides: ClassVar = {name: frozenset({"label"}) for name in SAMPLES if name.startswith("evpn")}
    loses_labels_of = frozenset({"evpn-1"})
    announces = frozenset(_ANNOUNCE)

    def __init__(self, ours: list[str], **values: Any) -> None:
        super().__init__(ours, **values)
        self.frr = Frr(ours[0], 1, asn=self.asn)
        self.address, self.port = self.frr.address, self.frr.port

    async def start(self) -> None:
        """Run it, and wait until it listens."""
        self.configure()
        self.frr.start()
        await until(self.listens, what="FRR listens")

    def configure(self) -> None:
        """Its neighbours and families."""
        frr = self.frr
        frr.global_lines = [*frr.global_lines, *_maps()]
        frr.options = ["no bgp network import-check", "bgp cluster-id " + frr.address]
        for each in self.ours:
            frr.options += [
                f"neighbor {each} remote-as 64512",
                f"neighbor {each} passive",
                f"neighbor {each} update-source {frr.address}",
                f"neighbor {each} advertisement-interval 0",
            ]
            if self.md5:
                frr.options.append(f"neighbor {each} password {self.md5}")
        for name in dict.fromkeys(_key(name) for name in sorted(self.takes)):
            lines = frr.families.setdefault(_FAMILIES[name], [])
            for each in self.ours:
                lines.append(f"neighbor {each} activate")
                if self.asn == 64512:
                    lines.append(f"neighbor {each} route-reflector-client")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.frr.kill()

    def stop(self) -> None:
        """End it."""
        self.frr.stop()
        Path(self.dir).rmdir()

    def _network(self, sample: Sample, no: str) -> None:
        family = f"address-family {_FAMILIES[_key(sample.name)]}"
        line = no + _ANNOUNCE[sample.name]
        if no:
            line = line.partition(" route-map")[0]
        self.frr.vtysh("configure terminal", f"router bgp {self.asn}", family, line)

    def announce(self, sample: Sample) -> None:
        """``network``."""
        self._network(sample, "")

    def withdraw(self, sample: Sample) -> None:
        """``no network``."""
        self._network(sample, "no ")

    def show(self, sample: Sample) -> Shown | None:
        """The route in its table."""
        family = _FAMILIES[_key(sample.name)]
        if family == "l2vpn evpn":
            return _evpn(self._json("show bgp l2vpn evpn route detail json"), sample)
        prefix = "2001:db8:1::/64" if "6" in sample.name else "10.1.1.0/24"
        rd = " rd 192.0.2.7:3" if "vpn" in sample.name else ""
        said = self._json(f"show bgp {family}{rd} {prefix} json")
        if rd:
            said = said.get("192.0.2.7:3", {})
        paths = said.get("paths") if said.get("prefix") == prefix else None
        return _shown(paths[0]) if paths else None

    def _json(self, command: str) -> dict[str, Any]:
        text = self.frr.vtysh(command)
        try:
            said = json.loads(text[text.index("{") :])
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


class FrrLabeled(FrrPeer):
    """A bgpd for labeled unicast, which it has only in the place of plain unicast."""

    name = "frr-labeled"
    takes = frozenset({"inet-labeled"})
    announces = frozenset()


def _key(name: str) -> str:
    return "evpn" if name.startswith("evpn") else name


def _evpn(said: dict[str, Any], sample: Sample) -> Shown | None:
    for key, routes in said.items():
        if not isinstance(routes, dict) or key != "192.0.2.7:3":
            continue
        for name, route in routes.items():
            if name.startswith(f"[{sample.name[-1]}]"):
                paths = route["paths"]
                return _shown(paths[0][0] if isinstance(paths[0], list) else paths[0])
    return None


def _shown(path: dict[str, Any]) -> Shown:
    words = path.get("extendedCommunity", {}).get("string", "").split()
    hops = [hop["ip"] for hop in path["nexthops"]]
    return Shown(
        hops[0],
        path.get("locPrf", path.get("localPref")),
        path.get("metric", path.get("med")),
        path.get("remoteLabel"),
        frozenset(path.get("community", {}).get("string", "").split()),
        frozenset(path.get("largeCommunity", {}).get("string", "").split()),
        frozenset(word.removeprefix("RT:") for word in words if word.startswith("RT:")),
    )
