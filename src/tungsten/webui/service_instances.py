"""Service instances with their port tuples, as the web UI's forms send them: in one body.

``port_tuples`` is a list of ``{"to": [...], "vmis": [{"uuid" or "fq_name", "interfaceType"}]}``,
where ``interfaceType`` is ``left``, ``right``, ``management`` or ``other``. Each is made as a
port-tuple below the instance; its interfaces refer to it and say what they are in it
(``service_interface_type``).
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tungsten.api import bodies
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo
from tungsten.model import Resource, VirtualMachineInterface, to_fields
from tungsten.store.base import Record
from tungsten.webui.changes import Changes

TYPE = "service-instance"
TUPLES = "port_tuples"
PORT = "virtual-machine-interface"
PROPERTIES = "virtual_machine_interface_properties"


def create(changes: Changes, fields: Json) -> Resource:
    """Create an instance with its port tuples."""
    own = {key: value for key, value in fields.items() if key != TUPLES}
    instance = changes.create(TYPE, own)
    for at, one in enumerate(_tuples(fields.get(TUPLES))):
        _new_tuple(changes, instance.fq_name, one, at)
    return instance


def update(changes: Changes, uuid: str, fields: Json) -> None:
    """Change an instance; with ``port_tuples``, to have these and no others.

    A tuple that does not say which interfaces it has keeps those that it has.
    """
    own = {key: value for key, value in fields.items() if key != TUPLES}
    changes.update(TYPE, uuid, own)
    if fields.get(TUPLES) is None:
        return
    instance = changes.record(TYPE, uuid)
    held = {one.uuid: one for one in changes.write.tx.children(uuid, "port-tuple")}
    by_name = {one.fq_name: one for one in held.values()}
    new: list[tuple[Json, int]] = []
    for at, one in enumerate(_tuples(fields[TUPLES])):
        name = one.get("to")
        there = held.get(str(one.get("uuid"))) or (
            by_name.get(tuple(map(str, name))) if isinstance(name, list) else None
        )
        if there is None:
            new.append((one, at))
        else:
            held.pop(there.uuid, None)
            if one.get("vmis") is not None:
                _settle(changes, there, one, at)
    for gone in held.values():
        _delete_tuple(changes, gone)
    for one, at in new:
        _new_tuple(changes, list(instance.fq_name), one, at)


def delete(changes: Changes, uuid: str) -> None:
    """Delete an instance with its port tuples; what refers to either lets go of it."""
    instance = changes.record(TYPE, uuid)
    for one in changes.write.tx.children(uuid, "port-tuple"):
        _delete_tuple(changes, one)
    changes.let_go(instance)
    changes.delete(TYPE, uuid)


def _tuples(value: Any) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRequest(f"Bad Request, {TUPLES} must be a list of objects, not {echo(value)}")
    return value


def _ports(changes: Changes, one: Json, at: int) -> dict[str, str]:
    """Which interface is what in a tuple, by uuid."""
    where = f"{TUPLES}[{at}].vmis"
    said = one.get("vmis")
    if said is None:
        return {}
    if not isinstance(said, list):
        raise BadRequest(f"Bad Request, {where} must be a list, not {echo(said)}")
    found: dict[str, str] = {}
    for index, port in enumerate(said):
        record = changes.named(PORT, port, f"{where}[{index}]")
        found[record.uuid] = bodies.text(port, "interfaceType") or ""
    return found


def _new_tuple(changes: Changes, instance: list[str], one: Json, at: int) -> None:
    name = one.get("to") or one.get("fq_name")
    last = bodies.fq_name(name)[-1] if name else f"port-tuple-{uuid4()}"
    made = changes.create(
        "port-tuple", {"fq_name": [*instance, last], "parent_type": "service-instance"}
    )
    for port, kind in _ports(changes, one, at).items():
        _join(changes, port, made.uuid, made.fq_name, kind)


def _settle(changes: Changes, there: Record, one: Json, at: int) -> None:
    wanted = _ports(changes, one, at)
    for port in changes.seen_holders(there.uuid, PORT):
        if port.uuid not in wanted:
            _leave(changes, port, there)
    for uuid, kind in wanted.items():
        _join(changes, uuid, there.uuid, list(there.fq_name), kind)


def _join(changes: Changes, uuid: str, tuple_uuid: str, name: list[str], kind: str) -> None:
    """Let an interface refer to a tuple and say what it is in it."""
    port = changes.load(VirtualMachineInterface, PORT, uuid)
    fields: Json = {"port_tuple_refs": [{"to": name, "uuid": tuple_uuid}]}
    if kind:
        said = to_fields(port).get(PROPERTIES) or {}
        fields[PROPERTIES] = {**said, "service_interface_type": kind}
    changes.update(PORT, uuid, fields)


def _leave(changes: Changes, record: Record, there: Record) -> None:
    """Let an interface no longer refer to a tuple, nor say what it was in it."""
    changes.unlink(record, there)
    port = changes.load(VirtualMachineInterface, PORT, record.uuid)
    said = to_fields(port).get(PROPERTIES) or {}
    if said.get("service_interface_type") is not None:
        kept = {key: value for key, value in said.items() if key != "service_interface_type"}
        changes.update(PORT, port.uuid, {PROPERTIES: kept or None})


def _delete_tuple(changes: Changes, there: Record) -> None:
    for port in changes.holders(there.uuid, PORT):
        _leave(changes, port, there)
    changes.let_go(there)
    changes.delete("port-tuple", there.uuid)
