"""The HTTP face of the web UI's configuration endpoints.

They speak JSON and change the configuration through the API's own engine, in this process. A
success is 200; a refusal a status and one line of text. Every call but the login needs a session
and its csrf token, or a Keystone token.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tungsten.api import bodies, errors
from tungsten.api.app import ApiApp, json_answer, refusal
from tungsten.api.callers import CALLER
from tungsten.api.errors import ApiFault, NotFound
from tungsten.api.front import path_of
from tungsten.webui import writing
from tungsten.webui.changes import Changes
from tungsten.webui.entrance import CSRF_COOKIE, SESSION_COOKIE, Entrance, TooOften, Visitor
from tungsten.webui.reading import Reader

log = structlog.get_logger("tungsten.webui")

REQUESTS = Counter("tungsten_webui_requests", "Requests answered", ["method", "status"])

CONFIG = "/api/tenants/config/"
ONE_INSTANCE = re.compile(re.escape(CONFIG) + "service-instances/([^/]+)")
MOST_READING = 4
"""Requests that read many objects at once; further ones wait for them."""

Writing = Callable[[Changes, Any], Any]

WRITES: dict[str, Writing] = {
    "create-config-object": writing.create_object,
    "create-config-objects": writing.create_objects,
    "update-config-object": writing.update_object,
    "update-config-objects": writing.update_objects,
    "delete": writing.delete_objects,
    "service-instances": writing.create_service_instance,
    "lbaas/load-balancer": writing.create_balancer,
    "lbaas/load-balancer/delete": writing.delete_balancers,
}
READS = ("get-config-objects", "get-config-list", "get-config-details")


class WebUiApp:
    """The ASGI application, beside that of the API."""

    def __init__(self, api: ApiApp, entrance: Entrance, *, api_port: int, secure: bool) -> None:
        self._api = api
        self._entrance = entrance
        self._api_port = api_port
        self._secure = secure
        self._reading = asyncio.Semaphore(MOST_READING)
        self._routes: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {
            "/authenticate": {"POST": self._login},
            "/logout": {"POST": self._logout},
            **{CONFIG + name: {"POST": self._writing(run)} for name, run in WRITES.items()},
            **{CONFIG + name: {"POST": self._read} for name in READS},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        REQUESTS.labels(request.method, str(response.status_code)).inc()
        response.headers["cache-control"] = "no-store"
        response.headers["x-content-type-options"] = "nosniff"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = path_of(request)
        try:
            self._api.check_origin(request)
            if not self._api.ready:
                raise ApiFault("Api server is Initializing:DB Resync in progress", status=503)
            return await self._route(request, path)
        except ApiFault as fault:
            reason = errors.echo(fault.text)
            log.info("webui_refused", path=errors.echo(path), status=fault.status, reason=reason)
            return refusal(fault, _headers(fault))
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("webui_failed", method=request.method, path=errors.echo(path))
            return refusal(ApiFault("Internal Server Error", status=500))

    async def _route(self, request: Request, path: str) -> Response:
        methods = self._routes.get(path)
        one = ONE_INSTANCE.fullmatch(path)
        if methods is None and one is not None:
            uuid = one.group(1)
            methods = {
                "PUT": self._writing(lambda c, b: writing.update_service_instance(c, b, uuid))
            }
        if methods is None:
            raise NotFound(f"Not found: '{errors.echo(path)}'")
        handler = methods.get(request.method)
        if handler is None:
            fault = ApiFault("Method not allowed.", status=405)
            return refusal(fault, {"allow": ", ".join(methods)})
        return await handler(request)

    # -- coming and going ---------------------------------------------------------------------

    async def _login(self, request: Request) -> Response:
        body = bodies.parse_object(await self._api.body(request))
        secret, session = await self._entrance.login(request, body)
        answer = json_answer({"isAuthenticated": True})
        self._set_cookie(answer, SESSION_COOKIE, secret, hidden=True)
        # Pages read it, to send it back in a header.
        self._set_cookie(answer, CSRF_COOKIE, session.csrf, hidden=False)
        return answer

    def _set_cookie(self, answer: Response, name: str, value: str, *, hidden: bool) -> None:
        answer.set_cookie(
            name, value, path="/", secure=self._secure, httponly=hidden, samesite="strict"
        )

    async def _logout(self, request: Request) -> Response:
        await self._entrance.visitor(request)
        self._entrance.logout(request)
        answer = json_answer({"isAuthenticated": False})
        for name in (SESSION_COOKIE, CSRF_COOKIE):
            answer.delete_cookie(name, path="/", secure=self._secure, samesite="strict")
        return answer

    # -- the configuration --------------------------------------------------------------------

    async def _enter(self, request: Request) -> tuple[Visitor, Any]:
        """Who asks, and what: nothing of a body is read for who may not enter."""
        visitor = await self._entrance.visitor(request)
        CALLER.set(visitor.caller)
        return visitor, bodies.parse(await self._api.body(request))

    def _writing(self, run: Writing) -> Callable[[Request], Awaitable[Response]]:
        """A handler for what changes the configuration, in one transaction."""

        async def handle(request: Request) -> Response:
            visitor, body = await self._enter(request)
            base = self._base(request)
            return json_answer(
                await self._api.engine.write(
                    lambda write: run(Changes(write, visitor.admit, base), body)
                )
            )

        return handle

    async def _read(self, request: Request) -> Response:
        visitor, body = await self._enter(request)
        page = self._api.settings.page_size
        reader = Reader(self._api.engine, visitor.admit, self._base(request), page)
        name = path_of(request).removeprefix(CONFIG)
        async with self._reading:
            if name == "get-config-objects":
                return json_answer(await reader.objects(body))
            return json_answer(await reader.lists(body, detail=name == "get-config-details"))

    def _base(self, request: Request) -> str:
        """What hrefs begin with: objects are at the API, on the host that the client named."""
        host = urlsplit(f"//{request.headers.get('host') or 'localhost'}").hostname or "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self._api_port}"


def _headers(fault: ApiFault) -> dict[str, str] | None:
    if isinstance(fault, TooOften):
        return {"retry-after": str(fault.wait)}
    # What is left of a body that was not read ends the connection.
    return {"connection": "close"} if fault.status in (401, 403, 408, 413) else None
