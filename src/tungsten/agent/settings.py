"""What an operator can set of the per-host agent: the ``[agent]`` section of the configuration.

Names follow upstream's where one exists (``CONTROL-NODE.servers`` is ``controls``,
``stale_interface_cleanup_timeout`` is ``stale_port_seconds``). Defaults are upstream's, except
that the port API listens on loopback only.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated

import msgspec
from msgspec import Meta

from tungsten.xmpp.tls import TlsFiles

ENCAPSULATIONS = ("MPLSoGRE", "MPLSoUDP", "VXLAN")
"""Encapsulations the datapath knows, in the order used when nothing is configured."""

_HOSTNAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


class SettingsError(ValueError):
    """A setting that cannot be used. The text names section, key, value and what is accepted."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the agent."""

    hostname: Annotated[
        str,
        Meta(
            description="Name of this host; equals the name of its virtual-router object. "
            "Empty: the host's own name."
        ),
    ] = ""
    controls: Annotated[
        list[str],
        Meta(description="Control nodes as host or host:port (default port 5269); two are used."),
    ] = msgspec.field(default_factory=list)
    fabric_interface: Annotated[
        str,
        Meta(
            description="Network interface that carries tunnels. Empty: the interface of the "
            "route to the first control, else of the default route."
        ),
    ] = ""
    fabric_address: Annotated[
        str,
        Meta(
            description="IPv4 address tunnels use and routes name as next hop. Empty: the first "
            "address of the fabric interface."
        ),
    ] = ""
    state_dir: Annotated[
        str, Meta(description="Directory for port files, ids and the last configuration.")
    ] = "/var/lib/tungsten/agent"
    bpf_dir: Annotated[
        str, Meta(description="Directory of a mounted bpffs where the datapath is pinned.")
    ] = "/sys/fs/bpf/tungsten"
    port_listen: Annotated[str, Meta(description="Address of the port API (HOST:PORT).")] = (
        "127.0.0.1:9091"
    )
    introspect_listen: Annotated[
        str, Meta(description="Address of the introspect server (HOST:PORT); empty: none.")
    ] = "127.0.0.1:8085"
    encapsulations: Annotated[
        list[str],
        Meta(
            description="Encapsulations in order of preference while global-vrouter-config "
            "names none: MPLSoGRE, MPLSoUDP, VXLAN."
        ),
    ] = msgspec.field(default_factory=lambda: list(ENCAPSULATIONS))
    check_tunnel_sources: Annotated[
        bool,
        Meta(
            description="Accept tunnels only from hosts that a route names as next hop. False "
            "lets any host of the fabric in that guesses a label: only for sites with gateways "
            "that send and announce nothing."
        ),
    ] = True
    dhcp_lease_seconds: Annotated[
        int, Meta(ge=60, le=0xFFFFFFFF, description="DHCP lease; 4294967295 means for ever.")
    ] = 0xFFFFFFFF
    dhcp_short_lease_seconds: Annotated[
        int,
        Meta(ge=1, le=600, description="DHCP lease while a port's configuration is incomplete."),
    ] = 4
    dhcp_rate: Annotated[
        int, Meta(ge=1, le=10000, description="DHCP requests answered per second and port.")
    ] = 20
    dhcp_burst: Annotated[
        int, Meta(ge=1, le=10000, description="DHCP requests a port may send at once.")
    ] = 40
    stale_port_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=86400,
            description="Ports read from files, or not sent again after a resync, are removed "
            "after this time unless the configuration knows them.",
        ),
    ] = 60.0
    config_quiet_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=900,
            description="Silence after which the configuration counts as complete when the "
            "control does not say so itself.",
        ),
    ] = 15.0
    end_of_rib_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=4095,
            description="Longest wait for the end of a control's routes before stale ones go.",
        ),
    ] = 60.0
    xmpp_tls: Annotated[
        bool,
        Meta(
            description="Speak to control nodes over TLS only (upstream's xmpp_auth_enable). "
            "Files are read again when they change."
        ),
    ] = False
    xmpp_certificate: Annotated[
        str, Meta(description="PEM file of this host's certificate, which names the host.")
    ] = "/etc/tungsten/ssl/certs/server.pem"
    xmpp_key: Annotated[str, Meta(description="PEM file of the certificate's key.")] = (
        "/etc/tungsten/ssl/private/server-privkey.pem"
    )
    xmpp_ca: Annotated[
        str, Meta(description="PEM file of the authorities that controls' certificates are of.")
    ] = "/etc/tungsten/ssl/certs/ca-cert.pem"
    xmpp_check_control: Annotated[
        bool,
        Meta(
            description="Demand that a control's certificate names the address it is called by. "
            "False takes any of the authorities."
        ),
    ] = True
    hold_seconds: Annotated[
        int, Meta(ge=3, le=90, description="XMPP hold time; keepalives go at a third of it.")
    ] = 90

    def name(self) -> str:
        """The configured host name, or the host's own."""
        name = self.hostname or socket.gethostname()
        if not _HOSTNAME.fullmatch(name):
            raise SettingsError(
                f"agent.hostname {name!r}: accepted are 1 to 253 letters, digits, '.', '_', '-'"
            )
        return name

    def tls(self) -> TlsFiles | None:
        """The certificates that controls are met with; None for plain sessions."""
        if not self.xmpp_tls:
            return None
        check = self.xmpp_check_control
        return TlsFiles(self.xmpp_certificate, self.xmpp_key, self.xmpp_ca, False, check)

    def control_endpoints(self) -> tuple[Endpoint, ...]:
        """The first two controls, parsed."""
        return tuple(Endpoint.parse("agent.controls", text, 5269) for text in self.controls[:2])

    def encapsulation_order(self) -> tuple[str, ...]:
        """The preference order, checked."""
        for name in self.encapsulations:
            if name not in ENCAPSULATIONS:
                raise SettingsError(
                    f"agent.encapsulations {name!r}: accepted are {', '.join(ENCAPSULATIONS)}"
                )
        return tuple(self.encapsulations)

    def address(self) -> IPv4Address | None:
        """The configured fabric address; None when it is to be discovered."""
        if not self.fabric_address:
            return None
        try:
            return IPv4Address(self.fabric_address)
        except AddressValueError as error:
            raise SettingsError(
                f"agent.fabric_address {self.fabric_address!r}: accepted is an IPv4 address"
            ) from error


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, key: str, text: str, default_port: int | None = None) -> Endpoint:
        """``host:port`` or, with a default port, ``host``; IPv6 hosts in brackets.

        Raises :class:`SettingsError` naming ``key``.
        """
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", text.strip())
        port = int(match[2]) if match and match[2] else default_port
        if match is None or port is None or not 0 <= port < 65536:
            raise SettingsError(f"{key} {text!r}: accepted is HOST:PORT")
        return cls(match[1].strip("[]"), port)
