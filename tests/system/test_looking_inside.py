"""The same routes seen at every layer of a running lab: control, agent, kernel, and the API.

Each layer shows its own structures; a workload that can be reached is in all of them, with one
address, one label and one next hop.
"""

from __future__ import annotations

import re
import sys

from tungsten.lab.lab import Lab

TOOL = "import sys; from tungsten.datapath.tools import commands; "


def command(lab: Lab, host: str, *words: str) -> str:
    """What a `tungsten` command prints on a host."""
    code = "import sys; from tungsten.main import main; sys.argv[0] = 'tungsten'; main()"
    return lab.namespace(host).run(sys.executable, "-c", code, *words)


def tool(lab: Lab, host: str, name: str, *words: str) -> str:
    """What one of the datapath's tools prints on a compute host."""
    code = f"{TOOL}sys.exit(commands.{name}(sys.argv[1:]))"
    pin_dir = str(lab.bpf_dir(host))
    return lab.namespace(host).run(sys.executable, "-c", code, "--pin-dir", pin_dir, *words)


def controller(lab: Lab) -> str:
    return lab.spec.controllers[0]


def computes(lab: Lab) -> set[str]:
    return {workload.host for workload in lab.state.workloads.values()}


def test_every_process_says_it_works(lab: Lab) -> None:
    status = command(lab, controller(lab), "ctr", "status")
    assert "module_id: contrail-control\nstate: Functional\n" in status
    neighbours = command(lab, controller(lab), "ctr", "nei", "-t", "XMPP")
    for host in computes(lab):
        assert re.search(rf"\| {host} .*\| Established \| in sync ", neighbours), neighbours
        status = command(lab, host, "vr", "status")
        assert "module_id: contrail-vrouter-agent\nstate: Functional\n" in status


def test_a_workload_is_the_same_at_every_layer(lab: Lab) -> None:
    for workload in lab.state.workloads.values():
        shown = command(lab, workload.host, "vr", "intf", "-u", workload.vmi, "-f", "text")
        fields = dict(re.findall(r"^  (\w+): (.*)$", shown, re.MULTILINE))
        assert fields["name"] == workload.interface
        assert fields["ip_addr"] == workload.address
        assert fields["mac_addr"] == workload.mac
        assert fields["active"] == "Active"
        address = lab.spec.hosts[workload.host].interface.ip
        route = command(
            lab, controller(lab), "ctr", "route", "show", f"{workload.address}", "-p", "XMPP"
        )
        assert f"[XMPP (interface)|{workload.host}] " in route
        assert f"nh: {address}, encap: ['gre', 'udp'], label: {fields['label']}, " in route
        labels = tool(lab, workload.host, "mpls", "--get", fields["label"])
        hop = labels.split()[-1]
        listed = tool(lab, workload.host, "nh", "--get", hop)
        assert f"Oif:{fields['index']} " in listed
        vif = tool(lab, workload.host, "vif", "--get", fields["index"])
        assert f"OS: {workload.interface} NH: {hop}\n" in vif


def test_agent_and_kernel_show_the_same_routes(lab: Lab) -> None:
    for host in computes(lab):
        vrfs = command(lab, host, "vr", "vrf", "-f", "text")
        for index in re.findall(r"^  ucindex: (\d+)$", vrfs, re.MULTILINE):
            agent = command(lab, host, "vr", "route", "-v", index)
            kernel = tool(lab, host, "rt", "--dump", index)
            hops = dict(re.findall(r"^(\S+/\d+)\n.*\n.*nh_index:(\d+) ", agent, re.MULTILINE))
            rows = [line.split() for line in kernel.splitlines()[3:]]
            assert {row[0]: row[-2] for row in rows} == hops


def test_a_drop_is_counted_under_its_reason(lab: Lab) -> None:
    name, workload = next(iter(lab.state.workloads.items()))
    before = tool(lab, workload.host, "dropstats")
    lab.namespace(name).run("ping", "-c1", "-W1", "203.0.113.1", check=False)
    after = tool(lab, workload.host, "dropstats")
    assert after != before


def test_objects_are_listed_through_the_api(lab: Lab) -> None:
    listed = command(lab, controller(lab), "get", "vmi", "-o", "wide")
    for workload in lab.state.workloads.values():
        assert workload.vmi in listed
        assert workload.mac in listed
