"""Load balancers with all that they need, as the web UI's form sends them: in one body.

The body has up to five objects: ``loadbalancer``, ``loadbalancer-listener``,
``loadbalancer-pool``, a list ``loadbalancer-member``, ``loadbalancer-healthmonitor``. The
balancer's ``virtual_machine_interface_refs`` is the interface that it is reached at, whole; it is
made with its address, which is also the balancer's ``vip_address``. Each object then refers to
the one before it.
"""

from __future__ import annotations

from typing import Any

from tungsten.api import bodies
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo
from tungsten.model import InstanceIp, Resource, VirtualMachineInterface
from tungsten.model.loadbalancers import Loadbalancer, LoadbalancerPool
from tungsten.store.records import from_record
from tungsten.webui import ports
from tungsten.webui.changes import Changes

TYPE = "loadbalancer"
LISTENER, POOL = "loadbalancer-listener", "loadbalancer-pool"
MEMBER, MONITOR = "loadbalancer-member", "loadbalancer-healthmonitor"
PORTS = "virtual_machine_interface_refs"
PROPERTIES = "loadbalancer_properties"
OWNER = "neutron:LOADBALANCER"
"""``virtual_machine_interface_device_owner`` of an interface that belongs to a balancer."""


def create(changes: Changes, body: Json) -> list[Resource]:
    """Create a balancer and what it needs; the balancer comes first."""
    fields = _object(body, TYPE)
    if fields is None:
        raise BadRequest(f"Bad Request, {TYPE} must be given")
    made = [_balancer(changes, fields)]
    refs = _ref(TYPE, made[0])
    listener = _object(body, LISTENER)
    if listener is not None:
        made.append(changes.create(LISTENER, {**listener, **refs}))
        refs = _ref(LISTENER, made[-1])
    monitor = _object(body, MONITOR)
    pool = _object(body, POOL)
    if monitor is not None:
        made.append(changes.create(MONITOR, monitor))
    if pool is not None:
        watched = _ref(MONITOR, made[-1]) if monitor is not None else {}
        above = refs if listener is not None else {}
        made.append(changes.create(POOL, {**pool, **above, **watched}))
    made += [_member(changes, made[-1], one, pool is not None) for one in _members(body)]
    return made


def _object(body: Json, type_: str) -> Json | None:
    value = body.get(type_)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"Bad Request, {type_} must be an object, not {echo(value)}")
    return value or None


def _members(body: Json) -> list[Json]:
    value = body.get(MEMBER) or []
    members = [value] if isinstance(value, dict) else value
    if not isinstance(members, list) or not all(isinstance(one, dict) for one in members):
        raise BadRequest(f"Bad Request, {MEMBER} must be a list of objects, not {echo(value)}")
    return members


def _ref(type_: str, resource: Resource) -> Json:
    field = f"{type_.replace('-', '_')}_refs"
    return {field: [{"to": resource.fq_name, "uuid": resource.uuid}]}


def _member(changes: Changes, pool: Resource, fields: Json, has_pool: bool) -> Resource:
    if not has_pool:
        raise BadRequest(f"Bad Request, {MEMBER} needs a {POOL}")
    name = bodies.fq_name(fields.get("fq_name"))[-1]
    own = {**fields, "fq_name": [*pool.fq_name, name], "parent_type": POOL}
    return changes.create(MEMBER, own)


def _balancer(changes: Changes, fields: Json) -> Resource:
    """Create the balancer, with the interface that it is reached at."""
    whole = _whole_port(fields.get(PORTS))
    if whole is None:
        return changes.create(TYPE, fields)
    name = bodies.fq_name(fields.get("fq_name"))
    port = ports.create(
        changes,
        {
            "fq_name": list(name[:-1]),
            "parent_type": "project",
            ports.ADDRESSES: _vip(fields),
            "virtual_machine_interface_device_owner": OWNER,
            **whole,
        },
    )
    own = {**fields, PORTS: [{"to": port.fq_name, "uuid": port.uuid}]}
    said = fields.get(PROPERTIES)
    address = _first_address(changes, port.uuid)
    if isinstance(said, dict) and not said.get("vip_address") and address:
        own[PROPERTIES] = {**said, "vip_address": address}
    return changes.create(TYPE, own)


def _whole_port(value: Any) -> Json | None:
    """The interface to be made, when a body has that in place of a reference."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(one, dict) and not one.get("uuid") and not one.get("to"):
        return one
    return None


def _vip(fields: Json) -> list[Json]:
    """The address that the balancer's properties ask for."""
    said = fields.get(PROPERTIES)
    said = said if isinstance(said, dict) else {}
    return [
        {
            "instance_ip_address": [{"fixedIp": said.get("vip_address") or ""}],
            "subnet_uuid": said.get("vip_subnet_id"),
        }
    ]


def _first_address(changes: Changes, port: str) -> str:
    found = changes.write.referrers(InstanceIp, port, "instance-ip")
    return next((one.instance_ip_address for one in found if one.instance_ip_address), "")


def delete(changes: Changes, uuid: str) -> None:
    """Delete a balancer with its listeners, pools, members, monitors and interface."""
    record = changes.record(TYPE, uuid)
    balancer = from_record(record)
    assert isinstance(balancer, Loadbalancer)
    for listener in changes.holders(uuid, LISTENER):
        for pool in changes.holders(listener.uuid, POOL):
            _delete_pool(changes, pool.uuid)
        changes.delete(LISTENER, listener.uuid)
    changes.delete(TYPE, uuid)
    for ref in balancer.virtual_machine_interface_refs:
        port = changes.write.load(VirtualMachineInterface, ref.uuid)
        if port is not None and port.virtual_machine_interface_device_owner == OWNER:
            ports.delete(changes, ref.uuid)


def _delete_pool(changes: Changes, uuid: str) -> None:
    pool = changes.load(LoadbalancerPool, POOL, uuid)
    for member in changes.write.tx.children(uuid, MEMBER):
        changes.delete(MEMBER, member.uuid)
    changes.delete(POOL, uuid)
    for ref in pool.loadbalancer_healthmonitor_refs:
        if not changes.holders(ref.uuid, POOL):
            changes.delete(MONITOR, ref.uuid)
