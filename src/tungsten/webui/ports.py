"""Interfaces with their addresses, as the web UI's forms send them: in one body.

A body of a virtual-machine-interface may carry, beside the interface itself:

* ``instance_ip_back_refs``: the addresses that it shall have. One is
  ``{"instance_ip_address": [{"fixedIp": "10.0.0.5"}], "subnet_uuid": "..."}``; an empty
  ``fixedIp`` leaves the choice to the server; one with a ``uuid`` is an address that is there;
* ``logical_router_back_refs``, ``floating_ip_back_refs``: which routers and floating addresses
  shall refer to it;
* an ``fq_name`` without its last element: the server chooses one.

A list that is absent is not changed. What the caller cannot see is not changed either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tungsten.api import bodies
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo
from tungsten.model import InstanceIp, Resource, VirtualMachineInterface
from tungsten.store.base import Record
from tungsten.store.records import from_record
from tungsten.webui.changes import Changes

TYPE = "virtual-machine-interface"
ADDRESSES = "instance_ip_back_refs"
LINKS = {"logical_router_back_refs": "logical-router", "floating_ip_back_refs": "floating-ip"}
"""Members of a body that name what shall refer to the interface, and its type."""

LET_GO = ("logical-router", "floating-ip", "logical-interface")
"""What refers to an interface and is no reason to keep it."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address that an interface shall have; empty where a body does not say."""

    uuid: str = ""
    ip: str = ""
    subnet: str = ""
    family: str = ""


def addresses_of(value: Any) -> list[Address]:
    """The addresses that a body names. Raises BadRequest."""
    return [_address(one, f"{ADDRESSES}[{at}]") for at, one in enumerate(_list(value, ADDRESSES))]


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest(f"Bad Request, {where} must be a list, not {echo(value)}")
    return value


def _address(value: Any, where: str) -> Address:
    if not isinstance(value, dict):
        raise BadRequest(f"Bad Request, {where} must be an object, not {echo(value)}")
    said = value.get("instance_ip_address")
    if isinstance(said, list) and said:
        said = said[0].get("fixedIp") if isinstance(said[0], dict) else said[0]
    if said is not None and not isinstance(said, (str, list)):
        raise BadRequest(f"Bad Request, {where}.instance_ip_address cannot be {echo(said)}")
    words = {key: bodies.text(value, key) or "" for key in ("uuid", "subnet_uuid")}
    family = bodies.text(value, "instance_ip_family") or ""
    ip = said if isinstance(said, str) else ""
    return Address(words["uuid"], ip.strip(), words["subnet_uuid"], family)


def create(changes: Changes, fields: Json) -> Resource:
    """Create an interface with its addresses, and what refers to it."""
    own = {key: value for key, value in fields.items() if key not in (ADDRESSES, *LINKS)}
    name = bodies.fq_name(own.get("fq_name"))
    if len(name) == 2:
        uuid = str(uuid4())
        own |= {"fq_name": [*name, uuid], "uuid": uuid, "parent_type": "project"}
    port = changes.create(TYPE, own)
    assert isinstance(port, VirtualMachineInterface)
    for address in addresses_of(fields.get(ADDRESSES)):
        if not address.uuid:
            add_address(changes, port, address)
    for key, type_ in LINKS.items():
        for at, ref in enumerate(_list(fields.get(key), key)):
            changes.link(changes.named(type_, ref, f"{key}[{at}]"), _record(changes, port))
    return port


def add_address(changes: Changes, port: VirtualMachineInterface, address: Address) -> None:
    """Give an interface an address of its network."""
    if not port.virtual_network_refs:
        raise BadRequest(f"Bad Request, {ADDRESSES}: the interface is in no virtual-network")
    network = port.virtual_network_refs[0]
    fields: Json = {
        "fq_name": [str(uuid4())],
        "virtual_network_refs": [{"to": network.to, "uuid": network.uuid}],
        "virtual_machine_interface_refs": [{"to": port.fq_name, "uuid": port.uuid}],
    }
    if address.ip:
        fields["instance_ip_address"] = address.ip
    if address.subnet:
        fields["subnet_uuid"] = address.subnet
    if address.family:
        fields["instance_ip_family"] = address.family
    changes.create("instance-ip", fields)


def update(changes: Changes, uuid: str, fields: Json) -> None:
    """Change an interface, its addresses, and what refers to it."""
    own = {key: value for key, value in fields.items() if key not in (ADDRESSES, *LINKS)}
    changes.update(TYPE, uuid, own)
    if fields.get(ADDRESSES) is not None:
        _settle_addresses(changes, uuid, addresses_of(fields[ADDRESSES]))
    for key, type_ in LINKS.items():
        if fields.get(key) is not None:
            _settle_links(changes, uuid, type_, key, _list(fields[key], key))


def _settle_addresses(changes: Changes, uuid: str, wanted: list[Address]) -> None:
    left = [_instance_ip(one) for one in changes.seen_holders(uuid, "instance-ip")]
    new: list[Address] = []
    # What is named exactly first, so that "any address" does not take what another one names.
    for address in sorted(wanted, key=lambda one: (not one.uuid, not one.ip)):
        kept = next((one for one in left if _fits(one, address)), None)
        if kept is not None:
            left.remove(kept)
        elif not address.uuid:
            new.append(address)
    for one in left:
        drop_address(changes, uuid, one)
    port = changes.load(VirtualMachineInterface, TYPE, uuid)
    for address in new:
        add_address(changes, port, address)


def _instance_ip(record: Record) -> InstanceIp:
    resource = from_record(record)
    assert isinstance(resource, InstanceIp)
    return resource


def _fits(there: InstanceIp, address: Address) -> bool:
    if address.uuid:
        return there.uuid == address.uuid
    if address.ip:
        return there.instance_ip_address == address.ip
    return not address.subnet or there.subnet_uuid == address.subnet


def drop_address(changes: Changes, uuid: str, address: InstanceIp) -> None:
    """Take an address from an interface; it goes when no other interface has it."""
    if len(address.virtual_machine_interface_refs) > 1:
        changes.unlink(_record(changes, address), changes.record(TYPE, uuid))
    else:
        changes.delete("instance-ip", address.uuid)


def _settle_links(changes: Changes, uuid: str, type_: str, key: str, wanted: list[Any]) -> None:
    port = changes.record(TYPE, uuid)
    held = {one.uuid: one for one in changes.seen_holders(uuid, type_)}
    named = [changes.named(type_, ref, f"{key}[{at}]") for at, ref in enumerate(wanted)]
    for one in named:
        if held.pop(one.uuid, None) is None:
            changes.link(one, port)
    for one in held.values():
        changes.unlink(one, port)


def delete(changes: Changes, uuid: str) -> None:
    """Delete an interface with its addresses, and its workload if that has nothing else."""
    record = changes.record(TYPE, uuid)
    port = from_record(record)
    assert isinstance(port, VirtualMachineInterface)
    for one in changes.holders(uuid, "instance-ip"):
        drop_address(changes, uuid, _instance_ip(one))
    for type_ in LET_GO:
        for one in changes.holders(uuid, type_):
            changes.unlink(one, record)
    changes.delete(TYPE, uuid)
    if len(port.virtual_machine_refs) == 1:
        workload, tx = port.virtual_machine_refs[0].uuid, changes.write.tx
        if not tx.referrers(workload) and not tx.children(workload):
            changes.delete("virtual-machine", workload)


def _record(changes: Changes, resource: Resource) -> Record:
    record = changes.write.tx.get(resource.uuid)
    assert record is not None, "it was just read or made"
    return record
