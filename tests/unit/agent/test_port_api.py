from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.unit.agent.agent_samples import VM, VMI, port, vm_port

from tungsten.agent.port_api import BODY_LIMIT, BadJson, HttpServer, PortApi, decode_json
from tungsten.agent.ports import PortStore
from tungsten.agent.settings import Endpoint


class Answers:
    """Operational state with one ready interface."""

    def addressing(self, vm: str, vmi: str | None) -> list[dict[str, Any]]:
        return [{"id": VMI, "ip-address": "10.1.1.3"}] if vm == VM else []

    def vm_config(self, name: str) -> list[dict[str, Any]]:
        return [{"id": VMI, "vm-uuid": VM}] if name == "pod1" else []


class Client:
    def __init__(self, session: aiohttp.ClientSession, base: str, store: PortStore) -> None:
        self.session = session
        self.base = base
        self.store = store

    async def __call__(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.base + path, **kwargs) as response:
            return response.status, await response.json()


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Client]:
    store = PortStore(tmp_path)
    store.load(0.0)
    server = HttpServer(PortApi(store, Answers()).app, Endpoint("127.0.0.1", 0))
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{server.port}", store)
    await server.stop()


async def test_a_port_is_added_read_and_removed(call: Client) -> None:
    assert await call("POST", "/port", json=port()) == (200, {})
    status, body = await call("GET", f"/port/{VMI}")
    assert status == 200
    assert body.items() >= port().items()
    assert body["author"] == "tungsten-agent"
    assert await call("DELETE", f"/port/{VMI}") == (200, {})
    assert await call("GET", f"/port/{VMI}") == (404, {"error": "{ Not Found }"})
    assert await call("DELETE", f"/port/{VMI}") == (404, {"error": "{ Not Found }"})


async def test_an_array_is_added_whole_or_not_at_all(call: Client) -> None:
    status, body = await call("POST", "/port", json=[port(), port(id="x")])
    assert (status, body) == (500, {"error": "{ Invalid or missing data for <id> }"})
    assert call.store.ports() == ()
    other = port(id=VMI.replace("1", "2"), system_name="tap2")
    assert await call("POST", "/port", json=[port(), other]) == (200, {})
    assert len(call.store.ports()) == 2


@pytest.mark.parametrize(
    ("path", "data", "start"),
    [
        ("/port", b"{", "{ Invalid Json string ==> "),
        ("/port", b"[" * 100000, "{ Invalid Json string ==> nested"),
        ("/port", b"5", "{ Unexpected Json string ==> 5"),
        ("/port", b"[5]", "{ Json Array has invalid element ==> 5"),
        ("/vm", b"[]", "{ Arrays not supported in json for vm ==> []"),
        ("/vm", b"{}", "{ Invalid or missing field for <vmi-uuid> }"),
    ],
)
async def test_a_bad_body_says_why(call: Client, path: str, data: bytes, start: str) -> None:
    status, body = await call("POST", path, data=data)
    assert status == 500
    assert body["error"].startswith(start)


async def test_the_cni_sequence(call: Client) -> None:
    assert (await call("GET", "/vm-cfg/pod1"))[1] == [{"id": VMI, "vm-uuid": VM}]
    assert (await call("GET", "/vm-cfg/other"))[0] == 404
    assert await call("POST", "/vm", json=vm_port()) == (200, {})
    assert (await call("GET", f"/vm/{VM}/{VMI}"))[1] == [{"id": VMI, "ip-address": "10.1.1.3"}]
    assert (await call("GET", f"/vm/{VMI}"))[0] == 404
    assert await call("DELETE", f"/vm/{VM}") == (200, {})
    assert (await call("DELETE", f"/vm/{VM}"))[0] == 404


async def test_only_remote_ports_are_enabled_and_disabled(call: Client) -> None:
    await call("POST", "/port", json=port())
    assert await call("PUT", f"/enable-port/{VMI}") == (
        500,
        {"error": f"{{ Incorrect Port type for /enable-port/{VMI} }}"},
    )
    await call("POST", "/port", json=port(type=2))
    assert not call.store.ports()[0].link_up
    assert await call("PUT", f"/enable-port/{VMI}") == (200, {})
    assert call.store.ports()[0].link_up
    assert (await call("PUT", "/disable-port/none"))[0] == 404


async def test_unknown_requests_bodies_too_long_and_foreign_hosts(call: Client) -> None:
    assert await call("GET", "/nothing") == (404, {"error": "{ Unknown Request }"})
    assert await call("PUT", "/port") == (404, {"error": "{ Unknown Request }"})
    assert (await call("POST", "/port", data=b" " * (BODY_LIMIT + 1)))[0] == 413
    for host in ("evil.example", "[", "localhost.evil.example", "127.0.0.1:9091:x"):
        assert (await call("POST", "/syncports", headers={"Host": host}))[0] == 421
    assert (await call("POST", "/syncports", headers={"Host": "localhost:9091"})) == (200, {})


def test_brackets_in_strings_are_not_depth() -> None:
    text = '{"a":"' + "[" * 500 + '\\"{"}'
    assert decode_json(text.encode())["a"].startswith("[[")
    with pytest.raises(BadJson):
        decode_json(b"[" * 65 + b"]" * 65)
