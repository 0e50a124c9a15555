"""Arithmetic of subnets: which addresses a subnet reserves, and in which order it gives out.

Nothing here knows the store; :mod:`tungsten.api.addresses` claims what is chosen here.

A subnet is one element of ``ipam_subnets``, on the reference from a virtual-network to a
network-ipam or on a flat-subnet network-ipam itself. Its identity is its CIDR; ``subnet_uuid``
is a label. Rules, as clients of this API know them:

* the *gateway* is the first host address when ``addr_from_start`` is true, else the last one;
  ``0.0.0.0`` or ``::`` means that there is none and reserves nothing;
* the *service address* (DNS) is the second host address from the same end;
* the network address, the last address, the gateway and the service address are never given
  out by themselves;
* the *allocation pools* bound what is given out by itself; without any, the whole subnet does;
* the order is from the top, unless ``addr_from_start`` is true; the first hole is taken again;
* ``alloc_unit`` n gives an object a block of n addresses, n a power of two: pools must be
  aligned to it, and the object is known by the first address of its block.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol
from uuid import UUID

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_RANGE = 2**32
"""Blocks of one range that are given out by themselves, so that its length is a machine number."""

NO_GATEWAY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - a value of the model, not a listener
UNSET = frozenset({None, "", "None"})


class PoolSpec(Protocol):
    """What is read of an allocation pool (AllocationPoolType)."""

    @property
    def start(self) -> str | None: ...
    @property
    def end(self) -> str | None: ...
    @property
    def vrouter_specific_pool(self) -> bool | None: ...


class PrefixSpec(Protocol):
    """What is read of a prefix (SubnetType)."""

    @property
    def ip_prefix(self) -> str | None: ...
    @property
    def ip_prefix_len(self) -> int | None: ...


class SubnetSpec(Protocol):
    """What is read of a subnet (IpamSubnetType)."""

    @property
    def subnet(self) -> PrefixSpec | None: ...
    @property
    def subnet_uuid(self) -> str | None: ...
    @property
    def default_gateway(self) -> str | None: ...
    @property
    def dns_server_address(self) -> str | None: ...
    @property
    def allocation_pools(self) -> Sequence[PoolSpec] | None: ...
    @property
    def addr_from_start(self) -> bool | None: ...
    @property
    def alloc_unit(self) -> int | None: ...
    @property
    def subscriber_tag(self) -> str | None: ...


class SubnetError(Exception):
    """A subnet that cannot be; ``status`` is the HTTP status that its owner's write gets."""

    def __init__(self, text: str, status: int = 409) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses ``first`` to ``last``, both included, as integers."""

    first: int
    last: int
    vrouter_only: bool = False


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet with everything that its owner left to the defaults filled in."""

    uuid: str
    network: Network
    gateway: Address | None
    service: Address | None
    pools: tuple[Pool, ...]
    from_start: bool = False
    unit: int = 1
    subscriber: str | None = None

    @property
    def cidr(self) -> str:
        """The identity of the subnet: ``10.0.1.0/24``."""
        return str(self.network)

    @property
    def reserved(self) -> frozenset[int]:
        """Addresses that are never given out by themselves."""
        ends = {int(self.network.network_address), int(self.network.broadcast_address)}
        return frozenset(ends | {int(a) for a in (self.gateway, self.service) if a is not None})

    def block(self, address: Address) -> Address:
        """The address by which the block that holds ``address`` is known."""
        return self.address(int(address) - int(address) % self.unit)

    def block_prefix(self, address: Address) -> Network:
        """The block that holds ``address``, as a prefix."""
        length = self.network.max_prefixlen - (self.unit.bit_length() - 1)
        return ip_network(f"{self.block(address)}/{length}")

    def ranges(self, pools: Iterable[Pool] = ()) -> Iterator[range]:
        """The blocks to give out, by their first addresses as integers, in the order to do so.

        Ranges without the reserved addresses, the one to begin with first; ``pools`` replaces
        the pools of the subnet.
        """
        reserved = {address - address % self.unit for address in self.reserved}
        chosen = tuple(pools) or tuple(pool for pool in self.pools if not pool.vrouter_only)
        for pool in sorted(chosen, key=lambda p: p.first, reverse=not self.from_start):
            first = pool.first - pool.first % self.unit
            last = pool.last - pool.last % self.unit
            holes = sorted(hole for hole in reserved if first <= hole <= last)
            parts = [
                range(begin, end, self.unit)
                for begin, end in zip(
                    [first, *(hole + self.unit for hole in holes)],
                    [*holes, last + self.unit],
                    strict=True,
                )
                if begin < end
            ]
            if self.from_start:
                yield from (part[:MAX_RANGE] for part in parts)
            else:
                yield from (part[::-1][:MAX_RANGE] for part in reversed(parts))

    def address(self, value: int) -> Address:
        """An integer as an address of this subnet's family."""
        return IPv4Address(value) if self.network.version == 4 else IPv6Address(value)


def network_of(prefix: PrefixSpec | None) -> Network:
    """The network of a prefix. Raises :class:`SubnetError` (400) when it is none."""
    text = None if prefix is None else f"{prefix.ip_prefix}/{prefix.ip_prefix_len}"
    try:
        return ip_network(text or "", strict=False)
    except ValueError as error:
        raise SubnetError(f"Subnet type '{text}' is invalid", 400) from error


def resolve(spec: SubnetSpec, uuid: str, owner: str, *, bare: bool = False) -> Subnet:
    """Fill in what ``spec`` leaves to the defaults, and check it.

    ``uuid`` is the subnet's label when the spec has none; ``owner`` names the object in
    errors; ``bare`` subnets (of routed networks and subnetting IPAMs) reserve neither gateway
    nor service address. Raises :class:`SubnetError`.
    """
    network = network_of(spec.subnet)
    _check_uuid(spec.subnet_uuid, network)
    from_start = bool(spec.addr_from_start)
    gateway = service = None
    if not bare:
        gateway = _gateway(spec.default_gateway, network, from_start)
        service = _service(spec.dns_server_address, network, from_start)
    unit = _unit(spec, network, owner)
    pools = _pools(spec, network, unit, owner)
    return Subnet(
        spec.subnet_uuid or uuid,
        network,
        gateway,
        service,
        pools,
        from_start,
        unit,
        spec.subscriber_tag,
    )


def _check_uuid(text: str | None, network: Network) -> None:
    try:
        UUID(text or "00000000-0000-0000-0000-000000000000")
    except ValueError as error:
        raise SubnetError(f"Invalid subnet-uuid {text} in subnet:{network}") from error


def _host(network: Network, from_start: bool, nth: int) -> Address:
    """The ``nth`` host address from the end at which giving out begins."""
    if network.num_addresses <= nth:
        return network.network_address
    if from_start:
        return network.network_address + nth
    return network.broadcast_address - nth


def _gateway(text: str | None, network: Network, from_start: bool) -> Address | None:
    if text in NO_GATEWAY:
        return None
    if text is None or text in UNSET:
        return _host(network, from_start, 1)
    try:
        address = ip_address(text)
    except ValueError as error:
        raise SubnetError(f"Invalid gateway Ip address:{text}") from error
    if address not in network or address in (network.network_address, network.broadcast_address):
        raise SubnetError(f"gateway Ip {text} out of cidr: {network}")
    return address


def _service(text: str | None, network: Network, from_start: bool) -> Address | None:
    if text in NO_GATEWAY:
        return None
    if text is None or text in UNSET:
        return _host(network, from_start, 2)
    try:
        return ip_address(text)
    except ValueError as error:
        raise SubnetError(f"Invalid Dns Server Ip address:{text}") from error


def _refuse_unit(unit: int, network: Network, owner: str, reason: str) -> SubnetError:
    return SubnetError(
        f"{owner} has invalid alloc_unit({unit}) in subnet({network}) reason: {reason}"
    )


def _unit(spec: SubnetSpec, network: Network, owner: str) -> int:
    unit = 1 if spec.alloc_unit is None else spec.alloc_unit
    if unit < 1 or unit & (unit - 1):
        raise _refuse_unit(unit, network, owner, "not a power of two")
    return unit


def _pools(spec: SubnetSpec, network: Network, unit: int, owner: str) -> tuple[Pool, ...]:
    first, last = int(network.network_address), int(network.broadcast_address)
    pools = [_pool(pool, network) for pool in spec.allocation_pools or ()]
    for pool in pools:
        if pool.first % unit or (pool.last + 1 - pool.first) % unit:
            raise _refuse_unit(unit, network, owner, "allocation pool is not aligned to it")
    ordered = sorted(pools, key=lambda pool: pool.first)
    for one, two in itertools.pairwise(ordered):
        if two.first <= one.last:
            raise SubnetError(f"{owner} has invalid subnet({network}:overlapping alloc-pools)")
    whole = pools or [_whole(network)]
    for pool in whole:
        held = (pool.last - pool.first) // unit + 1 if pool.last >= pool.first else 0
        lost = sum(1 for end in {first // unit, last // unit} if _within(end * unit, pool, unit))
        if held <= lost:
            raise _refuse_unit(unit, network, owner, "Pool range<=block_alloc_unit")
    return tuple(whole)


def _whole(network: Network) -> Pool:
    """The pool of a subnet that names none."""
    return Pool(int(network.network_address), int(network.broadcast_address) - 1)


def _within(value: int, pool: Pool, unit: int) -> bool:
    return pool.first - pool.first % unit <= value <= pool.last


def _pool(spec: PoolSpec, network: Network) -> Pool:
    label = f"allocation pool start:{spec.start}, end:{spec.end}"
    try:
        start, end = ip_address(spec.start or ""), ip_address(spec.end or "")
    except ValueError as error:
        raise SubnetError(
            f"Invalid allocation Pool start:{spec.start}, end:{spec.end} in subnet:{network}"
        ) from error
    if start not in network or end not in network:
        raise SubnetError(f"{label} out of cidr:{network}")
    if int(start) > int(end):
        raise SubnetError(
            f"Invalid allocation Pool start:{spec.start}, end:{spec.end} in subnet:{network}"
        )
    return Pool(int(start), int(end), bool(spec.vrouter_specific_pool))


def refuse_overlap(networks: Sequence[Network]) -> None:
    """Raise :class:`SubnetError` (400) when two of the networks share an address."""
    ordered = sorted(networks, key=lambda n: (n.version, int(n.network_address), n.prefixlen))
    for one, two in itertools.pairwise(ordered):
        if one.version == two.version and int(two.network_address) <= int(one.broadcast_address):
            raise SubnetError(
                f"Overlapping addresses: [IPNetwork('{one}'), IPNetwork('{two}')]", 400
            )


def refuse_change(old: Subnet, new: Subnet, owner: str) -> None:
    """Raise :class:`SubnetError` when a stored subnet may not become ``new``.

    The gateway stays as it is, but may be given up; pools may be added, not removed.
    """
    if new.gateway is not None and new.gateway != old.gateway:
        raise SubnetError(
            f"default gateway change is not allowed orig:{old.gateway}, new: {new.gateway}", 400
        )
    if new.unit != old.unit:
        raise _refuse_unit(new.unit, new.network, owner, f"it is {old.unit} and cannot change")
    missing = set(old.pools) - set(new.pools) - {_whole(old.network)}
    if missing and not _covers(new.pools, missing):
        raise SubnetError(
            f"{owner} has invalid subnet({old.cidr}:allocation pool delete is not allowed)", 400
        )


def _covers(pools: Iterable[Pool], wanted: Iterable[Pool]) -> bool:
    return all(
        any(pool.first <= want.first and want.last <= pool.last for pool in pools)
        for want in wanted
    )
