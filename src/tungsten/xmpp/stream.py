"""XMPP sessions between agents and control nodes, without I/O.

Theory of operation
===================

Each end owns a :class:`Session`: it is told of bytes and of time, and answers with events and
with bytes to send (:meth:`Session.take_output`). Nothing here opens a socket or reads a clock.

There is no SASL, no resource binding, no presence: a session is the exchange of two stream
headers, after which stanzas flow both ways. The server never connects out.

======== ============= ============================ ============= =========================
role     state         what happens                 next          what is sent
======== ============= ============================ ============= =========================
client   IDLE          ``start``                    OPEN_SENT     stream header
client   OPEN_SENT     header of the server         ESTABLISHED   keepalive
client   OPEN_SENT     the same, TLS wanted         TLS_WAIT
client   TLS_WAIT      features with starttls       TLS_WAIT      starttls
client   TLS_WAIT      proceed                      TLS_START
server   IDLE          ``start``                    OPEN_WAIT
server   OPEN_WAIT     header of the client         ESTABLISHED   stream header
server   OPEN_WAIT     the same, TLS wanted         TLS_WAIT      stream header, features
server   TLS_WAIT      starttls                     TLS_START     proceed
both     TLS_START     ``secured``                  OPEN_*        client: stream header
both     TLS_*         open time passed             CLOSED        error, end of stream
both     OPEN_*        open time passed             CLOSED        error, end of stream
both     ESTABLISHED   stanza, keepalive            ESTABLISHED
both     ESTABLISHED   hold time / 3 passed         ESTABLISHED   keepalive
both     ESTABLISHED   hold time without reception  CLOSED        error, end of stream
both     any           malformed bytes              CLOSED        error, end of stream
both     any           ``</stream:stream>``, EOF    CLOSED        end of stream
both     any           ``close``                    CLOSED        error if any, end of stream
======== ============= ============================ ============= =========================

Hold time is not negotiated: both ends are configured with the same (90 s unless said
otherwise), and a third of it is the keepalive interval, sent whether or not other traffic
flows. Upstream's peers never send ``<stream:error>`` and ignore ours; between our own ends it
says why a session ended.

With TLS, headers are exchanged in the clear, then ``starttls`` is offered, asked for and granted
(RFC 6120 section 5), the owner makes the handshake and says ``secured``, and headers are exchanged
again. Nothing that came before counts: the reader is new, and what came behind ``starttls`` in the
clear is never read. There is no fallback: an end that wants TLS has no session without.

The client's header keeps ``xmlns:stream`` as its last attribute: upstream's server looks for
the end of the header behind that value. The client's ``xmlns`` carries the name of its
sub-cluster, normally empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from xml.etree.ElementTree import Element

from .errors import ProtocolError, UsageError
from .framing import Frame, FrameKind, FrameReader, Limits
from .text import escape

CONTROL_JID = "network-control@contrailsystems.com"
KEEPALIVE = b"\xc8\x80"
_STREAMS = "http://etherx.jabber.org/streams"
_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
_FEATURES = (
    f'<stream:features><starttls xmlns="{_TLS}"><required/></starttls></stream:features>'.encode()
)
_STARTTLS = f'<starttls xmlns="{_TLS}"/>'.encode()
_PROCEED = f'<proceed xmlns="{_TLS}"/>'.encode()
_IDENTITY = re.compile(r"[A-Za-z0-9._-]{1,253}(/dns)?")


class Role(Enum):
    """Which end of the session this is."""

    CLIENT = "client"
    SERVER = "server"


class State(Enum):
    """Where a session stands; see the table above."""

    IDLE = "idle"
    OPEN_SENT = "open-sent"
    OPEN_WAIT = "open-wait"
    TLS_WAIT = "tls-wait"
    TLS_START = "tls-start"
    ESTABLISHED = "established"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Established:
    """Headers are exchanged. ``peer`` is the remote's ``from``; ``subcluster`` its ``xmlns``."""

    peer: str
    subcluster: str


@dataclass(frozen=True, slots=True)
class StanzaReceived:
    """One whole child of the stream, as parsed; :mod:`tungsten.xmpp.stanzas` reads it."""

    element: Element


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over. ``ours`` tells who ended it; the output may still hold last words."""

    condition: str
    text: str
    ours: bool


@dataclass(frozen=True, slots=True)
class StartTls:
    """Both ends want the TLS handshake now; :meth:`Session.secured` goes on after it."""


Event = StartTls | Established | StanzaReceived | Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Times in seconds."""

    hold_time: float = 90.0
    open_time: float = 15.0
    subcluster: str = ""
    tls: bool = False
    limits: Limits = field(default_factory=Limits)


class Session:
    """One end of one stream."""

    def __init__(self, role: Role, local: str, options: SessionOptions | None = None) -> None:
        self.role = role
        self.local = local
        self.peer = ""
        self.state = State.IDLE
        self.keepalives = 0
        self.is_secure = False
        self._remote = CONTROL_JID
        self.options = options or SessionOptions()
        self._reader = FrameReader(self.options.limits)
        self._output: list[bytes] = []
        self._hold_until = 0.0
        self._keepalive_at = 0.0

    def start(self, now: float, remote: str = CONTROL_JID) -> None:
        """Begin on a fresh connection. ``remote`` is whom a client calls."""
        if self.state is not State.IDLE:
            raise UsageError(f"start of a session that is {self.state.value}")
        self._hold_until = now + self.options.open_time
        if self.role is Role.SERVER:
            self.state = State.OPEN_WAIT
            return
        self._remote = remote
        self._open()

    def secured(self, now: float) -> None:
        """The TLS handshake is done: begin again, with nothing of what was said before."""
        if self.state is not State.TLS_START:
            raise UsageError(f"TLS on a session that is {self.state.value}")
        self.is_secure = True
        self.peer = ""
        self._reader = FrameReader(self.options.limits)
        self._hold_until = now + self.options.open_time
        if self.role is Role.SERVER:
            self.state = State.OPEN_WAIT
        else:
            self._open()

    def _open(self) -> None:
        self.state = State.OPEN_SENT
        self._output.append(
            f'<stream:stream from="{escape(self.local)}" to="{escape(self._remote)}" version="1.0" '
            f'xml:lang="en" xmlns="{escape(self.options.subcluster)}" '
            f'xmlns:stream="{_STREAMS}"  >'.encode()
        )

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the remote; malformed ones end in a :class:`Closed` event."""
        if self.state is State.IDLE:
            raise UsageError("bytes before start")
        events: list[Event] = []
        if self.state in (State.CLOSED, State.TLS_START):
            return events
        try:
            for frame in self._reader.feed(data):
                if self._frame(frame, now, events) in (State.CLOSED, State.TLS_START):
                    break
        except ProtocolError as error:
            events += self.fail(error)
        return events

    def tick(self, now: float) -> list[Event]:
        """Let time pass. To be called at :meth:`deadline` or later."""
        if self.state in (State.IDLE, State.CLOSED):
            return []
        if now >= self._hold_until:
            if self.state is State.ESTABLISHED:
                why = f"nothing received for the hold time of {self.options.hold_time:g} s"
            else:
                what = "TLS" if self.options.tls and not self.is_secure else "stream header"
                why = f"no {what} within {self.options.open_time:g} s"
            return self.close("connection-timeout", why)
        if self.state is State.ESTABLISHED and now >= self._keepalive_at:
            self._output.append(KEEPALIVE)
            self._keepalive_at = now + self.options.hold_time / 3
        return []

    def deadline(self) -> float | None:
        """When :meth:`tick` has something to do; None for a session without timers."""
        if self.state in (State.IDLE, State.CLOSED):
            return None
        if self.state is State.ESTABLISHED:
            return min(self._hold_until, self._keepalive_at)
        return self._hold_until

    def set_hold_time(self, seconds: float, now: float) -> None:
        """Change the hold time of a running session in place."""
        self.options = SessionOptions(
            hold_time=seconds,
            open_time=self.options.open_time,
            subcluster=self.options.subcluster,
            tls=self.options.tls,
            limits=self.options.limits,
        )
        if self.state is State.ESTABLISHED:
            self._hold_until = now + seconds
            self._keepalive_at = min(self._keepalive_at, now + seconds / 3)

    def send(self, *stanza: bytes) -> None:
        """Queue an encoded stanza, whole or in parts."""
        if self.state is not State.ESTABLISHED:
            raise UsageError(f"send on a session that is {self.state.value}")
        self._output += stanza

    def fail(self, error: ProtocolError) -> list[Event]:
        """Close because of the remote's mistake."""
        return self.close(error.condition, error.text)

    def close(self, condition: str = "", text: str = "") -> list[Event]:
        """End the session from this end; a ``condition`` is told to the remote."""
        if self.state in (State.IDLE, State.CLOSED):
            self.state = State.CLOSED
            return []
        if self.role is Role.SERVER and self.state is State.OPEN_WAIT:
            self._output.append(self._response())
        if condition:
            self._output.append(
                f'<stream:error><{condition} xmlns="urn:ietf:params:xml:ns:xmpp-streams"/>'
                f'<text xmlns="urn:ietf:params:xml:ns:xmpp-streams">{escape(text)}</text>'
                "</stream:error>".encode()
            )
        self._output.append(b"</stream:stream>")
        self.state = State.CLOSED
        return [Closed(condition, text, ours=True)]

    def eof(self) -> list[Event]:
        """The remote's half of the connection ended."""
        if self.state in (State.IDLE, State.CLOSED):
            self.state = State.CLOSED
            return []
        self.state = State.CLOSED
        return [Closed("", "connection closed by the remote", ours=False)]

    def take_output(self) -> bytes:
        """Bytes to send, handed over once."""
        return b"".join(self.take_parts())

    def take_parts(self) -> list[bytes]:
        """The same in the parts that it was made of, which may be shared with other sessions."""
        parts, self._output = self._output, []
        return parts

    def _frame(self, frame: Frame, now: float, events: list[Event]) -> State:
        if frame.kind is FrameKind.HEADER:
            self._header(frame.element, now, events)
            return self.state
        if self.state is State.TLS_WAIT and frame.kind is not FrameKind.END:
            self._negotiate(frame, now, events)
            return self.state
        self._hold_until = now + self.options.hold_time
        if frame.kind is FrameKind.END:
            self._output.append(b"</stream:stream>")
            self.state = State.CLOSED
            events.append(Closed("", "stream closed by the remote", ours=False))
        elif frame.kind is FrameKind.ELEMENT:
            if frame.element.tag == "stream:error":
                self._remote_error(frame.element, events)
            elif frame.element.tag == "stream:features" and self.role is Role.CLIENT:
                raise ProtocolError("policy-violation", "the server demands TLS")
            else:
                events.append(StanzaReceived(frame.element))
        else:
            self.keepalives += 1
        return self.state

    def _negotiate(self, frame: Frame, now: float, events: list[Event]) -> None:
        """Before the handshake nothing but its negotiation is heard."""
        element = frame.element
        if frame.kind is not FrameKind.ELEMENT:
            raise ProtocolError("policy-violation", "TLS is demanded; the remote goes on without")
        if self.role is Role.SERVER and element.tag == "starttls" and element.get("xmlns") == _TLS:
            self._output.append(_PROCEED)
        elif self.role is Role.CLIENT and element.tag == "stream:features":
            if not any(child.tag == "starttls" for child in element):
                raise ProtocolError("policy-violation", "the server offers no TLS")
            self._output.append(_STARTTLS)
            return
        elif element.tag == "stream:error":
            self._remote_error(element, events)
            return
        elif self.role is Role.SERVER or element.tag != "proceed":
            raise ProtocolError("policy-violation", f"<{element.tag[:32]}> where TLS is demanded")
        self.state = State.TLS_START
        self._hold_until = now + self.options.open_time
        events.append(StartTls())

    def _header(self, header: Element, now: float, events: list[Event]) -> None:
        if header.tag != "stream:stream":
            raise ProtocolError(
                "bad-format", f"first element is <{header.tag[:32]}>, expected <stream:stream>"
            )
        peer = header.get("from", "")
        if self.role is Role.SERVER:
            if not _IDENTITY.fullmatch(peer):
                raise ProtocolError(
                    "improper-addressing",
                    f"from is {peer[:64]!r}; expected a host name of letters, digits, '.-_'",
                )
            self.peer = peer
            self._output.append(self._response())
        else:
            if peer == self.local:
                raise ProtocolError("improper-addressing", f"the server is {peer!r} as we are")
            self.peer = peer
        if self.options.tls and not self.is_secure:
            self.state = State.TLS_WAIT
            if self.role is Role.SERVER:
                self._output.append(_FEATURES)
            return
        if self.role is Role.CLIENT:
            self._output.append(KEEPALIVE)
        self.state = State.ESTABLISHED
        self._hold_until = now + self.options.hold_time
        self._keepalive_at = now + self.options.hold_time / 3
        events.append(Established(peer, header.get("xmlns", "")))

    def _response(self) -> bytes:
        return (
            f'<stream:stream from="{escape(self.local)}" to="{escape(self.peer)}" id="++123" '
            'version="1.0" xml:lang="en" xmlns="jabber:client" '
            f'xmlns:stream="{_STREAMS}"  >'.encode()
        )

    def _remote_error(self, error: Element, events: list[Event]) -> None:
        condition = ""
        text = ""
        for child in error:
            if child.tag == "text":
                text = child.text or ""
            else:
                condition = child.tag
        self._output.append(b"</stream:stream>")
        self.state = State.CLOSED
        events.append(Closed(condition, text, ours=False))
