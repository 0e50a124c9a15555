"""What the declarations say of types, their parents, children, references and collections."""

# ruff: noqa: RUF012 - a Struct copies the lists that its fields default to

from __future__ import annotations

from typing import Annotated

import pytest

from tungsten.model import (
    RESOURCE_TYPES,
    ListOf,
    MapOf,
    Parent,
    Ref,
    Resource,
    UnknownType,
    VirtualNetwork,
    effective,
    parent_link,
    resource_type,
    type_of,
)
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.base import ResourceType
from tungsten.model.fields import Complex, Kind, Required, SystemOnly, To, fields_of, read_field

SERVED = """access-control-list address-group alarm alias-ip alias-ip-pool analytics-alarm-node
analytics-node analytics-snmp-node api-access-list application-policy-set bgp-as-a-service
bgp-router bgpvpn bridge-domain card cli-config config-database-node config-node config-properties
config-root control-node-zone customer-attachment data-center-interconnect database-node
device-chassis device-functional-group device-image devicemgr-node discovery-service-assignment
domain dsa-rule e2-service-provider fabric fabric-namespace feature feature-config feature-flag
firewall-policy firewall-rule floating-ip floating-ip-pool flow-node forwarding-class
global-analytics-config global-qos-config global-system-config global-vrouter-config grpc-profile
hardware hardware-inventory host-based-service instance-ip intent-map interface-route-table
job-template link-aggregation-group loadbalancer loadbalancer-healthmonitor loadbalancer-listener
loadbalancer-member loadbalancer-pool logical-interface logical-router multicast-policy namespace
netconf-profile network-device-config network-ipam network-policy node node-profile overlay-role
peering-policy physical-interface physical-role physical-router policy-management port port-group
port-profile port-tuple project provider-attachment qos-config qos-queue role-config
role-definition route-aggregate route-table route-target routing-instance routing-policy
security-group security-logging-object service-appliance service-appliance-set
service-connection-module service-endpoint service-group service-health-check service-instance
service-object service-template sflow-profile snmp-profile storm-control-profile
structured-syslog-application-record structured-syslog-config structured-syslog-hostname-record
structured-syslog-message structured-syslog-sla-profile structured-syslog-tenant-record
sub-cluster subnet tag tag-type telemetry-profile virtual-DNS virtual-DNS-record virtual-ip
virtual-machine virtual-machine-interface virtual-network virtual-port-group virtual-router
webui-node"""

ROOTS = """card config-root customer-attachment device-chassis discovery-service-assignment
domain e2-service-provider global-system-config hardware instance-ip network-device-config
peering-policy provider-attachment route-target service-connection-module service-endpoint
service-object sub-cluster subnet tag-type virtual-machine"""


@pytest.fixture
def registry() -> object:
    """The registry, as it was before the test, after it."""
    saved = dict(RESOURCE_TYPES)
    yield
    RESOURCE_TYPES.clear()
    RESOURCE_TYPES.update(saved)


def test_the_served_types_are_declared() -> None:
    assert set(RESOURCE_TYPES) == set(SERVED.split())


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownType, match="'virtual-netwrk' is not a resource type"):
        resource_type("virtual-netwrk")


def test_names_of_a_type_keep_the_capitals_of_virtual_dns() -> None:
    dns = resource_type("virtual-DNS")
    assert (dns.object_type, dns.plural) == ("virtual_DNS", "virtual-DNSs")
    assert resource_type("network-policy").plural == "network-policys"
    assert type_of(VirtualNetwork()) is resource_type("virtual-network")


def test_root_types_hang_below_nothing() -> None:
    roots = {name for name, declared in RESOURCE_TYPES.items() if not declared.has_parents}
    assert roots == set(ROOTS.split())
    assert resource_type("tag").may_be_root
    assert resource_type("tag").has_parents
    assert not resource_type("virtual-network").may_be_root


def test_every_type_has_the_common_properties_and_tags() -> None:
    for declared in RESOURCE_TYPES.values():
        assert {"id_perms", "perms2", "annotations", "display_name"} <= declared.properties.keys()
        assert declared.references["tag_refs"].link == f"{declared.name}-tag"
        assert not {"uuid", "fq_name", "parent_type", "parent_uuid"} & declared.properties.keys()


def test_presence_collections_and_defaults_are_read() -> None:
    vmi = resource_type("virtual-machine-interface")
    assert vmi.properties["virtual_machine_interface_mac_addresses"].required
    assert vmi.properties["vrf_assign_table"].system_only
    assert vmi.references["virtual_network_refs"].required
    assert vmi.references["routing_instance_refs"].system_only
    bindings = vmi.properties["virtual_machine_interface_bindings"]
    assert bindings.collection == MapOf("key_value_pair", key="key")
    ipam = resource_type("network-ipam").properties["ipam_subnets"]
    assert ipam.collection == ListOf("subnets")
    assert ipam.type_name == "IpamSubnets"
    assert resource_type("virtual-network").properties["mac_aging_time"].default == 300


def test_references_know_target_attribute_link_and_strength() -> None:
    vn = resource_type("virtual-network").references
    assert vn["network_ipam_refs"].target == "network-ipam"
    assert vn["network_ipam_refs"].attr is VnSubnetsType
    assert not vn["network_ipam_refs"].weak
    assert vn["virtual_network_refs"].symmetric
    assert vn["virtual_network_refs"].weak
    assert vn["virtual_network_refs"].link == "virtual-network-provider-network"
    vm = resource_type("virtual-machine").references
    assert vm["service_instance_refs"].derived
    assert vm["service_instance_refs"].weak


@pytest.mark.usefixtures("registry")
def test_a_reference_may_point_to_a_type_that_nobody_serves() -> None:
    class Pointing(Resource, type="pointing"):
        elsewhere_refs: Annotated[list[Ref[None]], To("elsewhere")] = []

    assert resource_type("pointing").references["elsewhere_refs"].target == "elsewhere"
    assert "elsewhere" not in RESOURCE_TYPES


def test_children_and_back_references_come_from_the_others() -> None:
    vn = resource_type("virtual-network")
    assert {name: child.derived for name, child in vn.children.items()} == {
        "alias_ip_pools": False,
        "bridge_domains": False,
        "floating_ip_pools": False,
        "routing_instances": True,
        "access_control_lists": True,
    }
    assert "instance_ip_back_refs" in vn.back_references
    assert "virtual_network_back_refs" not in vn.back_references
    assert resource_type("service-instance").children["port_tuples"].derived
    assert resource_type("tag").back_references.keys() == {
        f"{declared.object_type}_back_refs"
        for declared in RESOURCE_TYPES.values()
        if declared.name != "tag"
    }


def test_links_have_their_own_names_where_the_graph_has_them() -> None:
    bgp = resource_type("bgp-router")
    assert parent_link(bgp, "routing-instance") == "instance-bgp-router"
    assert bgp.references["bgp_router_refs"].link == "bgp-peering"
    assert parent_link(resource_type("tag"), "project") == "project-scoped-tag"
    assert parent_link(resource_type("virtual-network"), "project") == "project-virtual-network"


def test_every_complex_type_and_resource_says_what_it_is() -> None:
    seen: set[type] = set()

    def walk(cls: type[Complex]) -> None:
        if cls in seen:
            return
        seen.add(cls)
        assert cls.__doc__
        for field in fields_of(cls).values():
            if field.struct:
                walk(field.struct)

    for declared in RESOURCE_TYPES.values():
        assert declared.cls.__doc__
        for field in declared.properties.values():
            if field.struct:
                walk(field.struct)
    assert len(seen) > 190


def test_effective_gives_the_schema_default_for_what_was_not_said() -> None:
    subnet = IpamSubnetType()
    assert effective(subnet, "enable_dhcp") is True
    assert effective(IpamSubnetType(enable_dhcp=False), "enable_dhcp") is False
    assert effective(subnet, "subnet_name") is None


@pytest.mark.usefixtures("registry")
def test_a_type_is_declared_in_a_few_lines() -> None:
    class Widget(Resource, type="widget", parents=("project", Parent("domain", link="d-w"))):
        """A thing."""

        size: Annotated[int | None, Required] = None
        virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network"), SystemOnly] = []

    widget = resource_type("widget")
    assert isinstance(widget, ResourceType)
    assert widget.cls is Widget
    assert widget.properties["size"].kind is Kind.INTEGER
    assert widget.references["virtual_network_refs"].link == "widget-virtual-network"
    assert parent_link(widget, "domain") == "d-w"
    with pytest.raises(TypeError, match="declared twice"):

        class Again(Resource, type="widget"):
            """Another."""


def test_a_field_of_a_type_unknown_to_the_model_is_refused() -> None:
    with pytest.raises(TypeError, match="field x has type"):
        read_field("x", float | None)
