"""GoBGP's gobgpd as a neighbour, asked and told through its command ``gobgp``."""

from __future__ import annotations

import json
from typing import Any

from tests.interop.bgp_harness import SAMPLES, RealPeer, Sample, Shown
from tests.interop.frr import free_port

_NAMES = {
    "inet": ("ipv4-unicast", "ipv4"),
    "inet6": ("ipv6-unicast", "ipv6"),
    "inet-labeled": ("ipv4-labelled-unicast", "ipv4-mpls"),
    "inet-vpn": ("l3vpn-ipv4-unicast", "vpnv4"),
    "inet6-vpn": ("l3vpn-ipv6-unicast", "vpnv6"),
    "evpn": ("l2vpn-evpn", "evpn"),
    "route-target": ("rtc", "rtc"),
}
_COMMON = "local-pref 150 med 77 community 64512:5 large-community 7:8:9"
_VPN = "rd 192.0.2.7:3 rt 64512:8000003"
_VXLAN = f"{_VPN} encap vxlan nexthop 192.0.2.7"
_ESI = "ARBITRARY 11:22:33:44:55:66:77:88:99"
_ADD = {
    "inet": f"10.1.1.0/24 nexthop 192.0.2.7 {_COMMON}",
    "inet6": f"2001:db8:1::/64 nexthop 2001:db8::7 {_COMMON}",
    "inet-labeled": f"10.1.1.0/24 31 nexthop 192.0.2.7 {_COMMON}",
    "inet-vpn": f"10.1.1.0/24 label 27 {_VPN} nexthop 192.0.2.7 {_COMMON}",
    "inet6-vpn": f"2001:db8:1::/64 label 28 {_VPN} nexthop 2001:db8::7 {_COMMON}",
    "evpn-1": f"a-d esi {_ESI} etag 0 label 5001 {_VXLAN} {_COMMON}",
    "evpn-2": f"macadv 02:00:00:00:01:03 10.1.1.3 etag 0 label 5001 {_VXLAN} {_COMMON}",
    "evpn-3": f"multicast 192.0.2.7 etag 0 {_VPN} encap vxlan pmsi ingress-repl 5001 192.0.2.7 "
    f"nexthop 192.0.2.7 {_COMMON}",
    "evpn-5": f"prefix 10.1.1.0/24 gw 0.0.0.0 etag 0 label 5001 {_VXLAN} {_COMMON}",
}


def _family(sample_name: str) -> str:
    return "evpn" if sample_name.startswith("evpn") else sample_name


class GoBgp(RealPeer):
    """One gobgpd. ``restart_time`` above 0 lets it restart gracefully; ``long_lived`` seconds."""

    name = "gobgp"
    takes = frozenset(SAMPLES)
    announces = frozenset(_ADD)
    families_too: tuple[str, ...] = ()
    restart_time = 0
    long_lived = 0
    client = True
    neighbor_lines: tuple[str, ...] = ()

    def argv(self) -> list[str]:
        """Its start."""
        self.api = free_port(self.address)
        file = self.dir / "gobgp.toml"
        file.write_text("\n".join(self._config()))
        argv = ["gobgpd", "-f", str(file), "--api-hosts", f"{self.address}:{self.api}"]
        return [*argv, "-l", "warn", "--pprof-disable"]

    def _config(self) -> list[str]:
        lines = [
            f'[global.config]\nas = {self.asn}\nrouter-id = "{self.address}"',
            f'port = {self.port}\nlocal-address-list = ["{self.address}"]',
        ]
        for each in self.ours:
            lines += [
                "[[neighbors]]\n[neighbors.config]",
                f'neighbor-address = "{each}"\npeer-as = 64512',
            ]
            if self.md5:
                lines.append(f'auth-password = "{self.md5}"')
            lines += [
                "[neighbors.transport.config]\npassive-mode = true",
                f'local-address = "{self.address}"',
                "[neighbors.timers.config]\nhold-time = 90\nkeepalive-interval = 30",
            ]
            if self.client and self.asn == 64512:
                lines.append(
                    "[neighbors.route-reflector.config]\nroute-reflector-client = true\n"
                    f'route-reflector-cluster-id = "{self.address}"'
                )
            if self.restart_time:
                lines.append(
                    "[neighbors.graceful-restart.config]\nenabled = true\n"
                    f"notification-enabled = true\nrestart-time = {self.restart_time}\n"
                    f"long-lived-enabled = {str(bool(self.long_lived)).lower()}"
                )
            lines += self.neighbor_lines
            for name in sorted({_family(each) for each in self.takes}) + list(self.families_too):
                lines.append(self._family_block(_NAMES[name][0]))
        return lines

    def _family_block(self, name: str) -> str:
        text = f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{name}"\n'
        if self.restart_time:
            text += "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
        if self.long_lived:
            text += (
                "[neighbors.afi-safis.long-lived-graceful-restart.config]\nenabled = true\n"
                f"restart-time = {self.long_lived}\n"
            )
        return text

    def ask(self, *words: str) -> str:
        """Output of gobgp."""
        return self.run("gobgp", "-u", self.address, "-p", str(self.api), *words)

    def _rib(self, verb: str, sample: Sample) -> None:
        name = _NAMES[_family(sample.name)][1]
        self.ask("global", "rib", verb, "-a", name, *_ADD[sample.name].split())

    def announce(self, sample: Sample) -> None:
        """``global rib add``."""
        self._rib("add", sample)

    def withdraw(self, sample: Sample) -> None:
        """``global rib del``."""
        self._rib("del", sample)

    def show(self, sample: Sample) -> Shown | None:
        """The route in its global RIB."""
        text = self.ask("global", "rib", "-a", _NAMES[_family(sample.name)][1], "-j")
        for paths in json.loads(text or "{}").values():
            nlri = paths[0]["nlri"]
            if not sample.name.startswith("evpn") or sample.name == f"evpn-{nlri.get('type')}":
                return _shown(paths[0])
        return None


def _shown(path: dict[str, Any]) -> Shown:
    attributes = {each["type"]: each for each in path["attrs"]}
    reach = attributes.get(14) or attributes[3]
    nlri = path["nlri"].get("value", path["nlri"])
    labels = nlri.get("labels") or [nlri.get("label")]
    pmsi = attributes.get(22)
    return Shown(
        reach["nexthop"],
        attributes.get(5, {}).get("value"),
        attributes.get(4, {}).get("metric"),
        pmsi["label"] if pmsi else labels[0],
        frozenset(f"{c >> 16}:{c & 0xFFFF}" for c in attributes.get(8, {}).get("communities", ())),
        frozenset(
            f"{c['ASN']}:{c['LocalData1']}:{c['LocalData2']}"
            for c in attributes.get(32, {}).get("value", ())
        ),
        frozenset(
            each["value"]
            for each in attributes.get(16, {}).get("value", ())
            if each["subtype"] == 2 and each["type"] in (0, 1, 2)
        ),
    )
