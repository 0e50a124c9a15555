"""Prefixes, address ranges, DHCP options."""

from __future__ import annotations

import ipaddress

from tungsten.model.fields import Complex
from tungsten.model.scalars import AddressMode, IpAddressType

#: An active-standby address is looked for by probes, so it may stand for this many at most:
#: the shortest prefix by IP version (upstream's ``aap_prefix_len_limit``).
SHORTEST_STANDBY_PREFIX = {4: 24, 6: 120}


class SubnetType(Complex):
    """An IP prefix. Brought to the network's address: 10.0.1.7/24 becomes 10.0.1.0/24."""

    ip_prefix: str | None = None
    ip_prefix_len: int | None = None

    def checked(self) -> SubnetType:
        if not self.ip_prefix:
            return self
        try:
            network = ipaddress.ip_network(f"{self.ip_prefix}/{self.ip_prefix_len}", strict=False)
        except ValueError:
            text = f"{self.ip_prefix}/{self.ip_prefix_len}"
            raise ValueError(f"Subnet type '{text}' is invalid") from None
        return SubnetType(ip_prefix=str(network.network_address), ip_prefix_len=network.prefixlen)


class SubnetListType(Complex):
    """IP prefixes."""

    subnet: list[SubnetType] | None = None


class IpAddressesType(Complex):
    """IP addresses."""

    ip_address: list[IpAddressType] | None = None


class MacAddressesType(Complex):
    """MAC addresses, written with colons."""

    mac_address: list[str] | None = None


class AllocationPoolType(Complex):
    """A range of addresses, ends included."""

    start: str | None = None
    end: str | None = None
    vrouter_specific_pool: bool | None = None


class DhcpOptionType(Complex):
    """A DHCP option: its name or number, and its value as text or as bytes."""

    dhcp_option_name: str | None = None
    dhcp_option_value: str | None = None
    dhcp_option_value_bytes: str | None = None


class DhcpOptionsListType(Complex):
    """DHCP options."""

    dhcp_option: list[DhcpOptionType] | None = None


class AllowedAddressPair(Complex):
    """An address (or prefix) besides its own that an interface may use."""

    ip: SubnetType | None = None
    mac: str | None = None
    address_mode: AddressMode | None = None

    def checked(self) -> AllowedAddressPair:
        if self.address_mode != "active-standby" or self.ip is None or not self.ip.ip_prefix:
            return self
        version = ipaddress.ip_address(self.ip.ip_prefix).version
        least = SHORTEST_STANDBY_PREFIX[version]
        length = self.ip.ip_prefix_len or 0
        if length < least:
            raise ValueError(
                f"IPv{version} Prefix length lesser than {least}:it is {length} - is not acceptable"
            )
        return self


class AllowedAddressPairs(Complex):
    """Addresses besides its own that an interface may use."""

    allowed_address_pair: list[AllowedAddressPair] | None = None
