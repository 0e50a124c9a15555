"""Creates of one object, answered where the request is parsed.

What is checked, in which order and in which words, is what :mod:`tungsten.api.app` does: a body
is read by :mod:`tungsten.api.bodies`, the engine makes the object, refusals are the application's.
Left out is what stands between: a task, and a request and a response of the HTTP framework.

Only for those who may do everything, without a question asked: an API without users, on a store
that only this process writes. Whatever is not an ordinary create with a small body goes the long
way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from tungsten.api import bodies, errors, views
from tungsten.api.callers import SYSTEM
from tungsten.api.engine import Engine
from tungsten.api.introspect import RestTrace
from tungsten.api.quick import OK, Headers
from tungsten.api.views import Hrefs
from tungsten.model import Resource, ResourceType
from tungsten.store.origin import origin_of

LARGEST = 64 * 1024
"""Bytes of the largest body that is taken here."""

UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"origin",
        b"sec-fetch-site",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers of requests that are not quick creates."""

Answered = Callable[[bytes, bytes, bool], None]
"""Is told status line, all after the Date header, and whether that ends the connection."""

Posted = Callable[[bytes, Answered], None]
"""Takes the body of a request, and answers it then or later."""

Failed = Callable[[Exception, str, str], Response]
"""The answer to a method on a path that raised."""

Made = asyncio.Future[tuple[Resource, bool]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A create whose head has been read."""

    declared: ResourceType
    path: str
    base: str
    client: str
    request_id: str
    answered: Answered


class QuickCreates:
    """Answers creates. ``paths`` are the types by the paths of their collections."""

    def __init__(
        self,
        engine: Engine,
        *,
        paths: Mapping[bytes, ResourceType],
        trace: RestTrace,
        is_host: Callable[[str], bool],
        failed: Failed,
        count: Callable[[int], None],
        max_body: int,
    ) -> None:
        self._engine = engine
        self._paths = paths
        self._trace = trace
        self._is_host = is_host
        self._failed = failed
        self._count = count
        self._largest = min(LARGEST, max_body)

    def begin(self, scheme: str, target: bytes, headers: Headers, client: str) -> Posted | None:
        """What takes the body of a POST; None: this is no quick create."""
        declared = self._paths.get(target)
        if declared is None:
            return None
        host, request_id, size = "", "", -1
        for name, value in headers:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"content-length":
                size = int(value) if value.isdigit() and len(value) < 10 else -1
            elif name == b"x-request-id":
                request_id = value.decode("latin-1")
            elif name in UNUSUAL:
                return None
        if not 0 <= size <= self._largest or not host or not self._is_host(host):
            return None
        base = f"{scheme}://{host}"
        path = target.decode("ascii")

        def posted(body: bytes, answered: Answered) -> None:
            asked = _Asked(declared, path, base, client, errors.echo(request_id), answered)
            self._create(asked, body)

        return posted

    def _create(self, asked: _Asked, body: bytes) -> None:
        origin = origin_of(SYSTEM.user, f"POST {asked.path}", asked.client)
        try:
            fields = bodies.unwrap(bodies.parse_object(body), asked.declared.name)
            made = self._engine.begin_create(asked.declared, fields, origin)
        except Exception as error:  # noqa: BLE001 - the client gets it, as from the application
            self._refuse(asked, error)
            return
        made.add_done_callback(partial(self._made, asked))

    def _made(self, asked: _Asked, made: Made) -> None:
        if made.cancelled():
            return  # the loop ends, and the connection with it
        try:
            resource, drafted = self._engine.outcome(made)
            shown = views.envelope(resource, Hrefs(asked.base))
            body = msgspec.json.encode({asked.declared.name: shown})
        except Exception as error:  # noqa: BLE001 - the client gets it, as from the application
            self._refuse(asked, error)
            return
        status = 202 if drafted else 200
        self._count(status)
        self._trace.add(asked.request_id, "POST", asked.path, status, "")
        head = b"content-length: %d\r\ncontent-type: application/json\r\n\r\n" % len(body)
        asked.answered(status_line(status), head + body, False)

    def _refuse(self, asked: _Asked, error: Exception) -> None:
        response = self._failed(error, "POST", asked.path)
        self._count(response.status_code)
        text = bytes(response.body)
        said = text[: errors.MAX_ECHO].decode(errors="replace")
        self._trace.add(asked.request_id, "POST", asked.path, response.status_code, said)
        head = b"".join(b"%s: %s\r\n" % one for one in response.raw_headers)
        closes = response.headers.get("connection") == "close"
        asked.answered(status_line(response.status_code), b"%s\r\n%s" % (head, text), closes)


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return OK if status == 200 else f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
