"""What a subnet reserves and in which order it gives out, as arithmetic."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.api.subnets import (
    MAX_RANGE,
    Pool,
    Subnet,
    SubnetError,
    refuse_change,
    refuse_overlap,
    resolve,
)
from tungsten.model.addresses import IpamSubnetType
from tungsten.model.addressing import AllocationPoolType, SubnetType

OWNER = "Virtual-Network(d:p:vn)"


def spec(cidr: str, *pools: tuple[str, str], **fields: Any) -> IpamSubnetType:
    prefix, _, length = cidr.partition("/")
    return IpamSubnetType(
        subnet=SubnetType(ip_prefix=prefix, ip_prefix_len=int(length)),
        allocation_pools=[AllocationPoolType(start=a, end=b) for a, b in pools] or None,
        **fields,
    )


def subnet(cidr: str, *pools: tuple[str, str], **fields: Any) -> Subnet:
    return resolve(spec(cidr, *pools, **fields), "u", OWNER)


def given_out(one: Subnet, count: int) -> list[str]:
    found: list[str] = []
    for numbers in one.ranges():
        for number in numbers:
            found.append(str(one.address(number)))
            if len(found) == count:
                return found
    return found


def everything(one: Subnet) -> list[int]:
    return [number for numbers in one.ranges() for number in numbers]


def test_addresses_go_from_the_top_unless_asked_otherwise() -> None:
    top = subnet("10.0.1.0/24")
    assert (str(top.gateway), str(top.service)) == ("10.0.1.254", "10.0.1.253")
    assert given_out(top, 2) == ["10.0.1.252", "10.0.1.251"]
    assert given_out(top, 999)[-1] == "10.0.1.1"
    bottom = subnet("10.0.1.0/24", addr_from_start=True)
    assert (str(bottom.gateway), str(bottom.service)) == ("10.0.1.1", "10.0.1.2")
    assert given_out(bottom, 999)[:2] == ["10.0.1.3", "10.0.1.4"]
    assert given_out(bottom, 999)[-1] == "10.0.1.254"


def test_a_gateway_at_the_other_end_leaves_the_first_address_free() -> None:
    one = subnet("10.0.1.0/24", default_gateway="10.0.1.1")
    assert str(one.service) == "10.0.1.253"
    assert given_out(one, 3) == ["10.0.1.254", "10.0.1.252", "10.0.1.251"]


@pytest.mark.parametrize(("cidr", "none"), [("10.0.1.0/24", "0.0.0.0"), ("fd00::/120", "::")])
def test_no_gateway_reserves_nothing(cidr: str, none: str) -> None:
    one = subnet(cidr, default_gateway=none)
    assert one.gateway is None
    assert len(one.reserved) == 3


def test_null_and_the_word_none_mean_the_default() -> None:
    for value in (None, "", "None"):
        assert str(subnet("10.0.1.0/24", default_gateway=value).gateway) == "10.0.1.254"


def test_pools_bound_what_is_given_out() -> None:
    one = subnet("10.0.1.0/24", ("10.0.1.10", "10.0.1.11"), ("10.0.1.250", "10.0.1.254"))
    assert given_out(one, 9) == ["10.0.1.252", "10.0.1.251", "10.0.1.250", "10.0.1.11", "10.0.1.10"]


def test_blocks_are_known_by_their_first_address() -> None:
    one = subnet("10.0.1.0/24", alloc_unit=4)
    assert given_out(one, 3) == ["10.0.1.248", "10.0.1.244", "10.0.1.240"]
    assert str(one.block(ip_address("10.0.1.246"))) == "10.0.1.244"


def test_a_large_ipv6_subnet_is_given_out_lazily() -> None:
    one = subnet("fd00::/64")
    assert given_out(one, 1) == ["fd00::ffff:ffff:ffff:fffc"]
    assert all(len(numbers) <= MAX_RANGE for numbers in one.ranges())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"default_gateway": "10.0.2.1"}, "gateway Ip 10.0.2.1 out of cidr: 10.0.1.0/24"),
        ({"default_gateway": "10.0.1.255"}, "gateway Ip 10.0.1.255 out of cidr: 10.0.1.0/24"),
        ({"default_gateway": "x"}, "Invalid gateway Ip address:x"),
        ({"default_gateway": "::1"}, "gateway Ip ::1 out of cidr: 10.0.1.0/24"),
        ({"dns_server_address": "x"}, "Invalid Dns Server Ip address:x"),
        ({"subnet_uuid": "x"}, "Invalid subnet-uuid x in subnet:10.0.1.0/24"),
        ({"alloc_unit": 3}, "invalid alloc_unit(3)"),
        ({"alloc_unit": -4}, "invalid alloc_unit(-4)"),
    ],
)
def test_a_subnet_that_cannot_be_says_why(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(SubnetError) as caught:
        subnet("10.0.1.0/24", **fields)
    assert text in caught.value.text


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (("10.0.2.1", "10.0.2.9"), "allocation pool start:10.0.2.1, end:10.0.2.9 out of cidr"),
        (("10.0.1.9", "10.0.1.1"), "Invalid allocation Pool start:10.0.1.9, end:10.0.1.1"),
        (("x", "10.0.1.1"), "Invalid allocation Pool start:x, end:10.0.1.1"),
        (("::1", "::2"), "out of cidr"),
    ],
)
def test_a_pool_that_cannot_be_says_why(pool: tuple[str, str], text: str) -> None:
    with pytest.raises(SubnetError) as caught:
        subnet("10.0.1.0/24", pool)
    assert text in caught.value.text


@pytest.mark.parametrize("cidr", ["10.0.1.0/31", "10.0.1.1/32", "fd00::/128"])
def test_a_subnet_without_a_host_address_is_refused(cidr: str) -> None:
    with pytest.raises(SubnetError, match="Pool range<=block_alloc_unit"):
        subnet(cidr)


def test_overlapping_pools_are_refused() -> None:
    with pytest.raises(SubnetError, match="overlapping alloc-pools"):
        subnet("10.0.1.0/24", ("10.0.1.1", "10.0.1.9"), ("10.0.1.9", "10.0.1.12"))


def test_overlapping_networks_are_named() -> None:
    networks = [ip_network(text) for text in ("10.0.0.0/16", "fd00::/64", "10.0.1.0/24")]
    with pytest.raises(SubnetError) as caught:
        refuse_overlap(networks)
    expected = "Overlapping addresses: [IPNetwork('10.0.0.0/16'), IPNetwork('10.0.1.0/24')]"
    assert caught.value.text == expected


def test_a_gateway_stays_but_may_be_given_up() -> None:
    old = subnet("10.0.1.0/24")
    refuse_change(old, subnet("10.0.1.0/24", default_gateway="10.0.1.254"), OWNER)
    refuse_change(old, subnet("10.0.1.0/24", default_gateway="0.0.0.0"), OWNER)
    with pytest.raises(SubnetError) as caught:
        refuse_change(old, subnet("10.0.1.0/24", default_gateway="10.0.1.1"), OWNER)
    expected = "default gateway change is not allowed orig:10.0.1.254, new: 10.0.1.1"
    assert caught.value.text == expected


def test_pools_may_be_added_but_not_removed() -> None:
    one, two = ("10.0.1.10", "10.0.1.20"), ("10.0.1.30", "10.0.1.40")
    refuse_change(subnet("10.0.1.0/24"), subnet("10.0.1.0/24", one), OWNER)
    refuse_change(subnet("10.0.1.0/24", one), subnet("10.0.1.0/24", one, two), OWNER)
    with pytest.raises(SubnetError, match="allocation pool delete is not allowed"):
        refuse_change(subnet("10.0.1.0/24", one, two), subnet("10.0.1.0/24", one), OWNER)


@st.composite
def subnets(draw: st.DrawFn) -> Subnet:
    """Small subnets with pools, units and gateways anywhere."""
    length = draw(st.integers(24, 29))
    network = ip_network(f"10.0.1.0/{length}")
    size = network.num_addresses
    unit = draw(st.sampled_from([1, 1, 2, 4]))
    starts = draw(st.lists(st.integers(0, size // unit - 2), max_size=2, unique=True))
    pools, at = [], sorted(starts)
    for index, start in enumerate(at):
        limit = at[index + 1] if index + 1 < len(at) else size // unit
        end = draw(st.integers(start, limit - 1))
        first, last = network[start * unit], network[(end + 1) * unit - 1]
        pools.append((str(first), str(last)))
    gateway = draw(st.none() | st.integers(1, size - 2).map(lambda n: str(network[n])))
    fields = {
        "alloc_unit": unit,
        "addr_from_start": draw(st.booleans()),
        "default_gateway": gateway,
    }
    try:
        return subnet(str(network), *pools, **fields)
    except SubnetError:
        return subnet(str(network), **fields | {"alloc_unit": 1})


@given(subnets())
def test_what_is_given_out_is_in_a_pool_and_never_reserved(one: Subnet) -> None:
    numbers = everything(one)
    assert len(numbers) == len(set(numbers))
    assert numbers == sorted(numbers, reverse=not one.from_start)
    for number in numbers:
        block = range(number, number + one.unit)
        assert not one.reserved & set(block)
        assert any(pool.first <= number and block[-1] <= pool.last for pool in whole(one))


@given(subnets())
def test_every_free_block_of_a_pool_is_given_out(one: Subnet) -> None:
    numbers = set(everything(one))
    for pool in one.pools:
        for address in range(pool.first, pool.last + 1):
            block = address - address % one.unit
            used = one.reserved & set(range(block, block + one.unit))
            assert block in numbers or used


def whole(one: Subnet) -> list[Pool]:
    """The pools; without any the subnet itself, whose last block may be cut."""
    last = int(one.network.broadcast_address)
    return [Pool(p.first, last) if p.last == last - 1 else p for p in one.pools]
