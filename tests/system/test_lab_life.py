"""Labs come whole, live side by side, and go without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.conftest import demo_spec, fresh_name
from tungsten.lab import lab as labs
from tungsten.lab import netns, state
from tungsten.lab.lab import Lab
from tungsten.lab.spec import Host, LabSpec, Network, Role, Workload


def small_spec() -> LabSpec:
    """A controller, one compute host, one workload."""
    return LabSpec(
        hosts={
            "controller": Host(Role.CONTROLLER, "172.30.0.2/24"),
            "compute1": Host(Role.COMPUTE, "172.30.1.2/24"),
        },
        networks={"blue": Network("10.0.1.0/24")},
        workloads={"vm1": Workload("compute1", "blue")},
    )


def traces(name: str) -> dict[str, list[str]]:
    """Everything of a lab that the machine still shows."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    commands = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"/lab/{name}/" in words or f" {name}-" in words:
                commands.append(words)
    links = subprocess.run(("ip", "-o", "link"), capture_output=True, text=True, check=True).stdout
    return {
        "namespaces": [n.name for n in netns.RUN_DIR.iterdir() if n.name.startswith(f"{name}-")],
        "mounts": [line for line in mounts if f"/lab/{name}/" in line],
        "files": [str(path) for path in state.ROOT.glob(f"{name}*")],
        "processes": commands,
        "links": [line for line in links.splitlines() if name in line],
    }


def nothing(name: str) -> bool:
    return not any(traces(name).values())


def root_network() -> str:
    """Links, addresses and routes of the namespace the tests run in."""
    words = []
    for what in (("link",), ("addr",), ("route", "show", "table", "all")):
        done = subprocess.run(("ip", "-o", *what), capture_output=True, text=True, check=True)
        words.append(done.stdout)
    return "\n".join(words)


def test_down_leaves_nothing_behind() -> None:
    before = root_network()
    name = fresh_name()
    lab = labs.create(name, small_spec(), owned=True)
    try:
        import asyncio

        asyncio.run(labs.up(lab))
        assert not nothing(name)
        assert root_network() == before
    finally:
        lab.down()
    assert nothing(name), traces(name)
    assert root_network() == before


def test_two_labs_live_side_by_side(lab: Lab, make_lab: Callable[[LabSpec], Lab]) -> None:
    """The second has the same addresses inside; neither sees the other."""
    other = make_lab(small_spec())
    mine = lab.namespace("vm1").call("ping", "-c2", "-i0.2", "-W1", "10.0.1.4")
    theirs = other.namespace("vm1").call("ping", "-c2", "-i0.2", "-W1", "10.0.1.4")
    assert mine.returncode == 0
    assert theirs.returncode != 0, "a workload that exists only in the other lab answered"
    assert other.state.api_port != lab.state.api_port
    other.down()
    assert nothing(other.name)
    again = lab.namespace("vm1").call("ping", "-c2", "-i0.2", "-W1", "10.0.1.4")
    assert again.returncode == 0


def test_a_lab_that_died_half_way_is_removed_by_down() -> None:
    name = fresh_name()
    script = (
        "import asyncio, sys\n"
        "from tungsten.lab import lab as labs\n"
        "from tests.system.test_lab_life import small_spec\n"
        f"lab = labs.create({name!r}, small_spec())\n"
        "asyncio.run(labs.up(lab, lambda line: print(line, flush=True)))\n"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert maker.stdout is not None
    for line in maker.stdout:
        if line.startswith("REST API"):
            break
    time.sleep(0.2)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    maker.stdout.close()
    assert not nothing(name)
    assert labs.remove(name)
    assert nothing(name), traces(name)
    assert not labs.remove(name)


def test_down_says_that_there_is_no_such_lab() -> None:
    name = fresh_name()
    command = [sys.executable, "-m", "tungsten", "lab", "down", "--name", name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"there is no lab {name!r}" in ended.stderr


def test_a_lab_is_whole_until_a_process_is_gone(make_lab: Callable[[LabSpec], Lab]) -> None:
    """What `lab up` on a running lab leaves alone, and what it makes anew."""
    spec = small_spec()
    lab = make_lab(spec)
    assert labs.is_whole(lab.name, spec)
    assert not labs.is_whole(lab.name, demo_spec())
    lab.stop_process("compute1", signal.SIGKILL)
    assert not labs.is_whole(lab.name, spec)
    lab.start_process("compute1").wait()
    assert labs.is_whole(lab.name, spec)
