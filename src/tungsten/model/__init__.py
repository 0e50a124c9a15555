"""The model: what can be said to the system, as typed Python.

Every resource type is a class (:mod:`tungsten.model.base`), in a module per area:

========================================  =====================================================
:mod:`~tungsten.model.system`             global-system-config, domain, project
:mod:`~tungsten.model.hosts`              global-vrouter-config, virtual-router, virtual-machine
:mod:`~tungsten.model.networks`           virtual-network, logical-router
:mod:`~tungsten.model.addresses`          network-ipam, instance-ip, floating-ip, floating-ip-pool
:mod:`~tungsten.model.interfaces`         virtual-machine-interface
:mod:`~tungsten.model.security`           security-group, network-policy, access-control-list, tag
:mod:`~tungsten.model.routing`            routing-instance, route-target, route tables
:mod:`~tungsten.model.bgp`                bgp-router
:mod:`~tungsten.model.services`           service-instance, port-tuple
:mod:`~tungsten.model.dns`                virtual-DNS
========================================  =====================================================

Values that areas share are in ``common``, ``addressing``, ``routes`` and ``traffic``; restricted
strings and integers in ``scalars``. Reading what clients send is
:mod:`tungsten.model.validation`; the form in which hosts get their configuration is
:mod:`tungsten.model.ifmap`.
"""

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
    "decode",
    "effective",
    "encode",
    "fields_of",
    "parent_link",
    "resource_type",
    "to_fields",
    "type_of",
    "validate",
    "validate_attr",
    "validate_element",
    "validate_property",
]
