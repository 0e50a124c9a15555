"""The HTTP server that shows what a process holds.

One server per process and port, started and stopped by the process. It reads; it never
changes anything. Answers are made by the requests the layers register, over their live
structures: one event loop, so an answer of one message is a consistent view, and a series is
consistent message by message.

Who may ask: the port has no authentication, so the listen address decides; and the ``Host``
header must be an address, ``localhost``, this machine's name or a configured name, so that a
page in an operator's browser cannot reach it under a name of its own (DNS rebinding). Others
get 421.

What can go wrong is told as XML: an unknown request is 404, one that cannot be read 400, one
that would change something 403. Query strings never fail: what cannot be read is not given.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Annotated

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from tungsten.introspect import pages
from tungsten.introspect.request import (
    Answer,
    AnyRequest,
    RequestError,
    Series,
    parse_query,
)
from tungsten.introspect.wire import Field, Message, encode_answer, encode_series

log = structlog.get_logger("tungsten.introspect")

XML = "text/xml; charset=utf-8"
#: Chunks are gathered to this many characters before they are sent.
CHUNK = 64 * 1024
MAX_CONNECTIONS = 64
STOP_GRACE_S = 2.0


class ErrorResp(Message, frozen=True, kw_only=True):
    """The answer to what cannot be answered."""

    resp: Annotated[str, Field(1)]


def parse_listen(listen: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPV6]:PORT`` as a pair. Raises ValueError naming the value."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"listen address {listen!r} is not HOST:PORT, with a port of 0 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class IntrospectServer:
    """Serves ``requests`` for the process ``module`` (upstream's module name) on ``listen``.

    ``registry``: metrics shown at ``/metrics``, if any. ``host_names``: further names under
    which clients may address the server.
    """

    def __init__(
        self,
        listen: str,
        module: str,
        requests: Iterable[AnyRequest],
        *,
        registry: CollectorRegistry | None = None,
        host_names: Sequence[str] = (),
    ) -> None:
        self._host, self._port = parse_listen(listen)
        self._module = module
        self._requests = {request.name: request for request in requests}
        self._groups: dict[str, list[AnyRequest]] = {}
        for request in self._requests.values():
            if request.group:
                self._groups.setdefault(request.group, []).append(request)
        self._registry = registry
        self._host_names = {"localhost", socket.gethostname().lower(), *host_names}
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port listened on; the real one, once started, when 0 was asked."""
        return self._port

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be bound."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server(
                (self._host, self._port), family=family, backlog=128
            )
        except OSError as error:
            raise OSError(
                error.errno,
                f"introspect_listen: cannot listen on {self._host}:{self._port}:"
                f" {os.strerror(error.errno) if error.errno else error}",
            ) from error
        self._port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self.application(),
            lifespan="off",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(STOP_GRACE_S),
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(
            self._server.serve(sockets=[self._socket]), name="introspect"
        )
        log.info("introspect_listening", module=self._module, host=self._host, port=self._port)

    async def stop(self) -> None:
        """Stop listening and end what is being served."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        if self._socket is not None:
            self._socket.close()
        self._server = self._task = self._socket = None

    def application(self) -> Starlette:
        """The ASGI application, for embedding and tests."""
        return Starlette(
            routes=[
                Route("/", self._index, methods=["GET"]),
                Route("/index.html", self._index, methods=["GET"]),
                Route("/universal_parse.xsl", self._stylesheet, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/Snh_{name}", self._answer, methods=["GET"]),
                Route("/{group}.xml", self._group, methods=["GET"]),
            ]
        )

    def _refused(self, http: HttpRequest) -> Response | None:
        """The refusal of a Host header that is not ours; None when it is."""
        host = http.headers.get("host", "")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if name.lower() in self._host_names or _is_address(name):
            return None
        return _error(421, f"host {name!r} is not served here; use an address of this machine")

    async def _index(self, http: HttpRequest) -> Response:
        return self._refused(http) or _page(pages.index(self._module, self._groups))

    async def _stylesheet(self, http: HttpRequest) -> Response:
        return self._refused(http) or Response(pages.STYLESHEET, media_type="text/xsl")

    async def _group(self, http: HttpRequest) -> Response:
        group = http.path_params["group"]
        if (refused := self._refused(http)) is not None:
            return refused
        if group not in self._groups:
            return _page(pages.not_found(f"There is no group {group}"), status=404)
        text = pages.group_forms(group, self._groups[group])
        return Response(text, media_type=XML)

    async def _metrics(self, http: HttpRequest) -> Response:
        if (refused := self._refused(http)) is not None:
            return refused
        if self._registry is None:
            return _error(404, f"{self._module} has no metrics")
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def _answer(self, http: HttpRequest) -> Response:
        if (refused := self._refused(http)) is not None:
            return refused
        name = http.path_params["name"]
        request = self._requests.get(name)
        if request is None:
            return _error(404, f"{self._module} has no request {name}; / lists what there is")
        query = http.scope["query_string"].decode("latin-1")
        try:
            answer = request.answer(parse_query(request.form, query))
            if inspect.isawaitable(answer):
                answer = await answer
            return await _respond(answer)
        except RequestError as error:
            return _error(error.status, error.text)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _error(status: int, text: str) -> Response:
    return Response(encode_answer(ErrorResp(resp=text)), status_code=status, media_type=XML)


def _page(text: str, status: int = 200) -> Response:
    headers = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(text, status_code=status, headers=headers)


async def _respond(answer: Answer) -> Response:
    if not isinstance(answer, Series):
        return Response(encode_answer(answer), media_type=XML)
    pieces = iter(encode_series(answer.messages))
    first = _gather(pieces)
    rest = _gather(pieces)
    if not rest:
        return Response(first, media_type=XML)
    return StreamingResponse(_stream(first, rest, pieces), media_type=XML)


def _gather(pieces: Iterator[str]) -> str:
    """Pieces up to :data:`CHUNK` characters, joined; empty at the end."""
    out: list[str] = []
    size = 0
    for piece in pieces:
        out.append(piece)
        size += len(piece)
        if size >= CHUNK:
            break
    return "".join(out)


async def _stream(first: str, second: str, pieces: Iterator[str]) -> AsyncIterator[str]:
    yield first
    text = second
    while text:
        yield text
        await asyncio.sleep(0)  # long tables are shown without holding up the process's own work
        text = _gather(pieces)
