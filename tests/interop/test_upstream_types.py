"""Every type and every reference that upstream's client library knows, by its own calls.

The library's generated classes say which types, parents and references there are. The server may
know more; it may not know less, nor refuse what the classes build, except where a rule says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.interop.upstream_objects import CLASSES, SINGLE, Objects
from tests.system.api_process import ApiProcess
from vnc_api import exceptions, vnc_api
from vnc_api.gen import resource_xsd as xsd

BY_THE_SYSTEM = {
    "bgp-as-a-service": {"bgp_router_refs"},
    "logical-router": {"route_target_refs", "service_instance_refs"},
    "project": {"application_policy_set_refs"},
    "route-aggregate": {"routing_instance_refs"},
    "routing-policy": {"routing_instance_refs"},
    "service-instance": {"instance_ip_refs"},
    "virtual-machine-interface": {"routing_instance_refs"},
}
"""References that are for the system to make."""

BY_RULE = {
    "firewall-rule": CLASSES["firewall-rule"].ref_fields,  # by its end points, not directly
    "tag": {"tag_type_refs"},  # made with the tag
    "virtual-machine-interface": {"bridge_domain_refs"},  # of its network only
    "virtual-network": {"virtual_network_refs"},  # to a provider network only
    "virtual-router": {"network_ipam_refs"},  # to a flat ipam only
}
"""References that have rules of their own, tested with them."""


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    process = ApiProcess(tmp_path_factory.mktemp("api"))
    process.start()
    try:
        yield Objects(
            vnc_api.VncApi(
                api_server_host="127.0.0.1", api_server_port=str(process.port), auth_type="noauth"
            )
        )
    finally:
        process.stop()


def test_the_library_knows_its_types() -> None:
    assert len(CLASSES) > 120


@pytest.mark.parametrize("type_", sorted(CLASSES.keys() - SINGLE))
def test_a_type_is_created_read_updated_listed_and_deleted(objects: Objects, type_: str) -> None:
    made = objects.create(type_)
    read = objects.read(type_, id=made.uuid)
    assert read.fq_name == made.fq_name
    assert read.get_id_perms().enable is True
    parent = getattr(made, "parent_type", None)
    assert getattr(read, "parent_type", None) == (None if parent == "config-root" else parent)
    read.set_display_name("Größe 'new'")
    read.set_annotations(xsd.KeyValuePairs([xsd.KeyValuePair("a", "1")]))
    objects.call(type_, "update", read)
    read.add_annotations(xsd.KeyValuePair("b", "2"))
    objects.call(type_, "update", read)
    again = objects.read(type_, fq_name=made.fq_name)
    assert again.display_name == "Größe 'new'"
    kept = {pair.key: pair.value for pair in again.get_annotations().key_value_pair}
    assert kept == {"a": "1", "b": "2"}
    listed = objects.call(type_, "list", fq_names=[made.fq_name])
    assert [one["uuid"] for one in listed[f"{type_}s"]] == [made.uuid]
    (detail,) = objects.call(type_, "list", obj_uuids=[made.uuid], detail=True)
    assert detail.display_name == "Größe 'new'"
    objects.call(type_, "delete", id=made.uuid)
    with pytest.raises(exceptions.NoIdError):
        objects.read(type_, id=made.uuid)


def attribute(name: str) -> Any:
    """An attribute of a reference, empty; None for references without one."""
    return None if name == "None" else getattr(xsd, name)()


@pytest.mark.parametrize("type_", sorted(CLASSES.keys() - {"config-root"}))
def test_every_reference_of_a_type_is_made_shown_at_both_ends_and_removed(
    objects: Objects, type_: str
) -> None:
    cls = CLASSES[type_]
    made = objects.read(type_) if type_ in SINGLE else objects.create(type_)
    for field in sorted(cls.ref_fields - BY_RULE.get(type_, set())):
        target, attr = cls.ref_field_types[field][:2]
        other = objects.read(target) if target in SINGLE else objects.create(target)
        change = (type_, made.uuid, target, other.uuid, None)
        if field in BY_THE_SYSTEM.get(type_, ()):
            with pytest.raises(exceptions.PermissionDenied, match="set by the system"):
                objects.api.ref_update(*change, "ADD", attr=attribute(attr))
            continue
        assert objects.api.ref_update(*change, "ADD", attr=attribute(attr)) == made.uuid

        def held(type_: str, uuid: str, field: str) -> list[str]:
            refs = getattr(objects.read(type_, id=uuid), f"get_{field}")()
            return [ref["uuid"] for ref in refs or []]

        assert other.uuid in held(type_, made.uuid, field)
        back = field if target == type_ else f"{cls.object_type}_back_refs"
        assert made.uuid in held(target, other.uuid, back)
        objects.api.ref_update(*change, "DELETE")
        assert other.uuid not in held(type_, made.uuid, field)
