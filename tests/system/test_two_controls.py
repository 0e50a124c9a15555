"""An agent attaches to two control nodes; either may go without a packet lost."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.conftest import demo_spec
from tests.system.test_restarts import Stream
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


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def test_either_control_node_may_be_killed(make_lab: Callable[[LabSpec], Lab]) -> None:
    lab = make_lab(spec())
    everyone = {"compute1", "compute2"}
    for host, other in (("controller", "control2"), ("control2", "controller")):
        wait_for(
            lambda host=host, other=other: (  # type: ignore[misc]
                {name for name, state in neighbours(lab, host).items() if state == "Established"}
                >= everyone | {other}
            ),
            20,
            f"{host} has sessions with {other} and all agents",
        )
    stream = Stream(lab, "vm1", "vm3")
    time.sleep(0.3)
    for host in ("control2", "controller"):
        lab.stop_process(host, signal.SIGKILL)
        time.sleep(2)
        lab.start_process(host).wait()
        wait_for(
            lambda host=host: everyone <= set(neighbours(lab, host)),  # type: ignore[misc]
            20,
            f"agents are back at {host}",
        )
    stream.stop()
    assert stream.sent > 200
    assert stream.lost == 0
    for pair in demo.reaches(lab):
        answered, summary = demo.ping(lab, pair)
        assert answered == pair.passes, f"{pair}: {summary}"


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
    wait_for(lambda: demo.ping(lab, across, 1)[0], 15, "routes cross between the control nodes")
    for pair in demo.reaches(lab):
        answered, summary = demo.ping(lab, pair)
        assert answered == pair.passes, f"{pair}: {summary}"
