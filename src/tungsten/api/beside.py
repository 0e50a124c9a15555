"""Actions of upstream's server that are about its own workings: manifests, cache, bus.

``hbs-get`` and ``obj-cache`` are answered from the store. What needs a message bus, and the
managers of jobs and devices behind it, is refused with 501 and says so, once the request itself
is found to be one that could be meant.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tungsten.api import authority, bodies, views
from tungsten.api.bodies import Json
from tungsten.api.callers import Caller
from tungsten.api.errors import ApiFault, BadRequest, NotFound, echo, name_list, unknown_id
from tungsten.api.references import Mirror
from tungsten.api.views import Hrefs
from tungsten.model import RESOURCE_TYPES, resource_type
from tungsten.model.services import HostBasedService
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

CACHE_SHOWN = 10
"""Objects that ``obj-cache`` shows unless it is told how many."""

MOST_SHOWN = 1000
SIDES = ("left", "right")


# -- manifests ------------------------------------------------------------------------------


def manifests(snapshot: Snapshot, caller: Caller, body: Json) -> Json:
    """``POST /hbs-get``: what to give Kubernetes so that each host runs a service.

    The two networks of the service as network attachments, and a daemon set that is attached to
    both: a project has one service of this kind.
    """
    record = _service(snapshot, body)
    authority.require_record(snapshot, caller, record, authority.READ)
    service = from_record(record)
    assert isinstance(service, HostBasedService)
    networks = {}
    for ref in service.virtual_network_refs:
        side = ref.attr.virtual_network_type if ref.attr is not None else None
        networks[side or ""] = ref.to
    for side in SIDES:
        if side not in networks:
            raise BadRequest(
                f"Host based service {name_list(record.fq_name)} has no {side} virtual network"
            )
    namespace = record.fq_name[-2]
    attachments = [_attachment(side, networks[side], namespace) for side in SIDES]
    return {"hbs": [*attachments, _daemon_set(record.fq_name[-1], namespace)]}


def _service(snapshot: Snapshot, body: Json) -> Record:
    uuid, name = bodies.text(body, "hbs_uuid"), body.get("hbs_fq_name")
    if not uuid and not name:
        raise BadRequest("Either hbs_uuid or hbs_fq_name required in request")
    type_ = "host-based-service"
    record = snapshot.get(uuid) if uuid else snapshot.find(type_, bodies.fq_name(name))
    if record is None or record.type != type_:
        raise NotFound(f"No {type_} object found for {echo(uuid or name)}")
    return record


def _attachment(side: str, network: list[str], namespace: str) -> Json:
    said = dict(zip(("domain", "project", "name"), network, strict=False))
    annotation = msgspec.json.encode(said).decode()
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": side,
            "namespace": namespace,
            "annotations": {"opencontrail.org/network": annotation},
        },
        "spec": {"config": '{"cniVersion": "0.3.1", "type": "contrail-k8s-cni"}'},
    }


def _daemon_set(name: str, namespace: str) -> Json:
    attached = [{"name": side, "namespace": namespace} for side in SIDES]
    annotation = msgspec.json.encode(attached).decode()
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"k8s.v1.cni.cncf.io/networks": annotation},
                },
                "spec": {"containers": [{"name": name, "image": name}]},
            },
        },
    }


# -- what the server holds ------------------------------------------------------------------


def held(snapshot: Snapshot, body: Json) -> Json:
    """``/obj-cache``: objects as the server has them, numbered from 1.

    Those of ``uuids``, else the first ``count``. There is no cache to look into: what is shown is
    what is stored.
    """
    count = body.get("count", CACHE_SHOWN)
    if isinstance(count, str) and count.isdecimal() and len(count) < 10:
        count = int(count)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= MOST_SHOWN:
        raise BadRequest(f"count must be a number from 1 to {MOST_SHOWN}, not {echo(count)}")
    uuids = body.get("uuids") or []
    uuids = uuids.split(",") if isinstance(uuids, str) else uuids
    if not isinstance(uuids, list) or not all(isinstance(one, str) for one in uuids):
        raise BadRequest(f"uuids must be a list of uuids, not {echo(uuids)}")
    found = [_stored(snapshot, uuid) for uuid in uuids] if uuids else _first(snapshot, count)
    hrefs = Hrefs("", wanted=False)
    return {
        str(at): {
            "obj_type": resource_type(one.type).object_type,
            "revision": one.revision,
            "obj_dict": views.body(one, hrefs, Mirror(snapshot, resource_type(one.type))),
        }
        for at, one in enumerate(found[:count], 1)
    }


def _stored(snapshot: Snapshot, uuid: str) -> Record:
    record = snapshot.get(uuid)
    if record is None:
        raise unknown_id(uuid)
    return record


def _first(snapshot: Snapshot, count: int) -> list[Record]:
    found: list[Record] = []
    for type_ in RESOURCE_TYPES:
        if len(found) >= count:
            break
        found += snapshot.records(type_)
    return found


# -- what needs a bus -----------------------------------------------------------------------


def _without_bus(action: str, needs: str) -> ApiFault:
    return ApiFault(
        f"{action} is not done here: it needs {needs}, which this system does not have", status=501
    )


def execute_job(snapshot: Snapshot, body: Json) -> Json:
    """``POST /execute-job``: the template is looked up, then the job is refused."""
    uuid, name = bodies.text(body, "job_template_id"), body.get("job_template_fq_name")
    if not uuid and not name:
        raise BadRequest("Either job_template_id or job_template_fq_name required in request")
    found = snapshot.get(uuid) if uuid else snapshot.find("job-template", bodies.fq_name(name))
    if found is None or found.type != "job-template":
        raise NotFound(f"No job-template object found for {echo(uuid or name)}")
    raise _without_bus("execute-job", "a job manager and the message bus to it")


def abort_job(snapshot: Snapshot, body: Json) -> Json:
    """``POST /abort-job``: there are no jobs."""
    asked: Any = body.get("input")
    if not isinstance(asked, dict) or not asked.get("job_execution_ids"):
        raise BadRequest("input with job_execution_ids required in request")
    raise _without_bus("abort-job", "a job manager and the message bus to it")


def publish(snapshot: Snapshot, body: Json) -> Json:
    """``POST /amqp-publish`` and ``/amqp-request``: there is no exchange to send to."""
    if not bodies.text(body, "exchange"):
        raise BadRequest("exchange required in request")
    raise _without_bus("amqp-publish and amqp-request", "a message bus")
