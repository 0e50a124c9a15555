"""The configuration API as a service of a process: start, serve, stop."""

from __future__ import annotations

import structlog

from tungsten.api.app import ApiApp
from tungsten.api.engine import Engine
from tungsten.api.server import HttpServer
from tungsten.api.settings import ApiSettings
from tungsten.store.base import Store

log = structlog.get_logger("tungsten.api")


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
        self._app = ApiApp(self._engine, settings)
        self._server = HttpServer(
            self._app,
            settings.listen,
            max_requests=settings.max_requests,
            timeout=settings.request_timeout,
        )

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 while it does not."""
        return self._server.port

    async def start(self) -> None:
        """Listen, make the default objects, answer requests. Raises OSError, StoreError."""
        await self._server.start()
        try:
            made = await self._engine.ensure_defaults()
        except BaseException:
            await self._server.stop()
            raise
        self._app.ready = True
        log.info("api_started", listen=self._settings.listen, port=self.port, made=len(made))

    async def stop(self) -> None:
        """Answer what is in progress, then close."""
        self._app.stop()
        await self._server.stop()
        log.info("api_stopped")
