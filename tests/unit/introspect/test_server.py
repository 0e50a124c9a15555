"""The server over real sockets on loopback: answers, pages, errors, and hostile requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated
from xml.etree import ElementTree

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from tungsten.introspect import (
    I32,
    ConnectionInfo,
    Field,
    Form,
    IntrospectServer,
    Message,
    NodeStatus,
    NodeStatusUVE,
    PagedTable,
    Request,
    RequestError,
    Struct,
    Traces,
    UveCache,
    common_requests,
    decode_cursor,
    encode_cursor,
    page_request,
    process_status,
)
from tungsten.introspect.client import Introspect, IntrospectError, parse_answer, rows
from tungsten.introspect.paging import form_of
from tungsten.introspect.server import parse_listen

ROWS = [f"tap{number}" for number in range(250)]


class Row(Struct, frozen=True, kw_only=True):
    index: Annotated[I32, Field(1)]
    name: Annotated[str, Field(2)]


class ItfResp(Message, frozen=True, kw_only=True):
    itf_list: Annotated[Sequence[Row], Field(1)]


class ItfReq(Form, frozen=True):
    name: str = ""


class ShowReq(Form, frozen=True):
    search_string: str = ""


class ShowReqIterate(Form, frozen=True):
    iterate_info: str = ""


class ShowResp(Message, frozen=True, kw_only=True):
    names: Annotated[Sequence[str], Field(1)]
    next_batch: Annotated[str, Field(2, link="ShowReqIterate", link_title="next_batch")] = ""


class BadReq(Form, frozen=True):
    pass


def interface_table() -> PagedTable[ItfReq, int]:
    def accepts(table: str, filters: Mapping[str, str]) -> ItfReq | None:
        return form_of(ItfReq, filters) if table == "db.interface.0" else None

    return PagedTable(
        form=ItfReq,
        group="agent",
        table=lambda form: "db.interface.0",
        accepts=accepts,
        rows=lambda form: [n for n, name in enumerate(ROWS) if form.name in name],
        message=lambda found: ItfResp(itf_list=[Row(index=n, name=ROWS[n]) for n in found]),
    )


def show(search: str, start: int) -> ShowResp:
    names = [name for name in ROWS if search in name]
    page = names[start : start + 64]
    more = start + 64 < len(names)
    return ShowResp(names=page, next_batch=encode_cursor(search, str(start + 64)) if more else "")


def iterate(form: ShowReqIterate) -> ShowResp:
    search, start = decode_cursor(form.iterate_info, 2)
    return show(search, int(start))


def refuse(_: BadReq) -> Message:
    raise RequestError("the answer is <no>")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[IntrospectServer]:
    registry = CollectorRegistry()
    Counter("tungsten_test", "A counter.", registry=registry).inc(3)
    traces = Traces(now_us=lambda: 1469200248365277)
    traces.buffer("Flow").add("FlowHandlerTrace", vrf=1, src_ip="1.2.3.3")
    status = process_status("test", [ConnectionInfo(type="Database", server_addrs=["::1:1"])])
    table = interface_table()
    requests = [
        *common_requests(
            lambda: NodeStatusUVE(data=NodeStatus(name="node1", process_status=[status])),
            UveCache(),
            traces,
        ),
        table.request(),
        page_request([table]),
        Request(ShowReq, lambda form: show(form.search_string, 0), "show"),
        Request(ShowReqIterate, iterate, "show"),
        Request(BadReq, refuse, "show"),
    ]
    server = IntrospectServer("127.0.0.1:0", "contrail-test", requests, registry=registry)
    await server.start()
    yield server
    await server.stop()


async def get(server: IntrospectServer, path: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}{path}"
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            return response.status, response.headers["content-type"], await response.text()


async def test_node_status_is_where_status_tools_look_for_it(server: IntrospectServer) -> None:
    for query in ("tname=NodeStatus", "x=NodeStatus"):
        status, kind, text = await get(server, f"/Snh_SandeshUVECacheReq?{query}")
        assert (status, kind) == (200, "text/xml; charset=utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "__NodeStatusUVE_list"
        process = root.find(".//ProcessStatus")
        assert process is not None
        assert process.findtext("module_id") == "test"
        assert process.findtext("state") == "Functional"
        assert process.find("description") is not None
        assert [info.findtext("type") for info in root.iter("ConnectionInfo")] == ["Database"]
        assert root.findtext("SandeshUVECacheResp/returned") == "1"


async def test_unknown_object_type_is_an_answer_that_returns_none(
    server: IntrospectServer,
) -> None:
    _, _, text = await get(server, "/Snh_SandeshUVECacheReq?x=Nothing")
    root = ElementTree.fromstring(text)
    assert (root.tag, root.findtext("returned")) == ("SandeshUVECacheResp", "0")


async def test_traces_and_types_are_listed(server: IntrospectServer) -> None:
    client = Introspect("127.0.0.1", server.port)
    names = await client.fetch("SandeshTraceBufferListRequest")
    assert [element.text for element in rows(names, "trace_buf_name")] == ["Flow"]
    lines = await client.fetch("SandeshTraceRequest", {"x": "Flow"})
    assert [element.text for element in rows(lines, "element")] == [
        "1469200248365277 FlowHandlerTrace: vrf = 1 src_ip = 1.2.3.3"
    ]
    types = await client.fetch("SandeshUVETypesReq")
    assert [element.text for element in rows(types, "type_name")] == ["NodeStatus"]
    cpu = await client.fetch("CpuLoadInfoReq")
    assert int(cpu[0].findtext(".//num_cpu") or 0) >= 1


async def test_client_follows_cursors_to_the_end(server: IntrospectServer) -> None:
    roots = await Introspect("127.0.0.1", server.port).fetch("ShowReq", {"search_string": ""})
    assert len(roots) == 4
    assert [element.text for element in rows(roots, "element")] == ROWS


async def test_table_shows_a_page_and_the_keys_of_the_others(server: IntrospectServer) -> None:
    _, _, text = await get(server, "/Snh_ItfReq?name=tap1")
    root = ElementTree.fromstring(text)
    assert [child.tag for child in root] == ["ItfResp", "Pagination"]
    assert root.findtext("ItfResp/more") == "true"
    assert len(list(root.iter("Row"))) == 100
    page = root.find("Pagination/req/PageReqData")
    assert page is not None
    shown = {child.tag: child.text or "" for child in page}
    assert shown == {
        "prev_page": "",
        "next_page": "begin:100,end:199,table:db.interface.0,name:tap1",
        "first_page": "begin:0,end:99,table:db.interface.0,name:tap1",
        "all": "begin:-1,end:-1,table:db.interface.0,name:tap1",
        "table_size": "111",
        "entries": "0-99/111",
    }
    _, _, text = await get(server, f"/Snh_PageReq?x={shown['next_page']}")
    root = ElementTree.fromstring(text)
    assert len(list(root.iter("Row"))) == 11
    assert root.findtext(".//prev_page") == "begin:0,end:99,table:db.interface.0,name:tap1"
    assert root.findtext(".//entries") == "100-110/111"


async def test_client_gets_a_whole_table_in_one_further_request(server: IntrospectServer) -> None:
    roots = await Introspect("127.0.0.1", server.port).fetch("ItfReq")
    assert len(roots) == 1
    assert [row.findtext("name") for row in rows(roots, "Row")] == ROWS
    assert [child.tag for child in roots[0]] == ["ItfResp"] * 3 + ["Pagination"]


async def test_empty_table_is_still_a_message_and_a_pagination(server: IntrospectServer) -> None:
    _, _, text = await get(server, "/Snh_ItfReq?name=nothing")
    root = ElementTree.fromstring(text)
    assert [child.tag for child in root] == ["ItfResp", "Pagination"]
    assert root.findtext(".//entries") == " 0 / 0"


async def test_index_and_forms_list_every_request(server: IntrospectServer) -> None:
    for path in ("/", "/index.html"):
        status, kind, text = await get(server, path)
        assert (status, kind) == (200, "text/html; charset=utf-8")
        assert "<h1>Modules for contrail-test</h1>" in text
        assert '<a href="agent.xml">' in text
    _, _, text = await get(server, "/agent.xml")
    root = ElementTree.fromstring(text)
    assert (root.tag, root.get("type")) == ("agent", "rlist")
    assert [child.tag for child in root] == ["ItfReq", "PageReq"]
    assert [(field.tag, field.get("type")) for field in root[0]] == [("name", "string")]
    _, kind, text = await get(server, "/universal_parse.xsl")
    assert kind.startswith("text/xsl")
    ElementTree.fromstring(text)


async def test_metrics_are_served_from_the_given_registry(server: IntrospectServer) -> None:
    status, _, text = await get(server, "/metrics")
    assert status == 200
    assert "tungsten_test_total 3.0" in text


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/Snh_NoSuchReq", 404, "NoSuchReq"),
        ("/Snh_itfreq", 404, "itfreq"),
        ("/Snh_BadReq", 400, "the answer is <no>"),
        ("/Snh_SandeshLoggingParamsSet?enable=0", 403, "only reads"),
        ("/Snh_PageReq", 400, "page key"),
        ("/Snh_PageReq?x=begin:5,end:2,table:db.interface.0", 400, "begin"),
        ("/Snh_PageReq?x=begin:0,end:9,table:db.none.0", 404, "db.none.0"),
        ("/Snh_ShowReqIterate?x=%00%ff", 400, "cursor"),
    ],
)
async def test_errors_are_xml_that_says_what_is_wrong(
    server: IntrospectServer, path: str, status: int, word: str
) -> None:
    got, kind, text = await get(server, path)
    assert (got, kind) == (status, "text/xml; charset=utf-8")
    assert word in (ElementTree.fromstring(text).findtext("resp") or "")


async def test_foreign_host_names_are_refused_and_addresses_are_not(
    server: IntrospectServer,
) -> None:
    assert (await get(server, "/", Host="evil.example"))[0] == 421
    assert (await get(server, "/Snh_ItfReq", Host="evil.example:8085"))[0] == 421
    assert (await get(server, "/metrics", Host="evil.example"))[0] == 421
    assert (await get(server, "/", Host="10.0.0.1:8085"))[0] == 200
    assert (await get(server, "/", Host="[fd00::1]:8085"))[0] == 200
    assert (await get(server, "/", Host="LOCALHOST"))[0] == 200


async def test_only_reading_methods_are_served(server: IntrospectServer) -> None:
    async with aiohttp.ClientSession() as session:
        for method in ("POST", "PUT", "DELETE"):
            url = f"http://127.0.0.1:{server.port}/Snh_ItfReq"
            async with session.request(method, url, data=b"x") as response:
                assert response.status == 405


async def raw(server: IntrospectServer, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65536), 5)
    writer.close()
    return answer.split(b"\r\n", 1)[0]


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /Snh_ItfReq?name=" + b"a" * 200_000,
        b"GET /Snh_" + b"b" * 30_000,
        b"GET /Snh_ItfReq?" + b"&" * 30_000,
        b"GET /Snh_ItfReq?name=%",
        b"GET /Snh_ItfReq?name=%00%0a%0d%ff",
        b"GET /Snh_..%2f..%2fetc%2fpasswd",
        b"GET /../../etc/passwd",
        b"GET /%2e%2e/agent.xml",
        b"GET /Snh_ItfReq\x00",
        b"GET /Snh_%ff%fe",
        b"GET //",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ],
)
async def test_hostile_requests_get_a_client_error_or_an_answer(
    server: IntrospectServer, request_line: bytes
) -> None:
    line = await raw(server, request_line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert not line or line.split()[1][:1] in (b"2", b"4"), line
    assert (await get(server, "/"))[0] == 200


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        ["ItfReq", "PageReq", "ShowReqIterate", "SandeshUVECacheReq", "SandeshTraceRequest"]
    ),
    query=st.binary(max_size=60),
)
def test_no_query_makes_the_server_fail(path: str, query: bytes) -> None:
    async def once() -> int:
        quoted = b"".join(bytes([c]) if 0x20 < c < 0x7F else b"%%%02x" % c for c in query)
        server = IntrospectServer(
            "127.0.0.1:0",
            "m",
            [
                *common_requests(
                    lambda: NodeStatusUVE(data=NodeStatus(name="n")), UveCache(), Traces()
                ),
                interface_table().request(),
                page_request([interface_table()]),
                Request(ShowReqIterate, iterate, "show"),
            ],
        )
        sent: list[int] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(event: Mapping[str, object]) -> None:
            if event["type"] == "http.response.start":
                sent.append(int(str(event["status"])))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/Snh_{path}",
            "raw_path": b"",
            "root_path": "",
            "query_string": quoted,
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await server.application()(scope, receive, send)
        return sent[0]

    assert asyncio.run(once()) in (200, 400, 404)


async def test_stopped_server_frees_its_port(server: IntrospectServer) -> None:
    port = server.port
    await server.stop()
    again = IntrospectServer(f"127.0.0.1:{port}", "again", [])
    await again.start()
    await again.stop()


async def test_client_tells_what_failed(server: IntrospectServer) -> None:
    client = Introspect("127.0.0.1", server.port)
    with pytest.raises(IntrospectError, match="HTTP 404, contrail-test has no request Nope") as hit:
        await client.fetch("Nope")
    assert hit.value.status == 404
    await server.stop()
    with pytest.raises(IntrospectError) as refused:
        await client.fetch("ItfReq")
    assert refused.value.status is None


@given(st.binary(max_size=200))
def test_client_refuses_what_is_not_xml_and_nothing_else(body: bytes) -> None:
    with contextlib.suppress(IntrospectError):
        parse_answer("http://x", body)


def test_client_refuses_document_types() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    with pytest.raises(IntrospectError, match="document type"):
        parse_answer("http://x", bomb)


async def test_an_address_that_is_taken_is_told_with_its_setting() -> None:
    first = IntrospectServer("127.0.0.1:0", "contrail-control", [])
    await first.start()
    second = IntrospectServer(f"127.0.0.1:{first.port}", "contrail-control", [])
    try:
        with pytest.raises(
            OSError, match=rf"introspect_listen: .*127\.0\.0\.1:{first.port}: Address"
        ):
            await second.start()
    finally:
        await first.stop()


@pytest.mark.parametrize("listen", ["", "8085", "host:", ":8085", "host:http", "host:65536"])
def test_listen_address_is_checked(listen: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen(listen)
