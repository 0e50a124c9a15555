"""The web UI's endpoints over TLS on a real store, in this process, and people who log in there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.unit.api.api_server import Answer, Api

from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.store import open_store
from tungsten.webui.service import WebUiPlace, WebUiService
from tungsten.webui.settings import WebUiSettings

PASSWORD = "canary-webui-password"
CONFIG = "/api/tenants/config/"


class Web:
    """Requests to the endpoints, with the cookies of one browser."""

    def __init__(self, port: int, session: aiohttp.ClientSession, scheme: str = "https") -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.session = session
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    async def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request, with the csrf token of the cookie unless headers say otherwise."""
        sent = {"x-csrf-token": self.cookies.get("_csrf", ""), **(headers or {})}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        data = json.dumps(body).encode() if data is None else data
        async with self.session.request(
            method, self.url + path, data=data, headers=sent, ssl=False
        ) as response:
            self.set_cookies = response.headers.getall("set-cookie", [])
            lower = {key.lower(): value for key, value in response.headers.items()}
            return Answer(response.status, await response.text(), lower)

    async def login(self, user: str = "admin", password: str = PASSWORD, **more: str) -> Answer:
        """Log in, and keep the cookies."""
        answer = await self.ask("/authenticate", {"username": user, "password": password, **more})
        if answer.status == 200:
            pairs = [one.partition(";")[0].partition("=") for one in self.set_cookies]
            self.cookies = {name: value for name, _, value in pairs}
        return answer

    async def config(self, name: str, body: Any, method: str = "POST") -> Any:
        """A call to the configuration that must succeed."""
        answer = await self.ask(CONFIG + name, body, method=method)
        assert answer.status == 200, answer.text
        return answer.json

    async def create(self, type_: str, **fields: Any) -> str:
        """Create an object; its uuid."""
        made = await self.config("create-config-object", {type_: fields})
        return str(made["configData"][type_]["uuid"])

    async def show(self, type_: str, uuid: str) -> Any:
        """An object."""
        body = {"data": [{"type": type_, "uuid": [uuid]}]}
        return (await self.config("get-config-objects", body))[0][type_]

    async def update(self, type_: str, **fields: Any) -> Any:
        """Change an object."""
        return await self.config("update-config-object", {type_: fields})

    async def delete(self, type_: str, *uuids: str) -> Answer:
        """Delete objects."""
        return await self.ask(CONFIG + "delete", [{"type": type_, "deleteIDs": list(uuids)}])


class Bed:
    """An API and the endpoints on the same store."""

    def __init__(self, api: Api, web: WebUiService, session: aiohttp.ClientSession) -> None:
        self.api = api
        self.service = web
        self._session = session

    def browser(self, scheme: str = "https") -> Web:
        """Someone who has not logged in yet."""
        return Web(self.service.port, self._session, scheme)


@asynccontextmanager
async def web_bed(
    directory: Path, api: dict[str, Any] | None = None, **web: Any
) -> AsyncIterator[Bed]:
    """An API and the endpoints, by default with the local administrator as the only user."""
    password = directory / "webui-password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    settings = ApiSettings(
        **{
            "listen": "127.0.0.1:0",
            "introspect_listen": "",
            "admin_password_file": str(password),
            **(api or {}),
        }
    )
    store = open_store(f"sqlite:{directory / 'config.db'}")
    service = ApiService(settings, store)
    given = {"listen": "127.0.0.1:0", "state_directory": str(directory / "state"), **web}
    place = WebUiPlace(WebUiSettings(**given), settings)
    endpoints = WebUiService(place, service)
    try:
        await place.start()
        await service.start()
        await endpoints.start()
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Bed(Api(service, session, store), endpoints, session)
    finally:
        await endpoints.stop()
        await service.stop()
        await place.stop()
        await store.close()
