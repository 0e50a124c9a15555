"""Clients that are slow, garbled or hostile harm nobody but themselves, and never get a 5xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.api.api_server import PROJECT, Api, serving

from tungsten.model import RESOURCE_TYPES, Kind, fields_of
from tungsten.model.fields import Complex, Field

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 0.5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server that waits half a second for slow clients."""
    directory: Path = tmp_path_factory.mktemp("api")
    async with serving(directory, request_timeout=PATIENCE, max_requests=64) as api:
        await api.project()
        await api.network()
        yield api


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the answer on a connection; 0 when it was closed without one."""
    line = await asyncio.wait_for(reader.readline(), 5)
    return int(line.split()[1]) if line else 0


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_a_400_or_a_close(api: Api, data: bytes) -> None:
    async with connected(api) as (reader, writer):
        writer.write(data)
        writer.write_eof()
        assert await status_of(reader) in (0, 400, 404, 405)
    assert (await api.get("/healthz"))["status"] == "ok"


async def test_what_follows_a_body_is_no_part_of_the_head(api: Api) -> None:
    start = b"POST /fqname-to-id HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(api) as (reader, writer):
        writer.write(start + b"2\r\n{}\r\n0\r\nHost: elsewhere.example\r\n\r\n")
        assert await status_of(reader) == 400  # it says no type; a Host of elsewhere would be a 421
    async with connected(api) as (reader, writer):
        writer.write(start + b"2\r\n{}\r\n0\r\nX: " + b"a" * 1_000_000)
        assert await status_of(reader) == 400


async def test_requests_sent_together_are_answered_in_order(api: Api) -> None:
    paths = (b"/aaa-mode", b"/nothing", b"/aaa-mode")
    requests = b"".join(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path for path in paths)
    async with connected(api) as (reader, writer):
        writer.write(requests)
        found = []
        for _ in paths:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            found.append(int(head.split()[1]))
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        assert found == [200, 404, 200]


async def test_a_head_that_does_not_arrive_in_time_is_given_up(api: Api) -> None:
    for start in (b"", b"GET / HTTP/1.1\r\nHost:"):
        async with connected(api) as (reader, writer):
            writer.write(start)
            assert await status_of(reader) == 408
            assert await asyncio.wait_for(reader.read(), 5) is not None


async def test_a_head_that_drips_is_given_up(api: Api) -> None:
    async with connected(api) as (reader, writer):
        answer = asyncio.create_task(status_of(reader))
        for byte in b"GET / HTTP/1.1\r\n":
            if answer.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(PATIENCE / 8)
        assert await answer == 408


async def test_a_second_request_has_its_own_time(api: Api) -> None:
    async with connected(api) as (reader, writer):
        request = b"GET /aaa-mode HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for _ in range(2):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"aaa-mode":"no-auth"}'))
            await asyncio.sleep(PATIENCE * 1.5)
        writer.write(request[:20])
        assert await status_of(reader) == 408


async def test_a_body_that_stalls_is_given_up(api: Api) -> None:
    head = b"POST /projects HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
    async with connected(api) as (reader, writer):
        writer.write(head + b"{")
        assert await status_of(reader) == 408
    async with connected(api) as (_, writer):
        writer.write(head + b"{")
    assert (await api.get("/healthz"))["status"] == "ok"


async def test_too_many_connections_do_not_starve_those_that_come_later(api: Api) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(80)]
    await asyncio.sleep(PATIENCE * 2)
    assert (await api.get("/healthz"))["status"] == "ok"
    for _, writer in idle:
        writer.close()


# -- requests of every type, with bodies that nearly fit ------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=12)
JUNK = st.recursive(
    SCALARS | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        "10.0.1.5",
        "10.0.1.0/24",
        "::1",
        "left",
        "vn1",
        "local",
        "target:1:2",
        "any",
        "0",
        "6",
        "both",
    ]
)


def values(field: Field, depth_left: int) -> st.SearchStrategy[Any]:
    """Values that nearly fit a field: mostly of its type, sometimes of any."""
    fitting: st.SearchStrategy[Any]
    match field.kind:
        case Kind.BOOLEAN:
            fitting = st.booleans()
        case Kind.INTEGER:
            fitting = st.integers(-1, 70_000)
        case Kind.COMPLEX if field.struct is not None and depth_left:
            fitting = complexes(field.struct, depth_left - 1)
        case Kind.COMPLEX:
            fitting = st.just({})
        case _:
            fitting = WORDS | st.text(max_size=5)
    if field.many:
        fitting = st.lists(fitting, max_size=2)
    return st.one_of(fitting, fitting, fitting, JUNK)


def complexes(struct: type[Complex], depth_left: int) -> st.SearchStrategy[Any]:
    optional = {name: values(one, depth_left) for name, one in fields_of(struct).items()}
    return st.fixed_dictionaries({}, optional=optional)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A type, and members of an object that nearly fit it."""
    declared = RESOURCE_TYPES[draw(st.sampled_from(sorted(RESOURCE_TYPES)))]
    names = draw(st.lists(st.sampled_from(sorted(declared.properties)), max_size=4, unique=True))
    fields: dict[str, Any] = {name: draw(values(declared.properties[name], 3)) for name in names}
    for name in draw(st.lists(st.sampled_from(sorted(declared.references)), max_size=2)):
        attr = declared.references[name].attr
        ref = {
            "to": draw(st.sampled_from([[*PROJECT, "vn1"], [*PROJECT], ["x"], "x", []])),
            "attr": draw((complexes(attr, 2) if attr else st.none()) | JUNK),
        }
        fields[name] = draw(st.just([ref]) | JUNK)
    parent = draw(st.sampled_from([*declared.parents, None, "nonsense"]))
    fields["parent_type"] = parent
    prefix = draw(st.sampled_from([[], ["default-domain"], PROJECT, [*PROJECT, "vn1"]]))
    fields["fq_name"] = draw(st.just([*prefix, draw(st.text(max_size=6))]) | JUNK)
    return declared.name, fields


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(requests())
async def test_no_body_of_any_type_is_an_internal_error(
    api: Api, request_: tuple[str, dict[str, Any]]
) -> None:
    type_, fields = request_
    data = json.dumps({type_: fields}).encode()
    answer = await api.ask("POST", f"/{type_}s", data=data)
    assert answer.status < 500, (type_, fields, answer.text)
    if answer.status != 200:
        return
    uuid = answer.json[type_]["uuid"]
    shown = await api.show(type_, uuid)
    whole = await api.ask("PUT", f"/{type_}/{uuid}", {type_: shown})
    assert whole.status == 200, (type_, shown, whole.text)
    assert (await api.ask("PUT", f"/{type_}/{uuid}", data=data)).status < 500
    assert (await api.delete(type_, uuid)).status == 200


ACTIONS = ["fqname-to-id", "id-to-fqname", "ref-update", "prop-collection-update", "set-tag"]
ACTIONS += ["chown", "chmod"]
MEMBERS = ["type", "uuid", "fq_name", "ref-type", "ref-uuid", "ref-fq-name", "operation", "attr"]
MEMBERS += ["updates", "obj_type", "obj_uuid", "tier", "label", "owner", "share", "global_access"]


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from([*ACTIONS, "list-bulk-collection"]),
    st.dictionaries(
        st.sampled_from(MEMBERS),
        st.sampled_from(["virtual-network", "project", "ADD", "DELETE", PROJECT, [*PROJECT, "vn1"]])
        | JUNK,
    ),
    st.booleans(),
)
async def test_no_body_of_an_action_is_an_internal_error(
    api: Api, action: str, body: dict[str, Any], real: bool
) -> None:
    if real:
        listed = await api.get("/virtual-networks?fq_names=default-domain:p1:vn1")
        uuid = listed["virtual-networks"][0]["uuid"]
        body |= {"type": "virtual-network", "uuid": uuid, "obj_type": "virtual-network"}
        body |= {"obj_uuid": uuid, "operation": "ADD"}
    answer = await api.ask("POST", f"/{action}", data=json.dumps(body).encode())
    assert answer.status < 500, (action, body, answer.text)


async def test_what_a_refusal_repeats_cannot_run_in_a_browser(api: Api) -> None:
    answer = await api.ask("GET", "/<script>alert(1)</script>")
    assert "<script>" in answer.text
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
async def test_no_path_is_an_internal_error(api: Api, text: str) -> None:
    async with connected(api) as (reader, writer):
        head = f"GET /{text} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        assert await status_of(reader) < 500
