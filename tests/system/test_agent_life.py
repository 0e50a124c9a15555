"""What an agent does when things around it go and come: workloads, routers, controls."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tungsten.lab import demo, workloads
from tungsten.lab.demo import Reach
from tungsten.lab.lab import Lab
from tungsten.lab.netns import Namespace


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def reaches(lab: Lab, source: str, target: str) -> bool:
    return demo.ping(lab, Reach(source, target, True, ""), count=1)[0]


def sends_to(lab: Lab, host: str, mac: str) -> bool:
    """Whether a next hop of a host has a MAC in front of what it sends."""
    return mac.replace(":", " ") in demo.tool(lab, host, "nh", "--list")


def announce(lab: Lab, name: str) -> None:
    """Tell the agent of a workload's port, as when it was first plugged."""
    it = lab.state.workloads[name]
    workloads.add_port(
        lab.namespace(it.host),
        name=name,
        vmi=it.vmi,
        vm=it.vm,
        network="5ba01234-0000-4000-8000-000000000003",
        tap=it.interface,
        mac=it.mac,
        address=it.address,
    )


def test_a_port_that_is_removed_is_gone_everywhere_and_comes_back(lab: Lab) -> None:
    it = lab.state.workloads["vm3"]
    compute = lab.namespace(it.host)
    workloads.delete_port(compute, it.vmi)
    until(lambda: not reaches(lab, "vm1", "vm3"))
    assert f"{it.address}/32" not in demo.route_table(lab, "vm1")
    assert it.interface not in demo.tool(lab, it.host, "vif", "--list")
    announce(lab, "vm3")
    until(lambda: reaches(lab, "vm1", "vm3"))
    assert it.interface in demo.tool(lab, it.host, "vif", "--list")


def test_a_device_that_is_made_anew_is_served_again(lab: Lab) -> None:
    it = lab.state.workloads["vm3"]
    compute, workload = lab.namespace(it.host), lab.namespace("vm3")
    compute.ip("link", "del", it.interface)
    until(lambda: not reaches(lab, "vm1", "vm3"))
    workloads.plug(compute, workload, it.interface, it.mac, 1450)
    assert lab.lease("vm3") == it.address
    until(lambda: reaches(lab, "vm1", "vm3"))


def test_a_router_that_changes_its_mac_is_followed(lab: Lab) -> None:
    fabric = Namespace(f"{lab.name}-fabric")
    compute = lab.namespace("compute1")
    old = fabric.link_mac("to-compute1")
    for mac in ("02:fe:ed:00:00:01", old):
        fabric.ip("link", "set", "to-compute1", "address", mac)
        compute.ip("neigh", "flush", "dev", "eth0")
        until(lambda: reaches(lab, "vm1", "vm3"))
        until(partial(sends_to, lab, "compute1", mac))


def test_without_a_controller_a_restarted_agent_serves_what_it_knew(lab: Lab) -> None:
    it = lab.state.workloads["vm2"]
    state = lab.directory("compute1")
    until(lambda: any(state.rglob("config.xml")), 20)
    lab.stop_process("controller", signal.SIGKILL)
    try:
        lab.restart("compute1", signal.SIGKILL)
        assert lab.lease("vm2") == it.address
        assert reaches(lab, "vm1", "vm2")
        assert reaches(lab, "vm1", "vm3")
        time.sleep(5)
        assert reaches(lab, "vm1", "vm3")
    finally:
        lab.start_process("controller").wait()
    log = Path(lab.process("compute1").log)
    until(lambda: "control_up" in log.read_text().rpartition("agent_started")[2], 40)
    assert reaches(lab, "vm1", "vm3")


@pytest.mark.parametrize("frame", [b"", b"\xff" * 14, b"\xff" * 12 + b"\x08\x00" + b"\x45" * 60])
def test_frames_that_are_no_packets_are_only_counted(lab: Lab, frame: bytes) -> None:
    workload = lab.namespace("vm1")

    def send() -> None:
        import socket

        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            for _ in range(50):
                raw.send(frame or b"\0" * 14)

    workload.call_in(send)
    assert lab.lease("vm1") == lab.state.workloads["vm1"].address
