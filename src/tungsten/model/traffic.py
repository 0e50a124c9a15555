"""Which packets, and what happens to them: parts of rules."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import SubnetType
from tungsten.model.fields import Complex, Default
from tungsten.model.scalars import (
    EtherType,
    FatFlowIgnoreAddressType,
    IpAddress,
    L4PortType,
    NHModeType,
    SimpleActionType,
    VlanIdType,
    VxlanNetworkIdentifierType,
)


class PortType(Complex):
    """A range of ports; -1, and 0 to 65535, are all."""

    start_port: Annotated[L4PortType | None, Default(0)] = None
    end_port: Annotated[L4PortType | None, Default(65535)] = None


class AddressType(Complex):
    """One side of a rule: one of a subnet, subnets, network, group or policy."""

    subnet: SubnetType | None = None
    #: fq_name joined by colons; ``any``: all; ``local``: the one the rule is attached to.
    virtual_network: str | None = None
    #: fq_name joined by colons; ``local``: the interface's own side.
    security_group: str | None = None
    network_policy: str | None = None
    subnet_list: list[SubnetType] | None = None


class ServicePropertiesType(Complex):
    """How a service is inserted in the path."""

    retain_as_path: Annotated[bool | None, Default(False)] = None


class StaticMirrorNhType(Complex):
    """The far end of a mirror given by hand."""

    vtep_dst_ip_address: IpAddress | None = None
    vtep_dst_mac_address: str | None = None
    vni: VxlanNetworkIdentifierType | None = None


class MirrorActionType(Complex):
    """Where copies of packets go, and how they are wrapped."""

    analyzer_name: str | None = None
    encapsulation: str | None = None
    analyzer_ip_address: IpAddress | None = None
    analyzer_mac_address: str | None = None
    routing_instance: str | None = None
    udp_port: int | None = None
    #: Copies carry a header that says where they were taken.
    juniper_header: Annotated[bool | None, Default(True)] = None
    nh_mode: NHModeType | None = None
    static_nh_header: StaticMirrorNhType | None = None
    nic_assisted_mirroring: Annotated[bool | None, Default(False)] = None
    nic_assisted_mirroring_vlan: VlanIdType | None = None


class ActionListType(Complex):
    """What happens to the packets of a rule."""

    simple_action: SimpleActionType | None = None
    gateway_name: str | None = None
    #: fq_names of the service instances to pass, in order.
    apply_service: list[str] | None = None
    service_properties: ServicePropertiesType | None = None
    mirror_to: MirrorActionType | None = None
    assign_routing_instance: str | None = None
    log: Annotated[bool | None, Default(False)] = None
    alert: Annotated[bool | None, Default(False)] = None
    qos_action: str | None = None
    host_based_service: Annotated[bool | None, Default(False)] = None


class MatchConditionType(Complex):
    """Which packets a compiled rule concerns."""

    protocol: str | None = None
    src_address: AddressType | None = None
    src_port: PortType | None = None
    dst_address: AddressType | None = None
    dst_port: PortType | None = None
    ethertype: EtherType | None = None


class ProtocolType(Complex):
    """Traffic that shares one flow entry: a protocol and port, with addresses left out."""

    protocol: str | None = None
    port: int | None = None
    ignore_address: FatFlowIgnoreAddressType | None = None
    source_prefix: SubnetType | None = None
    source_aggregate_prefix_length: int | None = None
    destination_prefix: SubnetType | None = None
    destination_aggregate_prefix_length: int | None = None


class FatFlowProtocols(Complex):
    """Traffic that is followed with coarser flow entries."""

    fat_flow_protocol: list[ProtocolType] | None = None
