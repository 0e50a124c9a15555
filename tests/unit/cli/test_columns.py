"""Every column of every type shows what it is named for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.model_samples import complex_value, sample

from tungsten.cli.columns import EMPTY, columns_of
from tungsten.cli.tables import object_table
from tungsten.model import RESOURCE_TYPES, Resource, decode, resource_type


def whole(type_: str) -> Resource:
    """An object with every property and reference set."""
    declared = resource_type(type_)
    fields: dict[str, Any] = {"fq_name": ["one"], "uuid": "1a2b3c4d-5e6f-4000-8000-000000000001"}
    fields |= {name: sample(field, 1) for name, field in declared.properties.items()}
    for name, reference in declared.references.items():
        held: dict[str, Any] = {"to": ["there", reference.target]}
        if reference.attr is not None:
            held["attr"] = complex_value(reference.attr, 1)
        fields[name] = [held]
    return decode(type_, fields)


@pytest.mark.parametrize("type_", sorted(RESOURCE_TYPES))
def test_no_column_of_an_object_with_everything_is_empty(type_: str) -> None:
    shown = whole(type_)
    for title, read in columns_of(resource_type(type_), wide=True):
        assert read(shown) not in (EMPTY, ""), title


@pytest.mark.parametrize("type_", sorted(RESOURCE_TYPES))
def test_an_object_with_nothing_is_a_row(type_: str) -> None:
    declared = resource_type(type_)
    titles = [title for title, _ in columns_of(declared, wide=True)]
    assert len(titles) == len(set(titles))
    assert all(title == title.upper() and " " not in title for title in titles)
    bare = declared.cls(fq_name=["one"], uuid="u")
    head, row = object_table([bare], wide=True, width=None).splitlines()
    assert len(head.split()) == len(row.split()) == len(titles)


def test_services_are_told_by_template_and_networks() -> None:
    properties = {
        "left_virtual_network": "default-domain:demo:left",
        "right_virtual_network": "default-domain:demo:right",
        "scale_out": {"max_instances": 2},
    }
    made = {"fq_name": ["d", "p", "fw"], "service_template_refs": [{"to": ["d", "nat"]}]}
    service = decode("service-instance", {**made, "service_instance_properties": properties})
    assert object_table([service], wide=False, width=None).splitlines()[1].split() == [
        "d:p:fw",
        "nat",
        "left,right",
        "2",
        "-",
    ]
    interfaces = [{"virtual_network": "d:p:a"}, {"virtual_network": "d:p:b"}]
    listed = {**properties, "interface_list": interfaces}
    service = decode("service-instance", {**made, "service_instance_properties": listed})
    assert "  a,b  " in object_table([service], wide=False, width=None)


def test_a_firewall_rule_is_told_in_words() -> None:
    rule = {
        "fq_name": ["d", "p", "r"],
        "action_list": {"simple_action": "pass"},
        "service": {"protocol": "tcp", "dst_ports": {"start_port": 80, "end_port": 90}},
        "endpoint_1": {"tags": ["tier=web", "site=a"]},
        "endpoint_2": {"subnet": {"ip_prefix": "10.0.0.0", "ip_prefix_len": 8}},
        "direction": "<>",
    }
    shown = object_table([decode("firewall-rule", rule)], wide=False, width=None)
    words = ["d:p:r", "pass", "tcp:80-90", "tier=web,site=a", "<>", "10.0.0.0/8"]
    assert shown.splitlines()[1].split() == words


def test_a_project_tells_the_limits_it_sets() -> None:
    project = {"fq_name": ["d", "p"], "uuid": "u", "quota": {"subnet": 3, "virtual_network": -1}}
    shown = object_table([decode("project", project)], wide=False, width=None)
    assert shown.splitlines()[1].split() == ["d:p", "u", "subnet=3"]
