"""What the web UI's calls write: one object or many, with all that belongs to them.

Some types have more in their bodies than the object itself, or more to take along when they are
deleted; they have modules of their own. All others are created, changed and deleted as they are.
Each function here runs in one transaction and answers what the call answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tungsten.api import views
from tungsten.api.bodies import Json
from tungsten.api.errors import ApiFault
from tungsten.api.views import Hrefs
from tungsten.model import Resource, type_of
from tungsten.webui import balancers, forms, ports, routers, service_instances
from tungsten.webui.changes import Changes

Create = Callable[[Changes, Json], Resource]
Update = Callable[[Changes, str, Json], None]
Delete = Callable[[Changes, str], None]


def _network(changes: Changes, uuid: str) -> None:
    """A network's pools of floating addresses go before it does."""
    changes.record("virtual-network", uuid)
    for pool in changes.write.tx.children(uuid, "floating-ip-pool"):
        changes.delete("floating-ip-pool", pool.uuid)
    changes.delete("virtual-network", uuid)


def _letting_go(type_: str) -> Delete:
    """Deletes an object that nothing that refers to it shall keep."""

    def delete(changes: Changes, uuid: str) -> None:
        changes.let_go(changes.record(type_, uuid))
        changes.delete(type_, uuid)

    return delete


CREATE: dict[str, Create] = {
    ports.TYPE: ports.create,
    routers.TYPE: routers.create,
    service_instances.TYPE: service_instances.create,
}
UPDATE: dict[str, Update] = {
    ports.TYPE: ports.update,
    routers.TYPE: routers.update,
    service_instances.TYPE: service_instances.update,
}
DELETE: dict[str, Delete] = {
    ports.TYPE: ports.delete,
    routers.TYPE: routers.delete,
    service_instances.TYPE: service_instances.delete,
    balancers.TYPE: balancers.delete,
    "virtual-network": _network,
    **{
        type_: _letting_go(type_)
        for type_ in (
            "firewall-policy",
            "firewall-rule",
            "network-policy",
            "routing-policy",
            "service-health-check",
            "virtual-DNS",
        )
    },
}


def _shown(changes: Changes, resource: Resource) -> Json:
    return {type_of(resource).name: views.envelope(resource, Hrefs(changes.base))}


def _created(changes: Changes, type_: str, fields: Json, body: Json) -> Json:
    if type_ == balancers.TYPE:
        return _balancer(changes, body)
    make = CREATE.get(type_)
    resource = make(changes, fields) if make else changes.create(type_, fields)
    return {"configData": _shown(changes, resource)}


def _balancer(changes: Changes, body: Json) -> Json:
    first, *others = balancers.create(changes, body)
    answer: Json = {"configData": _shown(changes, first)}
    return answer | ({"otherData": [_shown(changes, one) for one in others]} if others else {})


def _updated(changes: Changes, type_: str, fields: Json) -> Json:
    uuid = forms.uuid_in(fields, type_)
    change = UPDATE.get(type_)
    if change:
        change(changes, uuid, fields)
    else:
        changes.update(type_, uuid, fields)
    return {type_: {"uuid": uuid, "href": Hrefs(changes.base).of(type_, uuid)}}


def _numbered(at: int, type_: str, run: Callable[[], Json]) -> Json:
    """Say which element of a bulk form is refused."""
    try:
        return run()
    except ApiFault as fault:
        raise ApiFault(f"data[{at}] ({type_}): {fault.text}", status=fault.status) from fault


def create_object(changes: Changes, body: Any) -> Json:
    """``create-config-object``."""
    whole = forms.whole(body)
    return _created(changes, *forms.typed_object(whole), whole)


def create_objects(changes: Changes, body: Any) -> list[Json]:
    """``create-config-objects``."""
    return [
        _numbered(at, one[0], lambda one=one: _created(changes, *one))  # type: ignore[misc]
        for at, one in enumerate(forms.elements(body))
    ]


def update_object(changes: Changes, body: Any) -> Json:
    """``update-config-object``."""
    return _updated(changes, *forms.typed_object(forms.whole(body)))


def update_objects(changes: Changes, body: Any) -> list[Json]:
    """``update-config-objects``."""
    return [
        _numbered(at, type_, lambda t=type_, f=fields: _updated(changes, t, f))  # type: ignore[misc]
        for at, (type_, fields, _) in enumerate(forms.elements(body))
    ]


def delete_objects(changes: Changes, body: Any) -> None:
    """``delete``: all that is named, with all that goes with it."""
    for at, one in enumerate(forms.listed(body, "the body")):
        type_ = forms.type_in(one, f"[{at}]").name
        for uuid in forms.strings(one.get("deleteIDs"), f"[{at}].deleteIDs"):
            delete_object(changes, type_, uuid)


def delete_object(changes: Changes, type_: str, uuid: str) -> None:
    """Delete an object with all that goes with it."""
    if changes.is_deleted(uuid):
        return
    delete = DELETE.get(type_)
    if delete:
        delete(changes, uuid)
    else:
        changes.delete(type_, uuid)


def create_service_instance(changes: Changes, body: Any) -> Json:
    """``POST service-instances``."""
    fields = _member(body, service_instances.TYPE)
    return _shown(changes, service_instances.create(changes, fields))


def update_service_instance(changes: Changes, body: Any, uuid: str) -> Json:
    """``PUT service-instances/<uuid>``."""
    fields = _member(body, service_instances.TYPE)
    return _updated(changes, service_instances.TYPE, {**fields, "uuid": uuid})


def _member(body: Any, type_: str) -> Json:
    found, fields = forms.typed_object({type_: forms.whole(body).get(type_)})
    assert found == type_
    return fields


def create_balancer(changes: Changes, body: Any) -> Json:
    """``POST lbaas/load-balancer``."""
    return _balancer(changes, forms.whole(body))


def delete_balancers(changes: Changes, body: Any) -> None:
    """``POST lbaas/load-balancer/delete``."""
    for uuid in forms.strings(forms.whole(body).get("uuids"), "uuids"):
        delete_object(changes, balancers.TYPE, uuid)
