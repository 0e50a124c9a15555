"""Requests made to deceive: of other sites, smuggled, without end in digits, names and depth."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.api.api_server import PROJECT, Api, serving

NETWORK = {"fq_name": [*PROJECT, "vn1"], "parent_type": "project"}


async def revision(api: Api) -> int:
    return int((await api.get("/healthz"))["revision"])


# -- pages of other sites ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "https://127.0.0.1.evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://203.0.113.7:8082"},
        {"origin": "file://"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_no_page_of_another_site_changes_anything(api: Api, headers: dict[str, str]) -> None:
    before = await revision(api)
    plain = {"content-type": "text/plain", **headers}
    data = json.dumps({"virtual-network": NETWORK}).encode()
    answer = await api.ask("POST", "/virtual-networks", data=data, headers=plain)
    assert answer.status == 403, answer.text
    assert "access-control-allow-origin" not in answer.headers
    for method in ("PUT", "DELETE"):
        answer = await api.ask(method, "/virtual-network/x", data=data, headers=plain)
        assert answer.status == 403
    preflight = await api.ask("OPTIONS", "/virtual-networks", headers=headers)
    assert preflight.status in (403, 405)
    assert await revision(api) == before


async def test_a_page_of_this_server_does(api: Api) -> None:
    answer = await api.ask(
        "POST",
        "/virtual-networks",
        {"virtual-network": NETWORK},
        headers={"origin": api.url, "sec-fetch-site": "same-origin"},
    )
    assert answer.status == 200, answer.text


async def test_a_page_of_a_name_that_is_allowed_does(tmp_path: Path) -> None:
    async with serving(tmp_path, allowed_hosts=("console.example",)) as api:
        headers = {"origin": "https://Console.example"}
        body = {"project": {"fq_name": PROJECT, "parent_type": "domain"}}
        assert (await api.ask("POST", "/projects", body, headers=headers)).status == 200


# -- smuggled requests -------------------------------------------------------------------------

SECOND = b"POST /projects HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"
FORGED = json.dumps({"project": {"fq_name": ["default-domain", "forged"], "parent_type": "domain"}})
SMUGGLED = SECOND % (len(FORGED), FORGED.encode())
HEAD = b"POST /fqname-to-id HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    "first",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 0\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Content-Length: +0\r\n\r\n",
        HEAD + b"Content-Length: 0x0\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"X: a\n\n",
        HEAD + b"X: a\r\n folded\r\n\r\n",
        HEAD + b"X\x00: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ],
)
async def test_what_can_be_read_in_two_ways_is_not_read(api: Api, first: bytes) -> None:
    before = await revision(api)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(first + SMUGGLED)
    writer.write_eof()
    try:
        said = await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        said = b""
    writer.close()
    statuses = [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]
    assert 200 not in statuses, said
    assert all(400 <= one < 500 for one in statuses), said
    assert await revision(api) == before


# -- digits, names, depth ----------------------------------------------------------------------

LONG = "9" * 5000


@pytest.mark.parametrize(
    "path",
    [
        f"/projects?page_marker=&page_limit={LONG}",
        f"/watch?resource_type=project&since={LONG}",
        f"/history?limit={LONG}",
        f"/past?type=project&revision={LONG}",
        f"/int-pool?pool=p&value={LONG}",
        f"/prop-collection-get?uuid={LONG}&fields=annotations",
        f"/obj-cache?count={LONG}",
        "/projects?page_marker=&page_limit=" + "\u0663" * 3,
        f"/projects?page_marker=a:{LONG}",
    ],
)
async def test_a_number_without_end_is_refused(api: Api, path: str) -> None:
    answer = await api.ask("GET", path)
    assert 400 <= answer.status < 500, answer.text


async def test_a_position_without_end_is_refused(api: Api) -> None:
    network = await api.network()
    for position in (LONG, int("9" * 4000), "\u0663"):
        update = {"field": "virtual_network_routes", "operation": "delete", "position": position}
        for field in ("annotations", "virtual_network_routes", "fabric_snat"):
            body = {"uuid": network, "updates": [{**update, "field": field}]}
            answer = await api.post("/prop-collection-update", body)
            assert answer.status < 500, answer.text


async def test_a_revision_that_no_store_has_is_answered(api: Api) -> None:
    path = f"{api.url}/watch?resource_type=project&since={2**63}"
    async with api.session.get(path) as response:
        assert response.status in (200, 400)
        if response.status == 200:
            assert await asyncio.wait_for(response.content.readline(), 5)


async def test_names_of_many_parts_are_looked_up_in_a_moment(api: Api) -> None:
    """In CPU time of what an ordinary request takes on the same machine in the same moments."""

    async def cost(path: str) -> float:
        began = time.process_time()
        answer = await api.ask("GET", path)
        took = time.process_time() - began
        assert answer.status < 500, answer.text
        return took

    ordinary = [await cost("/virtual-networks?fq_names=a:b&count=true") for _ in range(20)]
    # The median, and no less than a clock may show.
    unit = max(sorted(ordinary)[10], 0.0005)
    for path in (
        "/virtual-networks?fq_names=" + ":" * 60_000,
        "/virtual-networks?fq_names=" + "a:" * 30_000,
        "/virtual-networks?parent_fq_name_str=" + "a:" * 30_000,
        "/virtual-networks?filters=" + "a==b," * 10_000,
        "/virtual-networks?fields=" + "a," * 30_000,
        "/virtual-network/x?fields=" + "a," * 30_000,
    ):
        assert min([await cost(path) for _ in range(3)]) < 400 * unit, path[:40]
    names = [[f"a{at}"] * 3 for at in range(40_000)]
    body = {"type": "virtual_network", "fq_names": names}
    began = time.process_time()
    assert (await api.post("/list-bulk-collection", body)).status in (200, 413)
    assert time.process_time() - began < 6000 * unit


async def test_a_body_that_unfolds_is_not_unfolded(api: Api) -> None:
    bomb = gzip.compress(b" " * 50_000_000 + b"{}")
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    for path in ("/projects", "/ref-update", "/transaction"):
        answer = await api.ask("POST", path, data=bomb[:20_000], headers=headers)
        assert (answer.status, answer.text.startswith("Content-Encoding gzip")) == (415, True)
    plain = {"content-encoding": "Identity", "content-type": "application/json"}
    body = b'{"project": {"fq_name": ["default-domain", "p2"], "parent_type": "domain"}}'
    assert (await api.ask("POST", "/projects", data=body, headers=plain)).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE records; --",
        '" OR "1"="1',
        "%",
        "_",
        "vn_",
        "*",
        "../../etc/passwd",
        "%2e%2e%2f",
        "--help",
        "$(reboot)",
        "{{7*7}}",
        "{0.__class__}",
        "%s%n",
    ],
)
async def test_a_name_is_a_name(api: Api, name: str) -> None:
    other = await api.create("virtual-network", **{**NETWORK, "fq_name": [*PROJECT, "vnx"]})
    uuid = await api.create("virtual-network", **{**NETWORK, "fq_name": [*PROJECT, name]})
    asked = {"type": "virtual-network", "fq_name": [*PROJECT, name]}
    assert (await api.post("/fqname-to-id", asked)).json == {"uuid": uuid}
    body = {"type": "virtual_network", "fq_names": [asked["fq_name"]]}
    listed = (await api.post("/list-bulk-collection", body)).json["virtual-networks"]
    assert [one["uuid"] for one in listed] == [uuid]
    assert (await api.show("virtual-network", uuid))["fq_name"][-1] == name
    assert (await api.show("virtual-network", other))["fq_name"][-1] == "vnx"


async def test_no_request_writes_a_line_of_the_log(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    forged = "2026-01-01 [error] forged"
    for path in (f"/%0A{forged}", f"/%0D%0A{forged}", f"/\u2028{forged}", f"/%1b[2J{forged}"):
        await api.ask("GET", path.replace(" ", "%20"))
    body = {"virtual-network": {**NETWORK, "fq_name": [*PROJECT, f"a\n{forged}"]}}
    await api.post("/virtual-networks", body)
    await api.post("/virtual-networks", {"virtual-network": {**NETWORK, f"a\n{forged}": 1}})
    await api.post("/useragent-kv", {"operation": f"a\n{forged}", "key": "k"})
    said = capfd.readouterr()
    for line in (said.out + said.err).splitlines():
        assert not line.startswith(forged), line
        assert "\x1b[2J" not in line


# -- bytes that are no text --------------------------------------------------------------------

UNFIT: list[bytes] = [
    b'"\xff\xfe"',
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"[" * 65 + b"]" * 65,
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b"'single'",
    b"0x10",
    b"01",
    b'"unended',
    b"1,}",
]


def bodies(uuid: str) -> dict[str, str]:
    """Requests that write, with a place for a value."""
    same = '"display_name": @'
    name = '["default-domain", "p1", "vn1"]'
    network = f'{{"virtual-network": {{"fq_name": {name}, {same}}}}}'
    update = f'"type": "virtual-network", "uuid": "{uuid}"'
    pair = '{"key": "k", "value": @}'
    return {
        "POST /virtual-networks": network,
        f"PUT /virtual-network/{uuid}": f'{{"virtual-network": {{{same}}}}}',
        "POST /transaction": f'{{"operations": [{{"operation": "update", {update}, '
        f'"object": {{{same}}}}}]}}',
        "POST /apply": f'{{"apply": [{network}]}}',
        "POST /plan": f'{{"apply": [{network}], "compile": false}}',
        "POST /ref-update": f'{{{update}, "operation": "ADD", "ref-type": "network-policy", '
        '"ref-fq-name": ["a", @]}',
        "POST /prop-collection-update": f'{{"uuid": "{uuid}", "updates": [{{"field": '
        f'"annotations", "operation": "set", "value": {pair}}}]}}',
        "POST /set-tag": f'{{"obj_type": "virtual_network", "obj_uuid": "{uuid}", '
        '"tier": {"value": @}}',
        "POST /chmod": f'{{"uuid": "{uuid}", "owner": @}}',
        "POST /chown": f'{{"uuid": "{uuid}", "owner": @}}',
        "POST /useragent-kv": '{"operation": "STORE", "key": "k", "value": @}',
        "POST /int-pools": '{"pool": "p", "start": @, "end": 9}',
        f"POST /virtual-network/{uuid}/ip-alloc": '{"count": @}',
        f"POST /virtual-network/{uuid}/ip-free": '{"ip_addr": [@]}',
        "POST /ref-relax-for-delete": f'{{"uuid": "{uuid}", "ref-uuid": @}}',
        "POST /security-policy-draft": f'{{"scope_uuid": "{uuid}", "action": @}}',
    }


async def test_a_body_that_is_no_json_is_refused_by_every_way_of_writing(api: Api) -> None:
    uuid = await api.network()
    before = await revision(api)
    for way, body in bodies(uuid).items():
        method, _, path = way.partition(" ")
        for value in UNFIT:
            data = body.encode().replace(b"@", value)
            answer = await api.ask(method, path, data=data)
            assert answer.status == 400, (way, value[:20], answer.text)
    assert await revision(api) == before


VALUES: list[Any] = [
    [[["deep"]]],
    {"a": {"b": 1}},
    2**64,
    -(2**70),
    10**300,
    1.5,
    True,
    "x" * 70_000,
    "\u0000",
    "a\u0000b",
    "\u202e",
    [],
    {},
]


async def test_any_value_is_taken_or_refused_and_never_half_written(api: Api) -> None:
    """A refusal leaves everything as it was, whatever the value and the way."""
    uuid = await api.network()
    for way, body in bodies(uuid).items():
        method, _, path = way.partition(" ")
        for value in VALUES:
            before = await dump(api)
            data = body.replace("@", json.dumps(value)).encode()
            answer = await api.ask(method, path, data=data)
            assert answer.status < 500, (way, str(value)[:40], answer.text)
            if answer.status != 200 or path == "/plan":
                assert await dump(api) == before, (way, str(value)[:40])


async def dump(api: Api) -> Any:
    revision, records = await api.store.load()
    return revision, sorted(records, key=lambda one: one.uuid)


async def test_of_a_key_that_is_there_twice_all_see_the_same(api: Api) -> None:
    """The rules of calls and the operation read one value, so neither decides on another's."""
    uuid = await api.network()
    data = b'{"virtual-network": {"display_name": "a"}, "virtual-network": {"display_name": "b"}}'
    assert (await api.ask("PUT", f"/virtual-network/{uuid}", data=data)).status == 200
    assert (await api.show("virtual-network", uuid))["display_name"] == "b"


async def test_a_range_of_many_parts_gets_the_whole(api: Api) -> None:
    parts = ",".join(f"{at}-{at + 1}" for at in range(0, 12_000, 2))
    for path in ("/openapi.json", "/documentation/index.html", "/"):
        whole = await api.ask("GET", path)
        answer = await api.ask("GET", path, headers={"range": f"bytes={parts}"})
        assert (answer.status, answer.text) == (200, whole.text)


async def test_no_path_leads_to_a_file(api: Api) -> None:
    for path in (
        "/documentation/../../etc/passwd",
        "/documentation/..%2f..%2fetc/passwd",
        "/documentation/%2e%2e/%2e%2e/etc/passwd",
        "/documentation/..\\..\\etc\\passwd",
        "/documentation//etc/passwd",
        "/documentation/index.html/..",
        "/documentation/other.html",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        said = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert said.startswith(b"HTTP/1.1 404 "), (path, said)


async def test_what_is_looked_for_is_no_pattern(api: Api) -> None:
    """Filters and names are compared as they are: (a+)+$ costs nothing, and .* is nobody's name."""
    name = "a" * 60
    await api.create("virtual-network", **{**NETWORK, "fq_name": [*PROJECT, name]})
    for pattern in (".*", "a*", "(a+)+$", "%", "a" * 59 + "_", "[a]"):
        asked = quote(f'display_name=="{pattern}"')
        found = await api.get(f"/virtual-networks?filters={asked}")
        assert found == {"virtual-networks": []}, pattern
        found = await api.get(f"/virtual-networks?fq_names={quote(':'.join([*PROJECT, pattern]))}")
        assert found == {"virtual-networks": []}, pattern
