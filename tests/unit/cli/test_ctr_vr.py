"""``tungsten ctr`` and ``tungsten vr`` against live introspect servers, as a user runs them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.unit.introspect.views import RI1, RI2, agent_view, control_rib, serving
from typer.testing import CliRunner

from tungsten.agent.introspect import agent_requests
from tungsten.bgp.families import INET
from tungsten.cli import ctr
from tungsten.control.config_graph import ConfigGraph
from tungsten.control.introspect import ControlView, control_requests
from tungsten.control.introspect_structs import BgpNeighborResp
from tungsten.control.service_chains import ServiceChains
from tungsten.introspect import ConnectionInfo
from tungsten.introspect.request import AnyRequest
from tungsten.main import application
from tungsten.model.routing import ServiceChainInfo

Run = Callable[..., str]

AGE = re.compile(r"age: (?:\d+ days? )?\d+:\d\d:\d\d(?:\.\d+)?")


def control() -> Sequence[AnyRequest]:
    rib, instances = control_rib()
    chains = ServiceChains(ConfigGraph(), instances)
    for behind in (RI2, "default-domain:admin:vn3:vn3"):
        chain = ServiceChainInfo(
            routing_instance=behind,
            prefix=["10.2.0.0/16"],
            service_chain_address="192.168.100.3",
            service_instance="default-domain:admin:si",
        )
        chains.configure(RI1 if behind == RI2 else RI2, INET, chain)
    view = ControlView(
        "ctl1",
        rib,
        instances,
        neighbours=lambda: [
            BgpNeighborResp(
                peer=f"node{number}",
                peer_address=f"10.0.0.{number}",
                encoding=encoding,
                state="Established",
                send_state="in sync",
            )
            for number, encoding in [(5, "XMPP"), (9, "BGP")]
        ],
        chains=chains,
        connections=lambda: [
            ConnectionInfo(type="Database", name="SQLite", server_addrs=["/var/lib/x.db"])
        ],
    )
    return control_requests(view)


def run_with(port: int, group: str) -> Run:
    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(application(group), [group, "--port", str(port), *words])
        assert result.exit_code == code, result.output
        return AGE.sub("age: AGE", result.output)

    return run


@pytest.fixture(scope="module")
def ask_control() -> Iterator[Run]:
    with serving("contrail-control", control) as port:
        yield run_with(port, "ctr")


@pytest.fixture(scope="module")
def ask_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory: Path = tmp_path_factory.mktemp("agent")
    with serving("contrail-vrouter-agent", lambda: agent_requests(agent_view(directory))) as port:
        yield run_with(port, "vr")


def test_ctr_status(ask_control: Run) -> None:
    assert ask_control("status") == (
        "module_id: contrail-control\n"
        "state: Functional\n"
        "description\n"
        "+----------+--------+-----------------+--------+-------------+\n"
        "| type     | name   | server_addrs    | status | description |\n"
        "+----------+--------+-----------------+--------+-------------+\n"
        "| Database | SQLite |   /var/lib/x.db | Up     | n/a         |\n"
        "+----------+--------+-----------------+--------+-------------+\n"
    )


def test_ctr_nei(ask_control: Run) -> None:
    assert ask_control("nei", "-t", "XMPP") == (
        "+-------+--------------+----------+----------+-----------+-------------+------------+"
        "------------+-----------+\n"
        "| peer  | peer_address | peer_asn | encoding | peer_type | state       | send_state |"
        " flap_count | flap_time |\n"
        "+-------+--------------+----------+----------+-----------+-------------+------------+"
        "------------+-----------+\n"
        "| node5 | 10.0.0.5     | 0        | XMPP     | internal  | Established | in sync    |"
        " 0          | n/a       |\n"
        "+-------+--------------+----------+----------+-----------+-------------+------------+"
        "------------+-----------+\n"
    )
    assert ask_control("nei", "node9", "-c", "peer,encoding").splitlines()[3:4] == [
        "| node9 | BGP      |"
    ]
    assert ask_control("nei", "nobody") == ""


def test_ctr_sc(ask_control: Run) -> None:
    names = "src_rt_instance,dest_rt_instance,state,pending_reason"
    lines = ask_control("sc", "-c", names, "--max-width", "80").splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    away = "default-domain:admin:vn3:vn3"
    assert table == [
        names.split(","),
        [RI1, RI2, "active", "n/a"],
        [RI2, away, "pending", f"Destination routing-instance {away} does not exist"],
    ]
    offers = ask_control("sc", "vn1", "-r")
    assert "192.168.100.3" in offers
    assert "10.2.0.0/16 (aggregate: false)" in offers
    assert ask_control("sc", "nowhere") == ""


def test_ctr_route_summary_and_tables(ask_control: Run) -> None:
    lines = ask_control("route", "summary").splitlines()
    assert lines[3] == (
        f"| {RI1}.inet.0 | 3        | 3     | 3             | 0               | 0                |"
    )
    assert ask_control("route", "tables", "vn1", "-f", "evpn") == f"name: {RI1}.evpn.0\n"


def test_ctr_route_show_an_address(ask_control: Run) -> None:
    assert ask_control("route", "show", "-t", f"{RI1}.inet.0", "192.168.100.3") == (
        "\n"
        f"{RI1}.inet.0: 3 destinations, 3 routes (3 primary, 0 secondary, 0 infeasible)\n"
        "\n"
        "192.168.100.3/32, age: AGE, last_modified: 2019-Apr-27 14:03:19.075046\n"
        "    [XMPP (interface)|node1] age: AGE, localpref: 200, nh: 10.0.0.5, "
        "encap: ['gre', 'udp'], label: 23, AS path: None\n"
    )


def test_ctr_route_show_in_detail_and_raw(ask_control: Run) -> None:
    detail = ask_control("route", "show", "-v", "default-domain:admin:vn2:vn2", "-d")
    assert (
        f"        primary table: {RI1}.inet.0, origin vn: default-domain:admin:vn1, "
        "origin_vn_path: []\n"
    ) in detail
    assert "        communities: ['encapsulation:gre', 'encapsulation:udp', " in detail
    raw = ask_control("route", "show", "-t", f"{RI1}.evpn.0", "-r")
    assert "    protocol: XMPP\n    last_modified: 2019-Apr-27 14:03:19.075046\n" in raw
    assert "    flags\n        Stale\n" in raw


def test_ctr_route_show_by_time(ask_control: Run) -> None:
    assert "192.168.100.3/32" not in ask_control("route", "show", "-l", "5m")
    assert "not a number followed by" in ask_control("route", "show", "-l", "soon", code=2)


def test_routes_changed_lately_show_the_paths_that_did() -> None:
    table = ElementTree.fromstring(
        "<ShowRouteTable><routing_table_name>t.inet.0</routing_table_name><routes><list>"
        "<ShowRoute><prefix>10.0.0.1/32</prefix>"
        "<last_modified>2026-Jan-01 00:00:00.000000</last_modified><paths><list>"
        "<ShowRoutePath><source>old</source>"
        "<last_modified>2026-Jan-01 00:00:00.000000</last_modified></ShowRoutePath>"
        "<ShowRoutePath><source>new</source>"
        "<last_modified>2026-Jan-02 11:59:00.500000</last_modified></ShowRoutePath>"
        "</list></paths></ShowRoute></list></routes></ShowRouteTable>"
    )
    now = datetime(2026, 1, 2, 12, 0, 0)
    text = ctr.routes_text([table], since=ctr._since("5m"), now=now)
    assert "10.0.0.1/32, age: 1 day 12:00:00, last_modified: 2026-Jan-01" in text
    assert "[None|new] age: 0:00:59.500000" in text
    assert "[None|old]" not in text


def test_vr_intf(ask_agent: Run) -> None:
    assert ask_agent("intf", "tap1").splitlines()[1:4:2] == [
        "| index | name | active | mac_addr          | ip_addr  | mdata_ip_addr | vm_name |"
        " vn_name                  |",
        "| 3     | tap1 | Active | 02:00:00:00:00:01 | 10.1.1.3 | n/a           | vm1     |"
        " default-domain:demo:blue |",
    ]
    assert ask_agent("intf", "-n", "tap2", "-f", "text").startswith(
        "ItfSandeshData\n  index: 4\n  name: tap2\n"
    )


def test_vr_vrf(ask_agent: Run) -> None:
    assert ask_agent("vrf", "blue").splitlines()[3] == (
        "| default-domain:demo:blue:blue | 1       | 1       | 1       | 1         | 10       |"
        " default-domain:demo:blue |"
    )


def test_vr_route(ask_agent: Run) -> None:
    text = ask_agent("route", "-v", "1", "10.1.1.9", "-d")
    assert text.startswith("10.1.1.0/24\n    [Local] pref:100\n     nh_index:")
    found = text[text.index("10.1.1.9/32") :]
    assert re.fullmatch(
        r"10\.1\.1\.9/32\n"
        r"    \[172\.30\.0\.2\] pref:200\n"
        r"     via MPLSoUDP dip:172\.30\.2\.2 sip:172\.30\.1\.2 label:40, nh_index:\d+ , "
        r"nh_type:tunnel, nh_policy:disabled, active_label:40, vxlan_id:0\n"
        r"     dest_vn:\['default-domain:demo:blue'\], sg:\['8000001'\], communities:\[\]\n",
        found,
    )


def test_vr_route_of_a_mac(ask_agent: Run) -> None:
    flood = ask_agent("route", "-v", "1", "-f", "layer2", "ff:ff:ff:ff:ff:ff")
    assert "     via ['tap1', 'tap2'], nh_index:" in flood
    raw = ask_agent("route", "-v", "1", "-f", "layer2", "ff:ff:ff:ff:ff:ff", "-r")
    assert "dip: 172.30.2.2" in raw
    local = ask_agent("route", "-v", "1", "-f", "evpn", "02:00:00:00:00:01")
    assert "     to 2:0:0:0:0:1 via tap1, assigned_label:" in local


@pytest.mark.parametrize("words", [["vn"], ["nh"], ["mpls"], ["xmpp"], ["status"], ["cpu"]])
def test_vr_other_commands_print_something(ask_agent: Run, words: list[str]) -> None:
    assert ask_agent(*words)


def test_wrong_family_is_wrong_usage(ask_agent: Run) -> None:
    assert "inet, inet6, bridge, layer2, evpn" in ask_agent("route", "-f", "ipx", code=2)


def test_unreachable_host_is_said_plainly() -> None:
    result = CliRunner().invoke(
        application("ctr"), ["ctr", "--host", "127.0.0.1", "--port", "1", "nei"]
    )
    assert result.exit_code == 1
    assert "Introspect Host: 127.0.0.1" in result.output
    assert "Failed to reach destination" in result.output


def test_refusal_is_shown_with_its_reason(ask_control: Run) -> None:
    text = ask_control("route", "show", "-f", "ipx", code=1)
    assert "Error code: 400" in text
    assert "family 'ipx' is not one of" in text
