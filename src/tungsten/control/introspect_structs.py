"""The structs of the control node's introspect. Names, order and ids are upstream's.

Field order is what text dumps show; ids and order differ on purpose. What a name means is told
where it is filled, in :mod:`tungsten.control.introspect` and its neighbours.
"""

# ruff: noqa: D101

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from tungsten.introspect import I32, U16, U32, U64, Field, Form, Message, Struct

# --- neighbours


class BgpNeighborResp(Struct, frozen=True, kw_only=True):
    instance_name: Annotated[str, Field(53)] = ""
    peer: Annotated[str, Field(1, link="BgpNeighborReq")]
    deleted: Annotated[bool, Field(36)] = False
    peer_address: Annotated[str, Field(2, link="BgpNeighborReq")] = ""
    peer_id: Annotated[str, Field(25)] = ""
    peer_asn: Annotated[U32, Field(3)] = 0
    encoding: Annotated[str, Field(6)]
    peer_type: Annotated[str, Field(7)] = "internal"
    state: Annotated[str, Field(8)] = ""
    closed_at: Annotated[str, Field(43)] = ""
    router_type: Annotated[str, Field(52)] = ""
    admin_down: Annotated[bool, Field(47)] = False
    passive: Annotated[bool, Field(48)] = False
    send_ready: Annotated[bool, Field(62)] = True
    peer_port: Annotated[I32, Field(50)] = 0
    local_address: Annotated[str, Field(4)] = ""
    local_id: Annotated[str, Field(26)] = ""
    local_asn: Annotated[U32, Field(5)] = 0
    send_state: Annotated[str, Field(9)] = ""
    last_event: Annotated[str, Field(10)] = ""
    last_state: Annotated[str, Field(11)] = ""
    last_state_at: Annotated[str, Field(12)] = ""
    last_error: Annotated[str, Field(13)] = ""
    configured_address_families: Annotated[Sequence[str], Field(38)] = ()
    negotiated_address_families: Annotated[Sequence[str], Field(39)] = ()
    configured_hold_time: Annotated[U32, Field(40)] = 0
    negotiated_hold_time: Annotated[U32, Field(41)] = 0
    primary_path_count: Annotated[U64, Field(46)] = 0
    flap_count: Annotated[U64, Field(23)] = 0
    flap_time: Annotated[str, Field(24)] = ""


class BgpNeighborListResp(Message, frozen=True, kw_only=True):
    neighbors: Annotated[Sequence[BgpNeighborResp], Field(1)]
    next_batch: Annotated[str, Field(2, link="BgpNeighborReqIterate", link_title="next_batch")] = ""


class BgpNeighborReq(Form, frozen=True):
    search_string: str = ""


class BgpNeighborReqIterate(Form, frozen=True):
    iterate_info: str = ""


class ShowXmppConnection(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    deleted: Annotated[bool, Field(2)] = False
    remote_endpoint: Annotated[str, Field(3)] = ""
    local_endpoint: Annotated[str, Field(4)] = ""
    state: Annotated[str, Field(5)] = ""
    last_event: Annotated[str, Field(6)] = ""
    last_state: Annotated[str, Field(7)] = ""
    last_state_at: Annotated[str, Field(8)] = ""
    receivers: Annotated[Sequence[str], Field(9)] = ()
    server_auth_type: Annotated[str, Field(10)] = "NIL"
    dscp_value: Annotated[U16, Field(11)] = 0


class ShowXmppConnectionResp(Message, frozen=True, kw_only=True):
    connections: Annotated[Sequence[ShowXmppConnection], Field(1)]


class ShowXmppConnectionReq(Form, frozen=True):
    pass


# --- agents


class ShowAgentInstance(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    state: Annotated[str, Field(2)]
    routes: Annotated[U32, Field(3)] = 0
    refused: Annotated[Sequence[str], Field(4)] = ()


class ShowAgent(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    address: Annotated[str, Field(2)] = ""
    state: Annotated[str, Field(3)] = ""
    flap_count: Annotated[U32, Field(4)] = 0
    routes: Annotated[U32, Field(5)] = 0
    refusals: Annotated[Sequence[str], Field(6)] = ()
    instances: Annotated[Sequence[ShowAgentInstance], Field(7)] = ()


class ShowAgentResp(Message, frozen=True, kw_only=True):
    agents: Annotated[Sequence[ShowAgent], Field(1)]
    next_batch: Annotated[str, Field(2, link="ShowAgentReqIterate", link_title="next_batch")] = ""


class ShowAgentReq(Form, frozen=True):
    search_string: str = ""


class ShowAgentReqIterate(Form, frozen=True):
    iterate_info: str = ""


# --- instances


class ShowInstanceRoutingPolicyInfo(Struct, frozen=True, kw_only=True):
    policy_name: Annotated[str, Field(1, link="ShowRoutingPolicyReq")]
    generation: Annotated[U32, Field(2)] = 0


class ShowRoutingInstance(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1, link="ShowRoutingInstanceReq")]
    virtual_network: Annotated[str, Field(3)] = ""
    vn_index: Annotated[I32, Field(6)] = 0
    vxlan_id: Annotated[I32, Field(8)] = 0
    import_target: Annotated[Sequence[str], Field(4)] = ()
    export_target: Annotated[Sequence[str], Field(5)] = ()
    always_subscribe: Annotated[bool, Field(10)] = False
    allow_transit: Annotated[bool, Field(12)] = False
    pbb_evpn_enable: Annotated[bool, Field(13)] = False
    deleted: Annotated[bool, Field(7)] = False
    deleted_at: Annotated[str, Field(9)] = ""
    routing_policies: Annotated[Sequence[ShowInstanceRoutingPolicyInfo], Field(11)] = ()


class ShowRoutingInstanceResp(Message, frozen=True, kw_only=True):
    instances: Annotated[Sequence[ShowRoutingInstance], Field(1)]
    next_batch: Annotated[
        str, Field(2, link="ShowRoutingInstanceReqIterate", link_title="next_batch")
    ] = ""


class ShowRoutingInstanceReq(Form, frozen=True):
    search_string: str = ""


class ShowRoutingInstanceReqIterate(Form, frozen=True):
    iterate_info: str = ""


# --- routing policies


class PolicyTermInfo(Struct, frozen=True, kw_only=True):
    terminal: Annotated[bool, Field(1)]
    matches: Annotated[Sequence[str], Field(2)] = ()
    actions: Annotated[Sequence[str], Field(3)] = ()
    paths: Annotated[U64, Field(4)] = 0
    problem: Annotated[str, Field(5)] = ""


class ShowRoutingPolicyInfo(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    generation: Annotated[U32, Field(2)] = 0
    ref_count: Annotated[U32, Field(3)] = 0
    terms: Annotated[Sequence[PolicyTermInfo], Field(4)] = ()
    deleted: Annotated[bool, Field(5)] = False
    instances: Annotated[Sequence[str], Field(6, link="ShowRoutingInstanceReq")] = ()


class ShowRoutingPolicyResp(Message, frozen=True, kw_only=True):
    routing_policies: Annotated[Sequence[ShowRoutingPolicyInfo], Field(1)]
    next_batch: Annotated[
        str, Field(2, link="ShowRoutingPolicyReqIterate", link_title="next_batch")
    ] = ""


class ShowRoutingPolicyReq(Form, frozen=True):
    search_string: str = ""


class ShowRoutingPolicyReqIterate(Form, frozen=True):
    iterate_info: str = ""


class ShowBgpRoutingPolicyTermConfig(Struct, frozen=True, kw_only=True):
    match: Annotated[str, Field(1)]
    action: Annotated[str, Field(2)]


class ShowBgpRoutingPolicyConfig(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1)]
    terms: Annotated[Sequence[ShowBgpRoutingPolicyTermConfig], Field(2)] = ()


class ShowBgpRoutingPolicyConfigResp(Message, frozen=True, kw_only=True):
    routing_policies: Annotated[Sequence[ShowBgpRoutingPolicyConfig], Field(1)]
    next_batch: Annotated[
        str, Field(2, link="ShowBgpRoutingPolicyConfigReqIterate", link_title="next_batch")
    ] = ""


class ShowBgpRoutingPolicyConfigReq(Form, frozen=True):
    search_string: str = ""


class ShowBgpRoutingPolicyConfigReqIterate(Form, frozen=True):
    iterate_info: str = ""


# --- tables and routes


class ShowRouteTableSummary(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1, link="ShowRouteReq")]
    prefixes: Annotated[U64, Field(3)] = 0
    paths: Annotated[U64, Field(4)] = 0
    primary_paths: Annotated[U64, Field(5)] = 0
    secondary_paths: Annotated[U64, Field(6)] = 0
    infeasible_paths: Annotated[U64, Field(7)] = 0
    stale_paths: Annotated[U64, Field(18)] = 0
    llgr_stale_paths: Annotated[U64, Field(19)] = 0
    listeners: Annotated[U64, Field(14)] = 0
    deleted: Annotated[bool, Field(2)] = False
    deleted_at: Annotated[str, Field(13)] = ""


class ShowRouteSummaryResp(Message, frozen=True, kw_only=True):
    tables: Annotated[Sequence[ShowRouteTableSummary], Field(1)]
    next_batch: Annotated[
        str, Field(2, link="ShowRouteSummaryReqIterate", link_title="next_batch")
    ] = ""


class ShowRouteSummaryReq(Form, frozen=True):
    search_string: str = ""


class ShowRouteSummaryReqIterate(Form, frozen=True):
    iterate_info: str = ""


class ShowPmsiTunnel(Struct, frozen=True, kw_only=True):
    type: Annotated[str, Field(1)]
    ar_type: Annotated[str, Field(2)] = "RNVE (0)"
    identifier: Annotated[str, Field(3)] = ""
    label: Annotated[U32, Field(4)] = 0
    flags: Annotated[Sequence[str], Field(5)] = ()


class ShowRoutePath(Struct, frozen=True, kw_only=True):
    protocol: Annotated[str, Field(1)]
    last_modified: Annotated[str, Field(3)]
    local_preference: Annotated[U32, Field(5)] = 0
    med: Annotated[U32, Field(25)] = 0
    local_as: Annotated[U32, Field(6)] = 0
    peer_as: Annotated[U32, Field(7)] = 0
    peer_router_id: Annotated[str, Field(8)] = ""
    source: Annotated[str, Field(9)] = ""
    as_path: Annotated[str, Field(10)] = ""
    as4_path: Annotated[str, Field(30)] = ""
    next_hop: Annotated[str, Field(11)] = ""
    label: Annotated[U32, Field(12)] = 0
    origin: Annotated[str, Field(26)] = ""
    replicated: Annotated[bool, Field(13)] = False
    primary_table: Annotated[str, Field(14, link="ShowRouteReq")] = ""
    secondary_tables: Annotated[Sequence[str], Field(24)] = ()
    communities: Annotated[Sequence[str], Field(15)] = ()
    origin_vn: Annotated[str, Field(16)] = ""
    flags: Annotated[Sequence[str], Field(17)] = ()
    tunnel_encap: Annotated[Sequence[str], Field(18)] = ()
    sequence_no: Annotated[str, Field(19)] = ""
    origin_vn_path: Annotated[Sequence[str], Field(20)] = ()
    pmsi_tunnel: Annotated[ShowPmsiTunnel | None, Field(21)] = None
    cluster_list: Annotated[Sequence[str], Field(23)] = ()
    originator_id: Annotated[str, Field(27)] = ""


class ShowRoute(Struct, frozen=True, kw_only=True):
    prefix: Annotated[str, Field(1)]
    last_modified: Annotated[str, Field(2)]
    paths: Annotated[Sequence[ShowRoutePath], Field(3)]


class ShowTableListener(Struct, frozen=True, kw_only=True):
    id: Annotated[I32, Field(1)]
    name: Annotated[str, Field(2)]


class ShowRouteTable(Struct, frozen=True, kw_only=True):
    routing_instance: Annotated[str, Field(1, link="ShowRoutingInstanceReq")]
    routing_table_name: Annotated[str, Field(2, link="ShowRouteReq")]
    deleted: Annotated[bool, Field(9)] = False
    deleted_at: Annotated[str, Field(11)] = ""
    prefixes: Annotated[U64, Field(3)] = 0
    paths: Annotated[U64, Field(4)] = 0
    primary_paths: Annotated[U64, Field(5)] = 0
    secondary_paths: Annotated[U64, Field(6)] = 0
    infeasible_paths: Annotated[U64, Field(7)] = 0
    stale_paths: Annotated[U64, Field(12)] = 0
    llgr_stale_paths: Annotated[U64, Field(13)] = 0
    routes: Annotated[Sequence[ShowRoute], Field(8)] = ()
    listeners: Annotated[Sequence[ShowTableListener], Field(10)] = ()


class ShowRouteResp(Message, frozen=True, kw_only=True):
    tables: Annotated[Sequence[ShowRouteTable], Field(1)]
    next_batch: Annotated[str, Field(2, link="ShowRouteReqIterate", link_title="next_batch")] = ""


class ShowRouteReq(Form, frozen=True):
    routing_table: str = ""
    routing_instance: str = ""
    prefix: str = ""
    longer_match: bool = False
    shorter_match: bool = False
    count: int = 0
    start_routing_table: str = ""
    start_routing_instance: str = ""
    start_prefix: str = ""
    source: str = ""
    protocol: str = ""
    family: str = ""


class ShowRouteReqIterate(Form, frozen=True):
    route_info: str = ""


# --- service chains


class ConnectedRouteInfo(Struct, frozen=True, kw_only=True):
    service_chain_addr: Annotated[str, Field(1)]
    connected_rt: Annotated[ShowRoute, Field(2)]


class PrefixToRouteListInfo(Struct, frozen=True, kw_only=True):
    prefix: Annotated[str, Field(1)]
    aggregate: Annotated[bool, Field(2)] = False
    aggregate_rt: Annotated[ShowRoute | None, Field(3)] = None
    more_specific_list: Annotated[Sequence[str], Field(4)] = ()


class ExtConnectRouteInfo(Struct, frozen=True, kw_only=True):
    ext_rt_prefix: Annotated[str, Field(1)]
    ext_rt_svc_rt: Annotated[ShowRoute | None, Field(2)] = None


class ShowServicechainInfo(Struct, frozen=True, kw_only=True):
    src_virtual_network: Annotated[str, Field(7)] = ""
    dest_virtual_network: Annotated[str, Field(8)] = ""
    service_instance: Annotated[str, Field(9)] = ""
    family: Annotated[str, Field(12)] = ""
    src_rt_instance: Annotated[str, Field(1, link="ShowRoutingInstanceReq")] = ""
    connected_rt_instance: Annotated[str, Field(11, link="ShowRoutingInstanceReq")] = ""
    dest_rt_instance: Annotated[str, Field(2, link="ShowRoutingInstanceReq")] = ""
    service_chain_addr: Annotated[str, Field(13)] = ""
    state: Annotated[str, Field(10)] = ""
    pending_reason: Annotated[str, Field(14)] = ""
    service_chain_id: Annotated[str, Field(15)] = ""
    connected_route: Annotated[ConnectedRouteInfo | None, Field(3)] = None
    more_specifics: Annotated[Sequence[PrefixToRouteListInfo], Field(4)] = ()
    ext_connecting_rt_info_list: Annotated[Sequence[ExtConnectRouteInfo], Field(5)] = ()
    aggregate_enable: Annotated[bool, Field(6)] = False


class ShowServiceChainResp(Message, frozen=True, kw_only=True):
    service_chain_list: Annotated[Sequence[ShowServicechainInfo], Field(1)]
    next_batch: Annotated[
        str, Field(2, link="ShowServiceChainReqIterate", link_title="next_batch")
    ] = ""


class ShowServiceChainReq(Form, frozen=True):
    search_string: str = ""


class ShowServiceChainReqIterate(Form, frozen=True):
    iterate_info: str = ""
