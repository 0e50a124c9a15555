"""What the API shows of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest
from tests.unit.api.api_server import Api, serving


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, introspect_listen="127.0.0.1:0") as api:
        yield api


async def see(api: Api, path: str) -> ElementTree.Element:
    url = f"http://127.0.0.1:{api.service.introspect_port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return ElementTree.fromstring(await response.text())


async def test_the_api_says_that_it_works_and_what_it_depends_on(shown: Api) -> None:
    root = await see(shown, "Snh_SandeshUVECacheReq?x=NodeStatus")
    said = {one.tag: one.text for one in root.iter()}
    assert (said["module_id"], said["state"]) == ("contrail-api", "Functional")
    assert (said["type"], said["status"]) == ("Database", "Up")


async def test_a_store_that_cannot_be_read_shows(shown: Api) -> None:
    await shown.store.close()
    assert (await shown.ask("GET", "/projects")).status == 503
    root = await see(shown, "Snh_SandeshUVECacheReq?x=NodeStatus")
    said = {one.tag: one.text for one in root.iter()}
    assert said["state"] == "Non-Functional"
    assert "Database" in (said["description"] or "") or said["status"] == "Down"


async def test_the_latest_requests_are_shown_without_what_they_carried(shown: Api) -> None:
    await shown.project()
    headers = {"X-Request-Id": "req-17", "X-Auth-Token": "canary-token"}
    body = {"operation": "STORE", "key": "k", "value": "canary-value"}
    await shown.ask("POST", "/useragent-kv", body, headers=headers)
    await shown.ask("GET", "/nonsense?a=b")
    root = await see(shown, "Snh_SandeshTraceRequest?x=RestApiTraceBuf")
    text = ElementTree.tostring(root, encoding="unicode")
    assert "request_id = req-17 url = /useragent-kv method = POST status = 200" in text
    assert "url = /nonsense?a=b method = GET status = 404 request_error = Not found" in text
    assert "canary" not in text
