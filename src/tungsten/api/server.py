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
from collections.abc import Generator
from typing import Any

import uvicorn
from prometheus_client import Counter
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GARBLED = Counter("tungsten_api_garbled_requests", "Connections ended for what is no HTTP")
SLOW = Counter("tungsten_api_slow_requests", "Connections ended because no request came in time")

MAX_HEAD = 65_536
"""Bytes of a request line and its headers; long lists of uuids come in the request line."""

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept for the next request."""

STOP_GRACE = 3
"""Seconds that requests in progress have to end when the server stops."""


class Garbled(Exception):
    """What a client sent is no request that is served; the parser's callers never see it."""


class PatientProtocol(HttpToolsProtocol):
    """A connection that is closed when the head of a request is too large or takes too long."""

    head_timeout = 30.0
    _head_timer: asyncio.TimerHandle | None = None
    #: Bytes that came since the parser last made something of what came, and so may hold.
    _held = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; stop waiting when it has a whole head."""
        if self.transport.is_closing():
            return
        busy = self._busy()
        self._held += len(data)
        super().data_received(data)
        if self._held > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")
        if self._busy() or self.transport.is_closing():
            self._cancel()
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
        self._in_head = False
        self._held = 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        hosts = sum(1 for name, _ in self.headers if name == b"host")
        if size > MAX_HEAD or hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise Garbled
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._held = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._held = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; this ends the connection."""
        GARBLED.inc()
        super().send_400_response(msg)

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
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
            self.transport.close()


class _Embedded(uvicorn.Server):
    """A server that leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listening_socket(listen: str, setting: str) -> socket.socket:
    """A socket listening on ``HOST:PORT`` or ``[HOST]:PORT``. Raises ValueError, OSError.

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
    """A running HTTP server. ``port`` is the port it listens on once started."""

    def __init__(
        self, app: ASGIApp, listen: str, *, setting: str, max_requests: int, timeout: float
    ) -> None:
        self._app = app
        self._setting = setting
        self._listen = listen
        self._max_requests = max_requests
        self._timeout = timeout
        self._server: _Embedded | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen and serve; returns once connections are accepted."""
        sock = listening_socket(self._listen, self._setting)
        self.port = int(sock.getsockname()[1])
        protocol: Any = type("Protocol", (PatientProtocol,), {"head_timeout": self._timeout})
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
        )
        # Of garbled requests there may be many; they are counted, not logged one by one.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = _Embedded(config)
        self._task = asyncio.create_task(self._server.serve([sock]), name="api-http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended while starting")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting, let requests in progress end, close."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None
