"""The port API (TCP 9091): how orchestrators tell the agent what they plugged.

Wire form is upstream's: ``/port``, ``/vm``, ``/vm-cfg``, ``/syncports``, ``/enable-port`` and
``/disable-port``; success is 200 with ``{}`` unless there is something to say; an error is
``{"error":"{ <message> }"}`` with 500, or 404 for what is absent. Beyond upstream: the server
listens on loopback only, refuses foreign ``Host`` names (so that a web page a person visits on
this host cannot reach it under another name), and bounds the body.

The answers of ``GET /vm`` and ``/vm-cfg`` come from operational state through :class:`Lookup`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tungsten.agent.ports import PortError, PortStore, parse_port, parse_vm_port
from tungsten.agent.settings import Endpoint

log = structlog.get_logger("tungsten.agent")

BODY_LIMIT = 1 << 20
BODY_SECONDS = 30.0
DEPTH_LIMIT = 64
_PORT_SUFFIX = re.compile(r":\d*$")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Lookup(Protocol):
    """Operational state as the port API needs it."""

    def addressing(self, vm: str, vmi: str | None) -> list[dict[str, Any]]:
        """Addressing records of a virtual machine's ready interfaces, or of one of them."""

    def vm_config(self, name: str) -> list[dict[str, Any]]:
        """Interfaces of the virtual machine called ``name`` in the configuration."""


class BadJson(Exception):
    """A body that is not JSON of the expected shape; the text is the answer's."""


def decode_json(body: bytes, limit: int = DEPTH_LIMIT) -> Any:
    """Decode a request body; raises :class:`BadJson`, also for nesting beyond ``limit``.

    Depth is counted outside strings before decoding, since the decoder recurses.
    """
    depth = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            if depth > limit:
                raise BadJson(f"Invalid Json string ==> nested deeper than {limit}")
        elif byte in b"]}":
            depth -= 1
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadJson(f"Invalid Json string ==> {error}") from error


def _answer(value: Any = None, status: int = 200) -> Response:
    content = msgspec.json.encode({} if value is None else value)
    return Response(content, status, media_type="application/json; charset=UTF-8")


def _error(message: str, status: int = 500) -> Response:
    return _answer({"error": f"{{ {message} }}"}, status)


async def _body(request: Request) -> Any:
    content = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.stream():
            content += chunk
            if len(content) > BODY_LIMIT:
                raise HTTPException(413, f"body longer than {BODY_LIMIT} bytes")
    return decode_json(bytes(content))


class PortApi:
    """The HTTP application over a :class:`PortStore`."""

    def __init__(
        self, ports: PortStore, lookup: Lookup, hosts: frozenset[str] = LOOPBACK_NAMES
    ) -> None:
        self._ports = ports
        self._lookup = lookup
        self._hosts = hosts
        routes: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("/port", "POST", self._add_port),
            ("/port/{id}", "GET", self._get_port),
            ("/port/{id}", "DELETE", self._delete_port),
            ("/syncports", "POST", self._sync),
            ("/enable-port/{id}", "PUT", self._enable),
            ("/disable-port/{id}", "PUT", self._disable),
            ("/vm", "POST", self._add_vm),
            ("/vm/{vm}", "GET", self._get_vm),
            ("/vm/{vm}/{id}", "GET", self._get_vm),
            ("/vm/{vm}", "DELETE", self._delete_vm),
            ("/vm-cfg/{name}", "GET", self._get_vm_config),
        ]
        self.app = Starlette(
            routes=[Route(path, self._guarded(call), methods=[m]) for path, m, call in routes],
            exception_handlers={HTTPException: self._refused},
        )

    def _guarded(
        self, call: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            host = request.headers.get("host", "")
            if _PORT_SUFFIX.sub("", host).strip("[]").lower() not in self._hosts:
                return _error(f"Host {host[:64]!r} is not served here", 421)
            try:
                return await call(request)
            except (PortError, BadJson) as error:
                log.warning("port_request_refused", path=request.url.path, reason=str(error))
                return _error(str(error))
            except TimeoutError:
                return _error("the body did not arrive in time", 408)
            except OSError as error:
                log.error("port_file_failed", path=request.url.path, reason=str(error))
                return _error(f"cannot keep the port: {error}")

        return guarded

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code in (404, 405):
            return _error("Unknown Request", 404)
        return _error(error.detail, error.status_code)

    async def _add_port(self, request: Request) -> Response:
        value = await _body(request)
        if isinstance(value, Mapping):
            ports = [parse_port(value)]
        elif isinstance(value, list):
            ports = []
            for element in value:
                if not isinstance(element, Mapping):
                    raise PortError(f"Json Array has invalid element ==> {element!r:.200}")
                ports.append(parse_port(element))
        else:
            raise PortError(f"Unexpected Json string ==> {value!r:.200}")
        self._ports.add(ports)
        return _answer()

    async def _get_port(self, request: Request) -> Response:
        port = self._ports.get(request.path_params["id"])
        return _answer(port.record) if port else _error("Not Found", 404)

    async def _delete_port(self, request: Request) -> Response:
        found = self._ports.remove(request.path_params["id"])
        return _answer() if found else _error("Not Found", 404)

    async def _sync(self, request: Request) -> Response:
        self._ports.begin_sync(time.monotonic())
        return _answer()

    async def _enable(self, request: Request) -> Response:
        return self._set_link(request, up=True)

    async def _disable(self, request: Request) -> Response:
        return self._set_link(request, up=False)

    def _set_link(self, request: Request, up: bool) -> Response:
        port = request.path_params["id"]
        if self._ports.get(port) is None:
            return _error(f"Port Not found {request.url.path}", 404)
        try:
            self._ports.set_link(port, up)
        except PortError as error:
            return _error(f"{error} for {request.url.path}")
        return _answer()

    async def _add_vm(self, request: Request) -> Response:
        value = await _body(request)
        if isinstance(value, list):
            raise PortError(f"Arrays not supported in json for vm ==> {value!r:.200}")
        if not isinstance(value, Mapping):
            raise PortError(f"Unexpected Json string ==> {value!r:.200}")
        self._ports.add([parse_vm_port(value)])
        return _answer()

    async def _get_vm(self, request: Request) -> Response:
        records = self._lookup.addressing(request.path_params["vm"], request.path_params.get("id"))
        return _answer(records) if records else _error("Not Found", 404)

    async def _delete_vm(self, request: Request) -> Response:
        found = self._ports.remove_vm(request.path_params["vm"])
        return _answer() if found else _error("Not Found", 404)

    async def _get_vm_config(self, request: Request) -> Response:
        records = self._lookup.vm_config(request.path_params["name"])
        return _answer(records) if records else _error("Not Found", 404)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve and say so."""
        await super().startup(sockets=sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serve an application on one address until stopped. ``port`` is the bound port."""

    def __init__(self, app: Starlette, endpoint: Endpoint) -> None:
        self._app = app
        self._endpoint = endpoint
        self._task: asyncio.Task[None] | None = None
        self._server: _Server | None = None
        self.port = endpoint.port

    async def start(self) -> None:
        """Bind and begin to serve. Raises ``OSError`` when the address cannot be bound."""
        family = socket.AF_INET6 if ":" in self._endpoint.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._endpoint.host, self._endpoint.port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http="h11",
            log_config=None,
            access_log=False,
            log_level="warning",
            lifespan="off",
            limit_concurrency=64,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=64 << 10,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.ready.wait()

    async def stop(self) -> None:
        """Stop serving; open requests are given a second."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        try:
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._task)
        except TimeoutError:
            self._server.force_exit = True
            await self._task
        self._server = self._task = None
