"""Who reaches whom, and what the packets look like on the fabric."""

from __future__ import annotations

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tungsten.lab import demo
from tungsten.lab.lab import Lab


def test_workloads_have_the_addresses_that_the_api_gave(lab: Lab) -> None:
    for name, workload in lab.state.workloads.items():
        words = lab.namespace(name).ip("-4", "-o", "addr", "show", "dev", "eth0").split()
        assert words[words.index("inet") + 1].startswith(f"{workload.address}/")


def test_the_lease_brings_the_mtu_that_the_fabric_leaves(lab: Lab) -> None:
    link = lab.namespace("vm1").ip("-o", "link", "show", "dev", "eth0").split()
    assert int(link[link.index("mtu") + 1]) == lab.spec.fabric.mtu - 50


def test_same_network_is_reached_and_others_are_not(lab: Lab) -> None:
    pairs = demo.reaches(lab)
    assert [pair.passes for pair in pairs] == [True, True, False, False]
    for pair in pairs:
        answered, summary = demo.ping(lab, pair)
        assert answered == pair.passes, f"{pair}: {summary}"
        if pair.passes:
            assert " 0% packet loss" in summary


def test_a_packet_between_hosts_is_mpls_over_udp(lab: Lab) -> None:
    line = demo.capture(lab, "vm1", "vm3")
    assert ".6635: " in line
    assert line.split(" > ")[1].startswith("172.30.2.2.6635")


def test_the_gateway_answers_arp_with_the_vrrp_mac_and_ping(lab: Lab) -> None:
    vm = lab.namespace("vm1")
    gateway = "10.0.1.1"
    vm.call("ping", "-c1", "-W2", gateway)
    assert "00:00:5e:00:01:00" in vm.ip("neigh", "show", gateway)
    done = vm.call("ping", "-c2", "-i0.2", "-W2", gateway)
    assert done.returncode == 0, done.stdout


def test_an_overlay_of_the_workloads_own_carries_tcp(lab: Lab) -> None:
    """VXLAN between workloads on two hosts: TCP's super-packets must survive both tunnels."""
    ends = {name: lab.state.workloads[name].address for name in ("vm1", "vm3")}
    near, far = (lab.namespace(name) for name in ends)
    size = 4 << 20
    try:
        for name, inner, remote in (("vm1", "192.0.2.1", "vm3"), ("vm3", "192.0.2.2", "vm1")):
            end = lab.namespace(name)
            kind = ("type", "vxlan", "id", "77", "dstport", "4789", "dev", "eth0")
            end.ip("link", "add", "own", *kind, "local", ends[name], "remote", ends[remote])
            end.ip("addr", "add", f"{inner}/24", "dev", "own")
            end.ip("link", "set", "own", "mtu", "1400", "up")
        with far.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("192.0.2.2", 0))
            listener.listen()
            port = listener.getsockname()[1]
            sender = near.socket(socket.AF_INET, socket.SOCK_STREAM)
            with sender, ThreadPoolExecutor(1) as pool:
                for sock in (listener, sender):
                    sock.settimeout(10)
                sender.connect(("192.0.2.2", port))
                receiver, _ = listener.accept()
                with receiver:
                    receiver.settimeout(10)
                    sent = pool.submit(sender.sendall, bytes(size))
                    got = 0
                    while got < size and (chunk := receiver.recv(1 << 20)):
                        got += len(chunk)
                    sent.result(10)
        assert got == size
    finally:
        for end in (near, far):
            end.call("ip", "link", "del", "own")


def test_a_workload_of_another_network_hears_nothing(lab: Lab) -> None:
    """Isolation as the victim sees it: not a byte arrives, whoever it is addressed to."""
    victim = lab.namespace("vm4")
    watcher = victim.popen(
        "tcpdump", "-n", "-l", "-i", "eth0", "net", "10.0.1.0/24", stderr=subprocess.PIPE
    )
    assert watcher.stderr is not None
    for line in watcher.stderr:
        if "listening on" in line:
            break
    target = lab.state.workloads["vm4"].address
    attacker = lab.namespace("vm1")
    attacker.ip("route", "replace", "10.0.2.0/24", "via", "10.0.1.1")
    mac = lab.state.workloads["vm4"].mac
    attacker.ip("neigh", "replace", "10.0.1.99", "lladdr", mac, "dev", "eth0")
    try:
        assert attacker.call("ping", "-c3", "-i0.2", "-W1", target).returncode != 0
        assert attacker.call("ping", "-c2", "-i0.2", "-W1", "10.0.1.99").returncode != 0
    finally:
        attacker.ip("route", "del", "10.0.2.0/24")
        attacker.ip("neigh", "del", "10.0.1.99", "dev", "eth0")
        watcher.terminate()
    heard, _ = watcher.communicate(timeout=5)
    assert heard.strip() == ""
