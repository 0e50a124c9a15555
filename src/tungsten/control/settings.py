"""What an operator can set of the control node: the ``[control]`` section.

Defaults are upstream's, with two exceptions: it listens on loopback unless told otherwise, and
it keeps the routes of a lost agent as stale (upstream drops them unless configured). The AS
number is not here: it is in the ``global-system-config`` object, as are graceful restart and
fast convergence parameters, which override what is said here when they are enabled there.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tungsten.xmpp.tls import TlsFiles

_LISTEN = re.compile(r"(.+):([0-9]{1,5})")


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the control node."""

    hostname: Annotated[
        str,
        Meta(
            description="Name of this node; equals the last component of its bgp-router's "
            "name. Empty: the host's own name."
        ),
    ] = ""
    router_id: Annotated[
        str,
        Meta(
            description="BGP identifier as an IPv4 address. Empty: the identifier or address of "
            "the node's bgp-router object, else the XMPP listening address."
        ),
    ] = ""
    xmpp_listen: Annotated[
        str, Meta(description="Address and port to listen on for agents, as HOST:PORT.")
    ] = "127.0.0.1:5269"
    xmpp_tls: Annotated[
        bool,
        Meta(
            description="Take agents over TLS only (upstream's xmpp_auth_enable). Files are read "
            "again when they change."
        ),
    ] = False
    xmpp_certificate: Annotated[
        str, Meta(description="PEM file of this node's certificate, intermediates behind it.")
    ] = "/etc/tungsten/ssl/certs/server.pem"
    xmpp_key: Annotated[str, Meta(description="PEM file of the certificate's key.")] = (
        "/etc/tungsten/ssl/private/server-privkey.pem"
    )
    xmpp_ca: Annotated[
        str, Meta(description="PEM file of the authorities that agents' certificates are of.")
    ] = "/etc/tungsten/ssl/certs/ca-cert.pem"
    xmpp_demand_certificate: Annotated[
        bool,
        Meta(
            description="Take no agent without a certificate. Upstream's agents need not have "
            "one: false lets them in under any name."
        ),
    ] = True
    bgp_listen: Annotated[
        str,
        Meta(description="Address and port to listen on for BGP peers. Empty: do not listen."),
    ] = ""
    introspect_listen: Annotated[
        str, Meta(description="Address of the introspect server (HOST:PORT); empty: none.")
    ] = "127.0.0.1:8083"
    xmpp_hold_time: Annotated[
        float, Meta(description="Seconds without reception that end an agent's session.", gt=0)
    ] = 90.0
    bgp_hold_time: Annotated[
        int, Meta(description="Hold time proposed to BGP peers, in seconds.", ge=0, le=65535)
    ] = 90
    graceful_restart: Annotated[
        bool, Meta(description="Keep the routes of an agent whose session is lost, as stale.")
    ] = True
    restart_time: Annotated[
        float, Meta(description="Seconds that a lost agent has to come back.", ge=0)
    ] = 300.0
    long_lived_time: Annotated[
        float,
        Meta(
            description="Seconds after the restart time in which a lost agent's routes are still "
            "kept, as a last resort: any other path is preferred.",
            ge=0,
        ),
    ] = 0.0
    end_of_rib_time: Annotated[
        float,
        Meta(
            description="Seconds after which an agent that came back is taken to have sent all "
            "its routes even if it did not say so.",
            ge=0,
        ),
    ] = 300.0
    startup_time: Annotated[
        float,
        Meta(
            description="Seconds after start in which no end-of-RIB is sent, so that agents keep "
            "what they know until others have reported.",
            ge=0,
        ),
    ] = 60.0
    idle_time: Annotated[
        float,
        Meta(description="Quiet seconds before end-of-RIB is sent to an agent.", ge=0),
    ] = 6.0
    core: Annotated[
        Literal["auto", "compiled", "python"],
        Meta(
            description="What keeps the tables: compiled code, the same in Python, or the first "
            "of them that can be had."
        ),
    ] = "auto"
    batch_time: Annotated[
        float, Meta(description="Seconds that changes are gathered before they are sent.", ge=0)
    ] = 0.001
    max_routes_per_agent: Annotated[
        int, Meta(description="Most routes one agent may publish.", ge=1)
    ] = 20000
    max_subscriptions_per_agent: Annotated[
        int, Meta(description="Most routing instances one agent may join.", ge=1)
    ] = 5000
    verify_agents: Annotated[
        bool,
        Meta(
            description="Take an agent only from the address of its virtual-router object, and "
            "only routes with that address as next hop. Objects without address are not checked."
        ),
    ] = True
    verify_ownership: Annotated[
        bool,
        Meta(
            description="Let an agent join only instances in which its virtual-router has an "
            "interface, and publish only what those interfaces have."
        ),
    ] = True
    gateway_agents: Annotated[
        list[str],
        Meta(
            description="Hosts that may join and publish anything: gateways whose networks are "
            "not in the configuration."
        ),
    ] = msgspec.field(default_factory=list)
    pending_per_source: Annotated[
        int,
        Meta(description="Most connections of one address that have not opened a stream.", ge=1),
    ] = 64

    def tls(self) -> TlsFiles | None:
        """The certificates that agents are met with; None for plain sessions."""
        if not self.xmpp_tls:
            return None
        demand = self.xmpp_demand_certificate
        return TlsFiles(self.xmpp_certificate, self.xmpp_key, self.xmpp_ca, True, demand)

    @property
    def name(self) -> str:
        """The node's name."""
        return self.hostname or socket.gethostname().partition(".")[0]


def split_listen(key: str, text: str) -> tuple[str, int]:
    """Host and port of a ``HOST:PORT`` setting. ``ValueError`` names the key and the value."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"control.{key} is {text!r}; expected HOST:PORT with a port up to 65535")
    return match[1].strip("[]"), int(match[2])


def check_router_id(text: str) -> None:
    """Raises ``ValueError`` for a BGP identifier that is none."""
    try:
        IPv4Address(text or "0.0.0.1")
    except ValueError:
        raise ValueError(f"control.router_id is {text!r}; expected an IPv4 address") from None
