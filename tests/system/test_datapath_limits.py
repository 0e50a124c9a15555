"""What breaks overlays in the field: small fabrics, overlays in overlays, cold neighbours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.system.datapath_bed import Bed, Forwarding, Mode, bed
from tests.system.test_datapath_forwarding import received, tcp_bits
from tungsten.datapath import DropReason, NhFlag

FORWARDINGS: tuple[Forwarding, ...] = ("bridged", "routed")
MODES: tuple[Mode, ...] = ("tso", "seg")


def test_tcp_finds_the_path_of_a_fabric_no_larger_than_the_workloads() -> None:
    """Fabric and workloads at 1500: without an answer to what does not fit, TCP would hang."""
    with bed() as hosts:
        _shrink(hosts, 1500)
        for forwarding in FORWARDINGS:
            hosts.forward(NhFlag.MPLS_UDP, forwarding)
            here, there = hosts.workloads[3], hosts.workloads[4]
            assert tcp_bits(here, there) > 1e8
        output = here.ping(there.address, "-M", "do", "-s", "1472")
        assert received(output) == 0
        assert "mtu=1454" in output
        assert received(here.ping(there.address, "-M", "do", "-s", "1426")) == 3
        assert hosts.hosts[0].datapath.drop_stats()[DropReason.PACKET_TOO_BIG] > 0


def test_traceroute_sees_the_gateway() -> None:
    with bed() as hosts:
        hosts.forward(NhFlag.MPLS_UDP, "routed")
        output = hosts.workloads[3].ping(hosts.workloads[4].address, "-t", "1", count=1)
        assert "From 10.1.0.1" in output
        assert "Time to live exceeded" in output


def test_a_workloads_own_overlay_crosses_ours() -> None:
    with bed() as hosts:
        here, there = hosts.workloads[3], hosts.workloads[4]
        for one, other, number in ((here, there, 3), (there, here, 4)):
            one.namespace.ip(
                *("link", "add", "vx0", "type", "vxlan", "id", "9", "dstport", "4789"),
                *("remote", str(other.address), "local", str(one.address)),
            )
            one.namespace.ip("addr", "add", f"192.168.9.{number}/24", "dev", "vx0")
            one.namespace.ip("link", "set", "vx0", "mtu", "1400", "up")
        for mode in MODES:
            hosts.tune(mode)
            nested = [
                replace(one, address=type(one.address)(f"192.168.9.{one.number}"))
                for one in (here, there)
            ]
            assert received(nested[0].ping(nested[1].address)) == 3
            assert tcp_bits(nested[0], nested[1]) > 1e7


@pytest.mark.parametrize("router", [False, True])
def test_an_unresolved_next_hop_goes_by_the_kernels_neighbours(router: bool) -> None:
    with bed(router=router, resolved=False) as hosts:
        here, there = hosts.workloads[3], hosts.workloads[4]
        for encap in (NhFlag.MPLS_UDP, NhFlag.VXLAN):
            hosts.forward(encap, "bridged")
            assert received(here.ping(there.address)) == 3
            assert tcp_bits(here, there) > 1e8


def _shrink(hosts: Bed, mtu: int) -> None:
    for host in hosts.hosts:
        host.namespace.ip("link", "set", "fab0", "mtu", str(mtu))
        host.datapath.vifs[0] = replace(host.datapath.vifs[0], mtu=mtu)
