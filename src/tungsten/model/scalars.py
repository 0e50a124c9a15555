"""Restricted strings and integers: the enumerations and ranges of upstream's schema, by its names.

Grouped as the modules that use them are. An alias carries its limits with it; a ``Default`` here
holds wherever the alias is used.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from tungsten.model.fields import Check, Default, OneOf, Pattern, Range

# Numbers of the schema language
UnsignedLong = Annotated[int, Range(0, 2**64 - 1)]
UnsignedShort = Annotated[int, Range(0, 65535)]
#: Text of a time: ISO 8601, UTC, no zone, six digits of fraction in what the server makes.
DateTime = str


def _address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


def _community(text: str) -> str:
    """``n:n`` where ``*`` stands for any digits, or a well-known name (RFC 1997, RFC 7611)."""
    if text in _WELL_KNOWN_COMMUNITIES:
        return text
    match = re.fullmatch(r"([0-9*]+):([0-9*]+)", text)
    if match is None:
        raise ValueError(f"Invalid community format {text}. Change to 'number:number'")
    if match[1].isdecimal() and int(match[1]) > 65535:
        raise ValueError(f"Out of range ASN value {match[1]}. ASN values cannot exceed 65535.")
    return text


_WELL_KNOWN_COMMUNITIES = frozenset(
    {"no-export", "accept-own", "no-advertise", "no-export-subconfed", "no-reoriginate"}
)

# Addresses
#: An IPv4 address in the schema; IPv6 is accepted too.
IpAddress = Annotated[str, Check(_address)]
#: An address whose meaning, and validity, its user decides.
IpAddressType = str
IpAddressFamilyType = Annotated[str, OneOf("v4", "v6")]
AddressMode = Annotated[str, OneOf("active-active", "active-standby")]
AddressAllocationModeType = Annotated[
    str,
    OneOf(
        "user-defined-subnet-preferred",
        "user-defined-subnet-only",
        "flat-subnet-preferred",
        "flat-subnet-only",
    ),
    Default("user-defined-subnet-preferred"),
]
SubnetMethodType = Annotated[
    str,
    OneOf("user-defined-subnet", "flat-subnet", "auto-subnet"),
    Default("user-defined-subnet"),
]
IpamMethodType = Annotated[str, OneOf("dhcp", "fixed")]
IpamDnsMethodType = Annotated[
    str, OneOf("none", "default-dns-server", "tenant-dns-server", "virtual-dns-server")
]

# Access
#: Bits: 4 read, 2 write, 1 link.
AccessType = Annotated[int, Range(0, 7)]
UniqueQuotaType = Annotated[int, Range(0, 1)]

# Networks
ForwardingModeType = Annotated[str, OneOf("l2_l3", "l2", "l3")]
RpfModeType = Annotated[str, OneOf("enable", "disable"), Default("enable")]
NetworkMtuType = Annotated[int, Range(0, 9216)]
VlanIdType = Annotated[int, Range(0, 4094)]
Dot1QTagType = Annotated[int, Range(0, 4094)]
VxlanNetworkIdentifierType = Annotated[int, Range(1, 16777215)]
VxlanNetworkIdentifierModeType = Annotated[str, OneOf("configured", "automatic")]
VirtualNetworkCategory = Annotated[str, OneOf("infra", "tenant", "internal", "routed")]
MaxFlowsType = Annotated[int, Range(0, 4294967296)]
MACAgingTime = Annotated[int, Range(0, 86400)]
MACLimitExceedActionType = Annotated[str, OneOf("log", "alarm", "shutdown", "drop")]
MACMoveTimeWindow = Annotated[int, Range(1, 60)]
LogicalRouterType = Annotated[str, OneOf("snat-routing", "vxlan-routing")]
LogicalRouterVirtualNetworkEnumType = Annotated[
    str, OneOf("ExternalGateway", "InternalVirtualNetwork", "NAPTSourcePool")
]
VirtualNetworkIdType = Annotated[int, Range(1, 4294967296)]
IsidType = Annotated[int, Range(1, 16777215)]

# Hosts
ServerType = Annotated[str, OneOf("virtual-server", "baremetal-server", "container")]
VirtualRouterType = Annotated[str, OneOf("embedded", "tor-agent", "tor-service-node")]
EncapsulationType = Annotated[str, OneOf("MPLSoGRE", "MPLSoUDP", "VXLAN")]
EncryptionMode = Annotated[str, OneOf("none", "all")]
FlowLimitType = Annotated[int, Range(0, 2147483647)]
PercentType = Annotated[int, Range(0, 100)]
MillisecondsType = Annotated[int, Range(0, 4294967296)]

# Traffic
DirectionType = Annotated[str, OneOf(">", "<>")]
TrafficDirectionType = Annotated[str, OneOf("ingress", "egress", "both")]
EtherType = Annotated[str, OneOf("IPv4", "IPv6"), Default("IPv4")]
#: A port of TCP or UDP; -1 is any.
L4PortType = Annotated[int, Range(-1, 65535)]
SimpleActionType = Annotated[str, OneOf("deny", "pass")]
NHModeType = Annotated[str, OneOf("dynamic", "static"), Default("dynamic")]
FatFlowIgnoreAddressType = Annotated[str, OneOf("none", "source", "destination")]
SecurityGroupIdType = Annotated[int, Range(8000000, 4294967296)]
ConfiguredSecurityGroupIdType = Annotated[int, Range(0, 7999999)]
#: A tag's number: the type's digits, then the value's; eight digits, or the newer twelve.
U32BitHexInt = Annotated[
    str,
    Pattern(re.compile(r"0x(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{12})"), "0x and 8 or 12 hex digits"),
]
FirewallRuleDirectionType = Annotated[str, OneOf("<", ">", "<>")]
DraftModeState = Annotated[str, OneOf("created", "updated", "deleted")]
DscpValueType = Annotated[int, Range(0, 63)]
VlanPriorityType = Annotated[int, Range(0, 7)]
MplsExpType = Annotated[int, Range(0, 7)]
ForwardingClassId = Annotated[int, Range(0, 255)]
QosConfigType = Annotated[str, OneOf("vhost", "fabric", "project")]
HostBasedServiceType = Annotated[str, OneOf("firewall")]

# Routing
AutonomousSystemType = Annotated[int, Range(1, 4294967295)]
AddressFamily = Annotated[
    str,
    OneOf(
        "inet",
        "inet-labeled",
        "inet-vpn",
        "e-vpn",
        "erm-vpn",
        "route-target",
        "inet6",
        "inet-mvpn",
        "inet6-vpn",
    ),
]
BgpRouterType = Annotated[
    str,
    OneOf("control-node", "external-control-node", "router", "bgpaas-server", "bgpaas-client"),
]
BgpHoldTime = Annotated[int, Range(0, 65535)]
BgpAsPathLoopCount = Annotated[int, Range(0, 16)]
BgpPrefixLimitIdleTimeout = Annotated[int, Range(0, 86400)]
BgpPrivateAsAction = Annotated[str, OneOf("remove", "remove-all", "replace-all")]
BgpTunnelEncapsulationType = Annotated[str, OneOf("gre", "mpls", "udp", "vxlan")]
AuthenticationKeyId = Annotated[int, Range(0, 63)]
AuthenticationKeyType = Annotated[str, OneOf("md5")]
RouteOriginAttributeType = Annotated[str, OneOf("IGP", "EGP", "INCOMPLETE")]
CommunityAttribute = Annotated[str, Check(_community)]
RouteNextHopType = Annotated[str, OneOf("service-instance", "ip-address")]
RoutingProtocolType = Annotated[str, OneOf("static-routes", "bgp", "ospf", "pim")]
OspfAreaType = Annotated[str, OneOf("nssa", "stub", "backbone")]
PimMode = Annotated[str, OneOf("sparse", "sparse-dense", "dense")]
ImportExportType = Annotated[str, OneOf("import", "export")]
SequenceNumberType = str
RdClusterSeedType = Annotated[int, Range(1, 65535)]
RouteReplicationThresholdType = Annotated[int, Range(0, 60)]
GracefulRestartTimeType = Annotated[int, Range(0, 4095)]
LongLivedGracefulRestartTimeType = Annotated[int, Range(0, 16777215)]
EndOfRibTimeType = Annotated[int, Range(0, 4095)]
XmppHoldTimeType = Annotated[int, Range(1, 90)]
BGPaaSControlNodeZoneType = Annotated[str, OneOf("primary", "secondary")]
SubClusterIdType = Annotated[int, Range(1, 4294967295)]
VpnType = Annotated[str, OneOf("l2", "l3")]
ActionType = Annotated[str, OneOf("reject", "accept", "next")]
ActionNextValue = Annotated[str, OneOf("term", "policy")]
PathSourceType = Annotated[
    str,
    OneOf(
        "xmpp",
        "service-chain",
        "interface",
        "interface-static",
        "service-interface",
        "bgpaas",
        "bgp",
        "static",
        "aggregate",
        "direct",
        "pim",
        "evpn",
        "ospf",
        "ospf3",
    ),
]
FamilyType = Annotated[str, OneOf("inet", "inet-vpn", "evpn")]
ExternalRouteType = Annotated[str, OneOf("ospf-type-1", "ospf-type-2")]
PrefixType = Annotated[str, OneOf("exact", "longer", "orlonger"), Default("exact")]
RouteFType = Annotated[
    str,
    OneOf("exact", "longer", "orlonger", "prefix-length-range", "through", "upto"),
    Default("exact"),
]
TermType = Annotated[str, OneOf("vrouter", "network-device"), Default("vrouter")]

# Services and names
ServiceInterfaceType = Annotated[
    str,
    Pattern(
        re.compile(r"management|left|right|other[0-9]*"), "management, left, right or other<number>"
    ),
]
ServiceVirtualizationType = Annotated[
    str,
    OneOf("virtual-machine", "network-namespace", "vrouter-instance", "physical-device"),
    Default("virtual-machine"),
]
DnsRecordOrderType = Annotated[str, OneOf("fixed", "random", "round-robin")]
FloatingIpDnsNotation = Annotated[
    str,
    OneOf("dashed-ip", "dashed-ip-tenant-name", "vm-name", "vm-name-tenant-name"),
    Default("dashed-ip-tenant-name"),
]
ServiceType = Annotated[str, OneOf("firewall", "analyzer", "source-nat", "loadbalancer")]
ServiceModeType = Annotated[str, OneOf("transparent", "in-network", "in-network-nat")]
VRouterInstanceType = Annotated[str, OneOf("libvirt-qemu", "docker")]
HealthCheckType = Annotated[
    str, OneOf("link-local", "end-to-end", "segment", "vn-ip-list"), Default("link-local")
]
HealthCheckProtocolType = Annotated[str, OneOf("PING", "HTTP", "BFD")]
DnsRecordTypeType = Annotated[str, OneOf("A", "AAAA", "CNAME", "PTR", "NS", "MX")]
DnsRecordClassType = Annotated[str, OneOf("IN")]

# Load balancers
LoadbalancerProtocolType = Annotated[str, OneOf("HTTP", "HTTPS", "TCP", "UDP", "TERMINATED_HTTPS")]
LoadbalancerMethodType = Annotated[str, OneOf("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP")]
SessionPersistenceType = Annotated[str, OneOf("SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE")]
HealthmonitorType = Annotated[str, OneOf("PING", "TCP", "HTTP", "HTTPS")]

# Fabrics and devices
PhysicalRouterRole = Annotated[
    str,
    OneOf(
        "spine", "leaf", "e2-access", "e2-provider", "e2-internet", "e2-vrr", "pnf", "superspine"
    ),
]
CredentialEncryptionType = Annotated[str, OneOf("none", "local")]
CommitStateType = Annotated[str, OneOf("in_sync", "out_of_sync")]
ManagedStateType = Annotated[
    str, OneOf("dhcp", "rma", "activating", "active", "maintenance", "error")
]
OnboardingStateType = Annotated[
    str,
    OneOf(
        "discovered",
        "interfaces_onboarded",
        "topology_discovered",
        "role_discovered",
        "underlay_configured",
    ),
]
PhysicalInterfaceType = Annotated[str, OneOf("regular", "lag", "service", "fabric", "access")]
LogicalInterfaceType = Annotated[str, OneOf("l2", "l3")]
InterfaceType = Annotated[str, OneOf("fc", "ge", "xe", "xle", "et", "fte", "me", "em")]
PortSpeedType = Annotated[str, OneOf("1G", "10G", "40G", "100G")]
PortMtu = Annotated[int, Range(256, 9216)]
VpgType = Annotated[str, OneOf("access", "routed")]
LacpInterval = Annotated[str, OneOf("fast", "slow")]
LacpMode = Annotated[str, OneOf("active", "passive")]
StormControlActionType = Annotated[str, OneOf("interface-shutdown")]
FabricNetworkType = Annotated[
    str, OneOf("management", "loopback", "ip-fabric", "pnf-servicechain", "overlay-loopback")
]
NamespaceType = Annotated[str, OneOf("IPV4-CIDR", "ASN", "ASN_RANGE", "MAC_ADDR", "SERIAL_NUM")]
IntentType = Annotated[str, OneOf("assisted-replicator")]
NodeProfileType = Annotated[str, OneOf("physical-router", "end-system")]
NodeType = Annotated[str, OneOf("private", "baremetal", "esxi", "ovs-compute", "sriov-compute")]
DataCenterInterConnectType = Annotated[
    str, OneOf("inter_fabric", "intra_fabric"), Default("inter_fabric")
]
DataCenterInterconnectModes = Annotated[str, OneOf("l3", "l2"), Default("l3")]
JobTemplateType = Annotated[str, OneOf("workflow", "device_operation", "config", "executable")]
JobConcurrencyLevelType = Annotated[str, OneOf("fabric", "device")]
E2servicetype = Annotated[
    str, OneOf("point-to-point", "point-to-list", "multi-point-to-multi-point")
]
ServiceConnectionType = Annotated[
    str, OneOf("vpws-l2ckt", "vpws-l2vpn", "vpws-evpn", "fabric-interface")
]
PeeringServiceType = Annotated[str, OneOf("public-peering")]

# What the system and devices report
#: 0 critical, 1 major, 2 minor.
AlarmSeverity = Annotated[int, Range(0, 2)]
AlarmOperation = Annotated[
    str, OneOf("==", "!=", "<", "<=", ">", ">=", "in", "not in", "range", "size==", "size!=")
]
SampleRate = Annotated[int, Range(1, 16777215)]
AdativeSampleRate = Annotated[int, Range(300, 900)]
PollingInterval = Annotated[int, Range(0, 3600)]
SampleDirection = Annotated[str, OneOf("ingress", "egress")]
EnabledInterfaceType = Annotated[str, OneOf("all", "fabric", "service", "access", "custom")]
SecureModeType = Annotated[str, OneOf("cleartext", "ssl")]
StructuredSyslogMessageForwardType = Annotated[
    str, OneOf("do-not-forward", "forward-unprocessed", "forward-processed")
]

# The system
FeatureIdType = Annotated[str, OneOf("default", "__test_feature_1__", "__test_feature_2__")]
FeatureStateType = Annotated[
    str, OneOf("experimental", "alpha", "beta", "in-progress", "pre-retired")
]
CreatorType = Annotated[str, OneOf("vcenter-plugin", "test")]

# Identifiers
UuidStringType = Annotated[
    str,
    Pattern(
        re.compile(r"[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}"), "a uuid in lower-case digits"
    ),
]
#: The number of a kind of tags.
U16BitHexInt = Annotated[str, Pattern(re.compile(r"0x[0-9A-Fa-f]{4}"), "0x and 4 hex digits")]
TagValueRangeType = Annotated[int, Range(0, 65535)]
#: As in ASN.1.
ObjectIdentifier = Annotated[
    str,
    Pattern(
        re.compile(r"([01](\.[1-3]?[0-9])|2\.(0|[1-9][0-9]*))(\.(0|[1-9][0-9]*)){0,126}"),
        "an object identifier such as 1.3.6.1",
    ),
]
