"""The configuration API as a service of a process: start, serve, stop."""

from __future__ import annotations

import os
import stat
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from tungsten.api import access_lists, audiences, vault
from tungsten.api.app import ApiApp
from tungsten.api.engine import Engine
from tungsten.api.front import Front
from tungsten.api.introspect import MODULE, RestTrace, api_requests, connections
from tungsten.api.keystone import Account, Keystone
from tungsten.api.local_admin import LocalAdmin
from tungsten.api.server import HttpServer, listening_socket
from tungsten.api.settings import ApiSettings
from tungsten.api.vault import Vault
from tungsten.introspect import ConnectionInfo, IntrospectServer
from tungsten.store import SqliteStore
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


def check_files(settings: ApiSettings) -> None:
    """Raise ValueError for a file of the settings that cannot be read.

    So is a password in a file that others than its owner may use.
    """
    for name in ("keystone_password_file", "admin_password_file", "keystone_ca_file"):
        path: str = getattr(settings, name)
        if not path:
            continue
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
        except OSError as error:
            raise ValueError(f"api.{name} is {path!r}: {error.strerror}") from error
        secret = name.endswith("password_file") and stat.S_ISREG(mode)
        if secret and stat.S_IMODE(mode) & ~0o600:
            raise ValueError(
                f"api.{name} is {path!r}, whose mode is {stat.S_IMODE(mode):04o}: a password is "
                "its owner's alone, so make it 0600 or 0400"
            )


def vault_of(settings: ApiSettings, store: Store) -> Vault | None:
    """The keys for secrets in objects; None where there is no place for them. Raises ValueError."""
    if settings.secrets_key_file:
        path = Path(settings.secrets_key_file)
    elif isinstance(store, SqliteStore):
        path = vault.beside(store.path)
    else:
        return None
    try:
        return vault.read(path)
    except ValueError as error:
        raise ValueError(f"api.secrets_key_file: {error}") from error


class ApiService:
    """The REST server on a store. ``port`` is the port it listens on once started.

    Starting makes the default objects that are missing; until they are there, requests are
    answered 503. Stopping ends requests in progress; the store stays open, it is its opener's.
    """

    def __init__(self, settings: ApiSettings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._engine = Engine(
            store,
            drop_unknown=settings.unknown_fields == "drop",
            quota=settings.quota,
            refuse_stale=settings.stale_reads == "refuse",
        )
        self._keystone: Keystone | None = None
        self._app: ApiApp | None = None
        self._server: HttpServer | None = None
        self._admin: HttpServer | None = None
        self._introspect: IntrospectServer | None = None
        self._ends = AsyncExitStack()

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 while it does not."""
        return self._server.port if self._server is not None else 0

    @property
    def admin_port(self) -> int:
        """The port of the administrator's listener; 0 while there is none."""
        return self._admin.port if self._admin is not None else 0

    @property
    def introspect_port(self) -> int:
        """The port of the introspect server; 0 while there is none."""
        return self._introspect.port if self._introspect is not None else 0

    @property
    def app(self) -> ApiApp:
        """The application, for what else answers on the same engine. Started only."""
        assert self._app is not None, "start() comes first"
        return self._app

    @property
    def keystone(self) -> Keystone | None:
        """Who checks tokens; None when callers are not known."""
        return self._keystone

    @property
    def paths(self) -> frozenset[str]:
        """The paths that are served beside those of the resource types."""
        return frozenset(self._app.paths if self._app is not None else ())

    async def start(self) -> None:
        """Listen, make the default objects, answer requests.

        Raises OSError, StoreError, and ValueError for a setting that cannot be used.
        """
        try:
            await self._start()
        except BaseException:
            await self._ends.aclose()
            raise

    async def _start(self) -> None:
        settings, trace = self._settings, RestTrace()
        self._keystone = keystone_of(settings)
        check_files(settings)
        if self._keystone is not None:
            self._ends.push_async_callback(self._keystone.stop)
            await self._keystone.start()
        front = Front(self._engine, settings, self._keystone)
        self._app = ApiApp(self._engine, settings, front, trace)
        self._server = await self._listen(self._app, "api.listen", settings.listen)
        if self._keystone is not None and settings.admin_password_file:
            admin = LocalAdmin(self._app, settings.admin_user, Path(settings.admin_password_file))
            self._admin = await self._listen(admin, "api.admin_listen", settings.admin_listen)
        if settings.introspect_listen:
            await self._start_introspect(trace)
        self._engine.vault = vault_of(settings, self._store)
        made = await self._engine.ensure_defaults()
        sealed, foreign = await self._engine.seal_stored()
        if sealed or foreign:
            log.warning("secrets_of_store", encrypted=sealed, with_unknown_key=foreign)
        await audiences.build(self._engine.store)
        if await front.mode() == "rbac":
            await self._engine.write(access_lists.ensure_default_rules)
        self._app.ready = True
        log.info("api_started", listen=settings.listen, port=self.port, made=len(made))

    async def _listen(self, app: ApiApp | LocalAdmin, setting: str, listen: str) -> HttpServer:
        server = HttpServer(
            app,
            listening_socket(listen, setting),
            max_requests=self._settings.max_requests,
            timeout=self._settings.request_timeout,
            quick=app.quick if isinstance(app, ApiApp) else None,
            quick_post=app.quick_post if isinstance(app, ApiApp) else None,
            max_per_source=self._settings.max_connections_per_source,
        )
        self._ends.push_async_callback(server.stop)
        await server.start()
        return server

    async def _start_introspect(self, trace: RestTrace) -> None:
        try:
            self._introspect = IntrospectServer(
                self._settings.introspect_listen,
                MODULE,
                api_requests(trace, self._connections),
                host_names=self._settings.allowed_hosts,
            )
        except ValueError as error:
            raise ValueError(f"api.introspect_listen: {error}") from error
        self._ends.push_async_callback(self._introspect.stop)
        await self._introspect.start()

    def _connections(self) -> list[ConnectionInfo]:
        ready = self._app is not None and self._app.ready
        return connections(self._engine, self._keystone, ready=ready)

    async def stop(self) -> None:
        """Answer what is in progress, then close."""
        if self._app is not None:
            self._app.stop()
        await self._ends.aclose()
        log.info("api_stopped")
