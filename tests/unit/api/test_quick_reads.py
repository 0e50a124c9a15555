"""Reads that are answered at once show what the long way shows, whatever was written before."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Answer, Api

from tungsten.api import quick

AT_LENGTH = {"sec-fetch-site": "same-origin"}
OPTIONS = (
    "",
    "?exclude_back_refs=true",
    "?fields=network_ipam_refs,display_name",
    "?exclude_hrefs",
)


def shown(answer: Answer) -> tuple[int, Any, str | None]:
    """What a reader can tell of an answer."""
    said = answer.json if answer.status == 200 else answer.text
    return answer.status, said, answer.headers.get("etag")


async def both_ways(api: Api, path: str) -> Answer:
    """The answer, which is the same at once and at length."""
    at_once = await api.ask("GET", path)
    at_length = await api.ask("GET", path, headers=AT_LENGTH)
    assert shown(at_once) == shown(at_length)
    return at_once


class Writes:
    """Changes of a few networks, policies and ports, and of what leads from one to another."""

    def __init__(self, api: Api, seed: int) -> None:
        self._api = api
        self._random = random.Random(seed)
        self._made = 0
        self.uuids: dict[str, list[str]] = {"virtual-network": [], "network-policy": []}

    async def some(self) -> None:
        """One change."""
        await self._random.choice((self._create, self._rename, self._refer, self._join))()
        if self._random.random() < 0.2:
            await self._delete()

    async def _create(self) -> None:
        self._made += 1
        type_ = self._random.choice(sorted(self.uuids))
        body = {"fq_name": [*PROJECT, f"x{self._made}"], "parent_type": "project"}
        made = await self._api.post(f"/{type_}s", {type_: body})
        assert made.status == 200, made.text
        self.uuids[type_].append(made.json[type_]["uuid"])

    def _any(self, type_: str) -> str | None:
        found = self.uuids[type_]
        return self._random.choice(found) if found else None

    async def _rename(self) -> None:
        type_ = self._random.choice(sorted(self.uuids))
        if (uuid := self._any(type_)) is not None:
            self._made += 1
            await self._api.put(type_, uuid, display_name=f"called {self._made}")

    async def _refer(self) -> None:
        network, policy = self._any("virtual-network"), self._any("network-policy")
        if network is not None and policy is not None:
            major = self._random.randrange(9)
            update = {
                "type": "virtual-network",
                "uuid": network,
                "operation": self._random.choice(("ADD", "ADD", "DELETE")),
                "ref-type": "network-policy",
                "ref-uuid": policy,
                "attr": {"sequence": {"major": major, "minor": 0}},
            }
            await self._api.post("/ref-update", update)

    async def _join(self) -> None:
        one, other = self._any("virtual-network"), self._any("virtual-network")
        if one is not None and other is not None and one != other:
            update = {
                "type": "virtual-network",
                "uuid": one,
                "operation": self._random.choice(("ADD", "DELETE")),
                "ref-type": "virtual-network",
                "ref-uuid": other,
            }
            await self._api.post("/ref-update", update)

    async def _delete(self) -> None:
        type_ = self._random.choice(sorted(self.uuids))
        if (uuid := self._any(type_)) is not None:
            await self._api.ask("DELETE", f"/{type_}/{uuid}")


@pytest.mark.parametrize("seed", range(4))
async def test_a_kept_answer_is_what_the_store_says(api: Api, seed: int) -> None:
    writes = Writes(api, seed)
    project = (await api.get(f"/projects?fq_names={':'.join(PROJECT)}"))["projects"][0]["uuid"]
    for _ in range(40):
        await writes.some()
        await both_ways(api, f"/project/{project}")
        for type_, uuids in writes.uuids.items():
            for uuid in uuids[-4:]:
                await both_ways(api, f"/{type_}/{uuid}{random.Random(uuid).choice(OPTIONS)}")


async def test_every_write_that_was_acknowledged_is_read(api: Api) -> None:
    network = await api.network()
    for number in range(50):
        assert (await api.put("virtual-network", network, display_name=f"n{number}")).status == 200
        read = await api.get(f"/virtual-network/{network}")
        assert read["virtual-network"]["display_name"] == f"n{number}"


async def test_an_unchanged_answer_is_spared_at_once_too(api: Api) -> None:
    network = await api.network()
    path = f"/virtual-network/{network}"
    tag = (await api.ask("GET", path)).headers["etag"]
    for headers in ({"if-none-match": tag}, {"if-none-match": tag, **AT_LENGTH}):
        unchanged = await api.ask("GET", path, headers=headers)
        assert (unchanged.status, unchanged.text, unchanged.headers["etag"]) == (304, "", tag)
    await api.put("virtual-network", network, display_name="other")
    changed = await api.ask("GET", path, headers={"if-none-match": tag})
    assert (changed.status, changed.headers["etag"] != tag) == (200, True)


async def test_hrefs_are_of_the_host_that_was_asked(api: Api) -> None:
    path = f"/virtual-network/{await api.network()}"
    for host in ("localhost:1", "127.0.0.1:2", "localhost:1"):
        answer = await api.ask("GET", path, headers={"host": host})
        assert answer.json["virtual-network"]["href"] == f"http://{host}{path}"
    refused = await api.ask("GET", path, headers={"host": "elsewhere.example"})
    assert refused.status == 421


async def test_kept_answers_take_no_more_than_they_may(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "KEPT", 20_000)
    reads = api.service.app._quick
    assert reads is not None
    path = f"/virtual-network/{await api.network()}"
    for number in range(200):
        assert (await api.ask("GET", f"{path}?x={number}")).status == 200
        assert reads._bytes <= quick.KEPT
        assert reads._bytes == sum(
            len(kept.sent) + len(key[1]) + quick.OVERHEAD for key, kept in reads._kept.items()
        )
    assert 0 < len(reads._kept) < 200


async def test_requests_sent_together_are_answered_in_order(api: Api) -> None:
    path = f"/virtual-network/{await api.network()}"
    paths = [path, "/aaa-mode", path, "/nothing", path] * 8
    data = b"".join(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % one.encode() for one in paths)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(data.replace(b"Host: h", b"Host: 127.0.0.1"))
    for one in paths:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = (await reader.readexactly(length)).decode()
        assert {path: "virtual-network", "/aaa-mode": "aaa-mode"}.get(one, "Not found") in body
    writer.close()
