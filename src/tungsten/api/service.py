"""The configuration API as a service of a process: start, serve, stop."""

from __future__ import annotations

from pathlib import Path

import structlog

from tungsten.api import access_lists
from tungsten.api.app import ApiApp
from tungsten.api.engine import Engine
from tungsten.api.front import Front
from tungsten.api.keystone import Account, Keystone
from tungsten.api.local_admin import LocalAdmin
from tungsten.api.server import HttpServer
from tungsten.api.settings import ApiSettings
from tungsten.store.base import Store

log = structlog.get_logger("tungsten.api")


def keystone_of(settings: ApiSettings) -> Keystone | None:
    """The Keystone that settings name; None without one. Raises ValueError."""
    if settings.auth == "noauth":
        return None
    for name in ("keystone_url", "keystone_password_file"):
        if not getattr(settings, name):
            raise ValueError(f"api.{name} is needed when api.auth is {settings.auth}")
    if not settings.keystone_url.startswith(("http://", "https://")):
        raise ValueError(f"api.keystone_url {settings.keystone_url!r} is no http or https address")
    account = Account(
        url=settings.keystone_url,
        user=settings.keystone_user,
        password_file=settings.keystone_password_file,
        project=settings.keystone_project,
        user_domain=settings.keystone_user_domain,
        project_domain=settings.keystone_project_domain,
        ca_file=settings.keystone_ca_file,
    )
    return Keystone(account, cache=settings.keystone_cache)


class ApiService:
    """The REST server on a store. ``port`` is the port it listens on once started.

    Starting makes the default objects that are missing; until they are there, requests are
    answered 503. Stopping ends requests in progress; the store stays open, it is its opener's.
    """

    def __init__(self, settings: ApiSettings, store: Store) -> None:
        self._settings = settings
        self._engine = Engine(
            store, drop_unknown=settings.unknown_fields == "drop", quota=settings.quota
        )
        self._keystone = keystone_of(settings)
        self._front = Front(self._engine, settings, self._keystone)
        self._app = ApiApp(self._engine, settings, self._front)
        self._server = self._http(self._app, settings.listen)
        self._admin: HttpServer | None = None
        if self._keystone is not None and settings.admin_password_file:
            admin = LocalAdmin(self._app, settings.admin_user, Path(settings.admin_password_file))
            self._admin = self._http(admin, settings.admin_listen)

    def _http(self, app: ApiApp | LocalAdmin, listen: str) -> HttpServer:
        return HttpServer(
            app,
            listen,
            max_requests=self._settings.max_requests,
            timeout=self._settings.request_timeout,
        )

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 while it does not."""
        return self._server.port

    @property
    def paths(self) -> frozenset[str]:
        """The paths that are served beside those of the resource types."""
        return frozenset(self._app.paths)

    @property
    def admin_port(self) -> int:
        """The port of the administrator's listener; 0 while there is none."""
        return self._admin.port if self._admin is not None else 0

    async def start(self) -> None:
        """Listen, make the default objects, answer requests. Raises OSError, StoreError."""
        try:
            if self._keystone is not None:
                await self._keystone.start()
            await self._server.start()
            if self._admin is not None:
                await self._admin.start()
            made = await self._engine.ensure_defaults()
            if await self._front.mode() == "rbac":
                await self._engine.write(access_lists.ensure_default_rules)
        except BaseException:
            await self._stop()
            raise
        self._app.ready = True
        log.info("api_started", listen=self._settings.listen, port=self.port, made=len(made))

    async def stop(self) -> None:
        """Answer what is in progress, then close."""
        self._app.stop()
        await self._stop()
        log.info("api_stopped")

    async def _stop(self) -> None:
        await self._server.stop()
        if self._admin is not None:
            await self._admin.stop()
        if self._keystone is not None:
            await self._keystone.stop()
