"""Load balancers: addresses, listeners, pools, members and their health.

A *load balancer* has listeners, each of which has a pool of members; a *virtual IP* with a pool
is the older form of the same.
"""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.common import KeyValuePairs
from tungsten.model.fields import Complex, Default, Required, SystemOnly, To
from tungsten.model.scalars import (
    HealthmonitorType,
    IpAddressType,
    LoadbalancerMethodType,
    LoadbalancerProtocolType,
    SessionPersistenceType,
    UuidStringType,
)


class LoadbalancerType(Complex):
    """A load balancer's address and state."""

    status: str | None = None
    provisioning_status: str | None = None
    operating_status: str | None = None
    vip_subnet_id: UuidStringType | None = None
    vip_address: IpAddressType | None = None
    admin_state: Annotated[bool | None, Default(True)] = None


class Loadbalancer(Resource, type="loadbalancer", parents=("project",)):
    """An address whose traffic is spread over servers."""

    loadbalancer_properties: Annotated[LoadbalancerType | None, Required] = None
    #: Who makes it work: the name of a service appliance set.
    loadbalancer_provider: str | None = None
    service_appliance_set_refs: Annotated[list[Ref[None]], To("service-appliance-set")] = []
    service_instance_refs: Annotated[list[Ref[None]], To("service-instance"), SystemOnly] = []
    virtual_machine_interface_refs: Annotated[
        list[Ref[None]], To("virtual-machine-interface"), SystemOnly
    ] = []


class LoadbalancerListenerType(Complex):
    """What a listener takes."""

    protocol: LoadbalancerProtocolType | None = None
    protocol_port: int | None = None
    admin_state: Annotated[bool | None, Default(True)] = None
    connection_limit: int | None = None
    default_tls_container: str | None = None
    sni_containers: list[str] | None = None


class LoadbalancerListener(Resource, type="loadbalancer-listener", parents=("project",)):
    """A protocol and port of a load balancer."""

    loadbalancer_listener_properties: LoadbalancerListenerType | None = None
    loadbalancer_refs: Annotated[list[Ref[None]], To("loadbalancer")] = []


class LoadbalancerHealthmonitorType(Complex):
    """What is checked, how often, and when a member counts as failed; times in seconds."""

    admin_state: Annotated[bool | None, Default(True)] = None
    monitor_type: HealthmonitorType | None = None
    delay: int | None = None
    timeout: int | None = None
    max_retries: int | None = None
    http_method: str | None = None
    url_path: str | None = None
    #: Such as ``200``, ``200,202`` or ``200-204``.
    expected_codes: str | None = None


class LoadbalancerHealthmonitor(Resource, type="loadbalancer-healthmonitor", parents=("project",)):
    """How it is known that the members of a pool work."""

    loadbalancer_healthmonitor_properties: Annotated[
        LoadbalancerHealthmonitorType | None, Required
    ] = None


class LoadbalancerPoolType(Complex):
    """How traffic is spread over the members."""

    status: str | None = None
    status_description: str | None = None
    admin_state: Annotated[bool | None, Default(True)] = None
    protocol: LoadbalancerProtocolType | None = None
    loadbalancer_method: LoadbalancerMethodType | None = None
    subnet_id: UuidStringType | None = None
    session_persistence: SessionPersistenceType | None = None
    persistence_cookie_name: str | None = None


class LoadbalancerPool(Resource, type="loadbalancer-pool", parents=("project",)):
    """Servers that share the traffic of a listener."""

    loadbalancer_pool_properties: Annotated[LoadbalancerPoolType | None, Required] = None
    loadbalancer_pool_provider: str | None = None
    loadbalancer_pool_custom_attributes: KeyValuePairs | None = None
    service_instance_refs: Annotated[list[Ref[None]], To("service-instance"), SystemOnly] = []
    virtual_machine_interface_refs: Annotated[
        list[Ref[None]], To("virtual-machine-interface"), SystemOnly
    ] = []
    loadbalancer_listener_refs: Annotated[list[Ref[None]], To("loadbalancer-listener")] = []
    service_appliance_set_refs: Annotated[
        list[Ref[None]], To("service-appliance-set"), SystemOnly
    ] = []
    loadbalancer_healthmonitor_refs: Annotated[
        list[Ref[None]], To("loadbalancer-healthmonitor")
    ] = []


class LoadbalancerMemberType(Complex):
    """A server's address, port and share of the traffic."""

    admin_state: Annotated[bool | None, Default(True)] = None
    status: str | None = None
    status_description: str | None = None
    protocol_port: int | None = None
    weight: Annotated[int | None, Default(1)] = None
    address: IpAddressType | None = None
    subnet_id: UuidStringType | None = None


class LoadbalancerMember(Resource, type="loadbalancer-member", parents=("loadbalancer-pool",)):
    """A server of a pool."""

    loadbalancer_member_properties: Annotated[LoadbalancerMemberType | None, Required] = None


class VirtualIpType(Complex):
    """What a virtual IP takes."""

    address: IpAddressType | None = None
    status: str | None = None
    status_description: str | None = None
    admin_state: Annotated[bool | None, Default(True)] = None
    protocol: LoadbalancerProtocolType | None = None
    protocol_port: int | None = None
    connection_limit: int | None = None
    subnet_id: UuidStringType | None = None
    persistence_cookie_name: str | None = None
    persistence_type: SessionPersistenceType | None = None


class VirtualIp(Resource, type="virtual-ip", parents=("project",)):
    """An address and port that lead to a pool."""

    virtual_ip_properties: Annotated[VirtualIpType | None, Required] = None
    loadbalancer_pool_refs: Annotated[list[Ref[None]], To("loadbalancer-pool")] = []
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []
