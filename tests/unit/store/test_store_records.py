"""Resources as records and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from tests.unit.model.model_strategies import resources

from tungsten.model import (
    FloatingIp,
    Ref,
    Resource,
    UnknownType,
    ValidationError,
    VirtualMachine,
    VirtualNetwork,
)
from tungsten.store.base import Edge
from tungsten.store.records import from_record, to_record


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resources())
def test_every_resource_survives_the_store(resource: Resource) -> None:
    assert from_record(to_record(resource, "x")) == resource


def test_a_record_carries_identity_edges_and_body_each_once() -> None:
    fip = FloatingIp(
        uuid="u",
        fq_name=["d", "p", "vn", "pool", "fip"],
        parent_type="floating-ip-pool",
        parent_uuid="pu",
        floating_ip_address="10.0.0.1",
        project_refs=[Ref(["d", "p"], "p1"), Ref(["d", "p"], "p1")],
        virtual_machine_interface_refs=[Ref(["d", "p", "i"], "i1")],
    )
    record = to_record(fip, provenance="from y")
    assert (record.uuid, record.type, record.parent) == ("u", "floating-ip", "pu")
    assert record.fq_name == ("d", "p", "vn", "pool", "fip")
    assert record.provenance == "from y"
    assert record.edges == (
        Edge("project_refs", "p1"),
        Edge("virtual_machine_interface_refs", "i1"),
    )
    assert not {"uuid", "fq_name", "parent_uuid"} & json.loads(record.body).keys()
    assert fip.uuid == "u"


def test_derived_and_symmetric_references_are_weak() -> None:
    vm = VirtualMachine(uuid="u", fq_name=["u"], service_instance_refs=[Ref(["s"], "s1")])
    assert to_record(vm).edges == (Edge("service_instance_refs", "s1", weak=True),)
    vn = VirtualNetwork(uuid="u", fq_name=["a"], virtual_network_refs=[Ref(["b"], "v2")])
    assert to_record(vn).edges == (Edge("virtual_network_refs", "v2", weak=True),)


def test_an_edge_that_the_store_dropped_is_no_reference_any_more() -> None:
    refs: list[Ref[None]] = [Ref(["s"], "s1"), Ref(["t"], "s2")]
    vm = VirtualMachine(uuid="u", fq_name=["u"], service_instance_refs=refs)
    record = to_record(vm)
    read = from_record(replace(record, edges=record.edges[1:]))
    assert isinstance(read, VirtualMachine)
    assert read.service_instance_refs == refs[1:]


def test_a_reference_without_uuid_cannot_be_stored() -> None:
    vn = VirtualNetwork(uuid="u", fq_name=["a"], route_table_refs=[Ref(["d", "p", "r"])])
    with pytest.raises(ValidationError, match=r"route_table_refs\[0\]: the uuid of route-table"):
        to_record(vn)


def test_bodies_that_are_none_of_the_type_are_refused() -> None:
    record = to_record(VirtualNetwork(uuid="u", fq_name=["a"]))
    for body in (b"", b"[]", b'{"mtu":"x"}', b"\xff"):
        with pytest.raises(ValidationError, match="stored body of u cannot be read"):
            from_record(replace(record, body=body))
    with pytest.raises(UnknownType):
        from_record(replace(record, type="widget"))
