"""Addresses that belong to no object: ``ip-alloc``, ``ip-free`` and ``subnet-ip-count``.

A client may take addresses of a network without an instance-ip. Such an address is claimed by
the network itself: it is nobody else's until it is given back, and goes with the network.
"""

from __future__ import annotations

from typing import Any

from tungsten.api import addresses, authority, bodies
from tungsten.api.addresses import HeldSubnet
from tungsten.api.bodies import Json
from tungsten.api.errors import ApiFault, BadRequest, Conflict, NotFound, echo, name_list
from tungsten.api.resources.subnet_sources import of_family, parse_address, sources
from tungsten.api.transactions import Write, load
from tungsten.model import VirtualNetwork
from tungsten.store.base import Snapshot

MOST = 4096
"""Addresses that one request may take."""


def network_of(snapshot: Snapshot, uuid: str) -> VirtualNetwork:
    """The network with this uuid. Raises NotFound."""
    network = load(snapshot, VirtualNetwork, uuid)
    if network is None:
        raise NotFound(f"Virtual Network {echo(uuid)} not found!")
    return network


def allocate(write: Write, uuid: str, body: Json) -> Json:
    """Take ``count`` addresses of a network, or none."""
    network = network_of(write.tx, uuid)
    authority.require(write.tx, write.caller, network, authority.WRITE)
    count = body.get("count")
    count = 1 if count is None else count
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise BadRequest(f"Bad Request, count must be a number from 1 to {MOST}: {echo(count)}")
    held = _chosen(write, network, body)
    given = []
    for _ in range(count):
        try:
            given.append(addresses.give_any(write.tx, held, network.uuid, network.fq_name))
        except BadRequest as error:
            raise Conflict(error.text) from error
    return {"ip_addr": [str(one.address) for one in given]}


def _chosen(write: Write, network: VirtualNetwork, body: Json) -> list[HeldSubnet]:
    subnet, family = bodies.text(body, "subnet"), bodies.text(body, "family")
    if family not in (None, "", "v4", "v6"):
        raise BadRequest(f"Bad Request, family must be v4 or v6: {echo(family)}")
    held = of_family(sources(write.tx, network, exact=bool(subnet)), family or None)
    if subnet:
        held = [one for one in held if subnet in (one.subnet.uuid, one.subnet.cidr)]
    if not held:
        what = f"invalid subnet({echo(subnet)})" if subnet else "no defined subnets"
        raise NotFound(f"Virtual-Network({name_list(network.fq_name)}) has {what}")
    return held


def free(write: Write, uuid: str, body: Json) -> None:
    """Give addresses back that :func:`allocate` gave; those of objects stay theirs."""
    network = network_of(write.tx, uuid)
    authority.require(write.tx, write.caller, network, authority.WRITE)
    held = sources(write.tx, network, exact=True)
    for text in _texts(body, "ip_addr"):
        address = parse_address(text, "ip_addr")
        for one in held:
            if address not in one.subnet.network:
                continue
            owner = addresses.owner(write.tx, one, address)
            if owner == network.uuid:
                write.tx.release(one.space, addresses.key(one, address))
            elif owner is not None:
                record = write.tx.get(owner)
                label = f"{record.type} {owner}" if record is not None else owner
                raise ApiFault(f"IP address {address} belongs to {label}", status=409)


def count(snapshot: Snapshot, uuid: str, body: Json) -> Json:
    """How many addresses of subnets are taken, those that are never given out included."""
    network = network_of(snapshot, uuid)
    held = {one.subnet.uuid: one for one in sources(snapshot, network, exact=True)}
    return {
        "ip_count_list": [
            _taken(snapshot, held[one]) if one in held else 0 for one in _texts(body, "subnet_list")
        ]
    }


def _taken(snapshot: Snapshot, held: HeldSubnet) -> int:
    unit = held.subnet.unit
    reserved = {address - address % unit for address in held.subnet.reserved}
    return len(reserved | {int(key, 16) for key, _ in snapshot.claims(held.space)})


def _texts(body: Json, key: str) -> list[Any]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequest(f"Bad Request, {key} must be a list of strings, not {echo(value)}")
    return value
