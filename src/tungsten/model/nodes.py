"""The servers that run the system, by their role, and the zones and clusters of control nodes."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import AdminOnly, Required, SystemOnly, To
from tungsten.model.scalars import AutonomousSystemType, IpAddressType, SubClusterIdType


class ConfigNode(Resource, type="config-node", parents=("global-system-config",)):
    """A server that runs the API and the compiler."""

    config_node_ip_address: Annotated[IpAddressType | None, AdminOnly] = None


class ConfigDatabaseNode(Resource, type="config-database-node", parents=("global-system-config",)):
    """A server that keeps the configuration."""

    config_database_node_ip_address: Annotated[IpAddressType | None, Required] = None


class DatabaseNode(Resource, type="database-node", parents=("global-system-config",)):
    """A server that keeps what analytics collects."""

    database_node_ip_address: Annotated[IpAddressType | None, Required] = None


class AnalyticsNode(Resource, type="analytics-node", parents=("global-system-config",)):
    """A server that collects what the system reports of itself."""

    analytics_node_ip_address: Annotated[IpAddressType | None, AdminOnly] = None


class AnalyticsAlarmNode(Resource, type="analytics-alarm-node", parents=("global-system-config",)):
    """A server that raises alarms."""

    analytics_alarm_node_ip_address: Annotated[IpAddressType | None, AdminOnly] = None


class AnalyticsSnmpNode(Resource, type="analytics-snmp-node", parents=("global-system-config",)):
    """A server that asks physical devices by SNMP."""

    analytics_snmp_node_ip_address: Annotated[IpAddressType | None, AdminOnly] = None


class DevicemgrNode(Resource, type="devicemgr-node", parents=("global-system-config",)):
    """A server that configures physical devices."""

    devicemgr_node_ip_address: Annotated[IpAddressType | None, AdminOnly] = None


class WebuiNode(Resource, type="webui-node", parents=("global-system-config",)):
    """A server of the web interface."""

    webui_node_ip_address: Annotated[IpAddressType | None, Required] = None


class FlowNode(Resource, type="flow-node", parents=("global-system-config",)):
    """A server that collects flows of physical devices."""

    flow_node_ip_address: Annotated[IpAddressType | None, AdminOnly] = None
    #: Where devices send their flows.
    flow_node_load_balancer_ip: Annotated[IpAddressType | None, Required] = None
    flow_node_inband_interface: str | None = None
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network")] = []


class ControlNodeZone(Resource, type="control-node-zone", parents=("global-system-config",)):
    """Control nodes that are chosen together, as the near or the far ones."""


class SubCluster(Resource, type="sub-cluster"):
    """Control nodes and hosts at one place, with an AS of their own."""

    sub_cluster_asn: Annotated[AutonomousSystemType | None, Required] = None
    #: Given by the system; part of route distinguishers.
    sub_cluster_id: Annotated[SubClusterIdType | None, SystemOnly] = None
