"""The HTTP face of the API: routes, bodies within limits, answers in the form clients expect.

Success is always 200. Errors are bare text with the type ``text/html; charset=UTF-8``. A
request is one operation of :class:`~tungsten.api.engine.Engine`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tungsten.api import (
    bodies,
    discovery,
    documentation,
    errors,
    objects,
    openapi,
    preconditions,
    queries,
    views,
    watch,
)
from tungsten.api.bodies import Json
from tungsten.api.callers import CALLER
from tungsten.api.engine import Engine
from tungsten.api.errors import ApiFault, BadRequest, NotFound
from tungsten.api.front import Front, path_of
from tungsten.api.introspect import RestTrace
from tungsten.api.operations import (
    NETWORK_OPERATIONS,
    OPERATIONS,
    Asked,
    NetworkOperation,
    Operation,
)
from tungsten.api.quick import Headers, QuickReads, etag_of, showing
from tungsten.api.quick_creates import QuickCreates
from tungsten.api.server import Posted
from tungsten.api.settings import ApiSettings
from tungsten.api.transactions import DRAFTED
from tungsten.api.views import Hrefs
from tungsten.model import RESOURCE_TYPES, Resource, ResourceType
from tungsten.store.staleness import READ_AGE

log = structlog.get_logger("tungsten.api")

REQUESTS = Counter("tungsten_api_requests", "Requests answered", ["method", "status"])

ERROR_TYPE = "text/html; charset=UTF-8"
ERROR_HEADERS = {
    "content-type": ERROR_TYPE,
    # Refusals repeat what was sent, under a type that browsers render: let nothing in them run.
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
}
JSON_TYPE = "application/json"

REVISION = re.compile(r"[0-9]{1,19}")
"""A revision as a client may name it."""
UNREAD = (408, 413, 415)
"""Refusals that may leave a part of the body unread."""

HOSTS_KNOWN = 64
"""Host headers that were found good and are not looked at again."""

MOST_WATCHES = 64
"""Streams that one user may have open, so that others find the server free."""

HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
"""A Host header: a name or address and a port, and nothing that would make an href differ."""

Handler = Callable[[Request], Awaitable[Response]]


class Answer(Exception):
    """A response other than success or refusal."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def json_answer(value: Any, headers: dict[str, str] | None = None) -> Response:
    """200 with JSON."""
    return Response(msgspec.json.encode(value), media_type=JSON_TYPE, headers=headers)


def empty_answer() -> Response:
    """200 without a body."""
    return Response(b"", media_type=ERROR_TYPE)


def refusal(fault: ApiFault, headers: dict[str, str] | None = None) -> Response:
    """The answer to a request that is refused."""
    # A lone surrogate in what is repeated must not keep the answer from being encoded.
    text = fault.text.encode("utf-8", "backslashreplace")
    return Response(text, fault.status, headers={**ERROR_HEADERS, **(headers or {})})


def base_url(request: Request) -> str:
    """What hrefs begin with: the scheme and host that the client used."""
    host = request.headers.get("host") or "localhost"
    return f"{request.scope['scheme']}://{host}"


class ApiApp:
    """The ASGI application."""

    def __init__(
        self,
        engine: Engine,
        settings: ApiSettings,
        front: Front | None = None,
        trace: RestTrace | None = None,
    ) -> None:
        self.engine = engine
        self.front = front or Front(engine, settings, None)
        self.settings = settings
        self.ready = False
        self._trace = trace or RestTrace()
        self._hosts = allowed_hosts(settings)
        self._good_hosts: set[str] = set()
        self._quick = self._quick_reads()
        self._watches: WeakSet[watch.Watch] = WeakSet()
        self._actions: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._discovery},
            "/healthz": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/openapi.json": {"GET": self._openapi},
            "/documentation": {"GET": self._to_documentation},
            "/documentation/": {"GET": self._to_documentation},
            "/documentation/index.html": {"GET": self._documentation},
            "/documentation/openapi.html": {"GET": self._documentation},
            "/fqname-to-id": {"POST": self._name_to_id},
            "/id-to-fqname": {"POST": self._id_to_name},
            "/ref-update": {"POST": self._ref_update},
            "/prop-collection-get": {"GET": self._collection_get},
            "/prop-collection-update": {"POST": self._collection_update},
            "/list-bulk-collection": {"POST": self._list_bulk},
            "/set-tag": {"POST": self._set_tag},
            "/chown": {"POST": self._chown},
            "/chmod": {"POST": self._chmod},
            "/obj-perms": {"GET": self._permissions},
            "/aaa-mode": {"GET": self._aaa_mode, "PUT": self._set_aaa_mode},
            "/watch": {"GET": self._watch},
            **{
                path: {method: self._operation(one) for method, one in methods.items()}
                for path, methods in OPERATIONS.items()
            },
        }

        self._creates = self._quick_creates()

    @property
    def paths(self) -> Collection[str]:
        """The paths that are served beside those of the resource types."""
        return self._actions.keys()

    def _quick_reads(self) -> QuickReads | None:
        if self.engine.embedded is None or not self.front.is_open:
            return None
        counts = {status: REQUESTS.labels("GET", status) for status in ("200", "304")}
        return QuickReads(
            self.engine.embedded,
            self._trace,
            lambda host: host in self._good_hosts or self._is_good(host),
            lambda status: counts[status].inc(),
        )

    def quick(self, scheme: str, target: bytes, headers: Headers) -> tuple[bytes, bytes] | None:
        """The answer to a GET at once: status line, what follows the Date; None: not at once."""
        if self._quick is None or not self.ready:
            return None
        return self._quick.answer(scheme, target, headers)

    def _quick_creates(self) -> QuickCreates | None:
        if self.engine.embedded is None or not self.front.is_open:
            return None
        paths = {f"/{one.plural}".encode(): one for one in RESOURCE_TYPES.values()}
        return QuickCreates(
            self.engine,
            paths={path: one for path, one in paths.items() if path.decode() not in self._actions},
            trace=self._trace,
            is_host=lambda host: host in self._good_hosts or self._is_good(host),
            failed=self._failed,
            count=lambda status: REQUESTS.labels("POST", str(status)).inc(),
            max_body=self.settings.max_body,
        )

    def quick_post(
        self, scheme: str, target: bytes, headers: Headers, client: str
    ) -> Posted | None:
        """What takes the body of a POST that is answered at once; None: not at once."""
        if self._creates is None or not self.ready:
            return None
        return self._creates.begin(scheme, target, headers, client)

    def stop(self) -> None:
        """End the streams."""
        for stream in self._watches:
            stream.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        age = READ_AGE.get()
        if age is not None:
            response.headers["x-tungsten-stale"] = f"{age:.0f}"
        REQUESTS.labels(request.method, str(response.status_code)).inc()
        self._note(request, response)
        await response(scope, receive, send)

    def _note(self, request: Request, response: Response) -> None:
        """Keep what was asked and how it ended, for introspect."""
        refused = response.status_code >= 400
        query = request.scope["query_string"].decode("latin-1")
        said = bytes(response.body[: errors.MAX_ECHO]).decode(errors="replace") if refused else ""
        self._trace.add(
            errors.echo(request.headers.get("x-request-id", "")),
            request.method,
            errors.echo(f"{path_of(request)}?{query}".rstrip("?")),
            response.status_code,
            said,
        )

    async def _answer(self, request: Request) -> Response:
        try:
            self.check_origin(request)
            if not self.ready and path_of(request) != "/healthz":
                raise ApiFault("Api server is Initializing:DB Resync in progress", status=503)
            await self._admit(request)
            DRAFTED.set(False)
            response = await self._route(request)
            if DRAFTED.get():
                response.status_code = 202
            return response
        except Answer as answer:
            return answer.response
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the client is told, the log why
            return self._failed(error, request.method, path_of(request))

    def _failed(self, error: Exception, method: str, path: str) -> Response:
        """The answer to a request that raised."""
        if not isinstance(error, ApiFault):
            log.error("request_failed", method=method, path=path, exc_info=error)
            return refusal(ApiFault("Internal Server Error", status=500))
        log.info(
            "request_refused",
            method=method,
            path=errors.echo(path),
            status=error.status,
            reason=errors.echo(error.text),
        )
        # What is left of a body that was not read ends the connection.
        headers = {"connection": "close"} if error.status in UNREAD else None
        return refusal(error, self.front.challenge() if error.status == 401 else headers)

    async def _admit(self, request: Request) -> None:
        """Find out who asks; refuse calls that are not for that caller."""
        body: Json = {}
        if await self.front.needs_body(request):
            request.state.body = await self.body(request)
            body = bodies.parse_object(request.state.body) if request.state.body.strip() else {}
        CALLER.set(await self.front.admit(request, body))

    def check_origin(self, request: Request) -> None:
        """Refuse what a page of another site makes a browser send."""
        host = request.headers.get("host", "")
        if host not in self._good_hosts and not self._is_good(host):
            raise ApiFault(
                f"Host '{errors.echo(host)}' is not served here; add it to api.allowed_hosts",
                status=421,
            )
        if request.method not in ("GET", "HEAD") and self._is_foreign(request, host):
            raise errors.Forbidden("Requests from pages of other sites are not accepted")

    def _is_foreign(self, request: Request, host: str) -> bool:
        """Whether a page of another site makes a browser send this.

        Browsers always name the page's origin; how it relates to this server
        (``Sec-Fetch-Site``) they tell to servers on TLS and on their own machine only.
        """
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return True
        origin = request.headers.get("origin")
        if origin is None:
            return False
        scheme, _, place = origin.partition("://")
        name = place.rpartition(":")[0] or place
        own = {one.lower() for one in self.settings.allowed_hosts}
        return scheme not in ("http", "https") or (place != host and name.lower() not in own)

    def _is_good(self, host: str) -> bool:
        good = host_allowed(host, self._hosts)
        if good and len(self._good_hosts) < HOSTS_KNOWN:
            self._good_hosts.add(host)
        return good

    async def _route(self, request: Request) -> Response:
        path = path_of(request)
        actions = self._actions.get(path)
        if actions is not None:
            return await _by_method(request, actions)(request)
        parts = path.strip("/").split("/")
        if len(parts) == 1 and parts[0].endswith("s") and parts[0][:-1] in RESOURCE_TYPES:
            declared = RESOURCE_TYPES[parts[0][:-1]]
            methods = {
                "GET": lambda r: self._list(r, declared),
                "POST": lambda r: self._create(r, declared),
            }
            return await _by_method(request, methods)(request)
        if len(parts) == 2 and parts[0] in RESOURCE_TYPES:
            declared, uuid = RESOURCE_TYPES[parts[0]], parts[1]
            methods = {
                "GET": lambda r: self._read(r, declared, uuid),
                "PUT": lambda r: self._update(r, declared, uuid),
                "DELETE": lambda r: self._delete(r, declared, uuid),
            }
            return await _by_method(request, methods)(request)
        if len(parts) == 3 and parts[0] == "virtual-network" and parts[2] in NETWORK_OPERATIONS:
            operation = self._network_operation(parts[1], NETWORK_OPERATIONS[parts[2]])
            return await _by_method(request, {"POST": operation})(request)
        if request.method == "DELETE" and len(parts) == 2 and parts[0].endswith("s"):
            # Some clients delete below the collection.
            declared_ = RESOURCE_TYPES.get(parts[0][:-1])
            if declared_ is not None:
                return await self._delete(request, declared_, parts[1])
        if request.method == "POST" and len(parts) == 1 and parts[0].endswith("s"):
            raise errors.unknown_type(parts[0][:-1])
        raise NotFound(f"Not found: '{errors.echo(path)}'")

    # -- bodies -----------------------------------------------------------------------------

    async def body(self, request: Request) -> bytes:
        """The body of a request, read within the limits of size and time."""
        read: bytes | None = getattr(request.state, "body", None)
        if read is not None:
            return read
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in ("", "identity"):
            raise errors.Encoded(encoding)
        limit = self.settings.max_body
        too_large = errors.TooLarge(f"Request body is larger than the {limit} bytes allowed")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        more = True
        try:
            async with asyncio.timeout(self.settings.request_timeout) as patience:
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise too_large
                    more = message.get("more_body", False)
                    if more:
                        patience.reschedule(
                            asyncio.get_running_loop().time() + self.settings.request_timeout
                        )
        except TimeoutError as error:
            raise errors.TimedOut("The request body did not arrive in time") from error
        return b"".join(chunks)

    async def _object(self, request: Request) -> Json:
        return bodies.parse_object(await self.body(request))

    # -- objects ----------------------------------------------------------------------------

    async def _create(self, request: Request, declared: ResourceType) -> Response:
        fields = bodies.unwrap(await self._object(request), declared.name)
        resource = await self.engine.create(declared, fields)
        return json_answer({declared.name: views.envelope(resource, Hrefs(base_url(request)))})

    async def _read(self, request: Request, declared: ResourceType, uuid: str) -> Response:
        shown = await self.engine.show(
            declared, uuid, showing(request.query_params, base_url(request))
        )
        tag = etag_of(shown)
        if request.headers.get("if-none-match") == tag:
            raise Answer(Response(status_code=304, headers={"etag": tag}))
        return json_answer({declared.name: shown}, {"etag": tag})

    async def _update(self, request: Request, declared: ResourceType, uuid: str) -> Response:
        data = await self.body(request)
        body = bodies.parse_object(data) if data.strip() else {}
        fields = bodies.unwrap(body, declared.name) if body else {}
        if not fields:
            return empty_answer()
        match = preconditions.tags(request.headers.get("if-match"))
        resource = await self.engine.update(declared, uuid, fields, match)
        return json_answer({declared.name: _identity(resource, declared, base_url(request))})

    async def _delete(self, request: Request, declared: ResourceType, uuid: str) -> Response:
        match = preconditions.tags(request.headers.get("if-match"))
        await self.engine.delete(declared, uuid, base_url(request), match)
        return empty_answer()

    async def _list(self, request: Request, declared: ResourceType) -> Response:
        query = queries.from_query(request.query_params, self.settings.page_size)
        return json_answer(await self.engine.list(declared, query, Hrefs(base_url(request))))

    def _operation(self, operation: Operation) -> Handler:
        """A handler for an operation of the table."""

        async def handle(request: Request) -> Response:
            body = await self.body(request)
            asked = Asked(
                bodies.parse_object(body) if body.strip() else {},
                request.query_params,
                base_url(request),
            )
            answer = await operation(self.engine, asked)
            return empty_answer() if answer is None else json_answer(answer)

        return handle

    def _network_operation(self, uuid: str, operation: NetworkOperation) -> Handler:
        """A handler for an operation on one network."""

        async def handle(request: Request) -> Response:
            answer = await operation(self.engine, uuid, await self._object(request))
            return empty_answer() if answer is None else json_answer(answer)

        return handle

    # -- actions ----------------------------------------------------------------------------

    async def _discovery(self, request: Request) -> Response:
        return json_answer(discovery.document(base_url(request)))

    async def _health(self, request: Request) -> Response:
        if not self.ready:
            raise ApiFault("starting", status=503)
        await self.engine.probe()
        revision = await self.engine.read(lambda s: s.revision)
        age = READ_AGE.get()
        if age is not None:
            return json_answer({"status": "stale", "revision": revision, "stale": round(age)})
        return json_answer({"status": "ok", "revision": revision})

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    def _served(self) -> openapi.Served:
        return tuple((path, tuple(methods)) for path, methods in self._actions.items())

    async def _openapi(self, request: Request) -> Response:
        # Made once, by a thread: it takes a moment.
        data = await asyncio.to_thread(openapi.encoded, self._served())
        return Response(data, media_type=JSON_TYPE)

    async def _to_documentation(self, request: Request) -> Response:
        return Response(status_code=302, headers={"location": "/documentation/index.html"})

    async def _documentation(self, request: Request) -> Response:
        return Response(
            await asyncio.to_thread(documentation.page, self._served()),
            media_type="text/html",
            headers={"content-security-policy": documentation.CONTENT_SECURITY},
        )

    async def _name_to_id(self, request: Request) -> Response:
        return json_answer(await self.engine.name_to_id(await self._object(request)))

    async def _id_to_name(self, request: Request) -> Response:
        return json_answer(await self.engine.id_to_name(await self._object(request)))

    async def _ref_update(self, request: Request) -> Response:
        return json_answer(await self.engine.ref_update(await self._object(request)))

    async def _collection_get(self, request: Request) -> Response:
        return json_answer(await self.engine.collection_get(dict(request.query_params)))

    async def _collection_update(self, request: Request) -> Response:
        await self.engine.collection_update(await self._object(request))
        return json_answer({})

    async def _list_bulk(self, request: Request) -> Response:
        body = await self._object(request)
        type_ = bodies.text(body, "type")
        if not type_:
            raise BadRequest("Bad Request, type must be specified")
        declared = objects.typed_any(type_)
        query = queries.from_body(
            {key: value for key, value in body.items() if key != "type"}, self.settings.page_size
        )
        return json_answer(await self.engine.list(declared, query, Hrefs(base_url(request))))

    async def _set_tag(self, request: Request) -> Response:
        return json_answer(await self.engine.set_tag(await self._object(request)))

    async def _chown(self, request: Request) -> Response:
        return json_answer(await self.engine.chown(await self._object(request)))

    async def _chmod(self, request: Request) -> Response:
        return json_answer(await self.engine.chmod(await self._object(request)))

    async def _permissions(self, request: Request) -> Response:
        return json_answer(await self.front.object_permissions(request))

    async def _aaa_mode(self, request: Request) -> Response:
        return json_answer({"aaa-mode": await self.front.mode()})

    async def _set_aaa_mode(self, request: Request) -> Response:
        return json_answer(await self.front.set_mode(await self._object(request)))

    async def _watch(self, request: Request) -> Response:
        types = watch.asked_types(request.query_params.get("resource_type"))
        fields = {
            one.name: tuple(value.split(","))
            for one in types
            if (value := request.query_params.get(f"{one.object_type}_fields"))
        }
        last = request.headers.get("last-event-id") or request.query_params.get("since") or None
        if last is not None and not REVISION.fullmatch(last):
            raise BadRequest(f"Last-Event-ID must be a revision, not {errors.echo(last)}")
        if sum(1 for one in self._watches if one.is_for(CALLER.get())) >= MOST_WATCHES:
            raise ApiFault(f"{MOST_WATCHES} watches of one user are open already", status=429)
        stream = watch.Watch(
            self.engine.store,
            types,
            fields,
            Hrefs(base_url(request)),
            keepalive=self.settings.watch_keepalive,
            limit=self.settings.watch_queue,
            caller=CALLER.get(),
        )
        self._watches.add(stream)
        return StreamingResponse(
            stream.stream(int(last) if last else None),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache"},
        )


def _identity(resource: Resource, declared: ResourceType, base: str) -> Json:
    return {"uuid": resource.uuid, "href": f"{base}/{declared.name}/{resource.uuid}"}


def _by_method(request: Request, handlers: Mapping[str, Handler]) -> Handler:
    method = "GET" if request.method == "HEAD" else request.method
    handler = handlers.get(method)
    if handler is None:
        allow = {"allow": ", ".join(sorted(handlers))}
        raise Answer(refusal(ApiFault("Method not allowed.", status=405), allow))
    return handler


def allowed_hosts(settings: ApiSettings) -> frozenset[str]:
    """The names by which clients may address the API."""
    own = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(own | {name.lower() for name in settings.allowed_hosts})


def host_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this server: an IP address, or one of its names.

    A page on the web can make its own name lead here, but not an address.
    """
    if not host:
        return True  # HTTP/1.0 needs none
    if not HOST.fullmatch(host):
        return False
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if "*" in names or name in names:
            return True
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
