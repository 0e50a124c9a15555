"""Giving out addresses of subnets: the choice of :mod:`tungsten.api.subnets`, claimed.

An address is a claim ``("address:<holder uuid>:<cidr>", "<address>")`` owned by the object
that uses it (an instance-ip or floating-ip). The holder is the virtual-network that the subnet
is of, or the flat-subnet network-ipam. The claim commits with the object and goes with it, so
an address never has two owners and never outlives its owner.

To find the first hole the allocator looks at candidates one by one, from the mark of the space
(:mod:`tungsten.api.marks`) so that a full subnet is not looked through for each address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tungsten.api.errors import ApiFault, BadRequest, Conflict, name_list
from tungsten.api.marks import MarkLog
from tungsten.api.subnets import Address, Pool, Subnet
from tungsten.store.base import Snapshot, Transaction

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


def owner(snapshot: Snapshot, held: HeldSubnet, address: Address) -> str | None:
    """The uuid of the object that holds an address, or None when it is free."""
    return snapshot.claim_owner(held.space, str(held.subnet.block(address)))


def first_free(
    tx: Transaction, held: HeldSubnet, marks: MarkLog, pools: Sequence[Pool] = ()
) -> Address | None:
    """The first free block of a subnet in its order."""
    mark = None if pools else marks.get(held.space)
    for after in (mark, None) if mark is not None else (None,):
        for candidate in held.subnet.candidates(after, pools):
            if tx.claim_owner(held.space, str(candidate)) is None:
                if not pools:
                    marks.advance(held.space, held.subnet.order(candidate))
                return candidate
    return None


def give_any(
    tx: Transaction,
    subnets: Iterable[HeldSubnet],
    owner_uuid: str,
    network: Sequence[str],
    marks: MarkLog,
) -> Given:
    """Claim the first free address of the first subnet that has one. Raises BadRequest."""
    tried = []
    for held in subnets:
        tried.append(held.subnet.cidr)
        address = first_free(tx, held, marks)
        if address is not None:
            tx.claim(held.space, str(address), owner_uuid)
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
    block = subnet.block(address)
    if tx.claim_owner(held.space, str(block)) is not None:
        raise Conflict("IP address already in use")
    tx.claim(held.space, str(block), owner_uuid)
    return Given(address, held)


def refuse_if_used(snapshot: Snapshot, held: HeldSubnet) -> None:
    """Raise Conflict when an address of a subnet that is to go has an owner."""
    for key, owner_uuid in snapshot.claims(held.space):
        record = snapshot.get(owner_uuid)
        kind = KINDS.get(record.type if record else "", "IP")
        raise Conflict(f"Cannot Delete IP Block, {kind}({key}) is in use")


def refuse_taken_service(snapshot: Snapshot, held: HeldSubnet) -> None:
    """Raise ApiFault when a new service or gateway address already has another owner."""
    for address in (held.subnet.service, held.subnet.gateway):
        if address is None or address not in held.subnet.network:
            continue
        if owner(snapshot, held, address) is not None:
            raise ApiFault(f"IP address {address} of {held.subnet.cidr} is in use", status=409)
