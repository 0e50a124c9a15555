"""Giving out addresses of subnets: the choice of :mod:`tungsten.api.subnets`, claimed.

An address is a claim in the space ``address:<holder uuid>:<cidr>``, owned by the object that
uses it (an instance-ip or floating-ip). The holder is the virtual-network that the subnet
is of, or the flat-subnet network-ipam. The claim commits with the object and goes with it, so
an address never has two owners and is free when its owner is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tungsten.api.errors import ApiFault, BadRequest, Conflict, name_list
from tungsten.api.subnets import Address, Pool, Subnet
from tungsten.store.base import Snapshot, Transaction, number_key

KINDS = {"instance-ip": "IP", "floating-ip": "Floating IP", "alias-ip": "Alias IP"}
"""What an owner's address is called when it keeps a subnet from going."""


@dataclass(frozen=True, slots=True)
class HeldSubnet:
    """A subnet and the object that it belongs to, which names the space of its addresses."""

    holder: str
    subnet: Subnet

    @property
    def space(self) -> str:
        """The claim space of this subnet's addresses."""
        return f"address:{self.holder}:{self.subnet.cidr}"


@dataclass(frozen=True, slots=True)
class Given:
    """An address given out, and where from."""

    address: Address
    held: HeldSubnet


def key(held: HeldSubnet, address: Address) -> str:
    """The claim key of the block that holds an address."""
    return number_key(int(held.subnet.block(address)))


def owner(snapshot: Snapshot, held: HeldSubnet, address: Address) -> str | None:
    """The uuid of the object that holds an address, or None when it is free."""
    return snapshot.claim_owner(held.space, key(held, address))


def give_first(
    tx: Transaction, held: HeldSubnet, owner_uuid: str, pools: Sequence[Pool] = ()
) -> Address | None:
    """Claim the first free block of a subnet, or of some pools of it."""
    for numbers in _ranges(held.subnet, tuple(pools)):
        number = tx.claim_number(held.space, numbers, owner_uuid)
        if number is not None:
            return held.subnet.address(number)
    return None


@lru_cache(maxsize=1024)
def _ranges(subnet: Subnet, pools: tuple[Pool, ...]) -> tuple[range, ...]:
    """What a subnet gives out: every address asks for it."""
    return tuple(subnet.ranges(pools))


def give_any(
    tx: Transaction, subnets: Iterable[HeldSubnet], owner_uuid: str, network: Sequence[str]
) -> Given:
    """Claim the first free address of the first subnet that has one. Raises BadRequest."""
    tried = []
    for held in subnets:
        tried.append(held.subnet.cidr)
        address = give_first(tx, held, owner_uuid)
        if address is not None:
            return Given(address, held)
    if not tried:
        raise BadRequest(f"Virtual-Network({name_list(network)}) has no defined subnets")
    raise BadRequest(f"Virtual-Network({name_list(network)}) has exhausted subnet({tried!r})")


def give_asked(
    tx: Transaction,
    subnets: Sequence[HeldSubnet],
    address: Address,
    owner_uuid: str,
    network: Sequence[str],
) -> Given:
    """Claim the address that was asked for. Raises BadRequest, Conflict.

    The gateway's and the service address are given without being claimed: they are the
    system's own, and whoever may have them shares them with it.
    """
    held = next((one for one in subnets if address in one.subnet.network), None)
    if held is None:
        cidrs = [one.subnet.cidr for one in subnets]
        raise BadRequest(
            f"Virtual-Network({name_list(network)}) has no subnet with address {address}; "
            f"its subnets are {cidrs!r}"
        )
    subnet = held.subnet
    if address in (subnet.gateway, subnet.service):
        return Given(address, held)
    if int(address) in subnet.reserved:
        raise BadRequest(
            f"IP address {address} is the network or broadcast address of subnet {subnet.cidr} "
            f"of Virtual-Network({name_list(network)})"
        )
    if owner(tx, held, address) is not None:
        raise Conflict("IP address already in use")
    tx.claim(held.space, key(held, address), owner_uuid)
    return Given(address, held)


def refuse_if_used(snapshot: Snapshot, held: HeldSubnet) -> None:
    """Raise Conflict when an address of a subnet that is to go has an owner."""
    for number, owner_uuid in snapshot.claims(held.space):
        record = snapshot.get(owner_uuid)
        kind = KINDS.get(record.type if record else "", "IP")
        address = held.subnet.address(int(number, 16))
        raise Conflict(f"Cannot Delete IP Block, {kind}({address}) is in use")


def refuse_taken_service(snapshot: Snapshot, held: HeldSubnet) -> None:
    """Raise ApiFault when a new service or gateway address already has another owner."""
    for address in (held.subnet.service, held.subnet.gateway):
        if address is None or address not in held.subnet.network:
            continue
        if owner(snapshot, held, address) is not None:
            raise ApiFault(f"IP address {address} of {held.subnet.cidr} is in use", status=409)
