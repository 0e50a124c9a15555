"""Nodes, links and attribute nodes: written as hosts expect, and read back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.model.model_samples import complex_value, full
from tests.unit.model.model_strategies import complexes, resources

from tungsten.model import (
    RESOURCE_TYPES,
    Resource,
    ValidationError,
    VirtualMachineInterface,
    VirtualNetwork,
    decode,
    resource_type,
    to_fields,
    type_of,
    validate_attr,
)
from tungsten.model.common import IdPermsType, UuidType
from tungsten.model.fields import Complex, Field, fields_of
from tungsten.model.ifmap import (
    attr_from_ifmap,
    attr_name,
    attr_node,
    element_name,
    from_ifmap,
    join_uuid,
    link,
    link_name,
    node,
    node_key,
    property_elements,
    reference_link,
    split_uuid,
)
from tungsten.model.interfaces import PolicyBasedForwardingRuleType

UUID = "1a2b3c4d-5e6f-4000-8000-000000000001"


def test_a_node_carries_the_properties_that_were_said() -> None:
    vmi: Any = decode(
        "virtual-machine-interface",
        {
            "fq_name": ["default-domain", "demo", "port-1"],
            "virtual_machine_interface_mac_addresses": {"mac_address": ["02:00:00:00:01:03"]},
            "virtual_machine_interface_disable_policy": False,
            "display_name": "port-1",
            "virtual_network_refs": [{"to": ["x"], "uuid": UUID}],
        },
    )
    upper, lower = split_uuid(UUID)
    vmi.id_perms = IdPermsType(
        enable=True, uuid=UuidType(uuid_mslong=upper, uuid_lslong=lower), user_visible=False
    )
    assert node(vmi).decode() == (
        '<node type="virtual-machine-interface"><name>default-domain:demo:port-1</name>'
        "<virtual-machine-interface-mac-addresses><mac-address>02:00:00:00:01:03</mac-address>"
        "</virtual-machine-interface-mac-addresses>"
        "<virtual-machine-interface-disable-policy>false</virtual-machine-interface-disable-policy>"
        f"<id-perms><uuid><uuid-mslong>{upper}</uuid-mslong><uuid-lslong>{lower}</uuid-lslong>"
        "</uuid><enable>true</enable><user-visible>false</user-visible></id-perms>"
        "<display-name>port-1</display-name></node>"
    )


def test_inside_values_the_schema_default_is_written() -> None:
    vn: Any = decode("virtual-network", {"virtual_network_properties": {"rpf": "disable"}})
    assert property_elements(vn).decode() == (
        "<virtual-network-properties><rpf>disable</rpf>"
        "<mirror-destination>false</mirror-destination><max-flows>0</max-flows>"
        "</virtual-network-properties>"
    )


def test_names_keep_the_schema_spelling() -> None:
    assert element_name("virtual_DNS_data") == "virtual-DNS-data"
    assert element_name("uuid_mslong") == "uuid-mslong"
    assert element_name("type_") == "type"


def test_text_is_escaped_and_what_xml_cannot_carry_is_replaced() -> None:
    vn = VirtualNetwork(fq_name=["a", '<&">'], display_name="a\x00\x1b\r\n\t\ud800\ufffe<b>")
    element = ElementTree.fromstring(node(vn))
    assert element.findtext("name") == 'a:<&">'
    assert element.findtext("display-name") == "a\ufffd\ufffd\r\n\t\ufffd\ufffd<b>"


def test_links_and_keys() -> None:
    left, right = ("virtual-machine-interface", "d:p:old"), ("virtual-network", "d:p:vn1")
    metadata = reference_link("virtual-machine-interface", "virtual_network_refs")
    assert link(left, right, metadata).decode() == (
        '<link><node type="virtual-machine-interface"><name>d:p:old</name></node>'
        '<node type="virtual-network"><name>d:p:vn1</name></node>'
        '<metadata type="virtual-machine-interface-virtual-network"/></link>'
    )
    assert node_key(*right) == b'<node type="virtual-network"><name>d:p:vn1</name></node>'


def test_link_names_of_references_and_parents() -> None:
    assert link_name("virtual-machine-interface", "interface-route-table") == (
        "virtual-machine-interface-route-table"
    )
    assert link_name("bgp-router", "routing-instance") == "instance-bgp-router"
    assert link_name("virtual-network", "project") == "project-virtual-network"
    # it refers to virtual machines, and may hang below one
    assert link_name("virtual-machine-interface", "virtual-machine") == (
        "virtual-machine-interface-virtual-machine"
    )
    with pytest.raises(KeyError):
        link_name("virtual-network", "domain")


def test_what_a_link_says_is_a_node_named_after_its_ends() -> None:
    attr = PolicyBasedForwardingRuleType(direction="both", vlan_tag=0)
    metadata = reference_link("virtual-machine-interface", "routing_instance_refs")
    for ends in (("d:demo:port-1", "d:demo:vn1:vn1"), ("d:demo:vn1:vn1", "d:demo:port-1")):
        assert attr_name(*ends) == "attr(d:demo:port-1,d:demo:vn1:vn1)"
        assert attr_node(metadata, *ends, attr).decode() == (
            '<node type="virtual-machine-interface-routing-instance">'
            "<name>attr(d:demo:port-1,d:demo:vn1:vn1)</name>"
            "<value><direction>both</direction><vlan-tag>0</vlan-tag></value></node>"
        )


def test_uuids_in_halves() -> None:
    assert split_uuid(UUID) == (0x1A2B3C4D5E6F4000, 0x8000000000000001)
    assert join_uuid(*split_uuid(UUID)) == UUID
    signed = 0x8000000000000001 - 2**64
    assert join_uuid(0x1A2B3C4D5E6F4000, signed) == UUID


def test_what_upstream_writes_is_read() -> None:
    xml = """<node type="virtual-machine-interface"><name>d:p:port-1</name>
      <virtual-machine-interface-mac-addresses><mac-address>02:00:00:00:01:03</mac-address>
      </virtual-machine-interface-mac-addresses>
      <port-security-enabled>true</port-security-enabled>
      <something-new><x>1</x></something-new>
      <id-perms><permissions><owner>a</owner></permissions><uuid><uuid-mslong>1885667171979182080
      </uuid-mslong><uuid-lslong>9223372036854775809</uuid-lslong></uuid><enable>true</enable>
      <created>2024-01-01T00:00:00</created><description/><user-visible>true</user-visible>
      <creator/></id-perms></node>"""
    vmi = from_ifmap("virtual-machine-interface", ElementTree.fromstring(xml))
    assert isinstance(vmi, VirtualMachineInterface)
    assert vmi.uuid == UUID
    assert vmi.fq_name == ["d", "p", "port-1"]
    assert vmi.port_security_enabled is True
    assert vmi.virtual_machine_interface_mac_addresses is not None
    assert vmi.virtual_machine_interface_mac_addresses.mac_address == ["02:00:00:00:01:03"]
    assert vmi.id_perms is not None
    assert vmi.id_perms.description is None


def test_names_of_root_types_are_not_split() -> None:
    xml = '<node type="route-target"><name>target:64512:8000001</name></node>'
    assert from_ifmap("route-target", ElementTree.fromstring(xml)).fq_name == [
        "target:64512:8000001"
    ]
    xml = '<node type="tag"><name>site=berlin</name></node>'
    assert from_ifmap("tag", ElementTree.fromstring(xml)).fq_name == ["site=berlin"]


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<node/>", "the node has no name"),
        ("<node><name>a:b</name><mtu>x</mtu></node>", "an integer of 64 bits expected"),
        (f"<node><name>a:b</name><mtu>{2**70}</mtu></node>", "an integer of 64 bits expected"),
        ("<node><name>a:b</name><is-shared>maybe</is-shared></node>", "true or false expected"),
    ],
)
def test_values_of_another_type_are_refused(xml: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        from_ifmap("virtual-network", ElementTree.fromstring(xml))


def test_an_attribute_node_without_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="has no value"):
        attr_from_ifmap(PolicyBasedForwardingRuleType, ElementTree.fromstring("<node/>"))


def with_defaults(value: Complex) -> Complex:
    """The value as a reader of the XML sees it."""
    said = {}
    for name, field in fields_of(type(value)).items():
        item = getattr(value, name)
        said[name] = seen(field, field.default if item is None else item)
    return type(value)(**said)


def seen(field: Field, value: Any) -> Any:
    if value is None or field.struct is None:
        return value
    return [with_defaults(item) for item in value] if field.many else with_defaults(value)


ROUND_TRIP = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ROUND_TRIP
@given(resources())
def test_properties_survive_the_way_to_a_host(resource: Resource) -> None:
    declared = type_of(resource)
    upper, lower = split_uuid(resource.uuid)
    resource.id_perms = IdPermsType(uuid=UuidType(uuid_mslong=upper, uuid_lslong=lower))
    back = from_ifmap(declared.name, ElementTree.fromstring(node(resource)))
    assert (back.uuid, back.fq_name) == (resource.uuid, resource.fq_name)
    for name, field in declared.properties.items():
        assert getattr(back, name) == seen(field, getattr(resource, name))


@ROUND_TRIP
@given(st.data())
def test_attributes_survive_the_way_to_a_host(data: st.DataObject) -> None:
    attrs = {
        reference.attr.__name__: reference.attr
        for declared in RESOURCE_TYPES.values()
        for reference in declared.references.values()
        if reference.attr is not None
    }
    cls = attrs[data.draw(st.sampled_from(sorted(attrs)))]
    attr = data.draw(complexes(cls))
    element = ElementTree.fromstring(attr_node("m", "a", "b", attr))
    assert attr_from_ifmap(cls, element) == with_defaults(attr)


tags = st.sampled_from(
    sorted({element_name(name) for t in RESOURCE_TYPES.values() for name in t.properties} | {"x"})
)


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> ElementTree.Element:
    element = ElementTree.Element(draw(tags))
    element.text = draw(st.none() | st.text(max_size=5) | st.integers().map(str))
    if depth:
        element.extend(draw(st.lists(elements(depth=depth - 1), max_size=3)))
    return element


@ROUND_TRIP
@given(elements(), st.sampled_from(sorted(RESOURCE_TYPES)))
def test_any_element_is_read_or_refused(element: ElementTree.Element, type_: str) -> None:
    ElementTree.SubElement(element, "name").text = "a:b"
    with suppress(ValidationError):
        from_ifmap(type_, element)


@pytest.mark.parametrize("type_", sorted(RESOURCE_TYPES))
def test_everything_that_a_type_can_say_reaches_a_host(type_: str) -> None:
    declared = resource_type(type_)
    name = ["a", "b"] if declared.has_parents else ["a"]
    said = decode(type_, {"fq_name": name, **full(declared)})
    read = to_fields(from_ifmap(type_, ElementTree.fromstring(node(said))))
    assert said.id_perms is not None
    assert {**read, "uuid": ""} == {**to_fields(said), "uuid": ""}
    for reference in declared.references.values():
        if reference.attr is not None:
            value = complex_value(reference.attr, 0)
            attr = validate_attr(type_, reference.field, value)
            xml = attr_node(reference.link, "a", "b", attr)
            assert attr_from_ifmap(reference.attr, ElementTree.fromstring(xml)) == attr
