"""Tokens checked at Keystone, the identity service of OpenStack (Identity API v3).

The API has a user of its own there. With it, a token of a caller is shown to Keystone
(``GET /v3/auth/tokens``), which says whose it is, in which project and with which roles. What it
said is believed for a short time, so that not every request costs one there; tokens are
remembered by their hash. The own token is renewed when Keystone does not accept it any more.

Keystone is not trusted with more than that: redirects are not followed, answers are bounded in
size and time, and an answer that is none makes the request fail as "cannot be checked now".
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog

from tungsten.api.bodies import Json
from tungsten.api.errors import ApiFault

log = structlog.get_logger("tungsten.api")

MAX_ANSWER = 1 << 20
MAX_TOKEN = 8192
MAX_CACHED = 10_000
TIMEOUT = 10.0


class _Named(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Scope(msgspec.Struct):
    id: str = ""
    name: str = ""
    domain: _Named = msgspec.field(default_factory=_Named)


class _Token(msgspec.Struct):
    """What is read of a token's description."""

    user: _Scope
    roles: list[_Named] = msgspec.field(default_factory=list)
    project: _Scope | None = None
    domain: _Named | None = None
    expires_at: str | None = None


class _Answer(msgspec.Struct):
    token: _Token


class _Projects(msgspec.Struct):
    projects: list[_Named]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a token is. ``said`` is Keystone's answer as a whole."""

    user: str
    user_id: str
    roles: tuple[str, ...]
    project: str
    project_id: str
    domain: str
    domain_id: str
    expires: float
    said: Json


class Unreachable(ApiFault):
    """Whether a token is valid cannot be known now."""

    status = 503


@dataclass(frozen=True, kw_only=True)
class Account:
    """The API's own user at Keystone. The password is read from its file when it is needed."""

    url: str
    user: str
    password_file: str
    project: str
    user_domain: str
    project_domain: str
    ca_file: str = ""

    @property
    def tokens_url(self) -> str:
        """Where tokens are made and shown."""
        return self._base + "/tokens"

    @property
    def projects_url(self) -> str:
        """Where it is shown in which projects whoever asks is."""
        return self._base + "/projects"

    @property
    def _base(self) -> str:
        return self.url.rstrip("/").removesuffix("/v3").removesuffix("/v2.0") + "/v3/auth"

    def credentials(self) -> Json:
        """What is sent to get a token. Raises OSError."""
        password = Path(self.password_file).read_text(encoding="utf-8").rstrip("\n")
        scope = {"project": {"name": self.project, "domain": {"name": self.project_domain}}}
        return password_credentials(self.user, password, self.user_domain, scope)


def password_credentials(user: str, password: str, domain: str, scope: Json) -> Json:
    """What is sent for a token of a user in a scope."""
    said = {"name": user, "domain": {"name": domain}, "password": password}
    identity = {"methods": ["password"], "password": {"user": said}}
    return {"auth": {"identity": identity, "scope": scope}}


def identity_of(data: bytes) -> Identity:
    """Whose token Keystone describes. Raises msgspec.DecodeError, ValueError."""
    token = msgspec.json.decode(data, type=_Answer).token
    scope = token.project or _Scope()
    domain = scope.domain if token.project else (token.domain or token.user.domain)
    expires = float("inf")
    if token.expires_at:
        when = datetime.fromisoformat(token.expires_at.replace("Z", "+00:00"))
        expires = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return Identity(
        user=token.user.name,
        user_id=token.user.id,
        roles=tuple(role.name for role in token.roles),
        project=scope.name,
        project_id=scope.id,
        domain=domain.name,
        domain_id=domain.id,
        expires=expires,
        said=msgspec.json.decode(data),
    )


class Keystone:
    """Says whose tokens are. ``failure`` is why it could not the last time, or empty."""

    def __init__(self, account: Account, *, cache: float) -> None:
        self._account = account
        self._cache = cache
        self._known: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()
        self._own = ""
        self.url = account.url
        self.failure = ""
        self._renewing = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make ready; nothing is sent yet. Raises ValueError for certificates that are none."""
        context: ssl.SSLContext | bool = True
        if self._account.ca_file:
            try:
                context = ssl.create_default_context(cafile=self._account.ca_file)
            except ssl.SSLError as error:
                raise ValueError(
                    f"api.keystone_ca_file is {self._account.ca_file!r}, which holds no "
                    f"certificates: {error.reason}"
                ) from error
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=16),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            trust_env=False,
        )

    async def stop(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def identify(self, token: str) -> Identity | None:
        """Whose token it is; None when it is not valid. Raises Unreachable."""
        if not token.isascii() or not token.isprintable() or not 0 < len(token) <= MAX_TOKEN:
            return None
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0] and time.time() < known[1].expires:
            return known[1]
        self._known.pop(key, None)
        identity = await self._ask(token)
        self.failure = ""
        if identity is None or identity.expires <= time.time():
            return None
        self._known[key] = (time.monotonic() + self._cache, identity)
        while len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        return identity

    async def login(self, user: str, password: str, domain: str, project: str) -> str | None:
        """A token of a user in a project; None when Keystone does not accept them.

        A user who is not in ``project`` gets a token of the first project, by name, that the user
        is in. Raises Unreachable.
        """
        token = await self._given(password_credentials(user, password, domain, {"unscoped": {}}))
        if token is None:
            return None
        mine = {"x-auth-token": token}
        status, _, data = await self._request("GET", mine, None, self._account.projects_url)
        if status != 200:
            return None
        try:
            projects = msgspec.json.decode(data, type=_Projects).projects
        except msgspec.DecodeError as error:
            raise self._fault(f"its answer cannot be read: {error}") from error
        if not projects:
            return None
        chosen = min(projects, key=lambda one: (one.name != project, one.name))
        identity = {"methods": ["token"], "token": {"id": token}}
        scope = {"project": {"id": chosen.id}}
        return await self._given({"auth": {"identity": identity, "scope": scope}})

    async def _given(self, credentials: Json) -> str | None:
        """The token that Keystone gives for credentials; None when it refuses them."""
        status, headers, _ = await self._request("POST", {}, credentials)
        if status in (400, 401, 403, 413):
            return None
        token = headers.get("x-subject-token", "")
        if status not in (200, 201) or not token:
            raise self._fault(f"it answered {status} to a login")
        return token

    async def _ask(self, token: str) -> Identity | None:
        for _ in range(2):
            own = self._own or await self._renew("")
            headers = {"x-auth-token": own, "x-subject-token": token}
            status, _, data = await self._request("GET", headers, None)
            if status == 200:
                try:
                    return identity_of(data)
                except (msgspec.DecodeError, ValueError) as error:
                    raise self._fault(f"its answer cannot be read: {error}") from error
            if status in (400, 404):
                return None
            if status != 401:
                raise self._fault(f"it answered {status}")
            await self._renew(own)
        raise self._fault("it does not accept the token that it gave to this server")

    async def _renew(self, rejected: str) -> str:
        """A token of our own, other than the one that was rejected."""
        async with self._renewing:
            if self._own != rejected and self._own:
                return self._own
            try:
                credentials = self._account.credentials()
            except (OSError, UnicodeError) as error:
                raise self._fault(f"api.keystone_password_file cannot be read: {error}") from None
            status, headers, _ = await self._request("POST", {}, credentials)
            token = headers.get("x-subject-token", "")
            if status not in (200, 201) or not token:
                raise self._fault(f"it answered {status} to the login of {self._account.user}")
            self._own = token
            return token

    async def _request(
        self, method: str, headers: dict[str, str], body: Any, url: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None, "start() comes first"
        url = url or self._account.tokens_url + ("?nocatalog" if method == "GET" else "")
        try:
            async with self._session.request(
                method, url, headers=headers, json=body, allow_redirects=False
            ) as response:
                data = await response.content.read(MAX_ANSWER + 1)
                while not response.content.at_eof() and len(data) <= MAX_ANSWER:
                    data += await response.content.read(MAX_ANSWER + 1 - len(data))
                if len(data) > MAX_ANSWER:
                    raise self._fault("its answer is too large")
                said = {key.lower(): value for key, value in response.headers.items()}
                return response.status, said, data
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._fault(f"{type(error).__name__}: {error}") from error

    def _fault(self, reason: str) -> Unreachable:
        self.failure = reason
        log.warning("keystone_failed", url=self._account.url, reason=reason)
        return Unreachable("Tokens cannot be checked now: the identity service does not answer")
