"""Creates that are answered at once are answered as they are the long way, and make the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Answer, Api

from tungsten.api import quick_creates
from tungsten.api.app import REQUESTS
from tungsten.store.base import Commit, StoreUnavailable

AT_LENGTH = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of creates that were answered at once."""
    bodies: list[bytes] = []
    create = quick_creates.QuickCreates._create

    def noted(self: Any, asked: Any, body: bytes) -> None:
        bodies.append(body)
        create(self, asked, body)

    monkeypatch.setattr(quick_creates.QuickCreates, "_create", noted)
    return bodies


def request(body: bytes, path: str = "/virtual-networks", *headers: str) -> bytes:
    """A POST as it is sent."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def network(name: str, **fields: Any) -> bytes:
    """The body of a network."""
    made = {"fq_name": [*PROJECT, name], "parent_type": "project", **fields}
    return json.dumps({"virtual-network": made}).encode()


async def answer(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Head and body of the next answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    return head, (await reader.readexactly(length)).decode()


def told(answer: Answer) -> tuple[int, Any, dict[str, str]]:
    """What a client can tell of an answer, but for the time and the length."""
    left = {"date", "content-length"}
    headers = {key: value for key, value in answer.headers.items() if key not in left}
    return answer.status, answer.text, headers


WRONG = {
    "no JSON": b"{",
    "no bytes": b"",
    "a list": b"[]",
    "no envelope": b'{"virtual-machine": {}}',
    "too deep": b'{"virtual-network": ' + b"[" * 100 + b"]" * 100 + b"}",
    "no name": network("x", fq_name=None),
    "a name that is taken": network("taken"),
    "a wrong value": network("x", router_external="perhaps"),
    "an unknown member": network("x", nothing=1),
    "no such parent": network("x", fq_name=["default-domain", "nobody", "x"]),
    "no such target": network("x", network_policy_refs=[{"to": ["a", "b"], "attr": None}]),
    "a wrong uuid": network("x", uuid="x"),
    "markup": network("x", router_external="<b>\ud800"),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
async def test_refusals_are_those_of_the_long_way(
    api: Api, taken: list[bytes], body: bytes
) -> None:
    await api.network("taken")
    before = await api.get("/virtual-networks")
    path, seen = "/virtual-networks", len(taken)
    at_once = await api.ask("POST", path, data=body)
    at_length = await api.ask("POST", path, data=body, headers=AT_LENGTH)
    assert len(taken) == seen + 1
    assert told(at_once) == told(at_length)
    assert at_once.status >= 400
    assert await api.get("/virtual-networks") == before


async def test_what_is_made_is_what_the_long_way_makes(api: Api, taken: list[bytes]) -> None:
    shown = []
    for name, headers in (("made-1", None), ("made-2", AT_LENGTH)):
        made = await api.ask("POST", "/virtual-networks", data=network(name), headers=headers)
        assert made.status == 200, made.text
        uuid = made.json["virtual-network"]["uuid"]
        one = await api.show("virtual-network", uuid)
        one["id_perms"] |= {"created": "", "last_modified": "", "uuid": ""}
        number = one["virtual_network_network_id"]
        one["virtual_network_network_id"] = "NUMBER"
        shown.append(
            [
                text.replace(name, "NAME").replace(uuid, "UUID")
                for text in (json.dumps(made.json), json.dumps(one))
            ]
        )
        assert number
    assert shown[0] == shown[1]
    assert sum(b"made-" in body for body in taken) == 1


async def test_a_body_that_comes_later_is_waited_for(api: Api, taken: list[bytes]) -> None:
    seen = len(taken)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    sent = request(network("slow"))
    for at in range(0, len(sent), 40):
        writer.write(sent[at : at + 40])
        await writer.drain()
        await asyncio.sleep(0.002)
    head, body = await answer(reader)
    assert head.startswith("HTTP/1.1 200"), body
    writer.write(request(network("whole")))
    head, body = await answer(reader)
    assert head.startswith("HTTP/1.1 200"), body
    assert len(taken) == seen + 1
    writer.close()


async def test_requests_sent_together_are_answered_in_order(api: Api, taken: list[bytes]) -> None:
    get = b"GET /aaa-mode HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    parts = []
    for number in range(12):
        parts += [request(network(f"n-{number}")), get, request(b"{"), request(network("n-0"))]
    writer.write(b"".join(parts))
    for number in range(12):
        assert f'"n-{number}"' in (await answer(reader))[1]
        assert "aaa-mode" in (await answer(reader))[1]
        assert "not valid JSON" in (await answer(reader))[1]
        assert (await answer(reader))[0].startswith("HTTP/1.1 409")
    writer.write(get)
    assert "aaa-mode" in (await answer(reader))[1]
    assert taken
    writer.close()


async def test_who_hangs_up_after_asking_has_asked(api: Api) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request(network("gone")))
    await writer.drain()
    writer.close()
    for _ in range(200):
        listed = (await api.get("/virtual-networks"))["virtual-networks"]
        if any(one["fq_name"][-1] == "gone" for one in listed):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the network was not made")


@pytest.mark.parametrize("header", ["Connection: close", "Origin: http://elsewhere.example"])
async def test_what_is_not_ordinary_goes_the_long_way(
    api: Api, taken: list[bytes], header: str
) -> None:
    seen = len(taken)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request(network("other"), "/virtual-networks", header))
    head, _ = await answer(reader)
    assert head.startswith("HTTP/1.1 200" if "close" in header else "HTTP/1.1 403")
    assert len(taken) == seen
    writer.close()


async def test_commits_and_counts_tell_of_the_request(api: Api, taken: list[bytes]) -> None:
    counted = REQUESTS.labels("POST", "200")._value.get()
    revision = await api.store.read(lambda snapshot: snapshot.revision)
    await api.ask("POST", "/virtual-networks", data=network("told"))
    commit: Commit = await anext(aiter(api.store.watch(revision)))
    assert commit.origin.request == "POST /virtual-networks"
    assert (commit.origin.client, commit.origin.user) == ("127.0.0.1", "")
    assert REQUESTS.labels("POST", "200")._value.get() == counted + 1
    assert taken


async def test_a_store_that_cannot_write_is_told_as_the_long_way_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object) -> asyncio.Future[Any]:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ended.set_exception(StoreUnavailable("the disk is full"))
        return ended

    monkeypatch.setattr(api.store, "begin", begin)
    at_once = await api.ask("POST", "/virtual-networks", data=network("x"))
    assert at_once.status == 503
    at_length = await api.ask("POST", "/virtual-networks", data=network("x"), headers=AT_LENGTH)
    assert told(at_once) == told(at_length)


async def test_a_fault_of_ours_ends_only_its_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("tungsten.api.objects.create", broken)
        at_once = await api.ask("POST", "/virtual-networks", data=network("x"))
        at_length = await api.ask("POST", "/virtual-networks", data=network("x"), headers=AT_LENGTH)
    assert at_once.status == 500
    assert told(at_once) == told(at_length)
    assert (await api.ask("POST", "/virtual-networks", data=network("x"))).status == 200
