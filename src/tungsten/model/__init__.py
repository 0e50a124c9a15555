"""The model: what can be said to the system, as typed Python.

Every resource type is a class (:mod:`tungsten.model.base`), in a module per area:

========================================  ==========================================================
:mod:`~tungsten.model.system`             config-root, global-system-config, domain, project,
                                          namespace, feature-flag, config-properties
:mod:`~tungsten.model.access`             api-access-list, discovery-service-assignment, dsa-rule
:mod:`~tungsten.model.nodes`              config-node, database-node, analytics-node and the other
                                          servers, control-node-zone, sub-cluster
:mod:`~tungsten.model.hosts`              global-vrouter-config, virtual-router, virtual-machine
:mod:`~tungsten.model.networks`           virtual-network, logical-router, bridge-domain,
                                          multicast-policy
:mod:`~tungsten.model.addresses`          network-ipam, instance-ip, subnet, floating and alias IPs
                                          with their pools
:mod:`~tungsten.model.interfaces`         virtual-machine-interface
:mod:`~tungsten.model.security`           security-group, network-policy, access-control-list, tag,
                                          tag-type
:mod:`~tungsten.model.firewall`           policy-management, firewall rules, policies and policy
                                          sets, service and address groups
:mod:`~tungsten.model.session_logging`    security-logging-object
:mod:`~tungsten.model.qos`                global-qos-config, qos-config, forwarding-class, qos-queue
:mod:`~tungsten.model.routing`            routing-instance, route-target, route-table,
                                          interface-route-table
:mod:`~tungsten.model.routing_policies`   routing-policy, route-aggregate
:mod:`~tungsten.model.bgp`                bgp-router
:mod:`~tungsten.model.bgpaas`             bgp-as-a-service
:mod:`~tungsten.model.vpns`               bgpvpn, customer-attachment, provider-attachment
:mod:`~tungsten.model.services`           service-instance, port-tuple, host-based-service
:mod:`~tungsten.model.service_templates`  service-template, service-appliance, service-appliance-set
:mod:`~tungsten.model.health`             service-health-check
:mod:`~tungsten.model.loadbalancers`      loadbalancer with listeners, pools, members, monitors,
                                          virtual-ip
:mod:`~tungsten.model.dns`                virtual-DNS, virtual-DNS-record
:mod:`~tungsten.model.fabric`             fabric, fabric-namespace, virtual-port-group,
                                          data-center-interconnect, intent-map,
                                          device-functional-group
:mod:`~tungsten.model.roles`              physical-role, overlay-role, role-definition, role-config,
                                          feature, feature-config, node-profile
:mod:`~tungsten.model.physical`           physical-router, its interfaces, link-aggregation-group,
                                          cli-config, hardware-inventory
:mod:`~tungsten.model.hardware`           hardware, card, device-chassis, device-image
:mod:`~tungsten.model.profiles`           port-profile, storm-control-profile, telemetry profiles
:mod:`~tungsten.model.servers`            node, port, port-group
:mod:`~tungsten.model.jobs`               job-template
:mod:`~tungsten.model.edge`               service-endpoint and what else the provider's edge
                                          consists of
:mod:`~tungsten.model.alarms`             alarm
:mod:`~tungsten.model.syslog`             structured-syslog-config and its records
========================================  ==========================================================

Values that areas share are in ``common``, ``addressing``, ``routes`` and ``traffic``; restricted
strings and integers in ``scalars``. The classes of the types that most code deals with can be
imported from here, the others from their modules. Reading what clients send is
:mod:`tungsten.model.validation`; the form in which hosts get their configuration is
:mod:`tungsten.model.ifmap`.
"""

from tungsten.model import (
    access,
    alarms,
    bgpaas,
    edge,
    fabric,
    firewall,
    hardware,
    health,
    jobs,
    loadbalancers,
    nodes,
    physical,
    profiles,
    qos,
    roles,
    routing_policies,
    servers,
    service_templates,
    session_logging,
    syslog,
    vpns,
)
from tungsten.model.addresses import FloatingIp, FloatingIpPool, InstanceIp, NetworkIpam
from tungsten.model.base import (
    RESOURCE_TYPES,
    ROOT,
    BackReference,
    Child,
    Parent,
    Ref,
    Reference,
    Resource,
    ResourceType,
    parent_link,
    resource_type,
    type_of,
)
from tungsten.model.bgp import BgpRouter
from tungsten.model.dns import VirtualDns
from tungsten.model.errors import ModelError, UnknownType, ValidationError
from tungsten.model.fields import Complex, Field, Kind, ListOf, MapOf, effective, fields_of
from tungsten.model.hosts import GlobalVrouterConfig, VirtualMachine, VirtualRouter
from tungsten.model.interfaces import VirtualMachineInterface
from tungsten.model.networks import LogicalRouter, VirtualNetwork
from tungsten.model.routing import (
    InterfaceRouteTable,
    RouteTable,
    RouteTarget,
    RoutingInstance,
)
from tungsten.model.security import AccessControlList, NetworkPolicy, SecurityGroup, Tag
from tungsten.model.services import PortTuple, ServiceInstance
from tungsten.model.system import Domain, GlobalSystemConfig, Project
from tungsten.model.validation import (
    decode,
    encode,
    to_fields,
    validate,
    validate_attr,
    validate_element,
    validate_property,
)

#: A property of a type, under the name that callers know.
Property = Field

__all__ = [
    "RESOURCE_TYPES",
    "ROOT",
    "AccessControlList",
    "BackReference",
    "BgpRouter",
    "Child",
    "Complex",
    "Domain",
    "Field",
    "FloatingIp",
    "FloatingIpPool",
    "GlobalSystemConfig",
    "GlobalVrouterConfig",
    "InstanceIp",
    "InterfaceRouteTable",
    "Kind",
    "ListOf",
    "LogicalRouter",
    "MapOf",
    "ModelError",
    "NetworkIpam",
    "NetworkPolicy",
    "Parent",
    "PortTuple",
    "Project",
    "Property",
    "Ref",
    "Reference",
    "Resource",
    "ResourceType",
    "RouteTable",
    "RouteTarget",
    "RoutingInstance",
    "SecurityGroup",
    "ServiceInstance",
    "Tag",
    "UnknownType",
    "ValidationError",
    "VirtualDns",
    "VirtualMachine",
    "VirtualMachineInterface",
    "VirtualNetwork",
    "VirtualRouter",
    "access",
    "alarms",
    "bgpaas",
    "decode",
    "edge",
    "effective",
    "encode",
    "fabric",
    "fields_of",
    "firewall",
    "hardware",
    "health",
    "jobs",
    "loadbalancers",
    "nodes",
    "parent_link",
    "physical",
    "profiles",
    "qos",
    "resource_type",
    "roles",
    "routing_policies",
    "servers",
    "service_templates",
    "session_logging",
    "syslog",
    "to_fields",
    "type_of",
    "validate",
    "validate_attr",
    "validate_element",
    "validate_property",
    "vpns",
]
