"""A stand-in for Keystone: tokens of a few users, and the ways in which a service can fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

PASSWORD = "canary-service-password"
ADMIN_PASSWORD = "canary-admin-password"


@dataclass
class StandIn:
    """Answers as Identity API v3 does, to whom has a token of its service user."""

    url: str = ""
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    own: str = "no token yet"
    logins: int = 0
    asked: int = 0
    broken: web.Response | None = None
    endless: bool = False

    def token(
        self,
        user: str,
        *roles: str,
        project: str = "",
        project_id: str = "",
        domain: str = "default",
        expires_at: str = "2099-01-01T00:00:00.000000Z",
    ) -> str:
        """A new token of a user in a project."""
        token = f"canary-{user}-{uuid4().hex}"
        where = {"id": domain, "name": "Default"}
        said: dict[str, Any] = {
            "user": {"id": uuid4().hex, "name": user, "domain": where},
            "roles": [{"id": uuid4().hex, "name": role} for role in roles],
            "expires_at": expires_at,
        }
        if project_id:
            name = project or project_id
            said["project"] = {"id": project_id.replace("-", ""), "name": name, "domain": where}
        self.tokens[token] = {"token": said}
        return token

    async def login(self, request: web.Request) -> web.StreamResponse:
        """``POST /v3/auth/tokens``."""
        if self.broken is not None:
            return self.broken
        self.logins += 1
        said = await request.json()
        if said["auth"]["identity"]["password"]["user"]["password"] != PASSWORD:
            return web.Response(status=401)
        self.own = f"canary-own-{uuid4().hex}"
        return web.json_response({"token": {}}, status=201, headers={"X-Subject-Token": self.own})

    async def show(self, request: web.Request) -> web.StreamResponse:
        """``GET /v3/auth/tokens``."""
        self.asked += 1
        if self.endless:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(64):
                await response.write(b" " * 65536)
            return response
        if self.broken is not None:
            return self.broken
        if request.headers.get("X-Auth-Token") != self.own:
            return web.Response(status=401)
        said = self.tokens.get(request.headers.get("X-Subject-Token", ""))
        return web.Response(status=404) if said is None else web.Response(text=json.dumps(said))


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    """A stand-in on the loopback address."""
    stand_in = StandIn()
    application = web.Application()
    application.router.add_post("/v3/auth/tokens", stand_in.login)
    application.router.add_get("/v3/auth/tokens", stand_in.show)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stand_in
    finally:
        await runner.cleanup()


def keystone_settings(directory: Path, keystone: StandIn, **more: Any) -> dict[str, Any]:
    """Settings of an API that asks ``keystone``."""
    password, admin = directory / "password", directory / "admin"
    password.write_text(PASSWORD + "\n")
    admin.write_text(ADMIN_PASSWORD + "\n")
    for file in (password, admin):
        file.chmod(0o600)
    return {
        "auth": "keystone",
        "keystone_url": keystone.url,
        "keystone_password_file": str(password),
        "admin_listen": "127.0.0.1:0",
        "admin_password_file": str(admin),
        "global_read_only_role": "auditor",
        **more,
    }
