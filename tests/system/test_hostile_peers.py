"""Bytes that no honest peer sends end their own session, and nothing else.

The control node of the shared lab is attacked from another host of the fabric while its agents
keep their sessions (the invariants check that) and workloads keep talking.
"""

from __future__ import annotations

import contextlib
import random
import socket

import pytest

from tungsten.lab.lab import Lab

CONTROL = "172.30.0.2"
STREAM = (
    b'<stream:stream from="evil" to="network-control@contrailsystems.com" version="1.0" '
    b'xml:lang="en" xmlns="" xmlns:stream="http://etherx.jabber.org/streams"  >'
)


def connect(lab: Lab, port: int) -> socket.socket:
    """A TCP connection from compute2 to the control node."""
    peer = lab.namespace("compute2").socket(socket.AF_INET, socket.SOCK_STREAM)
    peer.settimeout(5)
    peer.connect((CONTROL, port))
    return peer


def closed_by_peer(peer: socket.socket) -> bytes:
    """What comes until the far end closes; TimeoutError if it does not."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while data := peer.recv(65536):
            heard += data
    return heard


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        STREAM + b"<iq><unclosed></iq>",
        STREAM + b'<!DOCTYPE x [<!ENTITY a "b">]><iq>&a;</iq>',
        STREAM + b"\xff\xfe\x00\x00",
        STREAM + b'<iq type="set" from="evil" to="network-control@contrailsystems.com/bgp-peer">'
        b'<pubsub xmlns="http://jabber.org/protocol/pubsub"><publish node="1/1/x:y:z:z/not-an-ip">'
        b"<item><entry><nlri><af>1</af></nlri></entry></item></publish></pubsub></iq>"
        b'<iq type="set" from="evil" to="network-control@contrailsystems.com/bgp-peer">'
        b'<pubsub xmlns="http://jabber.org/protocol/pubsub"><collection node="x:y:z:z">'
        b'<associate node="1/1/x:y:z:z/not-an-ip"/></collection></pubsub></iq>',
    ],
)
def test_malformed_xmpp_closes_that_session_alone(lab: Lab, garbage: bytes) -> None:
    with connect(lab, 5269) as peer:
        peer.sendall(garbage)
        closed_by_peer(peer)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00" * 19, (1, 1)),
        (b"\xff" * 16 + b"\x00\x05\x01", (1, 2)),
        (b"\xff" * 16 + b"\x00\x13\x09", (1, 3)),
    ],
)
def test_malformed_bgp_is_answered_by_the_right_notification_or_a_close(
    lab: Lab, message: bytes, code: tuple[int, int]
) -> None:
    """A host that is no configured peer may be closed at once; else RFC 4271 section 6.1."""
    with connect(lab, 179) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(message)
        heard = closed_by_peer(peer)
    notifications = [part for part in heard.split(b"\xff" * 16) if part[2:3] == b"\x03"]
    if notifications:
        assert (notifications[0][3], notifications[0][4]) in (code, (6, 5))


def test_random_bytes_on_every_control_port_change_nothing(lab: Lab) -> None:
    chance = random.Random(5)
    for port in (179, 5269):
        for _ in range(20):
            with connect(lab, port) as peer, contextlib.suppress(ConnectionError):
                peer.sendall(chance.randbytes(chance.randrange(1, 4000)))
