"""The administrator's listener: the same API on the local host, for who knows its password.

With Keystone on, this is the way in when Keystone is not there. Requests carry HTTP Basic
credentials and may do everything. After some wrong ones each further costs a wait that doubles,
for everybody who names that user from that address.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections import OrderedDict
from pathlib import Path

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tungsten.api.front import LOCAL_ADMIN

log = structlog.get_logger("tungsten.api")

FREE_FAILURES = 5
LONGEST_WAIT = 60.0
MAX_REMEMBERED = 1000
FORGET = 300.0
"""Seconds after the last wrong attempt when they are forgotten."""


class Attempts:
    """Wrong attempts by source and user, and how long the next one waits."""

    def __init__(self) -> None:
        self._failed: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait(self, who: tuple[str, str], now: float) -> float:
        """Seconds that an attempt has to wait."""
        count, last = self._failed.get(who, (0, 0.0))
        if count < FREE_FAILURES or now - last > FORGET:
            return 0.0
        return min(2.0 ** (count - FREE_FAILURES), LONGEST_WAIT)

    def failed(self, who: tuple[str, str], now: float) -> None:
        """Note a wrong attempt."""
        count, last = self._failed.pop(who, (0, now))
        self._failed[who] = (count + 1 if now - last <= FORGET else 1, now)
        while len(self._failed) > MAX_REMEMBERED:
            self._failed.popitem(last=False)

    def passed(self, who: tuple[str, str]) -> None:
        """Forget the wrong attempts of who got in."""
        self._failed.pop(who, None)


def credentials(header: str) -> tuple[str, str] | None:
    """User and password of an ``Authorization`` header; None for what is none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


class LocalAdmin:
    """The ASGI application of the administrator's listener, around that of the API."""

    def __init__(self, app: ASGIApp, user: str, password_file: Path) -> None:
        self._app = app
        self._user = user
        self._password = password_file.read_text(encoding="utf-8").rstrip("\n").encode()
        if not self._password:
            raise ValueError(f"api.admin_password_file {password_file} is empty")
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request with the right credentials through."""
        if scope["type"] != "http":
            return
        refused = await self._refused(scope)
        if refused is not None:
            headers = {"www-authenticate": 'Basic realm="tungsten"'}
            response = Response(refused, 401, headers, "text/html")
            await response(scope, receive, send)
            return
        await self._app({**scope, LOCAL_ADMIN: True}, receive, send)

    async def _refused(self, scope: Scope) -> str | None:
        header = Headers(scope=scope).get("authorization")
        if header is None:
            return "HTTP_AUTHORIZATION header missing"
        user, password = credentials(header) or ("", "")
        source = (scope.get("client") or ("", 0))[0]
        same_user = hmac.compare_digest(user.encode(), self._user.encode())
        # All wrong names are one: who makes up names would have the right one's attempts forgotten.
        who = (source, self._user if same_user else "")
        await asyncio.sleep(self._attempts.wait(who, time.monotonic()))
        if hmac.compare_digest(password.encode(), self._password) and same_user:
            self._attempts.passed(who)
            return None
        self._attempts.failed(who, time.monotonic())
        log.warning("local_login_failed", source=source)
        return "Authentication check failed"
