"""BGP sessions on asyncio sockets: a speaker with one listener and any number of neighbours.

A :class:`Speaker` listens, and owns a :class:`Peer` for each neighbour. A peer joins one
:class:`~tungsten.bgp.session.Session` to its sockets: it moves octets, keeps one timer for the
session's deadline, dials when told, and tells its :class:`Handler` what happened. Everything
that a neighbour can send stays inside its own session: octets that cannot be used close that
connection with a NOTIFICATION that names the cause.

Connections from an address that is no neighbour's are answered with Cease/5 and closed before
a byte is read. A neighbour has at most one incoming connection that is not Established, for at
most the session's open time, so half-open connections are bounded by the number of neighbours.

Writes go to the socket's buffer. Above ``high_water`` octets the peer is not
:attr:`Peer.writable` until the buffer has drained (:meth:`Handler.writable` tells); a sender
that heeds it holds no more than one batch more. A peer that drains nothing for the send hold
time (RFC 9687) is closed.

TCP MD5 signatures (RFC 2385) are set by a neighbour's ``md5`` key, and time-to-live security
(RFC 5082) by ``ttl_security``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol, cast

import structlog

from tungsten.bgp.attributes import AttributeStore
from tungsten.bgp.errors import CeaseError, ErrorCode, ProtocolError, UsageError
from tungsten.bgp.fsm import (
    Action,
    CancelDial,
    Dial,
    Down,
    Drop,
    LinkId,
    Received,
    ReceivedRun,
    State,
    Up,
    Write,
)
from tungsten.bgp.messages import Notification, RouteRefresh, encode_message
from tungsten.bgp.negotiation import Negotiated, SessionConfig
from tungsten.bgp.session import Session
from tungsten.bgp.update import Update

PORT = 179
_TCP_MD5SIG = 14
_IP_MINTTL, _IPV6_MINHOPCOUNT = 21, 73
_REJECTED = encode_message(Notification(ErrorCode.CEASE, CeaseError.CONNECTION_REJECTED))
_LINGER = 1.0
_log = structlog.get_logger("tungsten.bgp")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """A neighbour: its session, and where it is. ``local_address`` empty leaves it to routing."""

    session: SessionConfig
    address: str
    port: int = PORT
    local_address: str = ""
    md5: str = ""
    ttl_security: bool = False
    high_water: int = 1024 * 1024
    low_water: int = 256 * 1024


class Handler(Protocol):
    """What a peer tells its owner."""

    def up(self, peer: Peer, negotiated: Negotiated) -> None:
        """The session is Established."""
        ...

    def received(self, peer: Peer, message: Update | RouteRefresh) -> None:
        """Routes, or a wish for them."""
        ...

    def writable(self, peer: Peer) -> None:
        """The backlog has drained."""
        ...

    def down(self, peer: Peer, down: Down) -> None:
        """The session is over; only after :meth:`up`."""
        ...


class RunReader(Protocol):
    """Who takes the UPDATE messages of a neighbour undecoded, whole runs of them."""

    def find_run(self, data: bytes, at: int) -> int:
        """Where the whole UPDATE messages end that begin at ``at``; ``at`` if there is none."""
        ...

    def updates(self, peer: Peer, run: bytes) -> ProtocolError | None:
        """Take a run; the error that must close the session, if there is one."""
        ...


class _Connection(asyncio.Protocol):
    """One socket of a peer. Serves as the session's link id."""

    def __init__(self, peer: Peer, outgoing: bool) -> None:
        self.peer = peer
        self.outgoing = outgoing
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        config = self.peer.config
        self.transport.set_write_buffer_limits(config.high_water, config.low_water)
        self.peer.connection_made(self)

    def data_received(self, data: bytes) -> None:
        self.peer.data_received(self, data)

    def pause_writing(self) -> None:
        self.peer.blocked(self)

    def resume_writing(self) -> None:
        self.peer.unblocked(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.peer.connection_lost(self, str(exc) if exc else "connection closed by peer")

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        """Close when what was written has gone out, or after a second."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.close()
            asyncio.get_running_loop().call_later(_LINGER, transport.abort)


class Peer:
    """A neighbour with its sockets. Made by :meth:`Speaker.add`."""

    def __init__(
        self,
        config: PeerConfig,
        handler: Handler,
        store: AttributeStore,
        reader: RunReader | None = None,
    ) -> None:
        self.config = config
        find_run = reader.find_run if reader is not None else None
        self.session = Session(config.session, store, find_run=find_run)
        self._reader = reader
        self.negotiated: Negotiated | None = None
        self.writable = True
        self.counters: Counter[str] = Counter()
        self.last_error = ""
        self.last_state = State.IDLE
        self.changed_at = 0.0
        self._state = State.IDLE
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._link: _Connection | None = None
        self._connections: set[_Connection] = set()
        self._dial: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The neighbour's configured name."""
        return self.config.session.name

    @property
    def state(self) -> State:
        """The session's state."""
        return self.session.state

    @property
    def established(self) -> bool:
        """Whether routes can be sent."""
        return self._link is not None

    def send(self, data: bytes) -> None:
        """Send whole messages on the Established link; ``UsageError`` when there is none."""
        if self._link is None:
            raise UsageError(f"neighbour {self.name} is not Established")
        self._link.write(data)
        self.counters["octets_out"] += len(data)

    def start(self) -> None:
        """Look for the neighbour from now on."""
        self._act(self.session.start(self._loop.time()))

    def stop(self, notification: Notification | None = None) -> None:
        """Close the session and rest. Nothing of the peer is left running."""
        self._act(self.session.stop(self._loop.time(), notification))

    def reset(self, notification: Notification, rest: float = 0.0) -> None:
        """Close the session with a NOTIFICATION; it comes back after ``rest`` seconds or more."""
        self._act(self.session.reset(self._loop.time(), notification, rest))

    # --- from the sockets

    def connection_made(self, link: _Connection) -> None:
        """A socket is connected."""
        self._connections.add(link)
        now = self._loop.time()
        if link.outgoing:
            self._act(self.session.connected(now, link))
        else:
            self._act(self.session.accepted(now, link))

    def data_received(self, link: _Connection, data: bytes) -> None:
        """Octets came."""
        self.counters["octets_in"] += len(data)
        self._act(self.session.received(self._loop.time(), link, data))

    def connection_lost(self, link: _Connection, reason: str) -> None:
        """A socket is gone."""
        self._connections.discard(link)
        self._act(self.session.closed(self._loop.time(), link, reason))

    def blocked(self, link: _Connection) -> None:
        """A socket's backlog is at its limit."""
        if link is self._link:
            self.writable = False
        self._act(self.session.blocked(self._loop.time(), link))

    def unblocked(self, link: _Connection) -> None:
        """A socket's backlog has drained."""
        self._act(self.session.unblocked(link))
        if link is self._link and not self.writable:
            self.writable = True
            self._handler.writable(self)

    # --- what the session wants

    def _act(self, actions: list[Action]) -> None:
        if self.session.state is not self._state:
            self.last_state, self._state = self._state, self.session.state
            self.changed_at = time.time()
        for action in actions:
            match action:
                case Received(message):
                    self.counters["updates_in"] += 1
                    self._handler.received(self, message)
                case ReceivedRun(link, octets):
                    self._run(link, octets)
                case Write(link, data):
                    cast(_Connection, link).write(data)
                case Drop(link, reason):
                    self._drop(cast(_Connection, link), reason)
                case Up(link, negotiated):
                    self._up(cast(_Connection, link), negotiated)
                case Down():
                    self._down(action)
                case Dial():
                    self._cancel_dial()
                    self._dial = self._loop.create_task(self._connect(), name=f"dial {self.name}")
                case CancelDial():
                    self._cancel_dial()
        self._arm()

    def _run(self, link: LinkId, octets: bytes) -> None:
        """Have UPDATE messages taken, if their link has not been closed meanwhile."""
        assert self._reader is not None
        if not self.session.has(link):
            return
        error = self._reader.updates(self, octets)
        if error is not None:
            self._act(self.session.refuse(self._loop.time(), link, error))

    def _drop(self, link: _Connection, reason: str) -> None:
        self.last_error = reason
        if link is not self._link:
            _log.info("connection_closed", neighbor=self.name, reason=reason)
        link.close()

    def _up(self, link: _Connection, negotiated: Negotiated) -> None:
        self._link = link
        self.negotiated = negotiated
        self.writable = True
        self.counters["established"] += 1
        families = [str(family) for family in sorted(negotiated.families)]
        _log.info("session_up", neighbor=self.name, families=families)
        self._handler.up(self, negotiated)

    def _down(self, down: Down) -> None:
        self._link = None
        self.negotiated = None
        _log.warning("session_down", neighbor=self.name, reason=down.reason)
        self._handler.down(self, down)

    def _arm(self) -> None:
        """Have one timer, due no later than the session's deadline."""
        deadline = self.session.deadline
        if deadline == float("inf"):
            if self._timer is not None and self.session.is_stopped:
                self._timer.cancel()
                self._timer = None
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self._timer = None
        self._act(self.session.timeout(self._loop.time()))

    # --- dialling

    def _cancel_dial(self) -> None:
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None

    async def _connect(self) -> None:
        config = self.config
        family = socket.AF_INET6 if ip_address(config.address).version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if config.md5:
                set_md5(sock, config.address, config.md5)
            if config.ttl_security:
                secure_ttl(sock)
            if config.local_address:
                sock.bind((config.local_address, 0))
            await self._loop.sock_connect(sock, (config.address, config.port))
            self._dial = None
            await self._loop.create_connection(lambda: _Connection(self, True), sock=sock)
        except OSError as error:
            sock.close()
            self.last_error = f"connect to {config.address} port {config.port}: {error}"
            self._act(self.session.connect_failed(self._loop.time()))
        except asyncio.CancelledError:
            sock.close()
            raise


def set_md5(sock: socket.socket, address: str, key: str) -> None:
    """Sign and require signatures with ``key`` towards ``address`` (empty: no more).

    ``struct tcp_md5sig`` of linux/tcp.h: sockaddr_storage, flags, prefix length, key length,
    interface, key.
    """
    packed = ip_address(address).packed
    octets = key.encode()
    if len(octets) > 80:
        raise UsageError(f"MD5 key of {len(octets)} octets for {address}: 80 at most")
    if len(packed) == 4:
        peer = struct.pack("=HH4s", socket.AF_INET, 0, packed)
    else:
        peer = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0)
    option = struct.pack("=128sBBHi80s", peer, 0, 0, len(octets), 0, octets)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, option)


def _send_far(sock: socket.socket) -> None:
    """Send with the highest time to live: a listener's answers may meet a peer that asks it."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)


def secure_ttl(sock: socket.socket) -> None:
    """Take nothing that has lost any time to live on its way (RFC 5082), and send likewise."""
    _send_far(sock)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, 255)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, 255)


class _Stranger(asyncio.Protocol):
    """A connection from an address that is no neighbour's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        stream.pause_reading()
        stream.write(_REJECTED)
        stream.close()


class Speaker:
    """One listener and its neighbours. Addresses are unique among them.

    ``host`` and ``port`` are where to listen; no listener when ``port`` is negative. Port 0
    takes a free one, which :attr:`port` tells after :meth:`start`.
    """

    def __init__(
        self, host: str = "", port: int = PORT, store: AttributeStore | None = None
    ) -> None:
        self.store = store if store is not None else AttributeStore()
        self.port = port
        self.peers: dict[str, Peer] = {}
        self.refused: Counter[str] = Counter()
        self._host = host
        self._server: asyncio.Server | None = None
        self._quiet_until = 0.0

    async def start(self) -> None:
        """Listen. Raises ``OSError`` naming the address when it cannot."""
        if self.port < 0:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Arrival(self), self._host or None, self.port, reuse_address=True, backlog=128
        )
        self.port = self._server.sockets[0].getsockname()[1]
        for sock in self._server.sockets:
            _send_far(sock)
        for peer in self.peers.values():
            self._sign(peer.config, peer.config.md5)

    async def stop(self) -> None:
        """Close the listener and all sessions, telling each neighbour."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for address in list(self.peers):
            self.remove(address)
        await asyncio.sleep(0)

    def add(
        self,
        config: PeerConfig,
        handler: Handler,
        *,
        enabled: bool = True,
        reader: RunReader | None = None,
    ) -> Peer:
        """Have a neighbour, and look for it at once if it is ``enabled``.

        With a ``reader`` UPDATE messages go to it, not to the handler.

        Raises ``UsageError`` if another has its address, ``OSError`` if the kernel takes no
        MD5 keys.
        """
        address = str(ip_address(config.address))
        if address in self.peers:
            raise UsageError(
                f"neighbour {config.session.name}: {address} is already "
                f"neighbour {self.peers[address].name}"
            )
        self._sign(config, config.md5)
        peer = self.peers[address] = Peer(config, handler, self.store, reader)
        if enabled:
            peer.start()
        return peer

    def remove(self, address: str, notification: Notification | None = None) -> None:
        """Close a neighbour's session and forget it; the default says administrative."""
        peer = self.peers.pop(str(ip_address(address)), None)
        if peer is not None:
            peer.stop(notification)
            if peer.config.md5:
                self._sign(peer.config, "")

    def _sign(self, config: PeerConfig, key: str) -> None:
        """Tell the listening sockets a neighbour's MD5 key."""
        if self._server is None or not (key or config.md5):
            return
        version = socket.AF_INET6 if ip_address(config.address).version == 6 else socket.AF_INET
        for sock in self._server.sockets:
            if sock.family == version:
                with contextlib.suppress(FileNotFoundError):  # no key was there to take away
                    set_md5(sock, config.address, key)

    def refuse(self, address: str) -> asyncio.Protocol:
        """Turn a stranger away, counted; logged once a second at most."""
        self.refused[address] += 1
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + 1.0
            _log.warning("connection_refused", address=address, count=self.refused[address])
        if len(self.refused) > 4096:
            self.refused.clear()
        return _Stranger()


class _Arrival(asyncio.Protocol):
    """An accepted socket until its neighbour is known, which is at once."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        name = stream.get_extra_info("peername")
        address = str(ip_address(name[0])) if name else ""
        peer = self._speaker.peers.get(address)
        if peer is None:
            protocol = self._speaker.refuse(address)
        else:
            protocol = _Connection(peer, False)
            sock = stream.get_extra_info("socket")
            if peer.config.ttl_security and sock is not None:
                secure_ttl(sock)
        stream.set_protocol(protocol)
        protocol.connection_made(stream)
