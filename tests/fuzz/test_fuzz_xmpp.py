"""The XMPP fuzz target, for a few seconds, from seeds that reach every decoder."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.running import run

from tungsten.xmpp.stanzas import (
    EVPN,
    INET,
    ConfigLink,
    ConfigMessage,
    ConfigNode,
    ConfigOperation,
    ConfigSubscribe,
    EndOfConfig,
    EndOfRib,
    EnetItem,
    InetItem,
    NextHop,
    Publish,
    RouteRetract,
    RouteUpdate,
    Stanza,
    Subscribe,
    TreeItem,
    Unsubscribe,
    Withdraw,
    encode,
)
from tungsten.xmpp.stream import CONTROL_JID, KEEPALIVE

NETWORK = "default-domain:demo:blue:blue"
HOP = NextHop(
    address="192.0.2.7", label=27, encapsulations=("gre", "udp"), virtual_network="demo:blue"
)
FLOOD = EnetItem(mac="ff:ff:ff:ff:ff:ff", next_hops=(HOP,))
PREFIX = InetItem(prefix="10.1.1.3/32", next_hops=(HOP,), security_groups=(8000001,))
TREE = TreeItem(
    group="255.255.255.255", address="192.0.2.7", labels=(4609, 5119), encapsulations=("gre",)
)
NODE = ConfigNode("virtual-network", "default-domain:demo:blue", b"<display-name>b</display-name>")
LINK = ConfigLink(
    ("project", "default-domain:demo"), ("virtual-network", "default-domain:demo:blue"), "x"
)
STANZAS: list[Stanza] = [
    Subscribe(NETWORK, 3),
    Unsubscribe(NETWORK),
    Publish(NETWORK, PREFIX),
    Publish(NETWORK, FLOOD),
    Publish(NETWORK, TREE),
    Withdraw(NETWORK, PREFIX),
    RouteUpdate(INET, NETWORK, (PREFIX,)),
    RouteUpdate(EVPN, NETWORK, (FLOOD,)),
    RouteRetract(INET, NETWORK, ("10.1.1.3/32",)),
    EndOfRib(),
    EndOfConfig(),
    ConfigSubscribe("virtual-router", "default-global-system-config:c1"),
    ConfigMessage((ConfigOperation(NODE), ConfigOperation(LINK))),
]


def seeds() -> list[bytes]:
    """Each stanza to either end, and both ends' headers."""
    written = [
        encode(stanza, "c1", CONTROL_JID, number) for number, stanza in enumerate(STANZAS, 1)
    ]
    found = [bytes((4 | end,)) + each for each in written for end in (0, 1)]
    header = (
        f'<stream:stream from="c1" to="{CONTROL_JID}" version="1.0" xml:lang="en" xmlns="" '
        'xmlns:stream="http://etherx.jabber.org/streams"  >'
    ).encode()
    starttls = b'<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>'
    found.append(bytes((1,)) + header + KEEPALIVE + b"</stream:stream>")
    found.append(bytes((3,)) + header + starttls + header)
    found.append(bytes((0,)) + header.replace(b"c1", b"node"))
    return found


def test_nothing_but_protocol_errors_for_a_while(tmp_path: Path) -> None:
    run("fuzz_xmpp.py", seeds(), tmp_path)
