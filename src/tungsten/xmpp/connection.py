"""One XMPP session on one asyncio socket, and what its owner is told.

A :class:`Connection` joins one :class:`~tungsten.xmpp.stream.Session` to one socket: it moves
bytes, keeps one timer for the session's deadline, makes the TLS handshake, decodes stanzas, and
tells its :class:`Handler`. A handler that raises :class:`~tungsten.xmpp.errors.ProtocolError`
closes that session with the error and no other.

Writes are gathered and handed to the socket once per turn of the event loop
(:mod:`tungsten.xmpp.outbox`). When the peer reads slower than we write, ``writable`` turns false
and stays so until the backlog has drained (:meth:`Handler.writable` tells); a sender that heeds it
holds no more than one batch per peer. A peer that drains nothing for ``stall_time`` is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from xml.etree.ElementTree import Element

import structlog

from .errors import ProtocolError
from .outbox import Outbox, WriteTurn
from .stanzas import Stanza, StanzaDecoder, encode
from .stream import (
    Closed,
    Established,
    Event,
    Session,
    SessionOptions,
    StanzaReceived,
    StartTls,
    State,
)
from .tls import TlsFiles, names_of, reason_of

_log = structlog.get_logger("tungsten.xmpp")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """Sizes in bytes, times in seconds."""

    session: SessionOptions = field(default_factory=SessionOptions)
    high_water: int = 1024 * 1024
    low_water: int = 256 * 1024
    stall_time: float = 60.0
    pending_per_source: int = 64
    pending_total: int = 1024
    pending_grace: float = 2.0
    pending_most: int = 16384
    tcp_user_timeout: float = 15.0
    tls: TlsFiles | None = None
    handshake_time: float = 10.0
    handshakes: int = 64


class Handler(Protocol):
    """What a connection tells its owner."""

    def established(self, connection: Connection) -> None:
        """The session is up; ``connection.peer`` is known."""
        ...

    def received(self, connection: Connection, stanza: Stanza) -> None:
        """A whole stanza came."""
        ...

    def writable(self, connection: Connection) -> None:
        """The backlog has drained."""
        ...

    def closed(self, connection: Connection, condition: str, text: str) -> None:
        """The session is over; told once, and only if it was established."""
        ...


class Connection(asyncio.Protocol):
    """One session on one socket."""

    def __init__(
        self,
        session: Session,
        handler: Handler,
        options: TransportOptions,
        on_end: Callable[[Connection], None],
        turn: WriteTurn | None = None,
    ) -> None:
        self.session = session
        self.address = ""
        self.endpoint = ""
        #: Whom a client calls: what the server's certificate must prove.
        self.remote_name = ""
        #: Whether the peer is on this very host.
        self.is_local = False
        self.writable = True
        self.last_error = ""
        self._handler = handler
        self._options = options
        self._on_end = on_end
        self._decoder = StanzaDecoder()
        self._transport: asyncio.Transport | None = None
        self._outbox: Outbox | None = None
        self._loop = asyncio.get_running_loop()
        self._turn = turn or WriteTurn()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False
        self._told = False
        self._number = 0
        self._handshake: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        #: Names that the remote's certificate proves; none without.
        self.proven: tuple[str, ...] = ()
        self._stalled_since = 0.0
        self._stalled_at = 0

    @property
    def peer(self) -> str:
        """The remote's identity, from its stream header."""
        return self.session.peer

    @property
    def established(self) -> bool:
        """Whether stanzas can be sent."""
        return self.session.state is State.ESTABLISHED

    @property
    def is_writable(self) -> bool:
        """False while the peer reads slower than we write."""
        return self.writable

    @property
    def backlog(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._outbox.backlog if self._outbox is not None else 0

    def send(self, stanza: Stanza) -> None:
        """Encode and queue a stanza. Raises :class:`UsageError` when not established."""
        self._number += 1
        self.send_encoded(encode(stanza, self.session.local, self.peer, self._number))

    def send_encoded(self, *data: bytes) -> None:
        """Queue whole stanzas, in parts. Raises :class:`UsageError` when not established."""
        self.session.send(*data)
        if not self._flushing:
            self._flushing = True
            self._turn.add(self._flush)

    def close(self, condition: str = "", text: str = "") -> None:
        """End the session; a ``condition`` of RFC 6120 4.9.3 is told to the remote."""
        self._handle(self.session.close(condition, text))

    def abort(self) -> None:
        """Drop the socket at once, with whatever it has not taken."""
        if self._transport is not None:
            self._transport.abort()

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time in place."""
        self.session.set_hold_time(seconds, self._loop.time())
        self._arm()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._outbox = Outbox(transport, gathering=True)
        name = transport.get_extra_info("peername")
        if name:
            self.address, self.endpoint = name[0], f"{name[0]}:{name[1]}"
            self.is_local = transport.get_extra_info("sockname")[0] == self.address
        _keep_alive(transport.get_extra_info("socket"), self._options.tcp_user_timeout)
        self.session.start(self._loop.time())
        self._flush()
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Feed the session."""
        if self._handshake is not None:
            self._early.append(data)
            return
        self._handle(self.session.receive(data, self._loop.time()))

    def eof_received(self) -> None:
        """The remote is done; so are we."""
        self._handle(self.session.eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        events = self.session.eof()
        if exc is not None and events:
            events = [Closed("", f"connection lost: {exc}", ours=False)]
        self._handle(events)
        self._transport = self._outbox = None
        if self._handshake is not None:
            self._handshake.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._on_end(self)

    def pause_writing(self) -> None:
        """The socket is full."""
        if self._outbox is not None:
            self._outbox.pause()

    def resume_writing(self) -> None:
        """The socket takes more."""
        if self._outbox is not None:
            self._outbox.resume()
            self._settle_backlog(self._outbox)

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case StartTls():
                    self._start_tls()
                case Established(peer, _):
                    if why := self._impostor(peer):
                        self._reject("tls-name", why)
                        return
                    self._told = True
                    self._settled()
                    self._arm()
                    self._handler.established(self)
                case StanzaReceived(element):
                    if self._told and not self._receive(element):
                        return
                case Closed(condition, text):
                    self.last_error = f"{condition}: {text}" if condition else text
                    if self._told:
                        self._told = False
                        self._handler.closed(self, condition, text)
        self._flush()

    def _impostor(self, peer: str) -> str:
        """Why a client is not who it says; empty when it is, or when certificates do not tell."""
        files = self._options.tls
        if files is None or not files.is_server or (not self.proven and not files.demand):
            return ""
        if peer.partition("/")[0].lower() in self.proven:
            return ""
        return f"the certificate is of {', '.join(self.proven) or 'nobody'}, not of {peer}"

    def _reject(self, reason: str, text: str) -> None:
        """End a connection that never became a session."""
        self.session.close("not-authorized", text)
        self.last_error = f"{reason}: {text}"
        self._refused(reason)
        self._flush()

    def _refused(self, reason: str) -> None:
        """Tell of a connection that TLS kept out."""
        _log.warning("xmpp_refused", address=self.address, reason=self.last_error)

    def _start_tls(self) -> None:
        self._flush()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._arm()
            self._handshake = self._loop.create_task(self._secure(self._transport))

    def _settled(self) -> None:
        """The stream is open: this connection waits for nothing any more."""

    def _handshake_turn(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Handshakes take turns where many come at once."""
        return contextlib.nullcontext()

    async def _secure(self, plain: asyncio.Transport) -> None:
        files = self._options.tls
        assert files is not None
        try:
            async with self._handshake_turn():
                wrapped = await self._loop.start_tls(
                    plain,
                    self,
                    files.context(),
                    server_side=files.is_server,
                    server_hostname=None if files.is_server else self.remote_name,
                    ssl_handshake_timeout=self._options.handshake_time,
                )
            assert wrapped is not None
        except (OSError, ValueError) as error:
            reason, text = reason_of(error)
            self.last_error = f"{reason}: {text}"
            self.session.eof()
            self._refused(reason)
            plain.abort()
            return
        finally:
            self._handshake = None
        self._transport = wrapped
        self._outbox = Outbox(wrapped, gathering=False)
        self.proven = names_of(wrapped.get_extra_info("ssl_object"))
        self.session.secured(self._loop.time())
        self._flush()
        self._arm()
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def _receive(self, element: Element) -> bool:
        try:
            stanza = self._decoder.decode(element)
            if stanza is not None:
                self._handler.received(self, stanza)
        except ProtocolError as error:
            self._handle(self.session.fail(error))
            return False
        return True

    def _flush(self) -> None:
        self._flushing = False
        parts, outbox = self.session.take_parts(), self._outbox
        if outbox is None or self._transport is None:
            return
        if parts:
            outbox.send(parts)
        self._settle_backlog(outbox)

    def _settle_backlog(self, outbox: Outbox) -> None:
        """Say whether the peer keeps up, and end a session that has said its last words."""
        if self.session.state is State.CLOSED:
            if not outbox.size and self._transport is not None:
                self._transport.close()
        elif self.writable:
            if outbox.size > self._options.high_water:
                self.writable = False
                self._stalled_since = self._loop.time()
                self._stalled_at = self.backlog
        elif outbox.size <= self._options.low_water:
            self.writable = True
            if self.established:
                self._handler.writable(self)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.session.deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._handle(self.session.tick(now))
        if not self.writable and self._transport is not None:
            if self.backlog < self._stalled_at:
                self._stalled_since = now
            elif now - self._stalled_since >= self._options.stall_time:
                self.close("policy-violation", "the peer has stopped reading")
                self._transport.abort()
                return
            self._stalled_at = self.backlog
        if self.session.state is State.CLOSED and self._transport is not None and self.backlog:
            self._transport.abort()
        self._arm()


def _keep_alive(sock: socket.socket | None, user_timeout: float) -> None:
    """Find dead hosts by TCP within ``user_timeout``: idle 5 s, then probes each 3 s."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout * 1000))
