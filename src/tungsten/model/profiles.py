"""Settings that ports and devices share: port profiles, storm control, telemetry."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import SubnetListType
from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, To
from tungsten.model.physical import PortParameters
from tungsten.model.scalars import (
    AdativeSampleRate,
    EnabledInterfaceType,
    IpAddress,
    LacpInterval,
    LacpMode,
    PollingInterval,
    SampleDirection,
    SampleRate,
    SecureModeType,
    StormControlActionType,
)


class StormControlParameters(Complex):
    """How much may be flooded, what is not counted, and what happens beyond."""

    storm_control_actions: list[StormControlActionType] | None = None
    #: Seconds after which the port is taken back.
    recovery_timeout: int | None = None
    no_unregistered_multicast: Annotated[bool | None, Default(False)] = None
    no_registered_multicast: Annotated[bool | None, Default(False)] = None
    no_unknown_unicast: Annotated[bool | None, Default(False)] = None
    no_multicast: Annotated[bool | None, Default(False)] = None
    no_broadcast: Annotated[bool | None, Default(False)] = None
    bandwidth_percent: int | None = None


class StormControlProfile(Resource, type="storm-control-profile", parents=("project",)):
    """When a port stops flooding."""

    storm_control_parameters: StormControlParameters | None = None


class LacpParams(Complex):
    """LACP of a port."""

    lacp_enable: Annotated[bool | None, Default(False)] = None
    lacp_interval: LacpInterval | None = None
    lacp_mode: LacpMode | None = None


class PortProfileParameters(Complex):
    """Settings of ports."""

    port_params: PortParameters | None = None
    flow_control: Annotated[bool | None, Default(False)] = None
    lacp_params: LacpParams | None = None
    bpdu_loop_protection: Annotated[bool | None, Default(False)] = None
    port_cos_untrust: Annotated[bool | None, Default(False)] = None


class PortProfile(Resource, type="port-profile", parents=("project",)):
    """Settings that ports share."""

    port_profile_params: PortProfileParameters | None = None
    storm_control_profile_refs: Annotated[list[Ref[None]], To("storm-control-profile")] = []


class StatsCollectionFrequency(Complex):
    """One of how many packets is sampled; how often counters are read, in seconds."""

    sample_rate: Annotated[SampleRate | None, Default(2000)] = None
    polling_interval: Annotated[PollingInterval | None, Default(0)] = None
    direction: SampleDirection | None = None


class EnabledInterfaceParams(Complex):
    """An interface with a rate of its own."""

    name: str | None = None
    stats_collection_frequency: StatsCollectionFrequency | None = None


class SflowParameters(Complex):
    """How a device samples packets."""

    stats_collection_frequency: StatsCollectionFrequency | None = None
    agent_id: IpAddress | None = None
    #: Most samples per second; the rate falls when there are more.
    adaptive_sample_rate: Annotated[AdativeSampleRate | None, Default(300)] = None
    enabled_interface_type: EnabledInterfaceType | None = None
    enabled_interface_params: list[EnabledInterfaceParams] | None = None


class SflowProfile(Resource, type="sflow-profile", parents=("project",)):
    """How devices sample packets."""

    sflow_profile_is_default: Annotated[bool | None, Default(False)] = None
    sflow_parameters: SflowParameters | None = None


class EnabledSensorParams(Complex):
    """What is reported."""

    physical_health: Annotated[bool | None, Default(True)] = None
    interface_health: Annotated[bool | None, Default(True)] = None
    control_plane_health: Annotated[bool | None, Default(True)] = None
    service_layer_health: Annotated[bool | None, Default(True)] = None


class GrpcParameters(Complex):
    """How a device reports by gRPC."""

    allow_clients: SubnetListType | None = None
    enabled_sensor_params: EnabledSensorParams | None = None
    secure_mode: SecureModeType | None = None


class GrpcProfile(Resource, type="grpc-profile", parents=("project",)):
    """How devices report by gRPC."""

    grpc_profile_is_default: Annotated[bool | None, Default(False)] = None
    grpc_parameters: GrpcParameters | None = None


class NetconfParameters(Complex):
    """What devices are asked by NETCONF."""

    enabled_sensor_params: EnabledSensorParams | None = None


class NetconfProfile(Resource, type="netconf-profile", parents=("project",)):
    """What devices are asked by NETCONF."""

    netconf_profile_is_default: Annotated[bool | None, Default(False)] = None
    netconf_parameters: NetconfParameters | None = None


class SnmpParameters(Complex):
    """What devices are asked by SNMP."""

    enabled_sensor_params: EnabledSensorParams | None = None


class SnmpProfile(Resource, type="snmp-profile", parents=("project",)):
    """What devices are asked by SNMP."""

    snmp_profile_is_default: Annotated[bool | None, Default(False)] = None
    snmp_parameters: SnmpParameters | None = None


class TelemetryProfile(Resource, type="telemetry-profile", parents=("project",)):
    """How a device reports: a profile of each kind."""

    telemetry_profile_is_default: Annotated[bool | None, Default(False)] = None
    sflow_profile_refs: Annotated[list[Ref[None]], To("sflow-profile")] = []
    grpc_profile_refs: Annotated[list[Ref[None]], To("grpc-profile")] = []
    netconf_profile_refs: Annotated[list[Ref[None]], To("netconf-profile")] = []
    snmp_profile_refs: Annotated[list[Ref[None]], To("snmp-profile")] = []
