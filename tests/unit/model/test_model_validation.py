"""What is accepted from clients, in which normal form, and how the rest is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.model.model_strategies import resources

from tungsten.model import (
    RESOURCE_TYPES,
    Resource,
    UnknownType,
    ValidationError,
    decode,
    encode,
    to_fields,
    type_of,
    validate_attr,
    validate_element,
    validate_property,
)
from tungsten.model.routes import CommunityAttributes


def read(fields: dict[str, Any], type_: str = "virtual-network") -> Any:
    return decode(type_, fields)


def refused(fields: Any, type_: str = "virtual-network") -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        decode(type_, fields)
    assert caught.value.type == type_
    return caught.value


def subnet(prefix: Any, length: Any) -> dict[str, Any]:
    attr = {"ipam_subnets": [{"subnet": {"ip_prefix": prefix, "ip_prefix_len": length}}]}
    return {"network_ipam_refs": [{"to": ["i"], "attr": attr}]}


def test_a_typical_create_is_read() -> None:
    vn = read(
        {
            "uuid": None,
            "fq_name": ["default-domain", "p1", "vn1"],
            "parent_type": "project",
            "network_ipam_refs": [
                {
                    "to": ["default-domain", "default-project", "default-network-ipam"],
                    "attr": {
                        "ipam_subnets": [
                            {
                                "subnet": {"ip_prefix": "10.0.1.0", "ip_prefix_len": 24},
                                "default_gateway": None,
                                "enable_dhcp": True,
                                "dns_nameservers": [],
                                "alloc_unit": 1,
                            }
                        ],
                        "host_routes": None,
                    },
                }
            ],
        }
    )
    assert (vn.uuid, vn.name, vn.parent_type) == ("", "vn1", "project")
    (ipam,) = vn.network_ipam_refs
    (found,) = ipam.attr.ipam_subnets
    assert (found.subnet.ip_prefix, found.dns_nameservers, found.enable_dhcp) == (
        "10.0.1.0",
        [],
        True,
    )


def test_what_the_type_does_not_have_is_dropped_at_the_top() -> None:
    vn = read({"name": "x", "href": "http://x", "instance_ip_back_refs": [{}], "mtu": 1500})
    assert to_fields(vn) == {"mtu": 1500}


def test_what_a_complex_type_does_not_have_is_refused() -> None:
    error = refused({"virtual_network_properties": {"forwarding_mod": "l2"}})
    assert error.path == ("virtual_network_properties", "forwarding_mod")
    assert "VirtualNetworkType does not have field forwarding_mod" in error.reason
    assert "forwarding_mode" in error.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mtu": 70000}, "value must be between 0 and 9216"),
        ({"mtu": "abc"}, "integer value expected instead of abc"),
        ({"mtu": 1.5}, "integer value expected instead of 1.5"),
        ({"mtu": True}, "integer value expected instead of True"),
        ({"mtu": [1]}, r"integer value expected instead of \[1\]"),
        ({"mtu": float("inf")}, "integer value expected instead of inf"),
        ({"mtu": "9" * 5000}, "integer value expected"),
        ({"virtual_network_network_id": 2**64}, "value must be between"),
        ({"is_shared": "yes"}, "true/false expected instead of yes"),
        ({"is_shared": 1}, "true/false expected instead of 1"),
        ({"display_name": 5}, "string value expected instead of 5"),
        ({"display_name": "\ud800"}, "no lone surrogates"),
        (
            {"virtual_network_category": "x"},
            r"value must be one of \['infra', 'tenant', 'internal', 'routed'\]",
        ),
        ({"route_target_list": {"route_target": "x"}}, "Field route_target must be a list"),
        ({"route_target_list": "x"}, "an object of type RouteTargetList expected"),
        ({"network_ipam_refs": {"to": ["a"]}}, "Field network_ipam_refs must be a list"),
        ({"network_ipam_refs": ["a"]}, "an object with to or uuid, and attr, expected"),
        ({"network_ipam_refs": [{"attr": None}]}, "to or uuid of a network-ipam expected"),
        ({"network_ipam_refs": [{"to": "a"}]}, "a list of names expected"),
        ({"network_ipam_refs": [{"to": ["a", ""]}]}, "a list of names expected"),
        ({"network_ipam_refs": [{"to": ["a"], "attr": 5}]}, "an object of type VnSubnetsType"),
        ({"qos_config_refs": [{"to": ["a"], "attr": {"x": 1}}]}, "has no attributes"),
        ({"fq_name": "a:b"}, "a list of names expected"),
        ({"uuid": 5}, "string value expected instead of 5"),
        ({"parent_type": ["project"]}, "string value expected"),
        (subnet("10.0.1.0", 33), "Subnet type '10.0.1.0/33' is invalid"),
        (subnet("10.0.1", 24), "Subnet type '10.0.1/24' is invalid"),
        (subnet("10.0.1.0", None), "Subnet type '10.0.1.0/None' is invalid"),
    ],
)
def test_refusals_say_what_would_be_accepted(fields: dict[str, Any], reason: str) -> None:
    error = refused(fields)
    assert error.field == next(iter(fields))
    with pytest.raises(ValidationError, match=reason):
        decode("virtual-network", fields)


def test_the_error_leads_to_the_value() -> None:
    error = refused(subnet("10.0.1.0", 33))
    assert error.field_path == "network_ipam_refs[0].attr.ipam_subnets[0].subnet"
    assert (error.field, error.leaf) == ("network_ipam_refs", "subnet")
    assert str(error).startswith("virtual-network network_ipam_refs[0].attr.ipam_subnets[0]")


def test_integers_may_come_as_text() -> None:
    assert read({"mtu": "9000"}).mtu == 9000
    assert read({"mtu": 9000.0}).mtu == 9000


def test_false_values_are_not_checked() -> None:
    vn = read(
        {
            "mtu": "",
            "virtual_network_properties": {"vxlan_network_identifier": 0, "forwarding_mode": ""},
            "is_shared": 0,
            "display_name": "",
            "route_target_list": [],
            "network_ipam_refs": None,
            "virtual_network_category": "",
        }
    )
    assert to_fields(vn) == {
        "virtual_network_properties": {"vxlan_network_identifier": 0},
        "display_name": "",
    }


def test_an_empty_attribute_is_kept() -> None:
    vn = read({"network_policy_refs": [{"attr": {}, "to": ["d", "p", "n"]}]})
    assert json.loads(encode(vn)) == {"network_policy_refs": [{"to": ["d", "p", "n"], "attr": {}}]}


def test_false_and_empty_lists_are_kept() -> None:
    vn = read({"is_shared": False, "route_target_list": {"route_target": []}})
    assert json.loads(encode(vn)) == {"is_shared": False, "route_target_list": {"route_target": []}}


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (("10.0.1.7", 24), ("10.0.1.0", 24)),
        (("10.0.1.7", "24"), ("10.0.1.0", 24)),
        (("2001:DB8::1", 64), ("2001:db8::", 64)),
        (("1.2.3.4", 0), ("0.0.0.0", 0)),
        (("", 0), ("", 0)),
    ],
)
def test_subnets_are_brought_to_the_network(given: tuple[Any, Any], normal: Any) -> None:
    (ref,) = read(subnet(*given)).network_ipam_refs
    found = ref.attr.ipam_subnets[0].subnet
    assert (found.ip_prefix, found.ip_prefix_len) == normal


@pytest.mark.parametrize(
    ("prefix", "length", "reason"),
    [
        ("10.0.0.0", 24, None),
        ("10.0.0.0", 16, "IPv4 Prefix length lesser than 24:it is 16 - is not acceptable"),
        ("2001:db8::", 120, None),
        ("2001:db8::", 64, "IPv6 Prefix length lesser than 120:it is 64 - is not acceptable"),
    ],
)
def test_active_standby_pairs_stand_for_few_addresses(
    prefix: str, length: int, reason: str | None
) -> None:
    pair = {"ip": {"ip_prefix": prefix, "ip_prefix_len": length}, "address_mode": "active-standby"}
    fields = {"virtual_machine_interface_allowed_address_pairs": {"allowed_address_pair": [pair]}}
    if reason is None:
        decode("virtual-machine-interface", fields)
    else:
        assert refused(fields, "virtual-machine-interface").reason == reason


@pytest.mark.parametrize(
    ("community", "accepted"),
    [
        ("64512:100", True),
        ("*:*", True),
        ("6451*:1", True),
        ("no-export", True),
        ("70000:1", False),
        ("a:b", False),
        ("64512", False),
    ],
)
def test_communities(community: str, accepted: bool) -> None:
    route = {"prefix": "0/0", "community_attributes": {"community_attribute": [community]}}
    fields = {"routes": {"route": [route]}}
    if accepted:
        table: Any = decode("route-table", fields)
        assert table.routes.route[0].community_attributes == CommunityAttributes(
            community_attribute=[community]
        )
    else:
        assert refused(fields, "route-table").leaf == "community_attribute"


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("left", True), ("other", True), ("other12", True), ("othr", False), ("left1", False)],
)
def test_service_interface_kinds(kind: str, accepted: bool) -> None:
    fields = {"virtual_machine_interface_properties": {"service_interface_type": kind}}
    if accepted:
        decode("virtual-machine-interface", fields)
    else:
        reason = refused(fields, "virtual-machine-interface").reason
        assert "management, left, right or other<number>" in reason


def test_addresses_are_addresses() -> None:
    parameters = {"autonomous_system": 1, "identifier": "1.2.3.4", "address": "2001:db8::1"}
    decode("bgp-router", {"bgp_router_parameters": parameters})
    parameters["identifier"] = "1.2.3"
    error = refused({"bgp_router_parameters": parameters}, "bgp-router")
    assert error.leaf == "identifier"


def test_lists_have_a_length() -> None:
    keys = {"key_type": "md5", "key_items": [{"key_id": n, "key": "k"} for n in range(3)]}
    error = refused({"bgp_router_parameters": {"auth_data": keys}}, "bgp-router")
    assert error.reason == "at most 2 elements are accepted"


@pytest.mark.parametrize("tag_id", ["0x00010000", "0x0001000000ff"])
def test_tag_ids_have_eight_digits_or_twelve(tag_id: str) -> None:
    decode("tag", {"tag_id": tag_id})
    refused({"tag_id": tag_id + "0"}, "tag")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b'{"mtu":\xff}', b"[" * 100_000])
def test_malformed_json_is_refused(data: bytes) -> None:
    assert refused(data).path == ()


def test_an_unknown_type_cannot_be_read() -> None:
    with pytest.raises(UnknownType):
        decode("virtual-netwrk", {})


def test_parts_can_be_validated_alone() -> None:
    assert validate_property("virtual-network", "mtu", "1500") == 1500
    with pytest.raises(KeyError):
        validate_property("virtual-network", "mtuu", 1)
    pair = validate_element("virtual-network", "annotations", {"key": "a", "value": "b"})
    assert (pair.key, pair.value) == ("a", "b")
    with pytest.raises(KeyError):
        validate_element("virtual-network", "mtu", 1)
    with pytest.raises(ValidationError):
        validate_element("virtual-network", "annotations", {"kye": "a"})
    assert validate_attr("virtual-network", "qos_config_refs", None) is None
    with pytest.raises(ValidationError, match="has no attributes"):
        validate_attr("virtual-network", "qos_config_refs", {"a": 1})
    attr = validate_attr("virtual-network", "network_policy_refs", {"sequence": {"major": "1"}})
    assert attr.sequence.major == 1


def test_what_was_once_stored_is_read_whatever_the_limits_say_now() -> None:
    stored = b'{"mtu":70000,"virtual_network_category":"new","virtual_network_properties":{"n":1}}'
    vn: Any = decode("virtual-network", stored, strict=False)
    assert (vn.mtu, vn.virtual_network_category) == (70000, "new")
    with pytest.raises(ValidationError):
        decode("virtual-network", b'{"mtu":"x"}', strict=False)


ROUND_TRIP = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ROUND_TRIP
@given(resources())
def test_every_resource_survives_encode_and_decode(resource: Resource) -> None:
    name = type_of(resource).name
    assert decode(name, encode(resource)) == resource
    assert decode(name, encode(resource), strict=False) == resource
    assert decode(name, to_fields(resource)) == resource


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@ROUND_TRIP
@given(st.data())
def test_any_input_is_read_or_refused_and_what_is_read_can_be_written(data: st.DataObject) -> None:
    declared = RESOURCE_TYPES[data.draw(st.sampled_from(sorted(RESOURCE_TYPES)))]
    names = [*declared.cls.__struct_fields__]
    fields: dict[str, Any] = {}
    for name in data.draw(st.lists(st.sampled_from(names), max_size=4, unique=True)):
        field = declared.properties.get(name)
        if field is not None and field.struct is not None and field.struct.__struct_fields__:
            inside = st.sampled_from(list(field.struct.__struct_fields__))
            fields[name] = data.draw(st.dictionaries(inside, json_values, max_size=3) | json_values)
        else:
            fields[name] = data.draw(json_values)
    with suppress(ValidationError):
        resource = decode(declared.name, fields)
        assert decode(declared.name, encode(resource), strict=False) == resource


@ROUND_TRIP
@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for strict in (True, False):
        with suppress(ValidationError):
            decode("project", data, strict=strict)


@pytest.mark.parametrize(
    "auth",
    [
        "canary",
        {"key_type": "canary"},
        {"key_type": "md5", "key_items": "canary"},
        {"key_type": "md5", "key_items": ["canary"]},
        {"key_type": "md5", "key_items": [{"key_id": "canary"}]},
        {"key_type": "md5", "key_items": [{"key_id": 0, "key": ["canary"]}]},
    ],
)
def test_a_refused_secret_is_not_told(auth: Any) -> None:
    error = refused({"bgp_router_parameters": {"auth_data": auth}}, "bgp-router")
    assert "canary" not in f"{error} {error.value} {error.reason}"
    assert "auth_data" in str(error)
