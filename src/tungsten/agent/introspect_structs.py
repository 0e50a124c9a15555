"""The structs of the agent's introspect. Names, order and ids are upstream's.

Fields of things this agent does not do are left out; readers show them as absent.
"""

# ruff: noqa: D101

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from tungsten.introspect import I32, U32, Field, Form, Message, Struct

# --- interfaces


class VmIntfSgUuid(Struct, frozen=True, kw_only=True):
    sg_uuid: Annotated[str, Field(1, link="SgListReq")]


class FloatingIpSandeshList(Struct, frozen=True, kw_only=True):
    ip_addr: Annotated[str, Field(1)]
    vrf_name: Annotated[str, Field(2, link="VrfListReq")]
    installed: Annotated[str, Field(3)]


class AllowedAddressPairSandesh(Struct, frozen=True, kw_only=True):
    ip_addr: Annotated[str, Field(1)]
    prefix_len: Annotated[I32, Field(2)]
    mac: Annotated[str, Field(3)]


class ItfSandeshData(Struct, frozen=True, kw_only=True):
    index: Annotated[I32, Field(1)]
    name: Annotated[str, Field(2)]
    uuid: Annotated[str, Field(3)] = ""
    vrf_name: Annotated[str, Field(4, link="VrfListReq")] = ""
    active: Annotated[str, Field(5)] = ""
    ipv4_active: Annotated[str, Field(49)] = ""
    l2_active: Annotated[str, Field(28)] = ""
    ip6_active: Annotated[str, Field(35)] = ""
    health_check_active: Annotated[str, Field(53)] = "Active"
    dhcp_service: Annotated[str, Field(6)] = ""
    dns_service: Annotated[str, Field(7)] = ""
    type: Annotated[str, Field(8)] = ""
    label: Annotated[I32, Field(9)] = -1
    l2_label: Annotated[I32, Field(25)] = -1
    vxlan_id: Annotated[I32, Field(26)] = 0
    vn_name: Annotated[str, Field(10, link="VnListReq")] = ""
    vm_uuid: Annotated[str, Field(11, link="VmListReq")] = ""
    vm_name: Annotated[str, Field(12)] = ""
    ip_addr: Annotated[str, Field(13)] = ""
    mac_addr: Annotated[str, Field(14)] = ""
    policy: Annotated[str, Field(15)] = ""
    fip_list: Annotated[Sequence[FloatingIpSandeshList], Field(16)] = ()
    mdata_ip_addr: Annotated[str, Field(17)] = ""
    os_ifindex: Annotated[I32, Field(19)] = 0
    fabric_port: Annotated[str, Field(20)] = ""
    alloc_linklocal_ip: Annotated[str, Field(21)] = ""
    config_name: Annotated[str, Field(23)] = ""
    sg_uuid_list: Annotated[Sequence[VmIntfSgUuid], Field(24)] = ()
    admin_state: Annotated[str, Field(31)] = ""
    flow_key_idx: Annotated[I32, Field(32)] = 0
    allowed_address_pair_list: Annotated[Sequence[AllowedAddressPairSandesh], Field(33)] = ()
    ip6_addr: Annotated[str, Field(34)] = ""
    local_preference: Annotated[I32, Field(36)] = 0
    flood_unknown_unicast: Annotated[bool, Field(46)] = False
    physical_interface: Annotated[str, Field(48)] = ""


class ItfResp(Message, frozen=True, kw_only=True):
    itf_list: Annotated[Sequence[ItfSandeshData], Field(1)]


class ItfReq(Form, frozen=True):
    name: str = ""
    type: str = ""
    uuid: str = ""
    vn: str = ""
    mac: str = ""
    ipv4_address: str = ""


# --- networks and VRFs


class VnIpamData(Struct, frozen=True, kw_only=True):
    ip_prefix: Annotated[str, Field(1)]
    prefix_len: Annotated[I32, Field(2)]
    gateway: Annotated[str, Field(3)] = ""
    ipam_name: Annotated[str, Field(4)] = ""
    dhcp_enable: Annotated[str, Field(5)] = ""
    dns_server: Annotated[str, Field(6)] = ""


class VnSandeshData(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    uuid: Annotated[str, Field(2)]
    acl_uuid: Annotated[str, Field(3, link="AclReq")] = ""
    vrf_name: Annotated[str, Field(6, link="VrfListReq")] = ""
    ipam_data: Annotated[Sequence[VnIpamData], Field(7)] = ()
    layer2_forwarding: Annotated[bool, Field(9)] = True
    ipv4_forwarding: Annotated[bool, Field(10)] = True
    admin_state: Annotated[bool, Field(11)] = True
    vxlan_id: Annotated[I32, Field(12)] = 0
    enable_rpf: Annotated[bool, Field(15)] = True
    bridging: Annotated[bool, Field(16)] = True
    flood_unknown_unicast: Annotated[bool, Field(17)] = False


class VnListResp(Message, frozen=True, kw_only=True):
    vn_list: Annotated[Sequence[VnSandeshData], Field(1)]


class VnListReq(Form, frozen=True):
    name: str = ""
    uuid: str = ""


class VrfSandeshData(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    ucindex: Annotated[I32, Field(2, link="Inet4UcRouteReq")]
    mcindex: Annotated[I32, Field(3, link="Inet4McRouteReq")]
    l2index: Annotated[I32, Field(4, link="Layer2RouteReq")]
    source: Annotated[str, Field(5)] = "Config; "
    uc6index: Annotated[I32, Field(6, link="Inet6UcRouteReq")]
    vn: Annotated[str, Field(7, link="VnListReq")]
    table_label: Annotated[I32, Field(8)] = -1
    vxlan_id: Annotated[I32, Field(9)] = 0
    evpnindex: Annotated[I32, Field(10, link="EvpnRouteReq")]
    brindex: Annotated[I32, Field(11, link="BridgeRouteReq")]
    RD: Annotated[str, Field(13)] = ""


class VrfListResp(Message, frozen=True, kw_only=True):
    vrf_list: Annotated[Sequence[VrfSandeshData], Field(1)]


class VrfListReq(Form, frozen=True):
    name: str = ""


# --- next hops and labels


class McastData(Struct, frozen=True, kw_only=True):
    type: Annotated[str, Field(1)]
    sip: Annotated[str | None, Field(2)] = None
    dip: Annotated[str | None, Field(3)] = None
    label: Annotated[I32, Field(4)] = 0
    itf: Annotated[str | None, Field(5, link="ItfReq")] = None


class NhSandeshData(Struct, frozen=True, kw_only=True):
    type: Annotated[str, Field(1)] = ""
    ref_count: Annotated[I32, Field(2)] = 0
    valid: Annotated[str, Field(3)] = "true"
    policy: Annotated[str, Field(4)] = "disabled"
    sip: Annotated[str | None, Field(5)] = None
    dip: Annotated[str | None, Field(6)] = None
    vrf: Annotated[str, Field(7, link="VrfListReq")] = ""
    itf: Annotated[str, Field(8, link="ItfReq")] = ""
    mac: Annotated[str | None, Field(9)] = ""
    mcast: Annotated[str, Field(12)] = "disabled"
    mc_list: Annotated[Sequence[McastData], Field(14)] = ()
    tunnel_type: Annotated[str | None, Field(16)] = None
    nh_index: Annotated[I32, Field(21)] = 0
    vxlan_flag: Annotated[bool, Field(24)] = False


class NhListResp(Message, frozen=True, kw_only=True):
    nh_list: Annotated[Sequence[NhSandeshData], Field(1)]


class NhListReq(Form, frozen=True):
    type: str = ""
    nh_index: int = -1
    policy_enabled: str = ""


class MplsSandeshData(Struct, frozen=True, kw_only=True):
    label: Annotated[I32, Field(1)]
    type: Annotated[str, Field(2)]
    nh: Annotated[NhSandeshData, Field(3)]


class MplsResp(Message, frozen=True, kw_only=True):
    mpls_list: Annotated[Sequence[MplsSandeshData], Field(1)]


class MplsReq(Form, frozen=True):
    type: str = ""
    label: int = -1


class VxLanSandeshData(Struct, frozen=True, kw_only=True):
    vxlan_id: Annotated[I32, Field(1)]
    nh: Annotated[NhSandeshData, Field(2)]
    vrf_name: Annotated[str, Field(3)]


class VxLanResp(Message, frozen=True, kw_only=True):
    vxlan_list: Annotated[Sequence[VxLanSandeshData], Field(1)]


class VxLanReq(Form, frozen=True):
    vxlan_id: int = -1


# --- routes


class PathPreferenceSandeshData(Struct, frozen=True, kw_only=True):
    sequence: Annotated[I32, Field(1)] = 0
    preference: Annotated[I32, Field(2)] = 0
    ecmp: Annotated[bool, Field(3)] = False
    wait_for_traffic: Annotated[bool, Field(4)] = False


class PathSandeshData(Struct, frozen=True, kw_only=True):
    nh: Annotated[NhSandeshData, Field(1)]
    label: Annotated[I32, Field(2)] = -1
    vxlan_id: Annotated[I32, Field(3)] = 0
    peer: Annotated[str, Field(4)]
    dest_vn_list: Annotated[Sequence[str], Field(5, link="VnListReq")] = ()
    unresolved: Annotated[str, Field(6)] = "false"
    sg_list: Annotated[Sequence[I32], Field(10)] = ()
    supported_tunnel_type: Annotated[str, Field(11)] = ""
    active_tunnel_type: Annotated[str, Field(12)] = ""
    stale: Annotated[bool, Field(13)] = False
    path_preference_data: Annotated[PathPreferenceSandeshData, Field(14)]
    active_label: Annotated[I32, Field(16)] = -1
    communities: Annotated[Sequence[str], Field(21)] = ()


class RouteUcSandeshData(Struct, frozen=True, kw_only=True):
    src_ip: Annotated[str, Field(1)]
    src_plen: Annotated[I32, Field(2)]
    src_vrf: Annotated[str, Field(3, link="VrfListReq")]
    path_list: Annotated[Sequence[PathSandeshData], Field(4)]
    ipam_subnet_route: Annotated[bool, Field(5)] = False
    proxy_arp: Annotated[bool, Field(6)] = False
    multicast: Annotated[bool, Field(7)] = False


class Inet4UcRouteResp(Message, frozen=True, kw_only=True):
    route_list: Annotated[Sequence[RouteUcSandeshData], Field(1)]


class Inet4UcRouteReq(Form, frozen=True):
    vrf_index: int = 0
    src_ip: str = ""
    prefix_len: int = -1
    stale: bool = False


class Inet6UcRouteResp(Message, frozen=True, kw_only=True):
    route_list: Annotated[Sequence[RouteUcSandeshData], Field(1)]


class Inet6UcRouteReq(Form, frozen=True):
    vrf_index: int = 0
    src_ip: str = ""
    prefix_len: int = -1
    stale: bool = False


class RouteL2SandeshData(Struct, frozen=True, kw_only=True):
    mac: Annotated[str, Field(1)]
    src_vrf: Annotated[str, Field(2, link="VrfListReq")]
    path_list: Annotated[Sequence[PathSandeshData], Field(4)]


class Layer2RouteResp(Message, frozen=True, kw_only=True):
    route_list: Annotated[Sequence[RouteL2SandeshData], Field(1)]


class Layer2RouteReq(Form, frozen=True):
    vrf_index: int = 0


class BridgeRouteResp(Message, frozen=True, kw_only=True):
    route_list: Annotated[Sequence[RouteL2SandeshData], Field(1)]


class BridgeRouteReq(Form, frozen=True):
    vrf_index: int = 0


class RouteEvpnSandeshData(Struct, frozen=True, kw_only=True):
    mac: Annotated[str, Field(1)]
    src_vrf: Annotated[str, Field(2, link="VrfListReq")]
    ip_addr: Annotated[str, Field(3)]
    path_list: Annotated[Sequence[PathSandeshData], Field(4)]


class EvpnRouteResp(Message, frozen=True, kw_only=True):
    route_list: Annotated[Sequence[RouteEvpnSandeshData], Field(1)]


class EvpnRouteReq(Form, frozen=True):
    vrf_index: int = 0


# --- sessions


class AgentXmppData(Struct, frozen=True, kw_only=True):
    controller_ip: Annotated[str, Field(1)]
    state: Annotated[str, Field(2)]
    peer_name: Annotated[str, Field(3)] = ""
    peer_address: Annotated[str, Field(4)] = ""
    cfg_controller: Annotated[str, Field(5)] = "No"
    mcast_controller: Annotated[str, Field(6)] = "No"
    last_state: Annotated[str, Field(7)] = ""
    last_event: Annotated[str, Field(8)] = ""
    last_state_at: Annotated[str, Field(9)] = ""
    flap_count: Annotated[U32, Field(10)] = 0
    flap_time: Annotated[str, Field(11)] = ""


class AgentXmppConnectionStatus(Message, frozen=True, kw_only=True):
    peer: Annotated[Sequence[AgentXmppData], Field(1)]


class AgentXmppConnectionStatusReq(Form, frozen=True):
    pass
