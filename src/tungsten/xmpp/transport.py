"""XMPP sessions on asyncio sockets: a server for control nodes, a client for agents.

Both own :class:`~tungsten.xmpp.connection.Connection` objects, one per socket.

:class:`XmppClient` stays connected by itself: after the n-th failure it waits 0.05, 1, 2, 4,
8, 16, then 30 s, give or take a tenth, and starts over once a session has shown three
keepalives.

With :class:`~tungsten.xmpp.tls.TlsFiles` in its options, an end has no session without TLS; a
server takes a client only under a name that the client's certificate proves.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import structlog

from .connection import Connection, Handler, TransportOptions
from .errors import UsageError
from .outbox import WriteTurn
from .stanzas import Stanza
from .stream import (
    CONTROL_JID,
    Role,
    Session,
    SessionOptions,
    State,
)

BACKOFF = (0.05, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_PORT = 5269
_log = structlog.get_logger("tungsten.xmpp")


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
        #: Connections that have not opened their stream; how many of them an address has; and
        #: when those came that have sent no header at all, the oldest first.
        self._pending: set[Connection] = set()
        self._sources: Counter[str] = Counter()
        self._silent: dict[Connection, float] = {}
        #: Limits how many handshakes run at once.
        self.handshakes = asyncio.Semaphore(self.options.handshakes)
        self.write_turn = WriteTurn()
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Listen. ``port`` 0 is replaced by the one that the system chose.

        Raises ``ValueError`` for certificates that cannot be used.
        """
        loop = asyncio.get_running_loop()
        if self.options.tls is not None:
            self.options.tls.context()
        self._server = await loop.create_server(
            self._accept, self.host, self.port, reuse_address=True, backlog=4096
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
        session = Session(Role.SERVER, self.name, _secured(self.options))
        connection = _ServerConnection(session, self._handler, self.options, self)
        self.connections.add(connection)
        self._idle.clear()
        return connection

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self.settle(connection)
        if not self.connections:
            self._idle.set()

    def admit(self, connection: Connection) -> str:
        """Why a fresh connection is too many; empty when it may wait for its stream header.

        When all places are taken, it takes that of the oldest which has said nothing for
        ``pending_grace``. Agents that come back all at once are accepted in one go, before the
        first of them is read: they have places until they have had time to speak.
        """
        same = self._sources[connection.address]
        if same >= self.options.pending_per_source:
            return f"{same} connections of {connection.address} wait for their stream header"
        now = asyncio.get_running_loop().time()
        if len(self._pending) >= self.options.pending_total:
            oldest, since = next(iter(self._silent.items()), (None, now))
            if oldest is not None and now - since >= self.options.pending_grace:
                self.refused["too-many-pending"] += 1
                oldest.close("resource-constraint", "no stream header, and others want the place")
                self.settle(oldest)
            elif len(self._pending) >= self.options.pending_most:
                return f"{len(self._pending)} connections wait for their stream header"
        self._pending.add(connection)
        self._silent[connection] = now
        self._sources[connection.address] += 1
        return ""

    def heard(self, connection: Connection) -> None:
        """A connection has sent a stream header; TLS may still be to come."""
        self._silent.pop(connection, None)

    def settle(self, connection: Connection) -> None:
        """A connection has opened its stream, or is gone."""
        if connection in self._pending:
            self._pending.discard(connection)
            self._silent.pop(connection, None)
            self._sources[connection.address] -= 1
            if not self._sources[connection.address]:
                del self._sources[connection.address]


class _ServerConnection(Connection):
    """A connection that counts itself in and out of its server."""

    def __init__(
        self,
        session: Session,
        handler: Handler,
        options: TransportOptions,
        server: XmppServer,
    ) -> None:
        super().__init__(session, handler, options, server.forget, server.write_turn)
        self._owner = server

    def _settled(self) -> None:
        self._owner.settle(self)

    def _handshake_turn(self) -> contextlib.AbstractAsyncContextManager[object]:
        return self._owner.handshakes

    def _refused(self, reason: str) -> None:
        self._owner.refused[reason] += 1
        super()._refused(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        why = self._owner.admit(self)
        if why:
            self._owner.refused["too-many-pending"] += 1
            self.close("resource-constraint", why)

    def data_received(self, data: bytes) -> None:
        established = self.established
        super().data_received(data)
        if established:
            return
        if self.session.peer:
            self._owner.heard(self)
        closed, error = self.session.state is State.CLOSED, self.last_error
        if closed and error and not error.startswith("tls-"):
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
        session = Session(Role.CLIENT, self.local_name, _secured(self.options))
        connection = Connection(session, self, self.options, self._end)
        connection.remote_name = self.host
        return connection

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


def _secured(options: TransportOptions) -> SessionOptions:
    return replace(options.session, tls=options.tls is not None)


__all__ = ["BACKOFF", "Connection", "Handler", "TransportOptions", "XmppClient", "XmppServer"]
