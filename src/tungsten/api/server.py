"""The HTTP server under the API: uvicorn on a socket of our own, with limits for bad clients.

uvicorn bounds connections and idle time between requests; llhttp, through httptools, parses.
What they lack is added by :class:`PatientProtocol`: a head has a limited size and a limited time
to arrive, names one host (RFC 9112 section 3.2), and is not changed by trailers that follow the
body; a request that is no HTTP ends only its own connection. The body's size and pace are bounded
by :mod:`tungsten.api.app`, which reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter as Counts
from collections.abc import Callable, Generator
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

import httptools
import uvicorn
from prometheus_client import Counter
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GARBLED = Counter("tungsten_api_garbled_requests", "Connections ended for what is no HTTP")
REFUSED = Counter("tungsten_api_refused_connections", "Connections beyond those of one source")
SLOW = Counter("tungsten_api_slow_requests", "Connections ended because no request came in time")

MAX_HEAD = 65_536
"""Bytes of a request line and its headers; long lists of uuids come in the request line."""

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept for the next request."""

HANDSHAKE = 10.0
"""Seconds that a TLS handshake may take."""

STOP_GRACE = 3
"""Seconds that requests in progress have to end when the server stops."""

QUICK_IN_A_ROW = 16
"""Requests of one piece of what came that are answered at once; others get their turn then."""

Quick = Callable[[str, bytes, list[tuple[bytes, bytes]]], tuple[bytes, bytes] | None]
"""Answers a GET by scheme, target and headers: status line, and all after the Date header."""

Answered = Callable[[bytes, bytes, bool], None]
"""Is told status line, all after the Date header, and whether that ends the connection."""

Posted = Callable[[bytes, Answered], None]
"""Takes the body of a request, and answers it then or later, once."""

QuickPost = Callable[[str, bytes, list[tuple[bytes, bytes]], str], Posted | None]
"""Takes the head of a POST: scheme, target, headers and the client's address."""

CROWDED = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Garbled(Exception):
    """What a client sent is no request that is served; the parser's callers never see it."""


def _never_quick(
    scheme: str, target: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[bytes, bytes] | None:
    return None


def _never_posted(
    scheme: str, target: bytes, headers: list[tuple[bytes, bytes]], client: str
) -> Posted | None:
    return None


class _Pending:
    """Stands where the HTTP stack has the request that is being answered, for one that is quick."""

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for more of the request: it is whole."""


def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, an IPv6 network of 64 bits.

    Empty for 127.0.0.1, ::1 and what has no address: a proxy there speaks for many.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    text = str(mapped or address)
    if text in ("127.0.0.1", "::1"):
        return ""
    return str(ip_network(f"{text}/64", strict=False)) if ":" in text else text


class Sources:
    """Who has connections: bounds each source, and makes room when there are ``most`` in all.

    ``each`` bounds the connections of one source; 0: they are not bounded.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._connections: dict[PatientProtocol, str] = {}
        self._counts: Counts[str] = Counts()

    def enter(self, connection: PatientProtocol, host: str) -> bool:
        """Count a connection in; False when its source has as many as it may."""
        source = source_of(host)
        if source and self._each and self._counts[source] >= self._each:
            return False
        if len(self._connections) >= self._most - 1:
            self._make_room()
        self._connections[connection] = source
        self._counts[source] += 1
        return True

    def leave(self, connection: PatientProtocol) -> None:
        """Count a connection out; again is no error."""
        source = self._connections.pop(connection, None)
        if source is not None:
            self._counts[source] -= 1
            if not self._counts[source]:
                del self._counts[source]

    def _make_room(self) -> None:
        """End the connection that waits longest for a request, of the source with most such."""
        idle: dict[str, list[PatientProtocol]] = {}
        for connection, source in self._connections.items():
            if connection.is_idle:
                idle.setdefault(source, []).append(connection)
        if idle:
            most = max(idle.values(), key=len)
            min(most, key=lambda one: one.active).end_idle()


class PatientProtocol(HttpToolsProtocol):
    """A connection that is closed when the head of a request is too large or takes too long.

    ``quick`` is asked first for the answer to a GET; ``quick_post`` for who takes the body of a
    POST, which must come with its head: else it goes the long way. ``active`` is when something
    last came or was answered, in the loop's time.
    """

    head_timeout = 30.0
    quick: Quick = staticmethod(_never_quick)
    quick_post: QuickPost = staticmethod(_never_posted)
    sources = Sources(1 << 30, 0)
    active = 0.0
    _head_timer: asyncio.TimerHandle | None = None
    #: Bytes that came since the parser last made something of what came, and so may hold.
    _held = 0
    _in_head = False
    #: The last request was answered at once; how many more of what came may be.
    _answered = False
    _quick_left = 0
    #: Who takes the body that is coming, and what came of it.
    _posted: Posted | None = None
    _parts: list[bytes]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request; refuse one connection too many of a source."""
        super().connection_made(transport)
        self.active = self.loop.time()
        if not self.sources.enter(self, self.client[0] if self.client else ""):
            REFUSED.inc()
            transport.write(CROWDED)
            transport.close()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; stop waiting when it has a whole head."""
        if self.transport.is_closing():
            return
        busy = self._busy()
        self._held += len(data)
        self._quick_left = QUICK_IN_A_ROW
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade:
            pass  # there is nothing to upgrade to: it is answered as it is
        if self._posted is not None:
            self._go_the_long_way()
        self.active = self.loop.time()
        if self.transport.is_closing():
            self._cancel()
            return
        if self._held > MAX_HEAD:
            self.send_400_response("Invalid HTTP request received.")
        elif self._busy():
            self._cancel()
        elif self._answered and not self._in_head:
            self._cancel()
            self._keep_alive()
        elif not busy:
            self._expect_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: those are left aside, nothing here asks for any."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: refuse what is too large, or does not name one host."""
        self._in_head = self._answered = False
        self._held = 0
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value)
            hosts += name == b"host"
        if size > MAX_HEAD or hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise Garbled
        if self._may_be_quick():
            scheme = self.scheme or "http"
            if self.parser.get_method() == b"POST":
                client = self.client[0] if self.client else ""
                self._posted, self._parts = (
                    self.quick_post(scheme, self.url, self.headers, client),
                    [],
                )
                if self._posted is not None:
                    return
            else:
                answer = self.quick(scheme, self.url, self.headers)
                if answer is not None:
                    self._write(*answer)
                    return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._held = 0
        if self._posted is not None:
            self._parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._held = 0
        posted, self._posted = self._posted, None
        if posted is not None:
            pending = _Pending()
            self.cycle = pending  # type: ignore[assignment]
            self._quick_left -= 1
            posted(b"".join(self._parts), partial(self._finish, pending))
            self._answered = pending.response_complete
        elif not self._answered:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel()
        self._unset_keepalive_if_required()
        self.sources.leave(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; this ends the connection."""
        GARBLED.inc()
        super().send_400_response(msg)

    def timeout_keep_alive_handler(self) -> None:
        """The connection may have been idle for too long."""
        self.timeout_keep_alive_task = None
        if self._busy():
            return
        if self.loop.time() - self.active < KEEP_ALIVE:
            self._keep_alive()
        else:
            super().timeout_keep_alive_handler()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, or for the rest of its head."""
        return not self._busy() and not self.transport.is_closing()

    def end_idle(self) -> None:
        """Close it to make room for others."""
        if self._in_head:
            self.transport.write(TOO_LATE)
        self.sources.leave(self)
        self.connections.discard(self)
        self.transport.close()

    def _may_be_quick(self) -> bool:
        """Whether an answer could be written at once, as the answer to what was asked last."""
        parser = self.parser
        if (
            self._quick_left <= 0
            or parser.get_method() not in (b"GET", b"POST")
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or self._busy()
            or self.pipeline
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        return self.limit_concurrency is None or (
            len(self.connections) < self.limit_concurrency
            and len(self.tasks) < self.limit_concurrency
        )

    def _write(self, status: bytes, rest: bytes) -> None:
        self._answered = True
        self._quick_left -= 1
        self.server_state.total_requests += 1
        stamped = b"".join(b"%s: %s\r\n" % one for one in self.server_state.default_headers)
        self.transport.write(b"".join((status, stamped, rest)))

    def _finish(self, pending: _Pending, status: bytes, rest: bytes, ends: bool) -> None:
        """Answer a request that was taken whole."""
        pending.response_complete = True
        if self.transport.is_closing():
            return
        stamped = b"".join(b"%s: %s\r\n" % one for one in self.server_state.default_headers)
        if not (ends or pending.keep_alive):
            stamped, ends = stamped + b"connection: close\r\n", True
        self.transport.write(b"".join((status, stamped, rest)))
        self.active = self.loop.time()
        if ends:
            self.transport.close()
        if ends or self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._keep_alive()

    def _go_the_long_way(self) -> None:
        """The body did not come with its head."""
        self._posted = None
        if not self.transport.is_closing():
            super().on_headers_complete()
            for part in self._parts:
                super().on_body(part)

    def _keep_alive(self) -> None:
        if self.timeout_keep_alive_task is None:
            left = self.active + KEEP_ALIVE - self.loop.time()
            self.timeout_keep_alive_task = self.loop.call_later(
                max(left, 1.0), self.timeout_keep_alive_handler
            )

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout, self._give_up)

    def _cancel(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        SLOW.inc()
        if not self._busy() and not self.transport.is_closing():
            self.transport.write(TOO_LATE)
            self.transport.close()


class _Embedded(uvicorn.Server):
    """A server that leaves signals to the process it is part of, and bounds TLS handshakes."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. uvicorn gives handshakes a minute, and has no setting for it."""
        config = self.config
        if config.ssl is None:
            await super().startup(sockets)
            return
        await super().startup([])
        self.started = False

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        for sock in sockets or ():
            server = await asyncio.get_running_loop().create_server(
                protocol,
                sock=sock,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=HANDSHAKE,
            )
            self.servers.append(server)
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listening_socket(listen: str, setting: str) -> socket.socket:
    """A socket to listen on ``HOST:PORT`` or ``[HOST]:PORT``. Raises ValueError, OSError.

    ``setting`` is where the address is from, for errors.
    """
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{setting} is {listen!r}; expected HOST:PORT with a port up to 65535")
    try:
        infos = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(f"{setting} is {listen!r}: {host!r} has no address: {error}") from error
    family, kind, protocol, _, address = infos[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {listen}: {error.strerror}") from error
    return sock


class HttpServer:
    """A running HTTP server on a socket of :func:`listening_socket`, which it closes.

    ``port`` is the port that it listens on once started.
    """

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        *,
        max_requests: int,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        quick: Quick | None = None,
        quick_post: QuickPost | None = None,
        max_per_source: int = 0,
    ) -> None:
        self._app = app
        self._socket = sock
        self._max_requests = max_requests
        self._timeout = timeout
        self._tls = tls
        self._quick = quick or _never_quick
        self._quick_post = quick_post or _never_posted
        self._sources = Sources(max_requests, max_per_source)
        self._server: _Embedded | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = int(sock.getsockname()[1])

    async def start(self) -> None:
        """Listen and serve; returns once connections are accepted."""
        tls = self._tls
        own = {
            "head_timeout": self._timeout,
            "quick": staticmethod(self._quick),
            "quick_post": staticmethod(self._quick_post),
            "sources": self._sources,
        }
        protocol: Any = type("Protocol", (PatientProtocol,), own)
        config = uvicorn.Config(
            self._app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=self._max_requests,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=STOP_GRACE,
            proxy_headers=False,
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        # Of garbled requests there may be many; they are counted, not logged one by one.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = _Embedded(config)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="api-http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended while starting")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting, let requests in progress end, close."""
        if self._server is None or self._task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None
