"""XMPP sessions on asyncio sockets: a server for control nodes, a client for agents.

A :class:`Connection` joins one :class:`~tungsten.xmpp.stream.Session` to one socket: it moves
bytes, keeps one timer for the session's deadline, decodes stanzas, and tells its
:class:`Handler`. A handler that raises :class:`~tungsten.xmpp.errors.ProtocolError` closes
that session with the error and no other.

Writes are gathered and handed to the socket once per turn of the event loop. When the peer
reads slower than we write, ``writable`` turns false and stays so until the backlog has
drained (:meth:`Handler.writable` tells); a sender that heeds it holds no more than one batch
per peer. A peer that drains nothing for ``stall_time`` is closed.

:class:`XmppClient` stays connected by itself: after the n-th failure it waits 0.05, 1, 2, 4,
8, 16, then 30 s, give or take a tenth, and starts over once a session has shown three
keepalives.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from xml.etree.ElementTree import Element

import structlog

from .errors import ProtocolError, UsageError
from .stanzas import Stanza, StanzaDecoder, encode
from .stream import (
    CONTROL_JID,
    Closed,
    Established,
    Event,
    Role,
    Session,
    SessionOptions,
    StanzaReceived,
    State,
)

BACKOFF = (0.05, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_PORT = 5269
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
    tcp_user_timeout: float = 15.0


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
    ) -> None:
        self.session = session
        self.address = ""
        self.endpoint = ""
        #: Whether the peer is on this very host.
        self.is_local = False
        self.writable = True
        self.last_error = ""
        self._handler = handler
        self._options = options
        self._on_end = on_end
        self._decoder = StanzaDecoder()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False
        self._told = False
        self._number = 0
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
        return self._transport.get_write_buffer_size() if self._transport else 0

    def send(self, stanza: Stanza) -> None:
        """Encode and queue a stanza. Raises :class:`UsageError` when not established."""
        self._number += 1
        self.send_encoded(encode(stanza, self.session.local, self.peer, self._number))

    def send_encoded(self, *data: bytes) -> None:
        """Queue whole stanzas, in parts. Raises :class:`UsageError` when not established."""
        self.session.send(*data)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

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
        transport.set_write_buffer_limits(self._options.high_water, self._options.low_water)
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
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._on_end(self)

    def pause_writing(self) -> None:
        """The backlog is over the high water mark."""
        self.writable = False
        self._stalled_since = self._loop.time()
        self._stalled_at = self.backlog

    def resume_writing(self) -> None:
        """The backlog is under the low water mark."""
        self.writable = True
        if self.established:
            self._handler.writable(self)

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Established():
                    self._told = True
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
        output = self.session.take_output()
        if self._transport is None:
            return
        if output and not self._transport.is_closing():
            self._transport.write(output)
        if self.session.state is State.CLOSED and not self._transport.is_closing():
            self._transport.close()

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


class XmppServer:
    """Listens for agents."""

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        name: str = CONTROL_JID,
        options: TransportOptions | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.name = name
        self.options = options or TransportOptions()
        self.connections: set[Connection] = set()
        self.refused: Counter[str] = Counter()
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Listen. ``port`` 0 is replaced by the one that the system chose."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._accept, self.host, self.port, reuse_address=True, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every session and the listening socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.close("system-shutdown", "the control node stops")
        if self.connections:
            try:
                await asyncio.wait_for(self._idle.wait(), 1.0)
            except TimeoutError:
                for connection in list(self.connections):
                    connection.abort()

    def _accept(self) -> Connection:
        session = Session(Role.SERVER, self.name, self.options.session)
        connection = _ServerConnection(session, self._handler, self.options, self)
        self.connections.add(connection)
        self._idle.clear()
        return connection

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self._idle.set()

    def admit(self, connection: Connection) -> str:
        """Why a fresh connection is too many; empty when it is welcome."""
        pending = [c for c in self.connections if not c.established and c is not connection]
        if len(pending) >= self.options.pending_total:
            return f"{len(pending)} connections wait for their stream header"
        same = sum(c.address == connection.address for c in pending)
        if same >= self.options.pending_per_source:
            return f"{same} connections of {connection.address} wait for their stream header"
        return ""


class _ServerConnection(Connection):
    """A connection that counts itself in and out of its server."""

    def __init__(
        self,
        session: Session,
        handler: Handler,
        options: TransportOptions,
        server: XmppServer,
    ) -> None:
        super().__init__(session, handler, options, server.forget)
        self._owner = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        why = self._owner.admit(self)
        if why:
            self._owner.refused["too-many-pending"] += 1
            self.close("resource-constraint", why)

    def data_received(self, data: bytes) -> None:
        established = self.established
        super().data_received(data)
        if self.session.state is State.CLOSED and not established and self.last_error:
            self._owner.refused[self.last_error.partition(":")[0]] += 1
            _log.warning("xmpp_refused", address=self.address, reason=self.last_error)


class XmppClient:
    """Keeps one session to one control node.

    Callbacks: ``on_established()``, ``on_stanza(stanza)``, ``on_closed(text)``, and
    ``on_writable()`` when a backlog has drained. What was sent in a session that ended is
    lost: whoever sends starts over in ``on_established``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        local_name: str,
        *,
        on_established: Callable[[], None],
        on_stanza: Callable[[Stanza], None],
        on_closed: Callable[[str], None],
        on_writable: Callable[[], None] | None = None,
        source_address: str = "",
        options: TransportOptions | None = None,
    ) -> None:
        self.host = host
        self.port = port or _PORT
        self.local_name = local_name
        self.source_address = source_address
        self.options = options or TransportOptions()
        self.attempts = 0
        self.last_error = ""
        self.flaps = 0
        self._on_established = on_established
        self._on_stanza = on_stanza
        self._on_closed = on_closed
        self._on_writable = on_writable
        self._connection: Connection | None = None
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_established(self) -> bool:
        """Whether :meth:`send` works now."""
        return self._connection is not None and self._connection.established

    @property
    def is_writable(self) -> bool:
        """False while the control node reads slower than we send."""
        return self._connection is not None and self._connection.writable

    @property
    def peer(self) -> str:
        """The control node's identity while connected."""
        return self._connection.peer if self._connection else ""

    def send(self, stanza: Stanza) -> None:
        """Send a stanza. Raises :class:`UsageError` when not established."""
        if self._connection is None:
            raise UsageError(f"send to {self.host}:{self.port}, which is not connected")
        self._connection.send(stanza)

    async def start(self) -> None:
        """Begin to connect, and keep on."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"xmpp {self.host}:{self.port}")

    async def stop(self) -> None:
        """Close the session and do not come back."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()
            try:
                await asyncio.wait_for(self._ended.wait(), 1.0)
            except TimeoutError:
                self._connection.abort()
                await asyncio.sleep(0)

    def disconnect(self, condition: str = "", text: str = "") -> None:
        """Drop the present session; a new one follows."""
        if self._connection is not None:
            self._connection.close(condition, text)

    def delay(self) -> float:
        """Seconds to wait before the next attempt."""
        base = BACKOFF[min(self.attempts, len(BACKOFF) - 1)]
        return base * random.uniform(0.9, 1.1)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        local = (self.source_address, 0) if self.source_address else None
        while True:
            await asyncio.sleep(self.delay())
            self.attempts += 1
            self._ended.clear()
            try:
                async with asyncio.timeout(self.options.session.open_time):
                    _, self._connection = await loop.create_connection(
                        self._make, self.host, self.port, local_addr=local
                    )
            except (OSError, TimeoutError) as error:
                self.last_error = f"{self.host}:{self.port}: {error or 'connect timed out'}"
                if self.attempts in (1, 4) or self.attempts % 20 == 0:
                    _log.info("xmpp_connect_failed", attempt=self.attempts, error=self.last_error)
                continue
            await self._ended.wait()

    def _make(self) -> Connection:
        session = Session(Role.CLIENT, self.local_name, self.options.session)
        return Connection(session, self, self.options, self._end)

    def _end(self, connection: Connection) -> None:
        if connection.session.keepalives >= 3:
            self.attempts = 0
        self.last_error = connection.last_error or self.last_error
        self._connection = None
        self._ended.set()

    # Handler

    def established(self, connection: Connection) -> None:
        """Tell the owner; remember the connection before it sends."""
        self._connection = connection
        self._on_established()

    def received(self, connection: Connection, stanza: Stanza) -> None:
        """Pass a stanza on."""
        self._on_stanza(stanza)

    def writable(self, connection: Connection) -> None:
        """Pass on that the backlog has drained."""
        if self._on_writable is not None:
            self._on_writable()

    def closed(self, connection: Connection, condition: str, text: str) -> None:
        """Tell the owner why the session ended."""
        self.flaps += 1
        self._on_closed(f"{condition}: {text}" if condition else text)


def _keep_alive(sock: socket.socket | None, user_timeout: float) -> None:
    """Find dead hosts by TCP within ``user_timeout``: idle 5 s, then probes each 3 s."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout * 1000))
