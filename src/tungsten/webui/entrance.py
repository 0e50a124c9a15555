"""Who is at the endpoints: logins by name and password, sessions, tokens.

With Keystone a user logs in there, and a session holds the token that Keystone gave; a request
with that session asks Keystone about the token as the API does, so a session does not outlive
what Keystone says. Without Keystone there is one user, the local administrator, whose password is
in the file ``api.admin_password_file``. A request may carry a Keystone token itself instead.

Wrong passwords cost time: after some of them the next is refused for a while that doubles.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from starlette.requests import Request

from tungsten.api.access_lists import Call
from tungsten.api.bodies import Json, text
from tungsten.api.callers import SYSTEM, Caller
from tungsten.api.errors import ApiFault, BadRequest, Forbidden
from tungsten.api.front import Front, Unauthorized
from tungsten.api.keystone import Identity, Keystone
from tungsten.api.local_admin import Attempts
from tungsten.store.base import Snapshot
from tungsten.webui.sessions import Session, Sessions
from tungsten.webui.settings import WebUiSettings

log = structlog.get_logger("tungsten.webui")

SESSION_COOKIE = "connect.sid"
CSRF_COOKIE = "_csrf"
CSRF_HEADER = "x-csrf-token"
MAX_WORD = 1024
"""Characters of a name or a password."""

MOST_LOGINS = 4
"""Logins that are asked about at once; so many more guesses than allowed may be under way."""

Admit = Callable[[Snapshot, Call], None]
"""Raises Forbidden when the rules do not let the caller make a call to the API."""


class TooOften(ApiFault):
    """Too many wrong passwords; ``wait`` is the seconds after which to try again."""

    status = 429

    def __init__(self, wait: float) -> None:
        self.wait = max(1, round(wait))
        super().__init__(f"Too many wrong passwords, try again in {self.wait} s")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request, and what the rules say of the calls that it stands for."""

    caller: Caller
    admit: Admit


class Entrance:
    """Lets people in, and knows who they are afterwards."""

    def __init__(
        self,
        settings: WebUiSettings,
        front: Front,
        keystone: Keystone | None,
        local: tuple[str, bytes],
    ) -> None:
        self._settings = settings
        self._front = front
        self._keystone = keystone
        self._user, self._password = local
        self._attempts = Attempts()
        self._logins = asyncio.Semaphore(MOST_LOGINS)
        self.sessions = Sessions(
            idle=settings.session_idle, life=settings.session_life, most=settings.max_sessions
        )

    async def login(self, request: Request, body: Json) -> tuple[str, Session]:
        """A new session for a name and password. Raises Unauthorized, TooOften."""
        user, password = _word(body, "username"), _word(body, "password")
        domain = _word(body, "domain", self._settings.keystone_user_domain)
        project = _word(body, "project", self._settings.keystone_project)
        source = request.client.host if request.client else ""
        who = (source, user[:64] if self._keystone is not None else "")
        async with self._logins:
            wait = self._attempts.wait(who, time.monotonic())
            if wait:
                raise TooOften(wait)
            token = await self._token(user, password, domain, project)
            if token is None:
                self._attempts.failed(who, time.monotonic())
                log.warning("webui_login_failed", source=source)
                raise Unauthorized("Authentication failed: wrong username or password")
            self._attempts.passed(who)
        self.sessions.close(request.cookies.get(SESSION_COOKIE, ""))
        return self.sessions.open(token, time.monotonic())

    async def _token(self, user: str, password: str, domain: str, project: str) -> str | None:
        """The token of who logs in, empty for the local administrator; None if it is nobody."""
        if self._keystone is not None:
            return await self._keystone.login(user, password, domain, project)
        same = hmac.compare_digest(user.encode("utf-8", "replace"), self._user.encode())
        right = hmac.compare_digest(password.encode("utf-8", "replace"), self._password)
        return "" if same and right else None

    def logout(self, request: Request) -> None:
        """End the session of a request."""
        self.sessions.close(request.cookies.get(SESSION_COOKIE, ""))

    async def visitor(self, request: Request) -> Visitor:
        """Who sent a request. Raises Unauthorized, and Forbidden for a wrong csrf token."""
        token = request.headers.get("x-auth-token")
        if token is not None:
            if self._keystone is None:
                raise Unauthorized("x-auth-token is of no use here, log in at /authenticate")
            return await self._known(await self._front.identify(token))
        secret = request.cookies.get(SESSION_COOKIE, "")
        session = self.sessions.find(secret, time.monotonic())
        if session is None:
            raise Unauthorized("Not logged in, or no longer: log in at /authenticate")
        if not session.sent(request.headers.get(CSRF_HEADER, "")):
            raise Forbidden(f"The header {CSRF_HEADER} must be the value of the cookie _csrf")
        if not session.token:
            return Visitor(SYSTEM, _admit_all)
        try:
            identity = await self._front.identify(session.token)
        except Unauthorized:
            self.sessions.close(secret)
            raise
        return await self._known(identity)

    async def _known(self, identity: Identity) -> Visitor:
        front, mode = self._front, await self._front.mode()
        if mode == "no-auth":
            return Visitor(SYSTEM, _admit_all)
        caller = await front.caller_of(identity)

        def admit(snapshot: Snapshot, call: Call) -> None:
            front.admitted(snapshot, mode, identity, call)

        return Visitor(caller, admit)


def _admit_all(snapshot: Snapshot, call: Call) -> None:
    """Whoever may do everything is not asked."""


def _word(body: Json, key: str, default: str | None = None) -> str:
    value = text(body, key)
    if not value:
        if default is None:
            raise BadRequest(f"Bad Request, {key} must be given")
        return default
    if len(value) > MAX_WORD:
        raise BadRequest(f"Bad Request, {key} is longer than {MAX_WORD} characters")
    return value
