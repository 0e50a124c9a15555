"""A peer that does all it can to hold others up: ``python -m tests.system.noisy_peer HOW PORT``.

It says ``ready`` once it has begun, and goes on until it is killed. Each way is one that a broken
or hostile host, or a broken router, could take:

=========== ==========================================================================
``flood``   publishes 2,000 routes again and again, with other labels each time
``deaf``    joins the flooded network, and reads nothing
``half``    connections that stay in the middle of their stream header, made anew when cut off
``flap``    opens a session, joins, publishes, and breaks it, every 50 ms
``bgp-flap``  opens a BGP session and breaks it, as often as it is let
``bgp-half``  connects to the BGP port and says nothing, or half a message
=========== ==========================================================================
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import sys
import time
from collections.abc import Callable

from tests.unit.control.control_world import instance_name
from tungsten.xmpp.stanzas import InetItem, NextHop, Publish, Subscribe, encode
from tungsten.xmpp.stream import CONTROL_JID, Role, Session

HOST = "127.0.0.1"
ROUTES = 2000
#: From where BGP is spoken: the neighbour that the node is configured with.
BGP_ADDRESS = "127.0.0.9"
_BGP_OPEN = bytes.fromhex("ff" * 16) + struct.pack(
    "!HBBHH4sB", 29, 1, 4, 64512, 90, socket.inet_aton(BGP_ADDRESS), 0
)


def connect(port: int, source: str = "") -> socket.socket:
    """A connection to the node."""
    return socket.create_connection((HOST, port), 30, (source, 0) if source else None)


class Noise:
    """A session that is opened by hand, so that nothing reads or waits unasked."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.socket = connect(port)
        self._numbers = itertools.count(1)
        session = Session(Role.CLIENT, name)
        session.start(0.0)
        self.socket.sendall(session.take_output())
        self.socket.recv(65536)

    def encoded(self, stanza: Subscribe | Publish) -> bytes:
        """A stanza as it goes over the wire."""
        return encode(stanza, self.name, CONTROL_JID, next(self._numbers))

    def route(self, network: str, number: int, label: int) -> bytes:
        """A route of its own."""
        hop = NextHop(address="192.0.2.66", label=label, encapsulations=("gre", "udp"))
        prefix = f"10.66.{number // 250}.{number % 250}/32"
        return self.encoded(
            Publish(instance_name(network), InetItem(prefix=prefix, next_hops=(hop,)))
        )

    def join(self, network: str) -> None:
        """Subscribe."""
        self.socket.sendall(self.encoded(Subscribe(instance_name(network), 1)))


def flood(port: int, ready: Callable[[], None]) -> None:
    noise = Noise(port, "flood")
    noise.join("noisy")
    noise.socket.setblocking(True)
    rounds = [
        b"".join(noise.route("noisy", number, 100 + turn) for number in range(ROUTES))
        for turn in range(2)
    ]
    for turn in itertools.count():
        noise.socket.sendall(rounds[turn % 2])
        if turn == 0:
            ready()
        with contextlib.suppress(BlockingIOError):
            while noise.socket.recv(1 << 20, socket.MSG_DONTWAIT):
                pass


def deaf(port: int, ready: Callable[[], None]) -> None:
    noises = [Noise(port, f"deaf{number}") for number in range(4)]
    for noise in noises:
        noise.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        noise.join("noisy")
    ready()
    flood(port, lambda: None)


def half(port: int, ready: Callable[[], None]) -> None:
    header = f'<stream:stream from="half" to="{CONTROL_JID}" ver'.encode()
    held: list[socket.socket] = []
    for turn in itertools.count():
        held = [each for each in held if not _is_closed(each)]
        while len(held) < 60:
            with contextlib.suppress(OSError):
                held.append(connect(port))
                held[-1].sendall(header)
        if turn == 0:
            ready()
        time.sleep(0.02)


def _is_closed(sock: socket.socket) -> bool:
    try:
        return not sock.recv(65536, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def flap(port: int, ready: Callable[[], None]) -> None:
    for turn in itertools.count():
        with contextlib.suppress(OSError):
            noise = Noise(port, "flap")
            noise.join("quiet")
            for number in range(20):
                noise.socket.sendall(noise.route("quiet", number, 100 + turn % 100))
            noise.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            noise.socket.close()
        if turn == 0:
            ready()
        time.sleep(0.05)


def bgp_flap(port: int, ready: Callable[[], None]) -> None:
    for turn in itertools.count():
        with contextlib.suppress(OSError):
            speaker = connect(port, BGP_ADDRESS)
            speaker.sendall(_BGP_OPEN + bytes.fromhex("ff" * 16 + "001304"))
            speaker.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                speaker.recv(65536)
            speaker.close()
        if turn == 0:
            ready()
        time.sleep(0.02)


def bgp_half(port: int, ready: Callable[[], None]) -> None:
    held: list[socket.socket] = []
    for turn in itertools.count():
        held = [each for each in held if not _is_closed(each)]
        for _ in range(60 - len(held)):
            with contextlib.suppress(OSError):
                held.append(connect(port, BGP_ADDRESS))
                held[-1].sendall(_BGP_OPEN[: turn % 20])
        if turn == 0:
            ready()
        time.sleep(0.02)


WAYS = {
    "flood": flood,
    "deaf": deaf,
    "half": half,
    "flap": flap,
    "bgp-flap": bgp_flap,
    "bgp-half": bgp_half,
}


def main() -> None:
    """Be noisy."""
    how, port = sys.argv[1], int(sys.argv[2])
    WAYS[how](port, lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
