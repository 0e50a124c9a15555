"""The agent's answers, read the way operators' scripts read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
import pytest_asyncio
from tests.unit.introspect.views import agent_view

from tungsten.agent.introspect import AgentView, agent_requests
from tungsten.introspect import IntrospectServer
from tungsten.introspect.client import Introspect, IntrospectError, rows

NETWORK = "default-domain:demo:blue"
VRF = f"{NETWORK}:blue"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@pytest_asyncio.fixture
async def view(directory: Path) -> AgentView:
    return agent_view(directory)


@pytest_asyncio.fixture
async def agent(view: AgentView) -> AsyncIterator[Introspect]:
    server = IntrospectServer("127.0.0.1:0", "contrail-vrouter-agent", agent_requests(view))
    await server.start()
    yield Introspect("127.0.0.1", server.port)
    await server.stop()


async def found(agent: Introspect, request: str, tag: str, **parameters: str) -> list[Element]:
    (root,) = await agent.fetch(request, parameters)
    assert root.get("type") == "slist"
    assert root[-1].tag == "Pagination"
    for element in root.iter():
        if element.get("type") == "list" and element.get("identifier"):
            assert [child.tag for child in element] == ["list"], element.tag
            assert element.text is None
    return list(rows([root], tag))


def fields(row: Element, *names: str) -> tuple[str | None, ...]:
    return tuple(row.findtext(name) for name in names)


async def test_interfaces_come_with_what_operators_look_for(agent: Introspect) -> None:
    shown = await found(agent, "ItfReq", "ItfSandeshData")
    assert [fields(row, "index", "name", "type") for row in shown] == [
        ("0", "eth0", "eth"),
        ("2", "pkt0", "packet"),
        ("3", "tap1", "vport"),
        ("4", "tap2", "vport"),
    ]
    tap = shown[2]
    assert fields(tap, "active", "ipv4_active", "l2_active") == ("Active", "Active", "L2 Active")
    assert fields(tap, "ip6_active") == ("Ipv6 Inactive < no-ipv6-addr  >",)
    assert fields(tap, "mac_addr", "ip_addr", "vn_name", "vrf_name") == (
        "02:00:00:00:00:01",
        "10.1.1.3",
        NETWORK,
        VRF,
    )
    assert fields(tap, "policy", "dhcp_service") == ("Enable", "Enable")
    assert int(tap.findtext("label") or 0) >= 16
    assert tap.findtext("label") != tap.findtext("l2_label")


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"name": "tap"}, ["tap1", "tap2"]),
        ({"x": "tap2"}, ["tap2"]),
        ({"mac": "02:00:00:00:00:02"}, ["tap2"]),
        ({"ipv4_address": "10.1.1.3"}, ["tap1"]),
        ({"vn": "blue"}, ["tap1", "tap2"]),
        ({"type": "eth"}, ["eth0"]),
        ({"uuid": "none"}, []),
    ],
)
async def test_interfaces_are_filtered(
    agent: Introspect, parameters: dict[str, str], names: list[str]
) -> None:
    shown = await found(agent, "ItfReq", "ItfSandeshData", **parameters)
    assert [row.findtext("name") for row in shown] == names


async def test_interface_without_device_says_so(view: AgentView, agent: Introspect) -> None:
    del view.agent.kernel.devices["tap1"]
    view.agent.reconcile()
    (row,) = await found(agent, "ItfReq", "ItfSandeshData", x="tap1")
    assert fields(row, "active", "label") == ("Inactive < no-dev  >", "-1")


async def test_interface_without_configuration_says_what_it_waits_for(
    view: AgentView, agent: Introspect
) -> None:
    view.agent.graph = type(view.agent.graph)()
    view.agent.reconcile()
    shown = await found(agent, "ItfReq", "ItfSandeshData", type="vport")
    assert {row.findtext("index") for row in shown} == {"-1"}
    assert all("no virtual-machine-interface" in (row.findtext("active") or "") for row in shown)


async def test_networks_and_vrfs(agent: Introspect) -> None:
    (network,) = await found(agent, "VnListReq", "VnSandeshData", name="")
    assert fields(network, "name", "vrf_name", "layer2_forwarding", "ipv4_forwarding") == (
        NETWORK,
        VRF,
        "true",
        "true",
    )
    ipam = network.find("ipam_data/list/VnIpamData")
    assert ipam is not None
    assert fields(ipam, "ip_prefix", "prefix_len", "gateway", "dns_server") == (
        "10.1.1.0",
        "24",
        "10.1.1.1",
        "10.1.1.2",
    )
    fabric, blue = await found(agent, "VrfListReq", "VrfSandeshData")
    assert fields(fabric, "ucindex", "vn") == ("0", "N/A")
    index = blue.findtext("ucindex")
    assert fields(blue, "name", "mcindex", "brindex", "evpnindex", "l2index", "uc6index") == (
        VRF,
        *[index] * 5,
    )
    assert blue.findtext("RD") == f"172.30.1.2:{index}"


async def blue_index(agent: Introspect) -> str:
    (vrf,) = await found(agent, "VrfListReq", "VrfSandeshData", x="blue")
    return vrf.findtext("ucindex") or ""


def only_path(route: Element) -> tuple[Element, Element]:
    """The path of a route and its next hop, with all that scripts read of them."""
    (path,) = route.findall(".//PathSandeshData")
    (hop,) = path.findall("nh/NhSandeshData")
    for name in ("peer", "label", "active_label", "vxlan_id", "dest_vn_list", "sg_list"):
        assert path.find(name) is not None, name
    assert path.find("path_preference_data/PathPreferenceSandeshData/preference") is not None
    for name in ("type", "nh_index", "itf"):
        assert hop.find(name) is not None, name
    assert (hop.find("mac") is not None) or hop.findtext("type") == "tunnel"
    return path, hop


async def test_inet_routes_lead_where_the_datapath_sends(
    view: AgentView, agent: Introspect
) -> None:
    index = await blue_index(agent)
    shown = await found(agent, "Inet4UcRouteReq", "RouteUcSandeshData", vrf_index=index, stale="")
    routes = {f"{r.findtext('src_ip')}/{r.findtext('src_plen')}": r for r in shown}
    assert list(routes) == [
        "10.1.1.0/24",
        "10.1.1.1/32",
        "10.1.1.2/32",
        "10.1.1.3/32",
        "10.1.1.4/32",
        "10.1.1.9/32",
    ]
    path, hop = only_path(routes["10.1.1.3/32"])
    assert fields(path, "peer") == ("LocalVmPort",)
    assert fields(hop, "type", "itf", "mac", "policy") == (
        "interface",
        "tap1",
        "2:0:0:0:0:1",
        "enabled",
    )
    path, hop = only_path(routes["10.1.1.9/32"])
    assert fields(path, "peer", "label", "active_label", "active_tunnel_type") == (
        "172.30.0.2",
        "40",
        "40",
        "MPLSoUDP",
    )
    assert fields(hop, "type", "dip", "sip", "tunnel_type") == (
        "tunnel",
        "172.30.2.2",
        "172.30.1.2",
        "MPLSoUDP",
    )
    assert [e.text for e in path.findall("sg_list/list/element")] == ["8000001"]
    assert path.findtext("path_preference_data/PathPreferenceSandeshData/preference") == "200"
    assert only_path(routes["10.1.1.0/24"])[1].findtext("type") == "discard"
    assert fields(routes["10.1.1.0/24"], "ipam_subnet_route", "proxy_arp") == ("true", "false")
    assert only_path(routes["10.1.1.1/32"])[1].findtext("itf") == "pkt0"
    numbers = {int(route.findtext(".//nh_index") or 0) for route in shown}
    assert numbers <= set(view.agent.writer.held.nexthops)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"src_ip": "10.1.1.3"}, ["10.1.1.3"]),
        ({"src_ip": "10.1.1.77"}, ["10.1.1.0"]),
        ({"src_ip": "10.1.1.0", "prefix_len": "24"}, ["10.1.1.0"]),
        ({"src_ip": "10.1.1.3", "prefix_len": "24"}, []),
        ({"src_ip": "10.9.9.9"}, []),
        ({"src_ip": "nonsense"}, []),
    ],
)
async def test_one_route_can_be_asked_for(
    agent: Introspect, parameters: dict[str, str], expected: list[str]
) -> None:
    index = await blue_index(agent)
    shown = await found(
        agent, "Inet4UcRouteReq", "RouteUcSandeshData", vrf_index=index, **parameters
    )
    assert [route.findtext("src_ip") for route in shown] == expected


@pytest.mark.parametrize("request_name", ["Layer2RouteReq", "BridgeRouteReq"])
async def test_floods_name_every_host_they_reach(agent: Introspect, request_name: str) -> None:
    index = await blue_index(agent)
    shown = await found(agent, request_name, "RouteL2SandeshData", vrf_index=index)
    routes = {route.findtext("mac"): route for route in shown}
    _, hop = only_path(routes["ff:ff:ff:ff:ff:ff"])
    assert (hop.findtext("type") or "").startswith("L2 Composite sub nh count: ")
    members = list(hop.iter("McastData"))
    assert [m.findtext("itf") for m in members if m.findtext("type") == "Interface"] == [
        "tap1",
        "tap2",
    ]
    assert [m.findtext("dip") for m in members if m.findtext("type") == "Tunnel"] == ["172.30.2.2"]
    path, hop = only_path(routes["02:00:00:00:00:99"])
    assert fields(path, "peer", "active_label") == ("172.30.0.2", "40")
    assert only_path(routes["00:00:5e:00:01:00"])[1].findtext("type") == "l2-receive"


async def test_evpn_routes_are_macs_and_addresses(agent: Introspect) -> None:
    index = await blue_index(agent)
    shown = await found(agent, "EvpnRouteReq", "RouteEvpnSandeshData", vrf_index=index)
    assert [fields(route, "mac", "ip_addr") for route in shown] == [
        ("02:00:00:00:00:01", "0.0.0.0"),
        ("02:00:00:00:00:01", "10.1.1.3"),
        ("02:00:00:00:00:02", "0.0.0.0"),
        ("02:00:00:00:00:02", "10.1.1.4"),
        ("02:00:00:00:00:99", "10.1.1.9"),
        ("ff:ff:ff:ff:ff:ff", "0.0.0.0"),
    ]
    assert only_path(shown[0])[0].findtext("peer") == "LocalVmPort"
    assert only_path(shown[4])[0].findtext("peer") == "172.30.0.2"


async def test_other_tables_answer_with_what_they_hold(view: AgentView, agent: Introspect) -> None:
    hops = await found(agent, "NhListReq", "NhSandeshData", type="")
    assert len(hops) == len(view.agent.writer.held.nexthops)
    (one,) = await found(
        agent, "NhListReq", "NhSandeshData", nh_index=hops[0].findtext("nh_index") or ""
    )
    assert one.findtext("nh_index") == hops[0].findtext("nh_index")
    tunnels = await found(agent, "NhListReq", "NhSandeshData", type="tunnel")
    assert {hop.findtext("dip") for hop in tunnels} == {"172.30.2.2"}
    labels = await found(agent, "MplsReq", "MplsSandeshData", type="")
    assert [int(row.findtext("label") or 0) for row in labels] == sorted(
        view.agent.writer.held.labels
    )
    assert await found(agent, "Inet6UcRouteReq", "RouteUcSandeshData", vrf_index="1") == []
    vnis = await found(agent, "VxLanReq", "VxLanSandeshData", vxlan_id="None")
    assert [row.findtext("vrf_name") for row in vnis] == [VRF]


async def test_sessions_and_status(agent: Introspect) -> None:
    (root,) = await agent.fetch("AgentXmppConnectionStatusReq")
    (session,) = rows([root], "AgentXmppData")
    assert fields(session, "controller_ip", "state", "cfg_controller") == (
        "172.30.0.2",
        "Connect",
        "No",
    )
    (root,) = await agent.fetch("SandeshUVECacheReq", {"x": "NodeStatus"})
    (status,) = rows([root], "ProcessStatus")
    assert fields(status, "module_id", "state") == ("contrail-vrouter-agent", "Non-Functional")
    assert "XMPP:control-node:172.30.0.2 connection down" in (status.findtext("description") or "")


async def test_page_keys_of_every_table_are_understood(agent: Introspect) -> None:
    index = await blue_index(agent)
    for table, tag in [
        ("db.interface.0", "ItfSandeshData"),
        ("db.vn.0", "VnSandeshData"),
        ("db.vrf.0", "VrfSandeshData"),
        ("db.nexthop.0", "NhSandeshData"),
        ("db.mpls.0", "MplsSandeshData"),
        ("db.vxlan.0", "VxLanSandeshData"),
        (f"{VRF}.uc.route.0", "RouteUcSandeshData"),
        (f"{VRF}.l2.route.0", "RouteL2SandeshData"),
        (f"{VRF}.evpn.route.0", "RouteEvpnSandeshData"),
    ]:
        assert await found(agent, "PageReq", tag, x=f"begin:-1,end:-1,table:{table}"), table
    (root,) = await agent.fetch("Inet4UcRouteReq", {"vrf_index": index})
    key = root.findtext("Pagination/req/PageReqData/all") or ""
    assert key == f"begin:-1,end:-1,table:{VRF}.uc.route.0,vrf_index:{index}"
    assert len(await found(agent, "PageReq", "RouteUcSandeshData", x=key)) == 6
    with pytest.raises(IntrospectError, match="404"):
        await agent.fetch("PageReq", {"x": "begin:0,end:9,table:no:such:vrf.uc.route.0"})


@pytest.mark.parametrize("number", ["99999", "-5", "x", "4294967296"])
async def test_unknown_vrfs_are_empty_answers(agent: Introspect, number: str) -> None:
    for request, tag in [
        ("Inet4UcRouteReq", "RouteUcSandeshData"),
        ("Layer2RouteReq", "RouteL2SandeshData"),
        ("EvpnRouteReq", "RouteEvpnSandeshData"),
    ]:
        assert await found(agent, request, tag, vrf_index=number) == []
