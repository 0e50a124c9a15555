"""The web UI's configuration endpoints as a service of a process that serves the API."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from tungsten.api.server import HttpServer, listening_socket
from tungsten.api.service import ApiService, check_files
from tungsten.api.settings import ApiSettings
from tungsten.webui.app import WebUiApp
from tungsten.webui.certificate import tls_of
from tungsten.webui.entrance import Entrance
from tungsten.webui.settings import WebUiSettings

log = structlog.get_logger("tungsten.webui")


class WebUiPlace:
    """What the endpoints need of this machine: address, certificate, the administrator's password.

    A service to be started before the API, so that what is wrong with it is told before anybody is
    answered. Nothing is accepted at the address until :class:`WebUiService` takes it.
    """

    def __init__(self, settings: WebUiSettings, api_settings: ApiSettings) -> None:
        self.settings = settings
        self.api_settings = api_settings
        self.tls: ssl.SSLContext | None = None
        self.local = ("", b"")
        self._socket: socket.socket | None = None

    async def start(self) -> None:
        """Look for everything. Raises OSError, and ValueError for a setting that cannot be used."""
        self.tls = tls_of(self.settings)
        self.local = _local(self.api_settings)
        self._socket = listening_socket(self.settings.listen, "webui.listen")

    def take(self) -> socket.socket:
        """The socket, for its new owner. Raises RuntimeError when it is taken already."""
        taken, self._socket = self._socket, None
        if taken is None:
            raise RuntimeError("the place of the endpoints was not started, or is taken")
        return taken

    async def stop(self) -> None:
        """Close the socket that nobody took."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _local(settings: ApiSettings) -> tuple[str, bytes]:
    """Name and password of the local administrator, the only user without Keystone."""
    if settings.auth != "noauth":
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


class WebUiService:
    """The server of the endpoints.

    ``place`` and ``api`` are started before it and stopped after it.
    """

    def __init__(self, place: WebUiPlace, api: ApiService) -> None:
        self._place = place
        self._api = api
        self._server: HttpServer | None = None
        self._ends = AsyncExitStack()

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 while it does not."""
        return self._server.port if self._server is not None else 0

    async def start(self) -> None:
        """Listen and answer."""
        settings, api = self._place.settings, self._api
        entrance = Entrance(settings, api.app.front, api.keystone, self._place.local)
        secure = self._place.tls is not None
        self._server = HttpServer(
            WebUiApp(api.app, entrance, api_port=api.port, secure=secure),
            self._place.take(),
            max_requests=self._place.api_settings.max_requests,
            timeout=self._place.api_settings.request_timeout,
            max_per_source=self._place.api_settings.max_connections_per_source,
            tls=self._place.tls,
        )
        self._ends.push_async_callback(self._server.stop)
        try:
            await self._server.start()
        except BaseException:
            await self._ends.aclose()
            raise
        if not secure:
            log.warning("webui_not_encrypted", listen=settings.listen)
        log.info("webui_started", listen=settings.listen, port=self.port)

    async def stop(self) -> None:
        """Answer what is in progress, then close."""
        await self._ends.aclose()
        log.info("webui_stopped")
