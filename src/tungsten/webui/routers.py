"""Logical routers with their interfaces, as the web UI's forms send them: in one body.

An element of ``virtual_machine_interface_refs`` may be a whole interface instead of a reference
to one: its ``fq_name`` is that of the project, its ``virtual_network_refs`` one network. The
router then gets an interface of its own in that network, with an address. It belongs to the
router: it goes with it, and when an update no longer asks for it.
"""

from __future__ import annotations

from typing import Any

from tungsten.api import bodies
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo
from tungsten.model import (
    InstanceIp,
    LogicalRouter,
    Resource,
    VirtualMachineInterface,
    VirtualNetwork,
)
from tungsten.webui import ports
from tungsten.webui.changes import Changes

TYPE = "logical-router"
PORTS = "virtual_machine_interface_refs"
OWNER = "network:router_interface"
"""``virtual_machine_interface_device_owner`` of an interface that belongs to a router."""


def create(changes: Changes, fields: Json) -> Resource:
    """Create a router with its interfaces."""
    if PORTS not in fields:
        return changes.create(TYPE, fields)
    refs = [
        _new_port(changes, one, at) if _is_whole(one) else one
        for at, one in enumerate(_elements(fields[PORTS]))
    ]
    return changes.create(TYPE, {**fields, PORTS: refs})


def update(changes: Changes, uuid: str, fields: Json) -> None:
    """Change a router and its interfaces.

    An interface that is asked for whole is the one that the router has in that network already,
    if there is one that nothing else was asked for.
    """
    if fields.get(PORTS) is None:
        changes.update(TYPE, uuid, fields)
        return
    elements = _elements(fields[PORTS])
    router = changes.load(LogicalRouter, TYPE, uuid)
    named = [one.get("uuid") for one in elements if isinstance(one, dict) and not _is_whole(one)]
    names = [one.get("to") for one in elements if isinstance(one, dict) and not _is_whole(one)]
    spare = [
        ref.uuid
        for ref in router.virtual_machine_interface_refs
        if ref.uuid not in named and ref.to not in names and _belongs(changes, ref.uuid)
    ]
    refs = []
    for at, one in enumerate(elements):
        if not _is_whole(one):
            refs.append(one)
            continue
        kept = next((port for port in spare if _is_asked(changes, port, one, at)), None)
        if kept is None:
            refs.append(_new_port(changes, one, at))
        else:
            spare.remove(kept)
            refs.append({"to": _name(changes, kept), "uuid": kept})
    changes.update(TYPE, uuid, {**fields, PORTS: refs})
    for port in spare:
        _delete_port(changes, port)


def delete(changes: Changes, uuid: str) -> None:
    """Delete a router with the interfaces that belong to it."""
    router = changes.load(LogicalRouter, TYPE, uuid)
    own = [ref.uuid for ref in router.virtual_machine_interface_refs if _belongs(changes, ref.uuid)]
    changes.delete(TYPE, uuid)
    for port in own:
        _delete_port(changes, port)


def _elements(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"Bad Request, {PORTS} must be a list, not {echo(value)}")
    return value


def _is_whole(element: Any) -> bool:
    """Whether an element is an interface to be made, not a reference to one."""
    return (
        isinstance(element, dict)
        and not element.get("uuid")
        and not element.get("to")
        and "fq_name" in element
    )


def _network(changes: Changes, element: Json, at: int) -> VirtualNetwork:
    refs = element.get("virtual_network_refs")
    where = f"{PORTS}[{at}].virtual_network_refs"
    if not isinstance(refs, list) or len(refs) != 1:
        raise BadRequest(f"Bad Request, {where} must name one virtual-network")
    record = changes.named("virtual-network", refs[0], where)
    return changes.load(VirtualNetwork, "virtual-network", record.uuid)


def _new_port(changes: Changes, element: Json, at: int) -> Json:
    """Make the interface that an element asks for; the reference to it."""
    if len(bodies.fq_name(element.get("fq_name"))) != 2:
        raise BadRequest(
            f"Bad Request, {PORTS}[{at}].fq_name must be that of the project, "
            f"not {echo(element.get('fq_name'))}"
        )
    network = _network(changes, element, at)
    fields = {**element, "virtual_machine_interface_device_owner": OWNER}
    if fields.get(ports.ADDRESSES) is None and _has_addresses(network):
        fields[ports.ADDRESSES] = [{}]
    port = ports.create(changes, fields)
    return {"to": port.fq_name, "uuid": port.uuid}


def _has_addresses(network: VirtualNetwork) -> bool:
    return bool(network.network_ipam_refs)


def _port(changes: Changes, uuid: str) -> VirtualMachineInterface | None:
    return changes.write.load(VirtualMachineInterface, uuid)


def _belongs(changes: Changes, uuid: str) -> bool:
    """Whether an interface is a router's own, and not also a workload's."""
    port = _port(changes, uuid)
    return (
        port is not None
        and port.virtual_machine_interface_device_owner == OWNER
        and not port.virtual_machine_refs
    )


def _is_asked(changes: Changes, uuid: str, element: Json, at: int) -> bool:
    """Whether an interface that is there is what an element asks for."""
    port, network = _port(changes, uuid), _network(changes, element, at)
    if port is None or all(ref.uuid != network.uuid for ref in port.virtual_network_refs):
        return False
    wanted = {one.ip for one in ports.addresses_of(element.get(ports.ADDRESSES)) if one.ip}
    if not wanted:
        return True
    return wanted <= {
        one.instance_ip_address for one in changes.write.referrers(InstanceIp, uuid, "instance-ip")
    }


def _name(changes: Changes, uuid: str) -> list[str]:
    port = _port(changes, uuid)
    return port.fq_name if port is not None else []


def _delete_port(changes: Changes, uuid: str) -> None:
    """Delete an interface that belonged to a router, unless another router has it, too."""
    if not changes.holders(uuid, TYPE):
        ports.delete(changes, uuid)
