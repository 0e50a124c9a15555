"""BIRD 2 as a neighbour, asked through birdc. It reflects; it has no EVPN."""

from __future__ import annotations

import re

from tests.interop.bgp_harness import RealPeer, Sample, Shown

_TABLES = {
    "inet": "m4",
    "inet6": "m6",
    "inet-labeled": "ml4",
    "inet-vpn": "mv4",
    "inet6-vpn": "mv6",
}
_KEYS = {
    "inet": "10.1.1.0/24",
    "inet6": "2001:db8:1::/64",
    "inet-labeled": "10.1.1.0/24",
    "inet-vpn": "192.0.2.7:3 10.1.1.0/24",
    "inet6-vpn": "192.0.2.7:3 2001:db8:1::/64",
}
_TOP = """router id {address};
protocol device {{ scan time 60; }}
ipv4 table m4; ipv6 table m6; vpn4 table mv4; vpn6 table mv6; ipv4 table ml4;
ipv4 table hops4; ipv6 table hops6;
protocol static {{ ipv4 {{ table hops4; }}; route 0.0.0.0/0 via 127.0.0.1; }}
protocol static {{ ipv6 {{ table hops6; }}; route ::/0 via ::1; }}
"""
_CHANNEL = "  {0} {{ table {1}; import all; export all; next hop keep; gateway recursive; {2}}};"


class Bird(RealPeer):
    """One bird."""

    name = "bird"
    takes = frozenset(_TABLES)
    #: Seconds; more than 0 has it announce (long-lived) graceful restart.
    restart_time = 0
    long_lived = 0
    options: tuple[str, ...] = ()
    channel_options = ""
    channels = tuple(_TABLES)

    def argv(self) -> list[str]:
        """Its start."""
        file = self.dir / "bird.conf"
        file.write_text(self._config())
        files = ["-c", str(file), "-s", str(self.dir / "ctl"), "-P", str(self.dir / "pid")]
        return ["bird", "-f", *files]

    def _config(self) -> str:
        text = _TOP.format(address=self.address)
        kinds = {
            "inet": ("ipv4", "m4", "igp table hops4; "),
            "inet6": ("ipv6", "m6", "igp table hops6; "),
            "inet-labeled": ("ipv4 mpls", "ml4", "igp table hops4; "),
            "inet-vpn": ("vpn4 mpls", "mv4", "igp table hops4; "),
            "inet6-vpn": ("vpn6 mpls", "mv6", "igp table hops6; "),
        }
        for number, each in enumerate(self.ours):
            lines = [
                f"protocol bgp us{number} {{ local {self.address} port {self.port} as {self.asn};",
                f"  neighbor {each} as 64512; passive on; strict bind on; multihop;",
                f"  {f'password {chr(34)}{self.md5}{chr(34)};' if self.md5 else ''}",
                f"  {' '.join(self.options)}",
            ]
            if self.asn == 64512:
                lines.append(f"  rr client; rr cluster id {self.address};")
            if self.restart_time:
                lines.append(f"  graceful restart on; graceful restart time {self.restart_time};")
            if self.long_lived:
                lines.append(
                    f"  long lived graceful restart on; long lived stale time {self.long_lived};"
                )
            for name in self.channels:
                kind, table, igp = kinds[name]
                lines.append(_CHANNEL.format(kind, table, igp + self.channel_options))
            text += "\n".join(lines) + "\n}\n"
        return text

    def ask(self, command: str) -> str:
        """Output of birdc."""
        return self.run("birdc", "-s", str(self.dir / "ctl"), command)

    def show(self, sample: Sample) -> Shown | None:
        """The route in its table."""
        text = self.ask(f"show route {_KEYS[sample.name]} table {_TABLES[sample.name]} all")
        said = dict(re.findall(r"\tBGP\.(\w+): (.*)", text))
        if "next_hop" not in said:
            return None
        return Shown(
            said["next_hop"].split()[0],
            int(said["local_pref"]),
            int(said["med"]),
            int(said["mpls_label_stack"]) if "mpls_label_stack" in said else None,
            _tuples(said.get("community", "")),
            _tuples(said.get("large_community", "")),
            frozenset(
                each.removeprefix("rt:")
                for each in _tuples(said.get("ext_community", ""))
                if each.startswith("rt:")
            ),
        )


def _tuples(text: str) -> frozenset[str]:
    """``(64512,5) (64512,6)`` with colons."""
    return frozenset(
        ":".join(part.strip() for part in each.split(","))
        for each in re.findall(r"\(([^)]*)\)", text)
    )
