"""An agent attaches to two control nodes; either may go without a packet lost."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from tests.system.conftest import demo_spec
from tests.system.test_restarts import assert_lossless, streams
from tests.system.waiting import wait_for
from tests.unit.xmpp.certificates import Authority
from tungsten.lab import demo
from tungsten.lab.lab import Lab
from tungsten.lab.spec import Host, LabSpec, Role


def spec() -> LabSpec:
    base = demo_spec()
    hosts = {
        "controller": base.hosts["controller"],
        "control2": Host(Role.CONTROL, "172.30.9.2/24"),
    }
    return LabSpec(
        hosts={**hosts, **base.hosts},
        networks=base.networks,
        workloads=base.workloads,
        global_vrouter_config=base.global_vrouter_config,
    )


def neighbours(lab: Lab, host: str) -> dict[str, str]:
    """Peers of a control node and the state of their sessions, as ``ctr nei`` shows them."""
    program = str(Path(sys.executable).with_name("tungsten"))
    text = lab.namespace(host).run(program, "ctr", "nei")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    head = next(row for row in rows if row and row[0] == "peer")
    state = head.index("state")
    return {row[0]: row[state] for row in rows if len(row) == len(head) and row != head}


def with_tls(base: LabSpec, authority: Authority) -> LabSpec:
    """The same lab with agents that come over TLS, certificates at both ends."""
    hosts = {}
    for name, host in base.hosts.items():
        section = "agent" if host.role is Role.COMPUTE else "control"
        shown = name if section == "agent" else str(host.interface.ip)
        certificate, key = authority.issue(shown)
        files = {"certificate": certificate, "key": key, "ca": str(authority.path)}
        more = {f"{section}.xmpp_{word}": file for word, file in files.items()}
        hosts[name] = Host(
            host.role, host.address, {**host.set, **more, f"{section}.xmpp_tls": True}
        )
    return structs.replace(base, hosts=hosts)


def settled(lab: Lab, host: str, other: str) -> bool:
    """Whether a control node has sessions with all agents and with the other one."""
    up = {name for name, state in neighbours(lab, host).items() if state == "Established"}
    return up >= {"compute1", "compute2", other}


@pytest.mark.parametrize("secured", [False, True])
def test_either_control_node_may_end_any_way(
    make_lab: Callable[[LabSpec], Lab], tmp_path: Path, secured: bool
) -> None:
    """F-03, F-04: killed or stopped; every agent is at the other meanwhile, no packet lost."""
    lab = make_lab(with_tls(spec(), Authority(tmp_path / "ca")) if secured else spec())
    pair = ("controller", "control2")
    for host, other in (pair, pair[::-1]):
        wait_for(partial(settled, lab, host, other), f"{host} has sessions with all")
    with streams(lab) as running:
        for number in (signal.SIGKILL, signal.SIGTERM):
            for host, other in (pair[::-1], pair):
                lab.stop_process(host, number)
                time.sleep(1)
                lab.start_process(host).wait()
                wait_for(partial(settled, lab, host, other), f"all are back at {host}")
    assert_lossless(running, 400)
    for reach in demo.reaches(lab):
        answered, summary = demo.ping(lab, reach)
        assert answered == reach.passes, f"{reach}: {summary}"


def test_a_route_learnt_by_one_control_reaches_an_agent_of_the_other(
    make_lab: Callable[[LabSpec], Lab],
) -> None:
    """Each compute host attaches to one control only, so their routes cross by BGP."""
    base = spec()
    hosts = dict(base.hosts)
    hosts["compute1"] = Host(Role.COMPUTE, "172.30.1.2/24", {"agent.controls": ["172.30.0.2"]})
    hosts["compute2"] = Host(Role.COMPUTE, "172.30.2.2/24", {"agent.controls": ["172.30.9.2"]})
    lab = make_lab(
        LabSpec(
            hosts=hosts,
            networks=base.networks,
            workloads=base.workloads,
            global_vrouter_config=base.global_vrouter_config,
        )
    )
    across = next(pair for pair in demo.reaches(lab) if pair.why == "same network, across hosts")
    wait_for(lambda: demo.ping(lab, across, 1)[0], "routes cross between the control nodes", 15)
    for pair in demo.reaches(lab):
        answered, summary = demo.ping(lab, pair)
        assert answered == pair.passes, f"{pair}: {summary}"
