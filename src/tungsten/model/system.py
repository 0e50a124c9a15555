"""The system as a whole, domains and projects."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import SubnetListType, SubnetType
from tungsten.model.base import Ref, Resource
from tungsten.model.common import KeyValuePairs, MACLimitControlType, MACMoveLimitControlType
from tungsten.model.fields import Complex, Default, MapOf, Required, SystemOnly, To
from tungsten.model.scalars import (
    AutonomousSystemType,
    EndOfRibTimeType,
    FeatureIdType,
    FeatureStateType,
    GracefulRestartTimeType,
    L4PortType,
    LongLivedGracefulRestartTimeType,
    MACAgingTime,
    RdClusterSeedType,
    RouteReplicationThresholdType,
    UniqueQuotaType,
    XmppHoldTimeType,
)


class GracefulRestartParametersType(Complex):
    """Graceful restart of BGP and XMPP; times in seconds."""

    enable: Annotated[bool | None, Default(False)] = None
    restart_time: Annotated[GracefulRestartTimeType | None, Default(300)] = None
    long_lived_restart_time: Annotated[LongLivedGracefulRestartTimeType | None, Default(300)] = None
    end_of_rib_timeout: Annotated[EndOfRibTimeType | None, Default(300)] = None
    bgp_helper_enable: Annotated[bool | None, Default(False)] = None
    xmpp_helper_enable: Annotated[bool | None, Default(False)] = None


class FastConvergenceParametersType(Complex):
    """Faster reaction to lost hosts; ``xmpp_hold_time`` in seconds."""

    enable: Annotated[bool | None, Default(False)] = None
    nh_reachability_check: Annotated[bool | None, Default(False)] = None
    xmpp_hold_time: Annotated[XmppHoldTimeType | None, Default(90)] = None


class PluginProperty(Complex):
    """A setting of an orchestrator plug-in."""

    property: str | None = None
    value: str | None = None


class PluginProperties(Complex):
    """Settings of orchestrator plug-ins."""

    plugin_property: list[PluginProperty] | None = None


class AsnRangeType(Complex):
    """A range of AS numbers."""

    asn_min: int | None = None
    asn_max: int | None = None


class DeviceFamilyListType(Complex):
    """Device families."""

    device_family: list[str] | None = None


class VendorHardwaresType(Complex):
    """Hardware models."""

    vendor_hardware: list[str] | None = None


class BGPaaServiceParametersType(Complex):
    """The ports that BGP as a service takes its sessions from."""

    port_start: Annotated[L4PortType | None, Default(50000)] = None
    port_end: Annotated[L4PortType | None, Default(50512)] = None


class UserDefinedLogStat(Complex):
    """A counter of log lines that match a pattern."""

    name: str | None = None
    pattern: str | None = None


class UserDefinedLogStatList(Complex):
    """Counters of log lines."""

    statlist: list[UserDefinedLogStat] | None = None


class GlobalSystemConfig(Resource, type="global-system-config", parents=("config-root",)):
    """Settings of the whole system. There is one."""

    #: The AS of all control nodes; automatic route targets begin with it.
    autonomous_system: Annotated[AutonomousSystemType | None, Required] = None
    #: AS numbers may be above 65535.
    enable_4byte_as: Annotated[bool | None, Default(False)] = None
    config_version: Annotated[str | None, SystemOnly] = None
    graceful_restart_parameters: GracefulRestartParametersType | None = None
    fast_convergence_parameters: FastConvergenceParametersType | None = None
    plugin_tuning: PluginProperties | None = None
    data_center_interconnect_loopback_namespace: SubnetListType | None = None
    data_center_interconnect_asn_namespace: AsnRangeType | None = None
    #: Control nodes and routers of one AS get sessions with each other by themselves.
    ibgp_auto_mesh: Annotated[bool | None, Default(True)] = None
    bgp_always_compare_med: bool | None = None
    #: Tags of routes from another AS hold here, too.
    bgp_all_tags_are_global: bool | None = None
    #: Keeps route distinguishers of several clusters apart.
    rd_cluster_seed: RdClusterSeedType | None = None
    route_replication_threshold: RouteReplicationThresholdType | None = None
    #: The prefixes of the fabric.
    ip_fabric_subnets: SubnetListType | None = None
    supported_device_families: DeviceFamilyListType | None = None
    supported_vendor_hardwares: VendorHardwaresType | None = None
    bgpaas_parameters: BGPaaServiceParametersType | None = None
    alarm_enable: bool | None = None
    user_defined_log_statistics: Annotated[
        UserDefinedLogStatList | None, MapOf("statlist", key="name")
    ] = None
    enable_security_policy_draft: Annotated[bool | None, Default(False)] = None
    supported_fabric_annotations: KeyValuePairs | None = None
    mac_limit_control: MACLimitControlType | None = None
    mac_move_control: MACMoveLimitControlType | None = None
    #: Seconds.
    mac_aging_time: Annotated[MACAgingTime | None, Default(300)] = None
    igmp_enable: Annotated[bool | None, Default(False)] = None
    bgp_router_refs: Annotated[list[Ref[None]], To("bgp-router"), Required] = []


class DomainLimitsType(Complex):
    """How much a domain may hold."""

    project_limit: int | None = None
    virtual_network_limit: int | None = None
    security_group_limit: int | None = None


class Domain(Resource, type="domain", parents=("config-root",)):
    """A set of projects."""

    domain_limits: DomainLimitsType | None = None


class QuotaType(Complex):
    """How many of each type a project may have; -1 is no limit."""

    defaults: int | None = None
    floating_ip: int | None = None
    instance_ip: int | None = None
    virtual_machine_interface: int | None = None
    virtual_network: int | None = None
    virtual_router: int | None = None
    virtual_DNS: int | None = None
    virtual_DNS_record: int | None = None
    bgp_router: int | None = None
    network_ipam: int | None = None
    access_control_list: int | None = None
    network_policy: int | None = None
    floating_ip_pool: int | None = None
    service_template: int | None = None
    service_instance: int | None = None
    logical_router: int | None = None
    security_group: int | None = None
    security_group_rule: int | None = None
    subnet: int | None = None
    global_vrouter_config: int | None = None
    loadbalancer: int | None = None
    loadbalancer_listener: int | None = None
    loadbalancer_pool: int | None = None
    loadbalancer_member: int | None = None
    loadbalancer_healthmonitor: int | None = None
    virtual_ip: int | None = None
    security_logging_object: int | None = None
    route_table: int | None = None
    firewall_group: int | None = None
    firewall_policy: int | None = None
    firewall_rule: int | None = None
    host_based_service: Annotated[UniqueQuotaType | None, Default(0)] = None


class Project(Resource, type="project", parents=("domain",)):
    """A tenant: what it makes, and its quotas."""

    quota: Annotated[QuotaType | None, Required] = None
    #: Routers of the project route between VXLANs by default.
    vxlan_routing: bool | None = None
    alarm_enable: bool | None = None
    enable_security_policy_draft: Annotated[bool | None, Default(False)] = None
    namespace_refs: Annotated[list[Ref[SubnetType]], To("namespace")] = []
    floating_ip_pool_refs: Annotated[list[Ref[None]], To("floating-ip-pool")] = []
    alias_ip_pool_refs: Annotated[list[Ref[None]], To("alias-ip-pool")] = []
    application_policy_set_refs: Annotated[
        list[Ref[None]],
        To("application-policy-set", link="project-default-application-policy-set"),
        SystemOnly,
    ] = []


class ConfigRoot(Resource, type="config-root"):
    """The root of all objects. It is never made: what has it as parent hangs below nothing."""


class Namespace(Resource, type="namespace", parents=("domain",)):
    """Addresses that a domain's projects share."""

    namespace_cidr: SubnetType | None = None


class FeatureFlag(Resource, type="feature-flag", parents=("global-system-config",)):
    """A feature under trial, and whether it is on."""

    feature_description: Annotated[str | None, SystemOnly] = None
    feature_id: Annotated[FeatureIdType | None, Required] = None
    feature_flag_version: Annotated[str | None, Required] = None
    feature_release: Annotated[str | None, SystemOnly] = None
    enable_feature: Annotated[bool | None, Default(False)] = None
    feature_state: Annotated[FeatureStateType | None, SystemOnly] = None


class ConfigProperties(Resource, type="config-properties", parents=("global-system-config",)):
    """Settings without a type of their own."""

    properties: KeyValuePairs | None = None
