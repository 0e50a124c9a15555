"""The web UI's configuration endpoints as a service of a process that serves the API."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from tungsten.api.server import HttpServer
from tungsten.api.service import ApiService, check_files
from tungsten.api.settings import ApiSettings
from tungsten.webui.app import WebUiApp
from tungsten.webui.certificate import tls_of
from tungsten.webui.entrance import Entrance
from tungsten.webui.settings import WebUiSettings

log = structlog.get_logger("tungsten.webui")


class WebUiService:
    """The server of the endpoints; ``api`` is started before it and stopped after it."""

    def __init__(self, settings: WebUiSettings, api_settings: ApiSettings, api: ApiService) -> None:
        self._settings = settings
        self._api_settings = api_settings
        self._api = api
        self._server: HttpServer | None = None
        self._ends = AsyncExitStack()

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 while it does not."""
        return self._server.port if self._server is not None else 0

    async def start(self) -> None:
        """Listen and answer. Raises OSError, and ValueError for a setting that cannot be used."""
        settings, api = self._settings, self._api
        tls = tls_of(settings)
        entrance = Entrance(settings, api.app.front, api.keystone, self._local())
        app = WebUiApp(api.app, entrance, api_port=api.port, secure=tls is not None)
        self._server = HttpServer(
            app,
            settings.listen,
            setting="webui.listen",
            max_requests=self._api_settings.max_requests,
            timeout=self._api_settings.request_timeout,
            max_per_source=self._api_settings.max_connections_per_source,
            tls=tls,
        )
        self._ends.push_async_callback(self._server.stop)
        try:
            await self._server.start()
        except BaseException:
            await self._ends.aclose()
            raise
        if tls is None:
            log.warning("webui_not_encrypted", listen=settings.listen)
        log.info("webui_started", listen=settings.listen, port=self.port)

    def _local(self) -> tuple[str, bytes]:
        """Name and password of the local administrator, the only user without Keystone."""
        settings = self._api_settings
        if self._api.keystone is not None:
            return settings.admin_user, b""
        if not settings.admin_password_file:
            raise ValueError(
                "webui.listen needs api.admin_password_file, the password of api.admin_user, when "
                "api.auth is noauth"
            )
        check_files(settings)
        password = Path(settings.admin_password_file).read_text(encoding="utf-8").rstrip("\n")
        if not password:
            raise ValueError(f"api.admin_password_file {settings.admin_password_file} is empty")
        return settings.admin_user, password.encode()

    async def stop(self) -> None:
        """Answer what is in progress, then close."""
        await self._ends.aclose()
        log.info("webui_stopped")
