from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.agent.agent_samples import World

from tungsten.agent.derive import compile_oper
from tungsten.agent.leases import encode_option, lease_for, read_options, short_lease
from tungsten.agent.oper import Interface, Ipam, Vrf

GATEWAY = IPv4Address("10.0.1.1")


@pytest.fixture
def known() -> tuple[Interface, Vrf]:
    world = World()
    world.network("blue", "10.0.1.0/24")
    world.interface("blue", "10.0.1.3")
    oper = compile_oper(world.graph(), tuple(world.ports), world.devices(), ())
    (interface,) = oper.interfaces.values()
    return interface, oper.vrfs[interface.vrf]


def test_a_port_is_told_its_address_gateway_and_name_server(known: tuple[Interface, Vrf]) -> None:
    lease = lease_for(*known, fabric_mtu=1500)
    assert lease is not None
    assert (lease.address, lease.prefix_length) == (IPv4Address("10.0.1.3"), 24)
    assert lease.router == GATEWAY
    assert lease.server == IPv4Address("10.0.1.2")
    assert lease.dns == (IPv4Address("10.0.1.2"),)
    assert lease.host_name == "vm1"
    assert (lease.mtu, lease.seconds, lease.routes) == (1450, 0xFFFFFFFF, ())


def test_a_smaller_mtu_of_the_network_counts(known: tuple[Interface, Vrf]) -> None:
    interface, vrf = known
    for mtu, told in ((1400, 1400), (9000, 1450)):
        lease = lease_for(interface, replace(vrf, mtu=mtu), fabric_mtu=1500)
        assert lease is not None
        assert lease.mtu == told


def test_host_routes_bring_the_default_route_with_them(known: tuple[Interface, Vrf]) -> None:
    interface, vrf = known
    subnet = replace(vrf.subnets[0], host_routes=(("192.0.2.0/24", "10.0.1.9"), ("bad", "")))
    lease = lease_for(interface, replace(vrf, subnets=(subnet,)), 1500)
    assert lease is not None
    assert lease.routes == (
        (IPv4Network("192.0.2.0/24"), IPv4Address("10.0.1.9")),
        (IPv4Network("0.0.0.0/0"), GATEWAY),
    )
    own = replace(interface, host_routes=(("0.0.0.0/0", "10.0.1.8"),))
    lease = lease_for(own, replace(vrf, subnets=(subnet,)), 1500)
    assert lease is not None
    assert lease.routes == ((IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.8")),)


def test_options_of_the_port_win_over_subnet_and_ipam(known: tuple[Interface, Vrf]) -> None:
    interface, vrf = known
    port = replace(interface, dhcp_options=(("ntp-servers", "10.0.0.1"), ("66", "boot")))
    subnet = replace(
        vrf.subnets[0], options=(("42", "10.0.0.2 10.0.0.3"), ("nonsense", "1"), ("15", "sub.org"))
    )
    ipam = Ipam("i", "default-dns-server", options=(("domain-name", "ipam.org"), ("43", "x")))
    options, problems = read_options(port, subnet, (ipam,))
    assert options == (
        (42, IPv4Address("10.0.0.1").packed),
        (66, b"boot"),
        (15, b"sub.org"),
        (43, b"x"),
    )
    assert len(problems) == 1
    assert "nonsense" in problems[0]


def test_name_servers_of_the_tenant_are_told_when_the_ipam_says_so(
    known: tuple[Interface, Vrf],
) -> None:
    interface, vrf = known
    tenant = Ipam("i", "tenant-dns-server", dns_servers=("192.0.2.53", "bad"))
    lease = lease_for(interface, replace(vrf, ipams=(tenant,)), 1500)
    assert lease is not None
    assert lease.dns == (IPv4Address("192.0.2.53"),)
    lease = lease_for(interface, replace(vrf, ipams=(Ipam("i", "none"),)), 1500)
    assert lease is not None
    assert lease.dns == ()


def test_a_subnet_that_does_not_serve_dhcp_tells_nothing(known: tuple[Interface, Vrf]) -> None:
    interface, vrf = known
    subnet = replace(vrf.subnets[0], dhcp=False)
    assert lease_for(interface, replace(vrf, subnets=(subnet,)), 1500) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("53", "1"),
        ("121", "1.2.3.4"),
        ("0", ""),
        ("255", ""),
        ("x", ""),
        ("3", "1.2"),
        ("26", "no"),
    ],
)
def test_an_option_that_cannot_be_said_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode_option(name, value)


def test_before_there_is_configuration_the_lease_is_short() -> None:
    lease = short_lease(IPv4Address("10.0.1.3"), 300, 4)
    assert (lease.address, lease.prefix_length, lease.seconds) == (
        IPv4Address("10.0.1.3"),
        32,
        4,
    )
    lease = short_lease(None, 300, 4)
    assert (lease.address, lease.prefix_length) == (IPv4Address("169.254.0.44"), 16)
