"""The tools over tables that are pinned in the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from tests.pins import pin_folder
from tungsten.datapath.abi import NhFlag, RouteFlag, VifFlag
from tungsten.datapath.datapath import Datapath
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import BridgeEntry, Member, NextHop, Route, Vif
from tungsten.lab.netns import Namespace

VM = Mac("02:a0:ee:12:34:56")


@pytest.fixture
def pinned() -> Iterator[Path]:
    with pin_folder() as pin_dir, Datapath.open(pin_dir) as datapath:
        datapath.vifs[4] = Vif(
            id=4,
            ifindex=12,
            vrf=2,
            mcast_vrf=2,
            flags=VifFlag.POLICY | VifFlag.L3 | VifFlag.L2 | VifFlag.DHCP,
            ip=IPv4Address("10.1.1.3"),
            nh_id=20,
            name="tap1",
        )
        datapath.nexthops[20] = NextHop.encap(4, VM, vrf=2, flags=NhFlag.POLICY)
        datapath.nexthops[21] = NextHop.encap_l2(4, VM, vrf=2)
        datapath.nexthops[31] = NextHop.flood([Member(21)], vrf=2)
        datapath.labels[17] = 20
        datapath.vnis[5] = 31
        datapath.routes[2, IPv4Network("10.1.1.3/32")] = Route(
            nh=20, label=17, flags=RouteFlag.PROXY, ppl=24
        )
        datapath.routes[2, IPv4Network("10.1.1.0/24")] = Route(nh=20, flags=RouteFlag.FLOOD)
        datapath.bridge[2, VM] = BridgeEntry(nh=21)
        yield pin_dir


def tool(pin_dir: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(argv[0])
    code = f"import sys; from tungsten.datapath.tools.commands import {argv[0]}; "
    command = [sys.executable, "-c", code + f"sys.exit({argv[0]}())"]
    if program.exists():
        command = [str(program)]
    environment = {**os.environ, "TUNGSTEN_BPF_DIR": str(pin_dir)}
    return subprocess.run(
        [*command, *argv[1:]], env=environment, text=True, capture_output=True, check=False
    )


def test_vif_shows_what_is_pinned(pinned: Path) -> None:
    done = tool(pinned, "vif", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        "vif0/4      OS: tap1 NH: 20\n"
        "            Type:Virtual HWaddr:00:00:5e:00:01:00 IPaddr:10.1.1.3\n"
        "            Vrf:2 Mcast Vrf:2 Flags:PL3L2D QOS:-1 Ref:3\n"
        "            RX packets:0  bytes:0 errors:0\n"
        "            TX packets:0  bytes:0 errors:0\n"
        "            Drops:0\n"
        "\n"
    )
    assert tool(pinned, "vif", "--get", "4", "--get-drop-stats").stdout == done.stdout
    for number in ("5", "999999999", "-1"):
        missing = tool(pinned, "vif", f"--get={number}")
        assert missing.returncode == 1
        assert f"there is no interface {number}" in missing.stderr


def test_nh_shows_members_of_what_is_got(pinned: Path) -> None:
    listed = tool(pinned, "nh", "--list").stdout
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("Id:")] == [
        "Id:20",
        "Id:21",
        "Id:31",
    ]
    got = tool(pinned, "nh", "--get", "31").stdout
    assert got.startswith("Id:31         Type:Composite      Fmly:AF_BRIDGE  Rid:0  Ref_cnt:2")
    assert "              Sub NH(label): 21(0)\n\nId:21 " in got
    assert tool(pinned, "nh", "--get", "99").returncode == 1


def test_rt_mpls_vxlan_and_dropstats(pinned: Path) -> None:
    dump = tool(pinned, "rt", "--dump", "2").stdout.splitlines()
    assert dump[3:] == [
        "10.1.1.0/24            24            F          -             20        -",
        "10.1.1.3/32            24           LP         17             20        -",
    ]
    got = tool(pinned, "rt", "--get", "10.1.1.77/32", "--vrf", "2").stdout
    assert got.startswith("Match 10.1.1.77/32 in vRouter inet4 table 0/2/unicast\n\nFlags: ")
    assert got.splitlines()[-1].startswith("10.1.1.0/24 ")
    bridge = tool(pinned, "rt", "--dump", "2", "--family", "bridge").stdout
    assert " 2:a0:ee:12:34:56 " in bridge
    assert tool(pinned, "rt", "--get", "nonsense", "--vrf", "2").returncode == 1
    assert tool(pinned, "mpls", "--dump").stdout.endswith("      17        20\n")
    assert tool(pinned, "vxlan", "--get", "5").stdout.endswith("      5    31\n")
    assert tool(pinned, "dropstats").stdout == ""


def test_speed_is_that_of_the_driver(make_namespaces: Callable[..., list[Namespace]]) -> None:
    (inside,) = make_namespaces("speed")
    inside.run("ip", "link", "add", "e0", "type", "veth", "peer", "name", "e1")
    code = "from tungsten.datapath.tools.reader import link_settings; print(link_settings('e0'))"
    assert inside.run(sys.executable, "-c", code).strip() == "(10000, 1)"


def test_nothing_is_changed_by_looking(pinned: Path) -> None:
    with Datapath.view(pinned) as view, pytest.raises(OSError, match="not permitted"):
        view.labels[18] = 20
