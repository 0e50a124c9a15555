"""Quality of service: forwarding classes, the queues behind them, and how packets get one."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, MapOf, Required, SystemOnly, To
from tungsten.model.scalars import (
    DscpValueType,
    ForwardingClassId,
    MplsExpType,
    QosConfigType,
    VlanPriorityType,
)


class ControlTrafficDscpType(Complex):
    """The DSCP of the system's own traffic by kind."""

    control: DscpValueType | None = None
    analytics: DscpValueType | None = None
    dns: DscpValueType | None = None


class GlobalQosConfig(Resource, type="global-qos-config", parents=("global-system-config",)):
    """The marks of the system's own traffic. There is one."""

    control_traffic_dscp: Annotated[ControlTrafficDscpType | None, Required] = None


class QosQueue(Resource, type="qos-queue", parents=("global-qos-config",)):
    """A queue of the hosts' network interfaces."""

    min_bandwidth: Annotated[int | None, Required] = None
    max_bandwidth: Annotated[int | None, Required] = None
    #: The queue's number on the hosts; bandwidths are in percent.
    qos_queue_identifier: Annotated[int | None, Required] = None


class ForwardingClass(Resource, type="forwarding-class", parents=("global-qos-config",)):
    """How packets are marked and queued."""

    #: Unique; other objects refer to it by this number.
    forwarding_class_id: Annotated[ForwardingClassId | None, Default(0), Required] = None
    forwarding_class_dscp: Annotated[DscpValueType | None, Required] = None
    forwarding_class_vlan_priority: Annotated[VlanPriorityType | None, Required] = None
    forwarding_class_mpls_exp: Annotated[MplsExpType | None, Required] = None
    qos_queue_refs: Annotated[list[Ref[None]], To("qos-queue"), Required] = []


class QosIdForwardingClassPair(Complex):
    """A mark and the forwarding class it gets."""

    #: A DSCP, 802.1p priority or EXP, by the property it is in.
    key: int | None = None
    forwarding_class_id: ForwardingClassId | None = None


class QosIdForwardingClassPairs(Complex):
    """Forwarding classes by mark."""

    qos_id_forwarding_class_pair: list[QosIdForwardingClassPair] | None = None


class QosConfig(Resource, type="qos-config", parents=("global-qos-config", "project")):
    """Which forwarding class a packet gets by the marks it came with."""

    #: Whose packets: the host's own, those on the fabric, or a project's.
    qos_config_type: Annotated[QosConfigType | None, Required] = None
    dscp_entries: Annotated[
        QosIdForwardingClassPairs | None, MapOf("qos_id_forwarding_class_pair", key="key")
    ] = None
    vlan_priority_entries: Annotated[
        QosIdForwardingClassPairs | None, MapOf("qos_id_forwarding_class_pair", key="key")
    ] = None
    mpls_exp_entries: Annotated[
        QosIdForwardingClassPairs | None, MapOf("qos_id_forwarding_class_pair", key="key")
    ] = None
    default_forwarding_class_id: Annotated[ForwardingClassId | None, Default(0), Required] = None
    global_system_config_refs: Annotated[
        list[Ref[None]], To("global-system-config"), SystemOnly
    ] = []
