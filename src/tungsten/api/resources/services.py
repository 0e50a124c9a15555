"""Rules of service-instance: services that run on devices of their own.

The two sides of a service on a physical device are VLANs of it. The instance says them in its
annotations; the system adds the numbers of the interfaces that route for them (IRB units).
"""

from __future__ import annotations

from typing import Any

from tungsten.api.errors import BadRequest, name_list
from tungsten.api.ids import VIRTUAL_NETWORK_IDS
from tungsten.api.resources.hooks import Hooks
from tungsten.api.transactions import Write
from tungsten.model import ServiceInstance
from tungsten.model.common import KeyValuePair, KeyValuePairs
from tungsten.model.service_templates import ServiceTemplate

ON_DEVICE = "physical-device"
NEEDED = ("left-svc-vlan", "right-svc-vlan", "left-svc-asns", "right-svc-asns")
UNITS = ("left-svc-unit", "right-svc-unit")
"""Annotations: what a client says of an instance on a device, and what the system adds."""


def annotations_of(instance: ServiceInstance) -> dict[str, str | None]:
    """The annotations of an instance as a mapping."""
    said = instance.annotations
    return {one.key: one.value for one in (said.key_value_pair if said else None) or [] if one.key}


def is_on_device(write: Write, instance: ServiceInstance) -> bool:
    """Whether an instance is of a template whose services run on physical devices."""
    for ref in instance.service_template_refs:
        template = write.load(ServiceTemplate, ref.uuid)
        properties = template.service_template_properties if template is not None else None
        if properties is not None and properties.service_virtualization_type == ON_DEVICE:
            return True
    return False


def give_units(write: Write, instance: ServiceInstance) -> None:
    """An instance on a device says its VLANs and systems; it gets a unit for either side."""
    if not is_on_device(write, instance):
        return
    said = annotations_of(instance)
    missing = [key for key in NEEDED if not said.get(key)]
    if missing:
        raise BadRequest(
            f"service instance {name_list(instance.fq_name)} of a physical device needs the "
            f"annotations {', '.join(missing)}"
        )
    numbers = {key: str(VIRTUAL_NETWORK_IDS.allocate(write.tx, instance.uuid)) for key in UNITS}
    pairs = {**said, **numbers}
    instance.annotations = KeyValuePairs(
        key_value_pair=[KeyValuePair(key=key, value=value) for key, value in pairs.items()]
    )


def keep_units(write: Write, old: ServiceInstance, new: ServiceInstance) -> None:
    """The units of an instance stay as they were given."""
    if old.annotations == new.annotations:
        return
    given = {key: value for key, value in annotations_of(old).items() if key in UNITS}
    if given and is_on_device(write, old):
        pairs = {**annotations_of(new), **given}
        new.annotations = KeyValuePairs(
            key_value_pair=[KeyValuePair(key=key, value=value) for key, value in pairs.items()]
        )


HOOKS: dict[str, Hooks[Any]] = {
    "service-instance": Hooks[ServiceInstance](create=(give_units,), update=(keep_units,)),
}
