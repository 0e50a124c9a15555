"""What queries are told of collections: the same whenever an index was first asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.compiler.intent import TENANT, uid

from tungsten.compiler.graph import Graph
from tungsten.compiler.held import Fields
from tungsten.model import Ref, RouteTable, VirtualMachineInterface, VirtualNetwork
from tungsten.store.base import Record
from tungsten.store.records import to_record

FIELDS = Fields(
    {
        "virtual-network": ("mtu",),
        "virtual-machine-interface": ("virtual_network_refs",),
    }
)
PARENTS = [uid("project", name) for name in "ab"]
NETWORKS = [uid("vn", str(number)) for number in range(3)]


def network(number: int, parent: int, mtu: int, derived: bool) -> Record:
    resource = VirtualNetwork(
        uuid=NETWORKS[number],
        fq_name=[*TENANT, f"vn{number}"],
        parent_type="project",
        parent_uuid=PARENTS[parent],
        mtu=mtu,
    )
    return to_record(resource, "somebody:else" if derived else "")


def interface(number: int, name: int, on: list[int]) -> Record:
    refs: list[Ref[None]] = [Ref(to=[*TENANT, f"vn{n}"], uuid=NETWORKS[n]) for n in on]
    resource = VirtualMachineInterface(
        uuid=uid("vmi", str(number)), fq_name=[*TENANT, f"vmi{name}"], virtual_network_refs=refs
    )
    return to_record(resource)


INDEX = st.integers(0, 2)
STATES = st.one_of(
    st.builds(network, INDEX, st.integers(0, 1), st.just(1400), st.booleans()),
    st.builds(interface, INDEX, INDEX, st.lists(INDEX, max_size=2, unique=True)),
)
STEPS = st.lists(st.tuples(STATES, st.booleans()), max_size=12)


def told(graph: Graph) -> dict[Any, Any]:
    vn, vmi = VirtualNetwork, VirtualMachineInterface
    return {
        "all": [graph.all(cls) for cls in (vn, vmi)],
        "children": [graph.children(vn, parent) for parent in PARENTS],
        "referrers": [graph.referrers(vmi, "virtual_network_refs", uuid) for uuid in NETWORKS],
        "named": [graph.named(vn, (*TENANT, f"vn{number}")) for number in range(3)],
    }


def naive(records: dict[str, Record]) -> dict[Any, Any]:
    intent = [record for record in records.values() if not record.provenance]

    def uuids(type_: str, field: str = "", target: str = "", parent: str = "") -> tuple[str, ...]:
        return tuple(
            sorted(
                record.uuid
                for record in intent
                if record.type == type_
                and (not parent or record.parent == parent)
                and (not field or any((e.field, e.target) == (field, target) for e in record.edges))
            )
        )

    vn, vmi = "virtual-network", "virtual-machine-interface"
    by_name = {(record.type, record.fq_name): record.uuid for record in intent}
    return {
        "all": [uuids(vn), uuids(vmi)],
        "children": [uuids(vn, parent=parent) for parent in PARENTS],
        "referrers": [uuids(vmi, "virtual_network_refs", uuid) for uuid in NETWORKS],
        "named": [by_name.get((vn, (*TENANT, f"vn{number}"))) for number in range(3)],
    }


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_collections_are_those_of_the_records_from_whenever_they_are_asked_for(
    steps: list[tuple[Record, bool]],
) -> None:
    records: dict[str, Record] = {}
    asked, late = Graph(FIELDS), Graph(FIELDS)
    for record, stays in steps:
        for graph in (asked, late):
            held = graph.hold(record)
            assert held is not None
            graph.put(held)
            if not stays:
                graph.remove(record.uuid)
        if stays:
            records[record.uuid] = record
        else:
            records.pop(record.uuid, None)
        assert told(asked) == naive(records)
    assert told(late) == naive(records)


def test_what_no_rule_says_is_read_cannot_be_read() -> None:
    graph = Graph(FIELDS)
    held = graph.hold(network(0, 0, 1500, derived=False))
    assert held is not None
    graph.put(held)
    vn = graph.get(VirtualNetwork, NETWORKS[0])
    assert vn is not None
    assert (vn.mtu, vn.name, vn.parent_uuid) == (1500, "vn0", PARENTS[0])
    with pytest.raises(LookupError, match="is_shared of virtual-network is not held"):
        _ = vn.is_shared
    with pytest.raises(LookupError, match="network_ipam_refs of virtual-network is not held"):
        graph.referrers(VirtualNetwork, "network_ipam_refs", PARENTS[0])
    with pytest.raises(LookupError, match="route-table is not held"):
        graph.all(RouteTable)
