"""The control node's answers, read the way operators' scripts read them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.introspect.views import RI1, RI2, VN1, WHEN, control_rib

from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET
from tungsten.bgp.nlri import pack_prefix
from tungsten.control.introspect import ControlView, control_requests
from tungsten.control.introspect_routes import pattern, stamp
from tungsten.control.introspect_structs import BgpNeighborResp
from tungsten.control.paths import ATTRIBUTES, Path, Protocol, Source
from tungsten.introspect import ConnectionInfo, IntrospectServer
from tungsten.introspect.client import Introspect, IntrospectError, rows


def neighbours() -> list[BgpNeighborResp]:
    return [
        BgpNeighborResp(
            peer=f"node{number}",
            peer_address=f"10.0.0.{number}",
            encoding="XMPP",
            state="Established",
            send_state="in sync",
        )
        for number in range(1, 101)
    ]


@pytest_asyncio.fixture
async def control() -> AsyncIterator[Introspect]:
    rib, instances = control_rib()
    view = ControlView(
        "ctl1",
        rib,
        instances,
        neighbours=neighbours,
        connections=lambda: [ConnectionInfo(type="Database", name="SQLite")],
    )
    server = IntrospectServer("127.0.0.1:0", "contrail-control", control_requests(view))
    await server.start()
    yield Introspect("127.0.0.1", server.port)
    await server.stop()


#: What scripts read without a question, so that a missing one ends them.
PATH_FIELDS = [
    "last_modified",
    "protocol",
    "source",
    "local_preference",
    "as_path",
    "next_hop",
    "label",
    "origin_vn",
    "primary_table",
    "sequence_no",
    "flags",
]
PATH_LISTS = ("origin_vn_path", "tunnel_encap", "communities")


def check_readable(root: Element) -> None:
    """Rules that scripts rely on, whatever is in the answer."""
    for element in root.iter():
        if element.get("type") == "list" and element.get("identifier"):
            assert [child.tag for child in element] == ["list"], element.tag
            assert element[0].get("size") == str(len(element[0]))
            assert element.text is None
        if element.tag == "last_modified":
            datetime.strptime(element.text or "", "%Y-%b-%d %H:%M:%S.%f")


def columns(roots: Sequence[Element], tag: str, *names: str) -> list[tuple[str | None, ...]]:
    return [tuple(row.findtext(name) for name in names) for row in rows(list(roots), tag)]


async def test_status_shows_module_state_and_connections(control: Introspect) -> None:
    roots = await control.fetch("SandeshUVECacheReq", {"tname": "NodeStatus"})
    assert columns(roots, "ProcessStatus", "module_id", "state", "description") == [
        ("contrail-control", "Functional", "")
    ]
    assert columns(roots, "ConnectionInfo", "type", "name", "status") == [
        ("Database", "SQLite", "Up")
    ]


async def test_neighbours_are_paged_and_searched(control: Introspect) -> None:
    roots = await control.fetch("BgpNeighborReq", {"search_string": ""})
    assert [root.tag for root in roots] == ["BgpNeighborListResp"] * 2
    found = columns(roots, "BgpNeighborResp", "peer", "peer_asn", "encoding", "send_state")
    assert len({name for name, *_ in found}) == 100
    assert ("node1", "0", "XMPP", "in sync") in found
    by_address = await control.fetch("BgpNeighborReq", {"ip_address": "10.0.0.7"})
    assert columns(by_address, "BgpNeighborResp", "peer", "flap_time") == [("node7", "")]
    assert by_address[0].find("./neighbors/list/BgpNeighborResp") is not None


async def test_instances_show_targets_and_network(control: Introspect) -> None:
    roots = await control.fetch("ShowRoutingInstanceReq", {"x": "vn1"})
    check_readable(roots[0])
    instance = roots[0].find("./instances/list/ShowRoutingInstance")
    assert instance is not None
    assert instance.findtext("name") == RI1
    assert instance.findtext("vn_index") == "4"
    assert instance.findtext("import_target/list/element") == "target:64512:8000004"
    everything = await control.fetch("ShowRoutingInstanceReq")
    assert len(list(rows(everything, "ShowRoutingInstance"))) == 3


async def test_summary_counts_what_the_tables_hold(control: Introspect) -> None:
    roots = await control.fetch("ShowRouteSummaryReq", {"search_string": ""})
    names = ("name", "prefixes", "paths", "primary_paths", "secondary_paths", "infeasible_paths")
    found = {row[0]: row[1:] for row in columns(roots, "ShowRouteTableSummary", *names)}
    assert found[f"{RI1}.inet.0"] == ("3", "3", "3", "0", "0")
    assert found[f"{RI2}.inet.0"] == ("3", "3", "0", "3", "0")
    assert found["bgp.l3vpn.0"] == ("3", "3", "0", "3", "0")
    assert found["inet.0"] == ("0", "0", "0", "0", "0")
    stale = columns(roots, "ShowRouteTableSummary", "name", "stale_paths")
    assert (f"{RI1}.evpn.0", "1") in stale


async def test_routes_of_a_table_show_everything_scripts_read(control: Introspect) -> None:
    (root,) = await control.fetch("ShowRouteReq", {"routing_table": f"{RI1}.inet.0"})
    check_readable(root)
    (table,) = root.findall("./tables/list/ShowRouteTable")
    assert table.findtext("routing_instance") == RI1
    assert [table.findtext(name) for name in ("prefixes", "paths", "primary_paths")] == ["3"] * 3
    route = table.findall(".//ShowRoute")[2]
    assert route.findtext("prefix") == "192.168.100.3/32"
    assert route.findtext("last_modified") == "2019-Apr-27 14:03:19.075046"
    (path,) = route.findall(".//ShowRoutePath")
    for name in (*PATH_FIELDS, *PATH_LISTS):
        assert path.find(name) is not None, name
    assert path.findtext("protocol") == "XMPP (interface)"
    assert path.findtext("source") == "node1"
    assert path.findtext("local_preference") == "200"
    assert path.findtext("next_hop") == "10.0.0.5"
    assert path.findtext("label") == "23"
    assert path.findtext("as_path") == ""
    assert path.findtext("replicated") == "false"
    assert [e.text for e in path.findall("tunnel_encap/list/element")] == ["gre", "udp"]
    assert [e.text for e in path.findall("secondary_tables/list/element")] == [
        "bgp.l3vpn.0",
        f"{RI2}.inet.0",
    ]
    assert [e.text for e in path.findall("flags/list/element")] == ["None"]


async def test_copies_name_the_table_they_are_from(control: Introspect) -> None:
    roots = await control.fetch("ShowRouteReq", {"routing_table": f"{RI2}.inet.0"})
    path = next(rows(roots, "ShowRoutePath"))
    assert path.findtext("replicated") == "true"
    assert path.findtext("primary_table") == f"{RI1}.inet.0"
    assert path.findtext("origin_vn") == VN1
    texts = [e.text for e in path.findall("communities/list/element")]
    assert "target:64512:8000004" in texts
    assert "encapsulation:udp" in texts


async def tables_of(control: Introspect, **filters: str) -> list[str | None]:
    roots = await control.fetch("ShowRouteReq", filters)
    return [table.findtext("routing_table_name") for table in rows(roots, "ShowRouteTable")]


async def test_an_address_finds_every_table_with_a_covering_route(control: Introspect) -> None:
    found = await tables_of(control, prefix="192.168.100.3/32", shorter_match="1")
    assert found == [f"{RI1}.inet.0", f"{RI2}.inet.0"]
    assert await tables_of(control, prefix="192.168.100.9/32", shorter_match="1") == []


async def test_filters_choose_tables_and_paths(control: Introspect) -> None:
    everywhere = await tables_of(control, prefix="192.168.100.3")
    assert everywhere == [
        "bgp.evpn.0",
        "bgp.l3vpn.0",
        f"{RI1}.evpn.0",
        f"{RI1}.inet.0",
        f"{RI2}.inet.0",
    ]
    assert await tables_of(control, family="inetvpn") == ["bgp.l3vpn.0"]
    assert await tables_of(control, family="evpn", routing_instance=RI1) == [f"{RI1}.evpn.0"]
    assert await tables_of(control, protocol="bgp") == []
    assert len(await tables_of(control, protocol="xmpp", source="node1")) == 5
    assert await tables_of(control, source="node2") == []
    assert await tables_of(control, prefix="192.168.0.0/16", longer_match="1") == [
        f"{RI1}.inet.0",
        f"{RI2}.inet.0",
    ]
    assert await tables_of(control, prefix="^192.*\\.3/32$") == [f"{RI1}.inet.0", f"{RI2}.inet.0"]


async def test_routes_are_paged_by_count_and_cursor(control: Introspect) -> None:
    roots = await control.fetch("ShowRouteReq", {"count": "2", "family": "inet"})
    assert len(roots) == 1
    assert len(list(rows(roots, "ShowRoute"))) == 2


async def test_long_tables_come_in_pages_and_whole(control: Introspect) -> None:
    rib, instances = control_rib()
    source = Source("node2", Protocol.XMPP)
    attributes = ATTRIBUTES.intern(PathAttributes(next_hop=socket.inet_aton("10.0.0.6")))
    table = rib.vrf_table(RI1, INET)
    for number in range(2300):
        key = pack_prefix(socket.inet_aton(f"10.1.{number // 256}.{number % 256}"), 32)
        table.add(key, Path(source, attributes, label=30, modified=WHEN))
    rib.process()
    server = IntrospectServer(
        "127.0.0.1:0", "contrail-control", control_requests(ControlView("c", rib, instances))
    )
    await server.start()
    try:
        client = Introspect("127.0.0.1", server.port)
        roots = await client.fetch("ShowRouteReq", {"x": f"{RI1}.inet.0"})
        assert [len(list(root.iter("ShowRoute"))) for root in roots] == [1000, 1000, 303]
        texts = [element.text for element in rows(roots, "prefix")]
        assert len(set(texts)) == 2303
        assert texts[0] == "10.1.0.0/32"
        assert texts[-1] == "192.168.100.3/32"
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "filters",
    [
        {"prefix": "nonsense", "longer_match": "1"},
        {"prefix": "10.0.0.0/99", "shorter_match": "1"},
        {"family": "ipx"},
    ],
)
async def test_what_cannot_be_asked_is_a_client_error(
    control: Introspect, filters: dict[str, str]
) -> None:
    with pytest.raises(IntrospectError) as refused:
        await control.fetch("ShowRouteReq", filters)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "request_name",
    [
        "ShowRouteReqIterate",
        "BgpNeighborReqIterate",
        "ShowRouteSummaryReqIterate",
        "ShowRoutingInstanceReqIterate",
    ],
)
@pytest.mark.parametrize("cursor", ["", "x", "W10", "%00", "WyIiLCIiXQ", "a" * 5000])
async def test_foreign_cursors_are_refused(
    control: Introspect, request_name: str, cursor: str
) -> None:
    try:
        await control.fetch(request_name, {"x": cursor})
    except IntrospectError as error:
        assert error.status == 400  # noqa: PT017 - a foreign cursor may also be understood


@given(st.text(max_size=30), st.text(max_size=60))
def test_patterns_find_plain_text(needle: str, around: str) -> None:
    plain = needle.replace("\\", "").replace(".*", "").strip("^$")
    assert pattern(plain)(around + plain + around)


def test_patterns_know_ends_and_gaps() -> None:
    assert pattern("10.1.*/32")("10.1.1.3/32")
    assert not pattern("10.1.*/24")("10.1.1.3/32")
    assert pattern("^10.1")("10.1.1.3/32")
    assert not pattern("^0.1")("10.1.1.3/32")
    assert pattern("/32$")("10.1.1.3/32")
    assert not pattern("^10.1$")("10.1.1.3/32")
    assert pattern("^10.1$")("10.1")
    assert pattern("")("anything")


def test_stamps_always_have_a_fraction() -> None:
    assert stamp(WHEN) == "2019-Apr-27 14:03:19.075046"
    assert stamp(1556373799.0) == "2019-Apr-27 14:03:19.000000"
    assert stamp(0) == ""
